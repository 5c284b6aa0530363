//! What was measured.

use serde::Serialize;

/// The whole benchmark. Seconds are of processor time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// From nothing to compiled policies.
    pub cold: Cold,
    /// One more identity.
    pub add_identity: AddIdentity,
    /// The tables of one endpoint that every policy selects.
    pub entries: Entries,
    /// Policies that do not compress.
    pub adversarial: Vec<Adversarial>,
}

/// Policies and identities put into an empty repository, and policies compiled in both directions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cold {
    /// Policies.
    pub policies: usize,
    /// Identities, each with an address.
    pub identities: usize,
    /// Endpoints whose policies are compiled.
    pub subjects: usize,
    /// Policies that select none of them.
    pub unused_policies: usize,
    /// The median of all runs.
    pub seconds: f64,
    /// Of these, putting identities in.
    pub identities_seconds: f64,
    /// Putting policies in.
    pub policies_seconds: f64,
    /// Compiling.
    pub compile_seconds: f64,
    /// Bytes that policies, identities and tables hold, without what the allocator adds. None where the program does not
    /// count.
    pub heap_bytes: Option<u64>,
}

/// An identity with an address put in, and the policies of all subjects asked for again.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AddIdentity {
    /// The median of all additions.
    pub seconds_median: f64,
    /// The longest.
    pub seconds_max: f64,
    /// How many were added.
    pub added: usize,
    /// How many tables an addition changed, in the mean.
    pub tables_changed: f64,
}

/// Sizes of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Entries {
    /// Known peers that some rule names: P.
    pub peers: usize,
    /// Prefixes of ports that rules name: Q.
    pub ports: usize,
    /// Entries of the table of peers.
    pub peer_entries: usize,
    /// Entries of the tables of ports.
    pub port_entries: usize,
    /// Cells that are stored.
    pub cells: usize,
}

/// A policy whose peers each have ports of their own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Adversarial {
    /// `diagonal`: peer i may use port i only. `sparse`: each peer may use some ports, by chance.
    pub shape: &'static str,
    /// Pairs that are allowed.
    pub pairs: usize,
    /// Sizes.
    #[serde(flatten)]
    pub entries: Entries,
    /// From nothing to tables.
    pub seconds: f64,
}
