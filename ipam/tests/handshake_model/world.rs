//! The world that is searched: nodes with an interface each, two prefixes, pods, and an EC2 that is as small as can be.
//! All of it is numbers, so that a world is small and equal worlds look equal; the library's own types are made of them
//! where its code is asked ([`crate::library`]).
//!
//! Operators have no state here. Each looks at the object and at anything that EC2 showed lately, decides, and acts;
//! the next one knows nothing of it. So there are any number of them that all believe to lead, and any of them may
//! crash after any step. Who looked at an older version of the object gains nothing: its writes fail, and requests
//! that it sent arrive whenever they like within a quarantine, or never.
//!
//! An agent does in one step what nobody else can see: it reads the object, journals and changes its pool, and may
//! crash after any part of that.
//!
//! Time is how long ago things were, in steps of a quarantine or of half of one ([`Scope::grain`]).

use std::{fmt, net::Ipv4Addr};

use ipnetwork::Ipv4Network;

use crate::mutation::Mutation;

pub const NODES: usize = 2;
pub const PREFIXES: usize = 2;
/// Addresses of all prefixes.
pub const ADDRESSES: usize = 4;
/// The most steps of time that a quarantine may have.
pub const GRAIN: usize = 2;

/// A set of prefixes, one bit each.
pub type Mask = u8;
/// A set of addresses, one bit each.
pub type Addresses = u8;

/// How large the world is.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    pub prefixes: usize,
    /// Addresses of each prefix: 1 or 2.
    pub size: usize,
    pub pods: u32,
    /// Steps of time in a quarantine.
    pub grain: u8,
    /// Objects may be deleted and made anew, as often as one likes.
    pub remade: bool,
    pub mutation: Mutation,
}

/// How many steps of time ago something was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Age(pub u8);

impl Age {
    pub const NOW: Self = Self(0);
    pub const NEVER: Self = Self(u8::MAX);

    /// It was a step of time longer ago; 253 are enough for every walk.
    fn age(&mut self) {
        if *self != Self::NEVER {
            self.0 += 1;
        }
    }
}

impl Default for Age {
    fn default() -> Self {
        Self::NEVER
    }
}

impl fmt::Debug for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER { f.write_str("never") } else { write!(f, "{} ago", self.0) }
    }
}

/// What the operator wrote: a `Drain`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ask {
    pub epoch: u8,
    pub prefixes: Mask,
    pub released: [Age; PREFIXES],
    pub adopted: Age,
}

/// What the agent wrote: a `Drained`. Neither half reads what was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Answer {
    pub epoch: u8,
    pub prefixes: Mask,
}

/// What of a CiliumNode the handshake is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Object {
    pub ask: Ask,
    pub answer: Option<Answer>,
    pub listed: Mask,
}

impl Object {
    /// What an agent makes of it: of answers to earlier epochs only that they are some, and nothing of what was released.
    pub fn as_read(self) -> Self {
        let ask = Ask { released: Default::default(), adopted: Age::NEVER, ..self.ask };
        Self { ask, answer: self.answer.map(|answer| answer.to(ask)), ..self }
    }
}

impl Answer {
    /// What matters of it as an answer to this.
    pub fn to(self, ask: Ask) -> Self {
        if self.epoch < ask.epoch { Self::default() } else { self }
    }
}

/// What an agent's journal knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Journal {
    pub epoch: u8,
    /// In which epoch each prefix was promised back; 0 if it is not.
    pub drains: [u8; PREFIXES],
    pub held: Addresses,
    /// Since when addresses that somebody had are free.
    pub vacant: [Age; ADDRESSES],
}

/// An agent: its journal survives, the rest does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Agent {
    pub journal: Journal,
    /// What its pool may give.
    pub uses: Mask,
    /// The latest incarnation of its object that it has seen since it started; 0 for none.
    pub seen: u8,
    /// What it is about to write into the object.
    pub answer: Option<Answer>,
    /// What an object that it makes will say.
    pub said: Option<Answer>,
}

