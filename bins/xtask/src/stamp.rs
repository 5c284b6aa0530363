//! Hashes of what an expensive check depends on, kept in a page of the docs so that it is not repeated for nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::CommandExt as _;

/// A hash of files, by their names and contents, and of what else matters. Files are named from the clone's root.
pub(crate) fn of(root: &Path, files: &[PathBuf], besides: &str) -> Result<String> {
    let names = files.iter().map(|file| file.strip_prefix(root).unwrap_or(file));
    let hash = Command::new("sh")
        .args(["-c", "{ sha256sum \"$@\" && printf %s \"$BESIDES\"; } | sha256sum", "sh"])
        .args(names)
        .env("BESIDES", besides)
        .current_dir(root)
        .read()?;
    hash.split_whitespace().next().map(str::to_owned).context("sha256sum printed nothing")
}

/// Adds all files beneath a directory.
pub(crate) fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("reading {}", directory.display()))?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// The stamp in a page: what a line has between `begin` and ` -->`.
pub(crate) fn read(page: &Path, begin: &str) -> Result<Option<String>> {
    if !page.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(page).with_context(|| format!("reading {}", page.display()))?;
    Ok(text.lines().find_map(|line| line.strip_prefix(begin)?.strip_suffix(" -->")).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_another_for_other_names_contents_and_the_rest() {
        let root = tempfile::tempdir().expect("a directory");
        let file = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::write(&path, text).expect("written");
            path
        };
        let (a, b) = (file("a", "1"), file("b", "1"));
        let of = |files: &[&PathBuf], besides| {
            let files: Vec<PathBuf> = files.iter().copied().cloned().collect();
            super::of(root.path(), &files, besides).expect("a hash")
        };
        let all = [of(&[&a], ""), of(&[&b], ""), of(&[&a, &b], ""), of(&[&a], "x")];
        for (number, one) in all.iter().enumerate() {
            assert!(!all[..number].contains(one), "{all:?}");
        }
        assert_eq!(of(&[&a], "x"), all[3]);
        fs::write(&a, "2").expect("written");
        assert_ne!(of(&[&a], "x"), all[3]);
    }

    #[test]
    fn it_is_read_from_a_line_of_its_own() {
        let root = tempfile::tempdir().expect("a directory");
        let page = root.path().join("page.md");
        assert_eq!(read(&page, "<!-- x ").expect("no page"), None);
        fs::write(&page, "# Page\n<!-- y 1 -->\n<!-- x 2 -->\n").expect("written");
        assert_eq!(read(&page, "<!-- x ").expect("a page").as_deref(), Some("2"));
        assert_eq!(read(&page, "<!-- z ").expect("a page"), None);
    }
}
