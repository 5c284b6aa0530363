//! Where the datapath is pinned, so that it outlives the agent.
//!
//! ```text
//! <root>/v<LAYOUT_VERSION>/maps/<MAP>
//! <root>/v<LAYOUT_VERSION>/links/<link>-<ingress|egress>     tcx only; clsact filters stay by themselves
//! ```
//!
//! The version of the layout is part of the path: maps of another version are left alone, never misread.

use std::fs;
use std::path::{Path, PathBuf};

use abi::LAYOUT_VERSION;
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use crate::error::Error;

/// The directory of the datapath's pins.
#[derive(Clone, Debug)]
pub struct Pins {
    version_dir: PathBuf,
}

impl Pins {
    /// Opens the pins below `root`, making the directories. Where `root` is not in a BPF file system yet, one
    /// is mounted there.
    ///
    /// # Errors
    /// [`Error::NoBpffs`] where one that is mounted here would be gone with this process; when a directory cannot be made
    /// or the file system cannot be mounted.
    pub fn open(root: &Path) -> Result<Self, Error> {
        fs::create_dir_all(root).map_err(Error::file("creating", root))?;
        let kind = statfs(root).map_err(|errno| Error::file("examining", root)(errno.into()))?;
        if kind.filesystem_type() != BPF_FS_MAGIC {
            if is_alone(
                std::process::id(),
                mount_namespace("1").as_deref(),
                mount_namespace("self").as_deref(),
            ) {
                return Err(Error::NoBpffs { path: root.to_owned() });
            }
            mount(Some("bpf"), root, Some("bpf"), MsFlags::empty(), None::<&str>)
                .map_err(|errno| Error::file("mounting a BPF file system at", root)(errno.into()))?;
        }
        let pins = Self { version_dir: root.join(format!("v{LAYOUT_VERSION}")) };
        for dir in [pins.maps(), pins.links()] {
            fs::create_dir_all(&dir).map_err(Error::file("creating", &dir))?;
        }
        Ok(pins)
    }

    /// The directory of the maps.
    #[must_use]
    pub fn maps(&self) -> PathBuf {
        self.version_dir.join("maps")
    }

    /// The directory of the links.
    #[must_use]
    pub fn links(&self) -> PathBuf {
        self.version_dir.join("links")
    }

    /// The pin of what is attached to a network link. A dot may not stand in the name of a pin.
    #[must_use]
    pub fn link(&self, name: &str, hook: &str) -> PathBuf {
        self.links().join(format!("{}-{hook}", name.replace('.', "_")))
    }

    /// Removes a pin; one that is not there is no error.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove(path: &Path) -> Result<(), Error> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::file("removing", path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// The mount namespace of a process; none where that cannot be told.
fn mount_namespace(process: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/ns/mnt")).ok()
}

/// Whether what a process mounts ends with it, or with its container: it is a container's first process, or has mounts
/// of its own.
fn is_alone(process: u32, first: Option<&Path>, own: Option<&Path>) -> bool {
    process == 1 || (first.is_some() && own.is_some() && first != own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_with_a_container_is_not_mounted() {
        let [host, container] = ["mnt:[1]", "mnt:[2]"].map(|name| Some(Path::new(name)));
        assert!(!is_alone(700, host, host), "a program of the host");
        assert!(is_alone(1, container, container), "a container's first process");
        assert!(is_alone(700, host, container), "a container that sees the host's processes");
        assert!(!is_alone(700, None, host), "it cannot be told");
    }
}
