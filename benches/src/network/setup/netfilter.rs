//! What the setups of netfilter have in common: policies are loaded by a program, on the node of the server.

use std::net::Ipv4Addr;
use std::time::Duration;

use nix::unistd::Pid;

use super::tool::Tool;
use super::wiring::{Kind, Wiring};
use super::{Cost, Loaded, Memory, Setup, SetupName, account, kernel};
use crate::network::Error;
use crate::network::pods::Pods;
use crate::network::rules::{Policy, Rules};

/// A family of rule sets, and the programs that load them.
pub(super) trait Dialect {
    /// The setup that it makes.
    fn name(&self) -> SetupName;

    /// How its engines connect pods.
    fn kind(&self) -> Kind;

    /// Has a node as it is without any policy: connections are tracked, and nothing is refused.
    fn clear(&self, tool: &Tool) -> Result<(), Error>;

    /// Loads policies into a cleared node. Says how long it took and what the kernel keeps for them.
    fn load(&self, tool: &Tool, rules: &Rules) -> Result<(Duration, Option<Memory>), Error>;

    /// Makes an address a peer of the policy.
    fn add_peer(&self, tool: &Tool, policy: &Policy, peer: Ipv4Addr) -> Result<Cost, Error>;

    /// Undoes that.
    fn remove_peer(&self, tool: &Tool, policy: &Policy, peer: Ipv4Addr) -> Result<Cost, Error>;

    /// Adds a policy whose peers are those of `like`.
    fn add_policy(&self, tool: &Tool, policy: &Policy, like: &Policy) -> Result<Cost, Error>;

    /// Undoes that.
    fn remove_policy(&self, tool: &Tool, policy: &Policy) -> Result<Cost, Error>;

    /// What is in force.
    fn print(&self, tool: &Tool) -> Result<String, Error>;

    /// How many rules, and elements of sets and maps, there are in what [`print`](Self::print) printed.
    fn entries(&self, printed: &str) -> usize;

    /// How many packets the rules of the policy have judged.
    fn judged(&self, tool: &Tool, policy: &Policy) -> Result<Judged, Error>;
}

/// Packets that the rules of a policy have let through, and dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) accepted: u64,
    pub(super) dropped: u64,
}

/// What was charged, and how that is known.
pub(super) fn charged(bytes: u64) -> Memory {
    Memory { bytes, source: account::SOURCE }
}

/// A setup of netfilter.
pub(super) struct Netfilter<D> {
    dialect: D,
    wiring: Wiring,
    rules: Rules,
}

impl<D: Dialect> Netfilter<D> {
    pub(super) fn make(dialect: D) -> Result<Self, Error> {
        let wiring = Wiring::make(dialect.name(), dialect.kind())?;
        let made = Self { dialect, wiring, rules: Rules::default() };
        // The engine runs on every node: that of the clients has no policies, and tracks connections all the same.
        made.wiring.tools().try_for_each(|tool| made.dialect.clear(&tool))?;
        Ok(made)
    }

    /// The policy that changes are made to.
    fn policy(&self, change: &'static str) -> Result<&Policy, Error> {
        let none = Error::NothingToChange { setup: self.dialect.name(), change };
        self.rules.of(&self.wiring.pods.server.name).ok_or(none)
    }

    /// The policy that is added and removed.
    fn added(&self, change: &'static str) -> Result<Policy, Error> {
        let other = &self.wiring.pods.other;
        Ok(Policy { name: other.name.clone(), subject: other.address, ..self.policy(change)?.clone() })
    }
}

impl<D: Dialect> Setup for Netfilter<D> {
    fn name(&self) -> SetupName {
        self.dialect.name()
    }

    fn pods(&self) -> &Pods {
        &self.wiring.pods
    }

    fn load(&mut self, peers: usize) -> Result<Loaded, Error> {
        let rules = Rules::new(peers, &self.wiring.pods)?;
        let tool = self.wiring.tool();
        self.dialect.clear(&tool)?;
        let (took, memory) =
            if rules.policies.is_empty() { Default::default() } else { self.dialect.load(&tool, &rules)? };
        self.rules = rules;
        let entries = self.dialect.entries(&self.dialect.print(&tool)?);
        Ok(Loaded { took, entries, memory })
    }

    fn set_mtu(&mut self, mtu: u32) -> Result<(), Error> {
        self.wiring.set_mtu(mtu)
    }

    fn add_peer(&mut self) -> Result<Cost, Error> {
        let newcomer = self.wiring.pods.newcomer.address;
        self.dialect.add_peer(&self.wiring.tool(), self.policy("a peer is added")?, newcomer)
    }

    fn remove_peer(&mut self) -> Result<Cost, Error> {
        let newcomer = self.wiring.pods.newcomer.address;
        self.dialect.remove_peer(&self.wiring.tool(), self.policy("a peer is removed")?, newcomer)
    }

    fn add_policy(&mut self) -> Result<Cost, Error> {
        let change = "a policy is added";
        self.dialect.add_policy(&self.wiring.tool(), &self.added(change)?, self.policy(change)?)
    }

    fn remove_policy(&mut self) -> Result<Cost, Error> {
        self.dialect.remove_policy(&self.wiring.tool(), &self.added("a policy is removed")?)
    }

    fn processes(&self) -> Vec<Pid> {
        Vec::new()
    }

    fn rules(&self) -> Result<String, Error> {
        self.dialect.print(&self.wiring.tool())
    }

    /// Connections are tracked on both nodes, and the rules of the policy are those that let through and dropped.
    fn inspect(&self, peers: usize) -> Result<(), Error> {
        let setup = self.dialect.name();
        self.wiring.nodes.iter().try_for_each(|netns| kernel::hold_tracking(setup, netns))?;
        let Some(policy) = self.rules.of(&self.wiring.pods.server.name) else { return Ok(()) };
        let judged = self.dialect.judged(&self.wiring.tool(), policy)?;
        if judged.accepted > 0 && judged.dropped > 0 {
            return Ok(());
        }
        let netns = self.wiring.nodes[1].to_string();
        let what = format!(
            "with {peers} peers the rules of the policy let {} packets through and dropped {}, and both must be some",
            judged.accepted, judged.dropped
        );
        Err(Error::Impure { setup, netns, what })
    }
}
