//! The plugin's binary, where the container runtime looks for it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

/// The names that the plugin goes by.
const NAMES: [&str; 2] = ["netloom-cni", "cilium-cni"];

/// Copies the plugin to a directory, under both of its names. One that is running goes on undisturbed.
///
/// # Errors
/// When it cannot be read or written.
pub fn install(plugin: &Path, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    for name in NAMES {
        let target = directory.join(name);
        let beside = directory.join(format!(".{name}.new"));
        copy(plugin, &beside)
            .and_then(|()| fs::rename(&beside, &target))
            .with_context(|| format!("copying {} to {}", plugin.display(), target.display()))?;
    }
    tracing::info!(directory = %directory.display(), "plugin installed");
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut target = File::create(to)?;
    io::copy(&mut source, &mut target)?;
    target.set_permissions(fs::Permissions::from_mode(0o755))?;
    target.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_under_both_names() {
        let directory = tempfile::tempdir().unwrap();
        let plugin = directory.path().join("built");
        let bin = directory.path().join("opt/cni/bin");
        assert!(install(&plugin, &bin).unwrap_err().to_string().contains("built"));
        for version in ["one", "two"] {
            fs::write(&plugin, version).unwrap();
            install(&plugin, &bin).unwrap();
            for name in NAMES {
                assert_eq!(fs::read_to_string(bin.join(name)).unwrap(), version);
                assert_eq!(fs::metadata(bin.join(name)).unwrap().permissions().mode() & 0o777, 0o755);
            }
        }
        assert_eq!(fs::read_dir(&bin).unwrap().count(), 2, "nothing is left beside");
    }
}
