//! What changed, and is to be enforced.

use std::collections::HashSet;
use std::net::IpAddr;

/// What may be otherwise than at the last time that it was asked for.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Addresses of which somebody else is the holder, or the holder is somebody else to policies. None where it may be
    /// any.
    pub addresses: Option<HashSet<IpAddr>>,
    /// Whether a pod of this node is somebody else.
    pub pods: bool,
    /// Whether nodes came or went, or have other addresses.
    pub nodes: bool,
    /// Whether other CIDRs are in use.
    pub cidrs: bool,
}

impl Changed {
    /// Everything may be otherwise.
    #[must_use]
    pub const fn all() -> Self {
        Self { addresses: None, pods: true, nodes: true, cidrs: true }
    }

    /// Nothing is otherwise.
    #[must_use]
    pub fn nothing() -> Self {
        Self { addresses: Some(HashSet::new()), pods: false, nodes: false, cidrs: false }
    }

    /// Adds what else may be otherwise.
    pub fn add(&mut self, other: Self) {
        self.addresses = self.addresses.take().zip(other.addresses).map(|(mut all, more)| {
            all.extend(more);
            all
        });
        self.pods |= other.pods;
        self.nodes |= other.nodes;
        self.cidrs |= other.cidrs;
    }
}
