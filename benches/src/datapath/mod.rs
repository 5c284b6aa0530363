//! What a packet costs in the programs of a node.
//!
//! The programs are the committed ones, loaded as the agent loads them, their tables filled through
//! [`datapath::Datapath`]. The kernel runs them by `BPF_PROG_TEST_RUN`, a million times a round. Beside them,
//! in turns with them, run the same programs with another layout of policies, which is what node-wide
//! datapaths commonly use: a trie with one entry for each pair of peer and port, asked twice (for the peer,
//! then for everybody) for every packet that is not a reply. All else is the same code and the same maps.
//!
//! A test run repeats one packet, so a small program goes first, changes the packet and tail-calls the one to
//! measure: it restores the TTL for established connections, and moves on to the next peer and source port
//! for new ones. Its time, with an empty program behind it, is measured in each round and subtracted.
//!
//! | case | what happens |
//! |---|---|
//! | established, egress | `from_pod` finds the connection, forwards to the uplink |
//! | established, ingress | `to_pod`, then `to_endpoint` finds the connection, the stack goes on |
//! | new | the policy allows, the connection is remembered; the peers take turns |
//! | denied | no rule allows the port, the packet is dropped |
//!
//! Before a case is timed it runs three times, and counters, connections and verdict must be what the case
//! says.
//!
//! # What the numbers leave out
//! One CPU works on one packet: caches are warm, and nobody else writes to the maps. There is no driver, no
//! link, no allocation of a packet, no stack, and a redirect is noted but not carried out. A CPU reports at
//! most [`abi::Config::events_per_tick`] events in a tick and counts the others, so nearly all new and denied
//! packets here take the shorter way that they take in a flood: a reported one costs the write of an
//! [`abi::Event`] more. The table of unconfirmed connections is full after the first rounds, so that a new one
//! pushes out an old one, as on a busy node.

mod case;
mod frame;
mod measure;
mod report;
mod room;
mod stage;
mod text;
mod world;

use std::io;

use nix::unistd::geteuid;

pub use crate::error::Error;
pub use report::{CaseTime, Direction, Kind, Layout, Order, ProgramSize, Report, TableSize, VerdictTime};

/// How much to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Numbers of peers that the policy names.
    pub peers: Vec<u32>,
    /// Rounds of each case; the minimum and the median of them are reported.
    pub rounds: usize,
    /// Runs in a round.
    pub repeat: u32,
}

impl Options {
    /// From 10 to 100,000 peers: some minutes.
    #[must_use]
    pub fn full() -> Self {
        Self { peers: vec![10, 1_000, 16_000, 100_000], rounds: 5, repeat: 1_000_000 }
    }

    /// All cases with 10 and 16,000 peers, in shorter rounds: less than a minute.
    #[must_use]
    pub fn quick() -> Self {
        Self { peers: vec![10, 16_000], rounds: 5, repeat: 200_000 }
    }
}

/// Measures. Nothing is attached to any link; what is loaded goes with the call.
///
/// # Errors
/// When the caller is not root, the kernel refuses something, or a case turns out not to be what it says.
pub fn run(options: &Options) -> Result<Report, Error> {
    if !geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    // A thread of its own: it keeps to one CPU, and has a mount namespace that ends with it.
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("bench".into())
            .spawn_scoped(scope, || measure::run(options))
            .map_err(|source| Error::Thread { source })?
            .join()
            .unwrap_or_else(|_| Err(Error::Thread { source: io::Error::other("it panicked") }))
    })
}
