//! Where the agent learns what the cluster looks like.
//!
//! A source sends [`Change`]s over a channel; the rest of the agent cannot tell one source from another. It
//! sends every object that there is, then [`Change::Observed`], then what changes.

mod last_valid;
mod manifests;

use policy::manifest::{Object, ObjectKey, Rejected};

pub use manifests::Manifests;

/// What a source has to tell.
#[derive(Clone, Debug)]
pub enum Change {
    /// An object is there, or is another now.
    Set(Box<Object>),
    /// An object is there that is not valid. What it was before stays in force.
    Rejected(Rejected),
    /// An object is gone.
    Removed(ObjectKey),
    /// All of the source's objects as of this revision have been sent.
    Observed(u64),
}
