//! Disconnections that the agent has not heard of yet.
//!
//! CNI's DEL must succeed while the agent is down. The plugin then leaves a file in a directory, and the
//! agent drains the directory before it listens and from time to time.
//!
//! A file is named `<container id>:<interface>.json` (both are free of `:` and `/`, or the attachment is
//! refused) and holds `{"version": 1, "attachment": {"container_id": …, "ifname": …}}`. Files that start
//! with `.` are the queue's own. Every operation holds an exclusive `flock` on `.lock`, so that a file that
//! is being written is never read, nor one that is being drained written again.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::Attachment;

/// Where the queue is unless the network configuration says otherwise.
pub const DEFAULT_QUEUE: &str = "/run/netloom/cni-queue";

/// The version of the files' form.
const FORM: u32 = 1;

/// The suffix of the queue's files.
const SUFFIX: &str = ".json";

/// What is wrong with the queue.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// A file or the directory cannot be used.
    #[error("the queue of disconnections: cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The queue has [`DelQueue::CAPACITY`] files already.
    #[error("the queue of disconnections in {} is full: the agent has been away for {} of them", path.display(), DelQueue::CAPACITY)]
    Full {
        /// The queue's directory.
        path: PathBuf,
    },
    /// The attachment cannot name a file.
    #[error("the attachment {0} has a character that CNI does not allow")]
    Name(Attachment),
}

#[derive(Serialize, Deserialize)]
struct Entry {
    version: u32,
    attachment: Attachment,
}

/// The directory of disconnections that the agent has not heard of yet.
///
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// use netloom_api::{Attachment, DelQueue};
///
/// let queue = DelQueue::new(directory.path());
/// let attachment = Attachment { container_id: "c1".into(), ifname: "eth0".into() };
/// queue.write(&attachment)?;
/// let mut seen = Vec::new();
/// let drained = queue.drain(|attachment| {
///     seen.push(attachment.clone());
///     true
/// })?;
/// assert_eq!((drained.done, seen), (1, vec![attachment]));
/// # Ok::<(), netloom_api::QueueError>(())
/// ```
#[derive(Clone, Debug)]
pub struct DelQueue {
    directory: PathBuf,
}

/// What [`DelQueue::drain`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Entries that were done and removed.
    pub done: usize,
    /// Entries that could not be done and are kept.
    pub kept: usize,
    /// Files that could not be read as an entry. They are renamed to `.bad-…` and not tried again.
    pub unreadable: Vec<PathBuf>,
}

impl DelQueue {
    /// The most files that the queue holds.
    pub const CAPACITY: usize = 256;

