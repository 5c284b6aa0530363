use std::fs;
use std::path::{Path, PathBuf};

use super::ConfigError;

/// The keys of a mounted ConfigMap with their files and values, by name. Names with a dot in front are how a kubelet
/// changes all files at once, and not keys.
pub(super) fn read(directory: &Path) -> Result<Vec<(String, PathBuf, String)>, ConfigError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ConfigError::Read { path, source }
    };
    let mut keys = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed(directory))? {
        let path = entry.map_err(failed(directory))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        // A file of a mounted ConfigMap is a symbolic link, so what it leads to counts.
        if name.starts_with('.') || !fs::metadata(&path).map_err(failed(&path))?.is_file() {
            continue;
        }
        let value = fs::read_to_string(&path).map_err(failed(&path))?;
        keys.push((name.to_owned(), path, value.trim().to_owned()));
    }
    keys.sort();
    Ok(keys)
}
