//! What was measured.

use std::fmt;

use serde::Serialize;

/// How a policy is laid out in maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Three tables: the class of the peer, the class of the port, the cell of the two.
    Netloom,
    /// One trie with an entry for each pair of peer and port, looked up twice.
    TwoLpm,
}

impl Layout {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Netloom, Self::TwoLpm];
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Netloom => "netloom",
            Self::TwoLpm => "two-lpm",
        })
    }
}

/// What a packet is to the datapath.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One of a connection that both ends confirmed, going the way that it was opened.
    Established,
    /// The first of a connection that policy allows.
    New,
    /// The first of a connection that no rule allows.
    Denied,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Established => "established",
            Self::New => "new",
            Self::Denied => "denied",
        })
    }
}

/// Whose policy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The receiver's.
    Ingress,
    /// The sender's.
    Egress,
    /// The sender's, then the receiver's, both on this node.
    Both,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
            Self::Both => "both",
        })
    }
}

/// The time of one case in one layout, net of an empty program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseTime {
    /// The layout.
    pub layout: Layout,
    /// The kind of packet.
    pub case: Kind,
    /// Whose policy is asked.
    pub direction: Direction,
    /// Peers that the policy names.
    pub peers: u32,
    /// The quickest round's mean, in nanoseconds for each packet.
    pub ns_min: u64,
    /// The median round's mean, in nanoseconds for each packet.
    pub ns_median: u64,
}

/// Which peers a verdict is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The same one over and over: everything is in the nearest cache.
    Same,
    /// One after the other: what does not fit into caches comes from memory.
    InTurn,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Same => "same peer",
            Self::InTurn => "in turn",
        })
    }
}

/// The time of a bare verdict: the policy's lookups, and nothing else of a packet's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerdictTime {
    /// The layout.
    pub layout: Layout,
    /// Which peers it is asked for.
    pub order: Order,
    /// Peers that the policy names.
    pub peers: u32,
    /// The quickest round's mean, in nanoseconds for each verdict.
    pub ns_min: u64,
    /// The median round's mean, in nanoseconds for each verdict.
    pub ns_median: u64,
}

/// What the kernel says of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgramSize {
    /// Its name.
    pub name: String,
    /// Instructions that the verifier walked; nothing where the kernel did not keep it.
    pub verified_insns: Option<u32>,
    /// Bytes of stack; nothing for programs of the benchmark's own. In the text only: the form of the document is
    /// settled.
    #[serde(skip)]
    pub stack_bytes: Option<u32>,
    /// Bytes of machine code.
    pub jited_bytes: u32,
}

/// How large the same policy is in a layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableSize {
    /// The layout.
    pub layout: Layout,
    /// Peers that the policy names.
    pub peers: u32,
    /// Ports that it names.
    pub ports: usize,
    /// Entries of hashes and tries.
    pub entries: usize,
    /// Cells of the matrix of classes.
    pub cells: usize,
}

/// All that was measured. It displays as text, and serialises as the benchmark's JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// A run of an empty program, in nanoseconds.
    pub empty_ns: u64,
    /// Packets to and from a pod whose peers are elsewhere. Ingress is what the stack delivers.
    pub cases: Vec<CaseTime>,
    /// The programs that were measured.
    pub programs: Vec<ProgramSize>,
    /// Bare verdicts.
    pub verdicts: Vec<VerdictTime>,
    /// Packets that the uplink's program delivers without the stack.
    pub wire_to_pod: Vec<CaseTime>,
    /// Packets between two pods of the node.
    pub pod_to_pod: Vec<CaseTime>,
    /// Packets of 10,000 established connections in turn.
    pub many_flows: Vec<CaseTime>,
    /// The same policy in both layouts.
    pub tables: Vec<TableSize>,
    /// Runs in a round.
    #[serde(skip)]
    pub repeat: u32,
    /// Rounds.
    #[serde(skip)]
    pub rounds: usize,
}
