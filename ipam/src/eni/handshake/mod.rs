//! How a prefix that a node no longer needs is taken from it, so that no pod ever loses an address.
//!
//! Operator and agent talk through two annotations of the CiliumNode, since its schema may be Cilium's own, which
//! prunes fields that it does not know: the operator writes [`Drain`] (`netloom.io/drain`), the agent [`Drained`]
//! (`netloom.io/drained`). [`operator`] and [`agent`] are the two halves as decisions: each looks at the object and
//! at what it knows itself, and says the one next thing to do. Whoever performs it asks again afterwards, so that a
//! crash between any two steps is nothing special.
//!
//! ```text
//!          operator                          object                          agent
//!  excess for long enough   ──▶ drain {n+1, [P]}              ──▶ P unused and rested?
//!                                                                 yes: journal, then
//!                               drained {n+1, [P], refused}   ◀── give none of it any more, answer
//!  read again, Describe,    ◀──
//!  Unassign P, Describe     ──▶ status without P
//!  all of n+1 is gone       ──▶ drain {n+2, [], released P}   ──▶ journal: n+1 is over; P may come back
//! ```
//!
//! What holds it together:
//! - The epoch only grows. It lives in the object and in the agent's journal; who sees a smaller one than it knows
//!   looks at something out of date.
//! - The agent journals before it answers, an answer shows all that is promised in its epoch, and the agent keeps the
//!   promise until the object shows a *later epoch*. That the prefix is absent from the status is not enough: a leader
//!   with an old view of EC2 may leave out what is still there, and list it again.
//! - The epoch advances when every promised prefix is unassigned and listed no more, or when there was no promise
//!   that the operator knows of. Each such write carries the resource version of the object that was looked at, so
//!   that it fails where an answer came in between.
//! - A promised prefix is never listed. A released one is listed again only from a look at EC2 that began a
//!   [quarantine](operator::QUARANTINE) after its release: a late repetition of the request that took it away has
//!   reached EC2 by then.
//! - Where the object was made anew and lost the epoch, the agent tells its promises again, and the operator adopts
//!   them. It lists nothing and asks nothing back before the agent has told; and where the agent knows an epoch, it lists
//!   nothing for a quarantine, since it cannot know what had been released. The agent's answers carry the uid of the
//!   object that they answer, and what it reads first after its start is the current object. The new object may have come
//!   to the same epoch by itself: an answer shows all promises of its epoch, the agent answers once more where one is not
//!   shown, and the operator adopts what it did not ask for.
//! - Where the journal was lost, the agent honours the promises that the object shows.

use std::collections::{BTreeMap, BTreeSet};

use ipnetwork::Ipv4Network;
use serde::{Deserialize, Serialize};

use crate::{Epoch, Timestamp};

pub mod agent;
pub mod operator;
#[cfg(test)]
mod tests;

/// The annotation that the operator writes.
pub const DRAIN: &str = "netloom.io/drain";

/// The annotation that the agent writes.
pub const DRAINED: &str = "netloom.io/drained";

/// What the operator asks back: the value of [`DRAIN`].
///
/// ```
/// use ipam::eni::handshake::Drain;
/// let drain = Drain::parse(r#"{"epoch":3,"prefixes":["10.0.0.16/28"]}"#)?;
/// assert_eq!(drain.epoch.0, 3);
/// assert_eq!(Drain::parse(&drain.to_string())?, drain);
/// # Ok::<(), ipam::eni::handshake::Unreadable>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Drain {
    /// Counts what was asked; 0 if nothing ever was.
    pub epoch: Epoch,
    /// The prefixes asked back in this epoch; a single address is a /32.
    #[serde(default)]
    pub prefixes: BTreeSet<Ipv4Network>,
    /// Prefixes that were released a short time ago, and when, by the leader's clock.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub released: BTreeMap<Ipv4Network, Timestamp>,
    /// When the epoch of an object that was made anew was adopted: what had been released before is not known, and
    /// any prefix may be one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Timestamp>,
}

/// What the agent answers: the value of [`DRAINED`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Drained {
    /// The epoch that is answered; 0 if none ever was.
    pub epoch: Epoch,
    /// Prefixes that the agent gives no address of until a later epoch.
    #[serde(default)]
    pub prefixes: BTreeSet<Ipv4Network>,
    /// The others that were asked back: they stay in use.
    #[serde(default)]
    pub refused: BTreeSet<Ipv4Network>,
}

/// An annotation of the handshake is none of ours. Nothing is taken back before it is removed.
#[derive(Debug, thiserror::Error)]
#[error("the annotation {annotation} cannot be read: {source}")]
pub struct Unreadable {
    /// The annotation.
    pub annotation: &'static str,
    /// What is wrong with it.
    pub source: serde_json::Error,
}

impl Drain {
    /// Reads the annotation's value.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn parse(value: &str) -> Result<Self, Unreadable> {
        serde_json::from_str(value).map_err(|source| Unreadable { annotation: DRAIN, source })
    }

    /// The prefixes that `drained` promises as an answer to this: those whose release cannot be called off any
    /// more, and that nobody may use.
    #[must_use]
    pub fn promised(&self, drained: Option<&Drained>) -> BTreeSet<Ipv4Network> {
        let Some(drained) = drained else { return BTreeSet::new() };
        if drained.epoch > self.epoch {
            // The object was made anew; the agent's promises are older than it.
            drained.prefixes.clone()
        } else if drained.epoch == self.epoch {
            self.prefixes.intersection(&drained.prefixes).copied().collect()
        } else {
            BTreeSet::new()
        }
    }
}

impl Drained {
    /// Reads the annotation's value.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn parse(value: &str) -> Result<Self, Unreadable> {
        serde_json::from_str(value).map_err(|source| Unreadable { annotation: DRAINED, source })
    }
}

macro_rules! written_as_json {
    ($name:ident) => {
        impl std::fmt::Display for $name {
            /// The annotation's value.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&serde_json::to_string(self).map_err(|_| std::fmt::Error)?)
            }
        }
    };
}
written_as_json!(Drain);
written_as_json!(Drained);
