//! Where cases are run.

mod core;
mod lab;
mod node;
mod oracle;

pub use self::core::Core;
pub use self::lab::Lab;
pub use self::oracle::Oracle;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use policy::Settings;

use crate::error::{Error, Mistake};
use crate::expect::{Got, Packet};
use crate::objects::Objects;
use crate::suite::LevelName;

/// A level: something that takes a cluster's objects, and says what becomes of packets.
pub trait Level {
    /// Which it is.
    fn name(&self) -> LevelName;

    /// Begins a case. What an earlier one left must not show.
    ///
    /// # Errors
    /// [`Halt::Unsupported`] where the level can never be in such circumstances.
    fn begin(&mut self, circumstances: &Circumstances) -> Result<(), Halt>;

    /// Brings the level in line with these objects, and gives pods addresses that have none.
    ///
    /// # Errors
    /// Why it cannot; [`Halt::Unsupported`] where the level can never have such objects.
    fn enforce(&mut self, objects: &mut Objects) -> Result<(), Halt>;

    /// Says what becomes of packets, each with the others as if it were alone, in their order.
    ///
    /// # Errors
    /// When the level breaks down. What cannot be judged is an answer.
    fn judge(&mut self, objects: &Objects, packets: &[&Packet]) -> Result<Vec<Answer>, Error>;

    /// The rules behind the answer, where [`Level::judge`] has not named them because that takes its time.
    fn why(&self, _objects: &Objects, _packet: &Packet) -> Vec<String> {
        Vec::new()
    }
}

/// What holds throughout a case, beside its objects.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// What an installation chose for all policies.
    pub settings: Settings,
    /// The DNS names that addresses outside the cluster are known by.
    pub names: BTreeMap<IpAddr, BTreeSet<String>>,
}

/// What a level says of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What became of it.
    Judged(Judgement),
    /// Why this level cannot tell.
    Skipped(String),
}

/// What became of a packet, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What became of it.
    pub got: Got,
    /// The rules that decided, or the specs that closed the direction.
    pub rules: Vec<String>,
    /// What the level has to add.
    pub detail: Option<String>,
}

/// Why a level does not go on with a case.
#[derive(Debug)]
pub enum Halt {
    /// It can never have such objects.
    Unsupported(String),
    /// The case makes no sense with the addresses that pods have.
    Mistake(Box<Mistake>),
    /// It broke down.
    Broken(Box<Error>),
}

impl From<Mistake> for Halt {
    fn from(mistake: Mistake) -> Self {
        Self::Mistake(Box::new(mistake))
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Broken(Box::new(error))
    }
}

/// A rule without its place in a file: cases' objects have none.
fn rule_name(rule: &policy::RuleRef) -> String {
    format!("{} {}", rule.policy, rule.path)
}
