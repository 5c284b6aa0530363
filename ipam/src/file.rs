//! The journal on disk.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use crate::{
    journal::{self, JournalError, MAGIC, Replay},
    state::{Record, State},
};

/// What goes wrong with a journal on disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Another process has the journal open.
    #[error("the address journal {path} is in use by another process")]
    Locked {
        /// The journal.
        path: PathBuf,
    },
    /// An operation on a file failed.
    #[error("cannot {operation} the address journal {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// What the file holds is no journal that can be trusted.
    #[error("the address journal {path} cannot be used: {source}")]
    Journal {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: JournalError,
    },
    /// An earlier write failed in a way that leaves the file's contents unknown. Only opening the journal
    /// again helps.
    #[error("the address journal {path} failed before and must be opened again")]
    Failed {
        /// The file.
        path: PathBuf,
    },
}

/// An open journal. While it is open no other process can open it; beside it there are a lock file
/// (`.lock`) and, while it is compacted, a temporary one (`.tmp`).
///
/// ```
/// use ipam::{Record, Timestamp, file::FileJournal};
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("addresses.journal");
/// let (mut journal, replay) = FileJournal::open(&path)?;
/// assert_eq!(replay.records, 0);
/// journal.append(&Record::Released { owner: "c1/eth0".to_owned(), at: Timestamp(1) })?;
/// drop(journal);
/// assert_eq!(FileJournal::open(&path)?.1.records, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileJournal {
    path: PathBuf,
    file: File,
    /// Length of all whole records, in bytes.
    len: u64,
    failed: bool,
    _lock: Flock<File>,
}

impl FileJournal {
    /// Opens the journal, which is made if it is not there, and reads it. A torn tail is cut off; one of an older
    /// version is replaced by one of today's.
    ///
    /// # Errors
    /// [`FileError::Locked`], [`FileError::Io`], [`FileError::Journal`]. A damaged journal is left as it
    /// is.
    pub fn open(path: impl AsRef<Path>) -> Result<(Self, Replay), FileError> {
        let path = path.as_ref();
        let lock = lock(path)?;
        let failed_at = |operation| io_error(operation, path);
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed_at("read")(error)),
        };
        let replay =
            journal::replay(&bytes).map_err(|source| FileError::Journal { path: path.to_owned(), source })?;
        if replay.valid_len == 0 || replay.version == 1 {
            // New, or it was being made, or new records must not follow the old version's first bytes.
            let (file, len) = write_whole(path, &replay.state)?;
            return Ok((Self { path: path.to_owned(), file, len, failed: false, _lock: lock }, replay));
        }
        let mut file = OpenOptions::new().write(true).open(path).map_err(failed_at("open"))?;
        if replay.torn {
            file.set_len(replay.valid_len).and_then(|()| file.sync_all()).map_err(failed_at("truncate"))?;
        }
        file.seek(SeekFrom::End(0)).map_err(failed_at("open"))?;
        let journal = Self { path: path.to_owned(), file, len: replay.valid_len, failed: false, _lock: lock };
        Ok((journal, replay))
    }

    /// Appends a record. It is on disk when this returns.
    ///
    /// # Errors
    /// [`FileError::Io`]: the record is not in the journal, unless the system fails before the journal is
    /// opened again, which may bring it to light. [`FileError::Failed`] after a failure whose extent is
    /// unknown.
    pub fn append(&mut self, record: &Record) -> Result<(), FileError> {
        self.check()?;
        let bytes = journal::encode(record);
        if let Err(source) = self.file.write_all(&bytes) {
            // The next record must not follow a part of this one.
            self.failed = self.cut().is_err();
            return Err(io_error("append to", &self.path)(source));
        }
        if let Err(source) = self.file.sync_data() {
            // Whether pages that could not be written are tried again differs between file systems.
            self.failed = true;
            let _ = self.cut();
            return Err(io_error("sync", &self.path)(source));
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Replaces the journal by the shortest one that leads to `state`: at every moment either is whole.
    ///
    /// # Errors
    /// [`FileError::Io`]; [`FileError::Failed`] as [`FileJournal::append`].
    pub fn compact(&mut self, state: &State) -> Result<(), FileError> {
        self.check()?;
        let compacted = write_whole(&self.path, state);
        // Which of the two files the path names is unknown after a failure.
        self.failed = compacted.is_err();
        (self.file, self.len) = compacted?;
        Ok(())
    }

    /// Its length in bytes: what tells when to compact.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a journal has at least its first bytes")]
    pub fn len(&self) -> u64 {
        self.len
    }

    fn check(&self) -> Result<(), FileError> {
        if self.failed { Err(FileError::Failed { path: self.path.clone() }) } else { Ok(()) }
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.len)?;
        self.file.seek(SeekFrom::Start(self.len))?;
        self.file.sync_all()
    }
}

fn io_error(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { operation, path, source }
}

/// A file of its own is locked, since compaction puts another in the journal's place.
fn lock(path: &Path) -> Result<Flock<File>, FileError> {
    let lock_path = beside(path, ".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock_path)
        .map_err(io_error("lock", &lock_path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => FileError::Locked { path: path.to_owned() },
        errno => io_error("lock", path)(errno.into()),
    })
}

/// Puts a whole journal in the place of what is there; both the file and its name are on disk then.
fn write_whole(path: &Path, state: &State) -> Result<(File, u64), FileError> {
    let bytes = journal::snapshot(state);
    debug_assert!(bytes.starts_with(MAGIC));
    let temporary = beside(path, ".tmp");
    let write = || -> io::Result<File> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(file)
    };
    Ok((write().map_err(io_error("write", path))?, bytes.len() as u64))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
