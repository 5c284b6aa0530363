//! Files that are replaced as a whole, and those of them that hold a JSON document.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads a document; none where there is no file.
///
/// # Errors
/// When the file cannot be read or does not hold such a document.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .with_context(|| format!("reading the state in {}", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// Replaces a document, as [`replace`] does.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write<T: Serialize>(path: &Path, document: &T) -> Result<()> {
    let replaced = serde_json::to_vec(document).map_err(Into::into).and_then(|text| replace(path, &text));
    replaced.with_context(|| format!("writing the state in {}", path.display()))
}

/// Replaces a file that is its owner's alone to read: whoever reads finds the old one or the new one, and once this
/// returns the new one, after a crash of the machine too.
///
/// # Errors
/// When the file or its directory cannot be written.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> Result<()> {
    let directory = path.parent().context("the file has no directory")?;
    let name = path.file_name().context("the file has no name")?.to_string_lossy();
    // No longer than a name may be, and nothing that anybody takes for one of the files that are replaced.
    let name: String = name.chars().take(LONGEST).collect();
    let beside = directory.join(format!(".{name}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&beside)?;
    // One that was left there may be open to others.
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(directory)?.sync_all()?;
    Ok(())
}

/// Who may read what is written: it says who is where.
const MODE: u32 = 0o600;
/// Characters of a name that the name of its replacement repeats, at most.
const LONGEST: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_closed_to_others() {
        let directory = tempfile::tempdir().unwrap();
        // As long as names may be, and more than a byte a character.
        let path = directory.path().join("ä".repeat(127));
        let left = directory.path().join(format!(".{}.new", "ä".repeat(LONGEST)));
        fs::write(&left, "something longer that was left").unwrap();
        fs::set_permissions(&left, fs::Permissions::from_mode(0o666)).unwrap();
        for text in ["one", "2"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
        assert!(replace(&directory.path().join("missing/file"), b"").is_err());
    }
}