/// A node with all that is its own: what EC2 assigned to it, its object, its agent, its pods. What other nodes do to it
/// is that prefixes are or are not free to be assigned, and that time passes for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    pub ec2: Mask,
    /// What EC2 showed or may show, by age: one bit for each mask that was true then.
    pub looks: [u8; GRAIN],
    /// Requests to unassign that are on their way, by age.
    pub underway: [Mask; GRAIN],
    pub object: Object,
    /// How often the object was made, counted from 1.
    pub incarnation: u8,
    /// An older version that the agent may still read, and its incarnation.
    pub older: Option<(Object, u8)>,
    pub agent: Agent,
    /// The addresses that pods have.
    pub pods: Addresses,
    /// When a pod last had each address.
    pub freed: [Age; ADDRESSES],
}

impl Node {
    pub fn new() -> Self {
        Self {
            ec2: 0,
            looks: [1; GRAIN],
            underway: [0; GRAIN],
            object: Object::default(),
            incarnation: 1,
            older: None,
            agent: Agent { said: Some(Answer::default()), ..Agent::default() },
            pods: 0,
            freed: [Age::NEVER; ADDRESSES],
        }
    }

    /// Changes what EC2 has assigned; until time passes it may show what was.
    pub fn assign(&mut self, mask: Mask) {
        self.ec2 = mask;
        self.looks[0] |= 1 << mask;
    }

    /// Time passes. Requests that were on their way for a quarantine are lost.
    pub fn tick(&mut self, scope: Scope) {
        let grain = usize::from(scope.grain);
        let late = self.underway[grain - 1];
        self.looks.copy_within(..GRAIN - 1, 1);
        self.looks[0] = 1 << self.ec2;
        self.underway.copy_within(..GRAIN - 1, 1);
        self.underway[0] = 0;
        if scope.mutation.requests_outlive_their_leader() {
            self.underway[grain - 1] |= late;
        }
        let ask = &mut self.object.ask;
        let ages = ask.released.iter_mut().chain([&mut ask.adopted]).chain(&mut self.freed);
        ages.chain(&mut self.agent.journal.vacant).for_each(Age::age);
        if let Some((object, _)) = &mut self.older {
            object.ask.released.iter_mut().chain([&mut object.ask.adopted]).for_each(Age::age);
        }
    }

    /// All requests that may arrive.
    pub fn underway(&self, scope: Scope) -> Mask {
        self.underway[..scope.grain.into()].iter().fold(0, |all, mask| all | mask)
    }

    /// P7: nothing is asked back, promised or under way.
    pub fn rests(&self, scope: Scope) -> bool {
        self.object.ask.prefixes == 0
            && self.agent.journal.drains == [0; PREFIXES]
            && self.underway(scope) == 0
    }

    /// All epochs in it.
    pub fn epochs(&mut self, mut visit: impl FnMut(&mut u8)) {
        let older = self.older.as_mut().map(|(object, _)| object);
        for object in [&mut self.object].into_iter().chain(older) {
            visit(&mut object.ask.epoch);
            object.answer.iter_mut().for_each(|answer| visit(&mut answer.epoch));
        }
        visit(&mut self.agent.journal.epoch);
        self.agent.journal.drains.iter_mut().for_each(&mut visit);
        let said = self.agent.answer.iter_mut().chain(&mut self.agent.said);
        said.for_each(|answer| visit(&mut answer.epoch));
    }
}

/// All prefixes of a set.
pub fn prefixes(mask: Mask) -> impl Iterator<Item = usize> {
    (0..PREFIXES).filter(move |index| mask & 1 << index != 0)
}

impl Scope {
    /// A prefix of one or two addresses, so that pods meet.
    pub fn prefix(self, index: usize) -> Ipv4Network {
        let length = if self.size == 1 { 32 } else { 31 };
        Ipv4Network::new_checked(address(2 * index), length).unwrap()
    }

    /// The addresses of a prefix.
    pub fn of(self, prefix: usize) -> std::ops::Range<usize> {
        2 * prefix..2 * prefix + self.size
    }

    /// The addresses of a prefix, as a set.
    pub fn addresses(self, prefix: usize) -> Addresses {
        self.of(prefix).map(|address| 1 << address).sum()
    }

    pub fn everything(self) -> Mask {
        (1 << self.prefixes) - 1
    }
}

pub fn address(index: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a00_0000 + index as u32)
}
