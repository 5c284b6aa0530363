//! One line of JSON for each request, so that roles can be tested against what programs really ask for.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// One request.
#[derive(Debug, Default, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for other paths, the method in
    /// small letters.
    pub verb: String,
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural name; empty for paths that are no resources.
    pub resource: String,
    /// As `status`.
    pub subresource: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Who asks, by its own account.
    pub user_agent: String,
    /// The path, without the query.
    pub path: String,
    /// What it was answered with.
    pub code: u16,
}

/// An open audit log.
#[derive(Debug)]
pub struct Audit {
    file: Mutex<File>,
}

impl Audit {
    /// Opens a log; lines are appended.
    pub fn open(path: &Path) -> std::io::Result<Audit> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Audit { file: Mutex::new(file) })
    }

    /// Writes a line. A log that can't be written is told of, and does not stop the request.
    pub fn write(&self, line: &Line) {
        let Ok(mut text) = serde_json::to_vec(line) else { return };
        text.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(&text) {
            tracing::warn!(%error, "cannot write the audit log");
        }
    }
}