    /// The queue in this directory, which [`write`](Self::write) makes when it is missing.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Adds an attachment; it is on disk when this returns. Adding one that is there already is no error.
    ///
    /// # Errors
    /// When the queue is full or the directory cannot be written.
    pub fn write(&self, attachment: &Attachment) -> Result<(), QueueError> {
        let path = self.path(attachment)?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .map_err(|source| failed("make", &self.directory, source))?;
        let _lock = self.lock()?;
        if !path.exists() && self.files()?.len() >= Self::CAPACITY {
            return Err(QueueError::Full { path: self.directory.clone() });
        }
        let temporary = self.directory.join(".writing");
        let write = || {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(&serde_json::to_vec(&Entry { version: FORM, attachment: attachment.clone() })?)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(|source| failed("write", &path, source))
    }

    /// Whether the attachment waits to be disconnected.
    ///
    /// # Errors
    /// When the attachment cannot name a file.
    pub fn contains(&self, attachment: &Attachment) -> Result<bool, QueueError> {
        Ok(self.path(attachment)?.exists())
    }

    /// Removes an attachment that was disconnected otherwise.
    ///
    /// # Errors
    /// When the file is there and cannot be removed.
    pub fn remove(&self, attachment: &Attachment) -> Result<(), QueueError> {
        let path = self.path(attachment)?;
        if !path.exists() {
            return Ok(());
        }
        let _lock = self.lock()?;
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path, source)),
            _ => Ok(()),
        }
    }

    /// Gives each attachment to `disconnect`, and removes those for which it says `true`. A queue that does
    /// not exist is empty.
    ///
    /// # Errors
    /// When the directory cannot be read or a file not removed.
    pub fn drain(&self, mut disconnect: impl FnMut(&Attachment) -> bool) -> Result<Drained, QueueError> {
        let mut drained = Drained::default();
        if !self.directory.exists() {
            return Ok(drained);
        }
        let _lock = self.lock()?;
        for path in self.files()? {
            let bytes = fs::read(&path).map_err(|source| failed("read", &path, source))?;
            match serde_json::from_slice::<Entry>(&bytes) {
                Ok(entry) if entry.version == FORM => {
                    if disconnect(&entry.attachment) {
                        fs::remove_file(&path).map_err(|source| failed("remove", &path, source))?;
                        drained.done += 1;
                    } else {
                        drained.kept += 1;
                    }
                }
                _ => {
                    let name = path.file_name().and_then(OsStr::to_str).unwrap_or("entry");
                    let aside = self.directory.join(format!(".bad-{name}"));
                    fs::rename(&path, &aside).map_err(|source| failed("rename", &path, source))?;
                    drained.unreadable.push(aside);
                }
            }
        }
        Ok(drained)
    }

    fn path(&self, attachment: &Attachment) -> Result<PathBuf, QueueError> {
        let fits =
            |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', ':', '\0', '\n']);
        // 255 bytes is what a file name may have; container ids have 64.
        let name = format!("{}:{}{SUFFIX}", attachment.container_id, attachment.ifname);
        if fits(&attachment.container_id) && fits(&attachment.ifname) && name.len() <= 250 {
            Ok(self.directory.join(name))
        } else {
            Err(QueueError::Name(attachment.clone()))
        }
    }

    fn lock(&self) -> Result<Flock<File>, QueueError> {
        let path = self.directory.join(".lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|source| failed("open", &path, source))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| failed("lock", &path, errno.into()))
    }

    fn files(&self) -> Result<Vec<PathBuf>, QueueError> {
        let error = |source| failed("list", &self.directory, source);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(error)? {
            let name = entry.map_err(error)?.file_name();
            let Some(name) = name.to_str() else { continue };
            if !name.starts_with('.') && name.ends_with(SUFFIX) {
                files.push(self.directory.join(name));
            }
        }
        files.sort();
        Ok(files)
    }
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> QueueError {
    QueueError::Io { operation, path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(id: &str) -> Attachment {
        Attachment { container_id: id.into(), ifname: "eth0".into() }
    }

    #[test]
    fn what_is_not_done_stays() {
        let directory = tempfile::tempdir().unwrap();
        let queue = DelQueue::new(directory.path().join("queue"));
        assert_eq!(queue.drain(|_| true).unwrap(), Drained::default());
        for id in ["a", "b", "a"] {
            queue.write(&attachment(id)).unwrap();
        }
        let drained = queue.drain(|attachment| attachment.container_id == "a").unwrap();
        assert_eq!((drained.done, drained.kept), (1, 1));
        assert!(queue.contains(&attachment("b")).unwrap());
        queue.remove(&attachment("b")).unwrap();
        queue.remove(&attachment("b")).unwrap();
        assert_eq!(queue.drain(|_| true).unwrap(), Drained::default());
    }

    #[test]
    fn a_full_queue_refuses_but_not_what_it_has() {
        let directory = tempfile::tempdir().unwrap();
        let queue = DelQueue::new(directory.path());
        for i in 0..DelQueue::CAPACITY {
            queue.write(&attachment(&format!("c{i}"))).unwrap();
        }
        queue.write(&attachment("c7")).unwrap();
        assert!(matches!(queue.write(&attachment("new")), Err(QueueError::Full { .. })));
    }

    #[test]
    fn unreadable_files_are_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let queue = DelQueue::new(directory.path());
        fs::write(directory.path().join("c:eth0.json"), "{").unwrap();
        assert_eq!(queue.drain(|_| true).unwrap().unreadable.len(), 1);
        assert_eq!(queue.drain(|_| true).unwrap(), Drained::default());
    }

    #[test]
    fn names_do_not_leave_the_directory() {
        let queue = DelQueue::new("/nonexistent");
        for id in ["../x", "", ".lock", "a:b"] {
            assert!(matches!(queue.write(&attachment(id)), Err(QueueError::Name(_))), "{id:?}");
        }
    }
}
