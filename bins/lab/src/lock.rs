//! One command at a time makes or removes a lab.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::name::LabName;
use crate::paths::Paths;

/// The right to make or remove a lab, held while the value lives.
#[derive(Debug)]
pub struct Lock {
    _directory: Flock<File>,
}

impl Lock {
    /// Takes the lock; makes the lab's directory, which it lies on.
    ///
    /// # Errors
    /// When another command has it.
    pub fn take(name: &LabName) -> Result<Self> {
        let root = Paths::new(name).root().to_owned();
        loop {
            fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
            let directory = File::open(&root).with_context(|| format!("cannot open {}", root.display()))?;
            let Ok(directory) = Flock::lock(directory, FlockArg::LockExclusiveNonblock) else {
                bail!("another command is making or removing lab {name}");
            };
            // Whoever had the lock may have removed the directory meanwhile.
            if fs::metadata(&root)
                .is_ok_and(|now| directory.metadata().is_ok_and(|ours| now.ino() == ours.ino()))
            {
                return Ok(Self { _directory: directory });
            }
        }
    }
}
