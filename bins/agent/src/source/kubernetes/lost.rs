//! What the API server lost. Nobody deleted it: a server that was restored from a backup, or that begins without its data,
//! has not decided that pods may do what policies forbade.
//!
//! Policies, and what they select by, stay for as long as a pod of this node is connected whose own object was lost with
//! them, and for a while in any case: not all watches notice at the same moment. Whatever is told anew counts at once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use kubernetes::watch::Key;

use super::kind::Kind;

/// How long what was lost stays at least: longer than it takes all watches to find that the server is another.
pub(super) const STAYS: Duration = Duration::from_secs(30);

/// Objects that were lost and are in force.
#[derive(Debug, Default)]
pub(super) struct Lost {
    since: HashMap<(Kind, Key), Instant>,
}

impl Lost {
    /// Whether what is lost of a kind stays. Pods have another end: they stay who they are until they are disconnected.
    pub(super) fn keeps(kind: Kind) -> bool {
        kind != Kind::Pod
    }

    /// An object was lost.
    pub(super) fn note(&mut self, kind: Kind, key: Key, now: Instant) {
        tracing::warn!(kind = kind.name(), %key, "the API server lost it: it stays in force for now");
        self.since.entry((kind, key)).or_insert(now);
    }

    /// An object was told again, or deleted by somebody.
    pub(super) fn forget(&mut self, kind: Kind, key: &Key) {
        if !self.since.is_empty() {
            self.since.remove(&(kind, key.clone()));
        }
    }

    /// Takes what need not stay any more.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(Kind, Key)> {
        let is_due = |_: &(Kind, Key), since: &mut Instant| now >= *since + STAYS;
        self.since.extract_if(is_due).map(|(lost, _)| lost).collect()
    }

    /// When something need not stay any more.
    pub(super) fn next(&self) -> Option<Instant> {
        self.since.values().min().map(|since| *since + STAYS)
    }
}
