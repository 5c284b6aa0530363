//! What policies were when they were valid last, for the agent that comes after this one.
//!
//! An update that is not valid leaves the last valid revision in force. The source has only the update; without
//! this, an agent that is started again would not know what was in force.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::state_file;

/// Copies of a source's texts, each under a name that can be a file's.
#[derive(Debug)]
pub(super) struct LastValid {
    directory: PathBuf,
}

impl LastValid {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Remembers a text.
    pub(super) fn remember(&self, name: &OsStr, text: &str) {
        let copy = self.directory.join(name);
        if self.recall(name).as_deref() == Some(text) {
            return;
        }
        let written = fs::create_dir_all(&self.directory).map_err(Into::into);
        told(&copy, written.and_then(|()| state_file::replace(&copy, text.as_bytes())));
    }

    /// The text of this name; nothing where that is not known.
    pub(super) fn recall(&self, name: &OsStr) -> Option<String> {
        fs::read_to_string(self.directory.join(name)).ok()
    }

    /// Forgets a text.
    pub(super) fn forget(&self, name: &OsStr) {
        let copy = self.directory.join(name);
        match fs::remove_file(&copy) {
            Err(error) if error.kind() != ErrorKind::NotFound => told(&copy, Err(error.into())),
            _ => {}
        }
    }

    /// Forgets all but these.
    pub(super) fn keep_only<'a>(&self, names: impl Iterator<Item = &'a OsStr>) {
        let names: BTreeSet<&OsStr> = names.collect();
        let Ok(copies) = fs::read_dir(&self.directory) else { return };
        let known: Vec<OsString> = copies.flatten().map(|copy| copy.file_name()).collect();
        for name in known.iter().filter(|name| !names.contains(name.as_os_str())) {
            self.forget(name);
        }
    }
}

/// Nothing that is in force depends on it now: a failure is told, and no more.
fn told(copy: &Path, done: Result<()>) {
    if let Err(error) = done {
        let error = format!("{error:#}");
        tracing::warn!(copy = %copy.display(), error, "what is valid now cannot be kept for a restart");
    }
}
