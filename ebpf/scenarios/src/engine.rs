//! What runs a packet.

use std::fmt;

use abi::{
    Addr, AddressRecord, CidrKey, CidrRecord, Config, CtEntry, CtKey, Direction, DropReason, Endpoint, Event,
    IfIndex, PolicySlot,
};
use datapath::{CompiledPolicy, Program};
use ebpf_core::CtTable;

/// Where a packet enters the datapath.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The pod under test sends it.
    FromPod,
    /// The stack sends it to the pod under test.
    ToPod,
    /// It arrives on the uplink.
    FromNetdev,
}

impl Entry {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::FromPod, Self::ToPod, Self::FromNetdev];

    /// The program that it enters.
    #[must_use]
    pub const fn program(self) -> Program {
        match self {
            Self::FromPod => Program::FromPod,
            Self::ToPod => Program::ToPod,
            Self::FromNetdev => Program::FromNetdev,
        }
    }
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is left to the stack.
    Pass,
    /// It is dropped.
    Drop(DropReason),
    /// It goes straight into a pod's end of its link.
    Deliver,
    /// It leaves by the uplink without the stack.
    Forward,
    /// It is an ARP request, and has become its answer.
    Arp,
}

/// The counter that a packet moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Forwarded.
    Forwarded(Direction),
    /// Dropped.
    Dropped(DropReason, Direction),
}

/// A packet's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What became of it.
    pub outcome: Outcome,
    /// What was reported; the time is zero.
    pub events: Vec<Event>,
    /// What was counted.
    pub counted: Vec<Counted>,
    /// The frame afterwards.
    pub packet: Vec<u8>,
}

/// A connection that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Where.
    pub table: CtTable,
    /// Its name.
    pub key: CtKey,
    /// What is remembered of it. When it expires is not: engines have clocks of their own.
    pub entry: CtEntry,
}

impl Connection {
    pub(crate) fn new(table: CtTable, key: CtKey, entry: CtEntry) -> Self {
        Self { table, key, entry: CtEntry { expires: 0, ..entry } }
    }

    /// What to sort by.
    pub(crate) fn place(&self) -> (bool, u16, u8, Addr, u16, u16) {
        let CtKey { peer, local_port, peer_port, endpoint, proto, .. } = self.key;
        (self.table == CtTable::Unconfirmed, endpoint.0, proto, peer, local_port.get(), peer_port.get())
    }
}

/// An engine that could not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The datapath in the kernel.
    #[error(transparent)]
    Datapath(#[from] datapath::Error),
    /// A program returned something that is no verdict of ours.
    #[error("{program} returned {verdict}, which is no verdict of the datapath")]
    Verdict {
        /// The program.
        program: &'static str,
        /// What it returned.
        verdict: i32,
    },
    /// Something that a test needs was taken before.
    #[error("the reader of {what} was taken before")]
    Taken {
        /// What it reads.
        what: &'static str,
    },
    /// More than one packet was counted, or none.
    #[error("{program} dropped a packet and counted {counted:?}")]
    Counters {
        /// The program.
        program: &'static str,
        /// What was counted.
        counted: Vec<Counted>,
    },
}

/// A datapath of one node.
pub trait Engine: fmt::Debug {
    /// What to call it.
    fn name(&self) -> &'static str;

    /// Empties all tables; the settings become the default's.
    ///
    /// # Errors
    /// When the kernel refuses; so for all others.
    fn reset(&mut self) -> Result<(), EngineError>;

    /// Changes the node's settings.
    fn set_config(&mut self, config: &Config) -> Result<(), EngineError>;

    /// Places an endpoint behind its link.
    fn set_endpoint(&mut self, endpoint: Endpoint) -> Result<(), EngineError>;

    /// Removes the endpoint behind a link.
    fn remove_endpoint(&mut self, link: IfIndex) -> Result<(), EngineError>;

    /// Says who an address is.
    fn set_address(&mut self, addr: Addr, record: AddressRecord) -> Result<(), EngineError>;

    /// Says who is in a CIDR.
    fn set_cidr(&mut self, key: CidrKey, record: CidrRecord) -> Result<(), EngineError>;

    /// Puts a policy beside the others, and says where.
    fn install(&mut self, policy: &CompiledPolicy) -> Result<PolicySlot, EngineError>;

    /// Runs a frame.
    fn run(&mut self, entry: Entry, frame: &[u8]) -> Result<Run, EngineError>;

    /// Runs a frame for what is reported of it alone; the time is zero. Quicker than [`Engine::run`] in the kernel.
    fn report(&mut self, entry: Entry, frame: &[u8]) -> Result<Vec<Event>, EngineError> {
        Ok(self.run(entry, frame)?.events)
    }

    /// Connections that are valid now, in a fixed order.
    fn connections(&self) -> Result<Vec<Connection>, EngineError>;
}
