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
    /// When a directory cannot be made or the file system cannot be mounted.
    pub fn open(root: &Path) -> Result<Self, Error> {
        fs::create_dir_all(root).map_err(Error::file("creating", root))?;
        let kind = statfs(root).map_err(|errno| Error::file("examining", root)(errno.into()))?;
        if kind.filesystem_type() != BPF_FS_MAGIC {
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
