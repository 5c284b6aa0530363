//! What policies cost before a datapath has them: to resolve, to compile, to keep up to date, to hold.
//!
//! The cluster has ten namespaces of eleven apps, and pods that all have identities of their own. A tenth of the
//! policies is about whole namespaces, some are the administrators' and about all pods, the others are about one app of
//! one namespace. They allow and deny by labels, CIDRs with holes, ports, ranges and names of ports, in all tiers, with
//! and without proxies. The subjects are one pod of each app of each namespace, as many as a node has by default, and
//! each policy is about some of them. It is the same cluster each time.
//!
//! | figure | what is timed |
//! |---|---|
//! | cold | identities with their addresses, then policies, into an empty [`policy::Repository`]; then the tables of all subjects, in both directions. Making policies and labels is not in it |
//! | add an identity | a pod with a new identity into that; then the tables of all subjects again, those that stayed too, while the old ones are still held |
//! | entries | none: sizes of the ingress tables of one pod that all policies are about |
//!
//! Everything runs on the calling thread, and times are the processor's: what else a machine does is not in them.
//!
//! # What the numbers leave out
//! Parsing manifests, and writing tables into maps. Memory is what the thread asked for and did not give back
//! ([`heap`]): policies, labels, indexes and tables, without what the allocator adds.

mod clock;
mod cluster;
pub mod heap;
mod measure;
mod policies;
mod report;
mod scene;
mod text;

pub use report::{AddIdentity, Adversarial, Cold, Entries, Report};
pub use scene::{Scene, Staged};

/// How much to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Policies.
    pub policies: u32,
    /// Identities. At most 65,000, with the additions.
    pub identities: u32,
    /// How often everything is done from the start.
    pub runs: usize,
    /// How many identities are added.
    pub additions: u32,
    /// Peers of policies that do not compress. At most 60,000.
    pub pairs: u32,
}

impl Options {
    /// 1,000 policies and 10,000 identities, several times over.
    #[must_use]
    pub const fn full() -> Self {
        Self { policies: 1_000, identities: 10_000, runs: 5, additions: 1_000, pairs: 1_000 }
    }

    /// The same, once: some seconds.
    #[must_use]
    pub const fn quick() -> Self {
        Self { runs: 1, additions: 100, pairs: 200, ..Self::full() }
    }
}

/// Measures.
#[must_use]
pub fn run(options: &Options) -> Report {
    measure::run(options)
}
