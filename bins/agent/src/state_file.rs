//! Files that hold a JSON document and are replaced as a whole.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
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

/// Replaces a document: whoever reads finds the old one or the new one, after a crash too. Which of them it is
/// after the machine's own crash does not matter: pods and datapath are gone with it.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write<T: Serialize>(path: &Path, document: &T) -> Result<()> {
    let written = || -> Result<()> {
        let directory = path.parent().context("the file has no directory")?;
        let name = path.file_name().context("the file has no name")?.to_string_lossy();
        let beside = directory.join(format!(".{name}.new"));
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec(document)?)?;
        file.sync_data()?;
        fs::rename(&beside, path)?;
        Ok(())
    };
    written().with_context(|| format!("writing the state in {}", path.display()))
}
