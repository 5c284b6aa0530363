//! Every change as one line of JSON, so that a server that was killed comes back with its objects.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Stored, TableId};

/// A journal is not written anew for less than this.
const LEAST: usize = 64 * 1024 * 1024;

/// Why a journal can't be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It can't be read or written.
    #[error("cannot {what} the journal {}: {source}", path.display())]
    Io {
        /// `read`, `write`, `replace`.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line other than the last is none.
    #[error("line {line} of the journal {} is no change: {source}", path.display())]
    Line {
        /// Its path.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
}

/// One change, or the last version that there was (with no name).
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line<T> {
    pub(super) version: u64,
    pub(super) group: String,
    pub(super) resource: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) object: Option<T>,
}

impl<T> Line<T> {
    pub(super) fn table(&self) -> TableId {
        TableId::new(&self.group, &self.resource)
    }
}

impl Line<Box<RawValue>> {
    /// The line of a change.
    pub(super) fn raw(id: &TableId, object: &Stored, gone: bool) -> Self {
        let json = || RawValue::from_string(String::from_utf8_lossy(&object.json).into_owned()).ok();
        Line {
            version: object.version,
            group: id.group.to_string(),
            resource: id.resource.to_string(),
            namespace: object.key.namespace.to_string(),
            name: object.key.name.to_string(),
            object: if gone { None } else { json() },
        }
    }
}

/// Reads all lines. A last line that was cut off is left out: nobody was told of it.
pub(super) fn read(path: &Path) -> Result<Vec<Line<Value>>, JournalError> {
    let io = |source| JournalError::Io { what: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut reader = BufReader::new(file);
    let (mut lines, mut text) = (Vec::new(), Vec::new());
    loop {
        text.clear();
        if reader.read_until(b'\n', &mut text).map_err(io)? == 0 || text.last() != Some(&b'\n') {
            return Ok(lines);
        }
        let line = serde_json::from_slice(&text).map_err(|source| JournalError::Line {
            path: path.to_owned(),
            line: lines.len() + 1,
            source,
        })?;
        lines.push(line);
    }
}

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: BufWriter<File>,
    path: PathBuf,
    /// Bytes that were appended, and how many may be before the file is written anew.
    appended: usize,
    most: usize,
}

impl Journal {
    /// Replaces the file by one that holds what there is now, and leaves it open for more.
    pub(super) fn rewrite<'a>(
        path: &Path,
        version: u64,
        objects: impl Iterator<Item = (&'a TableId, &'a Arc<Stored>)>,
    ) -> Result<Journal, JournalError> {
        let fresh = path.with_added_extension("new");
        let io = |source| JournalError::Io { what: "write", path: fresh.clone(), source };
        let file = BufWriter::new(File::create(&fresh).map_err(io)?);
        let mut journal = Journal { file, path: path.to_owned(), appended: 0, most: 0 };
        for (id, object) in objects {
            journal.put(&Line::raw(id, object, false))?;
        }
        // The latest change may have been a deletion: its version must not come back.
        let last = Line::<Box<RawValue>> {
            version,
            group: String::new(),
            resource: String::new(),
            namespace: String::new(),
            name: String::new(),
            object: None,
        };
        journal.put(&last)?;
        journal.flush()?;
        std::fs::rename(&fresh, path).map_err(|source| journal.io("replace", source))?;
        journal.most = LEAST.max(journal.appended.saturating_mul(2));
        journal.appended = 0;
        Ok(journal)
    }

    /// Whether most of it is about the past.
    pub(super) fn is_long(&self) -> bool {
        self.appended > self.most
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn io(&self, what: &'static str, source: std::io::Error) -> JournalError {
        JournalError::Io { what, path: self.path.clone(), source }
    }

    fn put(&mut self, line: &Line<Box<RawValue>>) -> Result<(), JournalError> {
        let text = serde_json::to_vec(line).map_err(std::io::Error::from);
        let written = text.and_then(|mut text| {
            text.push(b'\n');
            self.appended += text.len();
            self.file.write_all(&text)
        });
        written.map_err(|source| self.io("write", source))
    }

    /// Writes a change, so that the kernel has it.
    pub(super) fn append(&mut self, line: &Line<Box<RawValue>>) -> Result<(), JournalError> {
        self.put(line)?;
        self.flush()
    }

    fn flush(&mut self) -> Result<(), JournalError> {
        self.file.flush().map_err(|source| self.io("write", source))
    }
}
