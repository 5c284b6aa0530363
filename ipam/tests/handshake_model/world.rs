//! The world that is searched: two nodes with an interface each, two prefixes, three pods, and an EC2 that is as small
//! as can be.
//!
//! Operators have no state here. Each looks at the object and at anything that EC2 showed lately, decides, and acts;
//! the next one knows nothing of it. So there are any number of them that all believe to lead, and any of them may
//! crash after any step. Who looked at an older version of the object gains nothing: its writes fail, and requests
//! that it sent arrive whenever they like until time passes.
//!
//! An agent does in one step what nobody else can see: it reads the object, journals and changes its pool, and may
//! crash after any part of that.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use ipam::{
    Pool, State, Timestamp,
    eni::handshake::{Drain, Drained, agent::members, operator::QUARANTINE},
};
use ipnetwork::Ipv4Network;

pub const NODES: usize = 2;
pub const PREFIXES: usize = 2;
pub const PODS: usize = 3;
pub const COOLDOWN: Duration = QUARANTINE;

/// A set of prefixes, one bit each.
pub type Mask = u8;

/// What of a CiliumNode the handshake is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Object {
    pub drain: Drain,
    pub drained: Option<Drained>,
    pub listed: Mask,
}

/// An agent: its journal survives, the rest does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Agent {
    pub journal: State,
    /// What its pool may give.
    pub uses: Mask,
    /// The latest incarnation of its object that it has seen since it started; 0 for none.
    pub seen: u8,
    /// What it is about to write into the object.
    pub answer: Option<Drained>,
    /// What an object that it makes will say.
    pub said: Option<Drained>,
}

/// Everything. Time passes in steps of a quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub now: u8,
    /// What EC2 has assigned to each node.
    pub ec2: [Mask; NODES],
    /// What it showed or may show since time passed: one bit for each mask.
    pub shown: [u8; NODES],
    pub objects: [Object; NODES],
    /// An older version that an agent may still read, and its incarnation.
    pub older: [(Object, u8); NODES],
    pub agents: [Agent; NODES],
    pub pods: [Option<(usize, IpAddr)>; PODS],
    /// When an address was last taken from a pod.
    pub freed: BTreeMap<IpAddr, u8>,
    /// How often each object was made, counted from 1.
    pub incarnation: [u8; NODES],
    /// Requests to unassign that are on their way, by node.
    pub underway: [Mask; NODES],
}

impl World {
    pub fn new() -> Self {
        Self {
            now: 1,
            ec2: [0; NODES],
            shown: [1; NODES],
            objects: Default::default(),
            older: Default::default(),
            agents: std::array::from_fn(|_| Agent { said: Some(Drained::default()), ..Agent::default() }),
            pods: [None; PODS],
            freed: BTreeMap::new(),
            incarnation: [1; NODES],
            underway: [0; NODES],
        }
    }

    pub fn time(tick: u8) -> Timestamp {
        Timestamp(u64::from(tick) * QUARANTINE.as_millis() as u64)
    }

    /// A quarantine passes: what was shown or read before is old.
    pub fn tick(&mut self) {
        self.now += 1;
        self.shown = self.ec2.map(|mask| 1 << mask);
    }

    /// The pool of a node, as it is after its agent read the journal and was told what it may use.
    pub fn pool(&self, node: usize) -> Pool {
        let agent = &self.agents[node];
        let mut pool = Pool::restore([], COOLDOWN, agent.journal.clone(), Self::time(self.now)).unwrap();
        pool.set_prefixes(members(&set(agent.uses))).unwrap();
        pool
    }

    /// Changes what EC2 has assigned; until time passes it may show what was.
    pub fn assign(&mut self, node: usize, mask: Mask) {
        self.ec2[node] = mask;
        self.shown[node] |= 1 << mask;
    }
}

/// A prefix: one address, so that pods meet.
pub fn prefix(index: usize) -> Ipv4Network {
    format!("10.0.0.{index}/32").parse().unwrap()
}

pub fn set(mask: Mask) -> BTreeSet<Ipv4Network> {
    (0..PREFIXES).filter(|index| mask & 1 << index != 0).map(prefix).collect()
}

pub fn mask(prefixes: &BTreeSet<Ipv4Network>) -> Mask {
    (0..PREFIXES).filter(|index| prefixes.contains(&prefix(*index))).map(|index| 1 << index).sum()
}
