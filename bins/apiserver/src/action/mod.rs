//! What requests do to objects.

mod create;
mod delete;
mod intake;
mod patch;
mod update;

pub(crate) use create::create;
pub(crate) use delete::{CLEANUP, DeleteOptions, Deleted, FOREGROUND, ORPHAN, delete};
pub(crate) use intake::{Unknown, check_identity, take_in};
pub(crate) use patch::{PatchKind, patch};
use update::Change;
pub(crate) use update::{rewrite, update};

use crate::store::Key;

/// Who writes, where and how.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    /// The object. The name may be empty, where it is to be generated.
    pub(crate) key: Key,
    /// `status`, `scale`… or empty.
    pub(crate) subresource: String,
    /// Owner of the fields that are written.
    pub(crate) manager: String,
    /// Nothing is written.
    pub(crate) dry_run: bool,
    /// What is done about unknown fields.
    pub(crate) unknown: Unknown,
    /// For the client, beside the answer.
    pub(crate) warnings: Vec<String>,
}
