//! The network namespaces of a lab: each is written down before it is made, so that `lab down` finds it
//! whatever happened in between.

use std::fs;

use anyhow::{Context, Result};
use netcore::Netns;

use crate::name::LabName;
use crate::paths::Paths;
use crate::state::files;

/// Makes a namespace for `of` and says which name it got.
///
/// # Errors
/// When it cannot be made, or both names that it may have are taken.
pub fn create(name: &LabName, of: &str) -> Result<(String, Netns)> {
    let journal = Paths::new(name).namespaces();
    fs::create_dir_all(&journal).with_context(|| format!("cannot make {}", journal.display()))?;
    let mut last = None;
    for candidate in [name.namespace(of), name.other_namespace(of)] {
        // Another lab's namespace must not get into our journal: `lab down` would remove it.
        if Netns::path(&candidate)?.exists() {
            last = Some(candidate);
            continue;
        }
        let entry = journal.join(&candidate);
        fs::write(&entry, of).with_context(|| format!("cannot write {}", entry.display()))?;
        match Netns::create(&candidate) {
            Ok(netns) => return Ok((candidate, netns)),
            Err(error) => {
                fs::remove_file(&entry).with_context(|| format!("cannot remove {}", entry.display()))?;
                return Err(error.into());
            }
        }
    }
    anyhow::bail!("the network namespace {} is taken", last.unwrap_or_default())
}

/// Removes a namespace's name and its entry; one that is gone is no error.
///
/// # Errors
/// When it cannot be removed.
pub fn delete(name: &LabName, netns: &str) -> Result<()> {
    match Netns::delete(netns) {
        Err(error) if !error.is_not_found() => return Err(error.into()),
        _ => {}
    }
    let entry = Paths::new(name).namespaces().join(netns);
    match fs::remove_file(&entry) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", entry.display()))
        }
        _ => Ok(()),
    }
}

/// All namespaces that the lab made or was about to make.
///
/// # Errors
/// When the journal cannot be read.
pub fn all(name: &LabName) -> Result<Vec<String>> {
    let entries = files(&Paths::new(name).namespaces())?;
    Ok(entries.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
}
