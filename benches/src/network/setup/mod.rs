//! The setups: what they have in common, and what they need of this machine.

mod account;
mod build;
mod ipset;
mod iptables;
mod kernel;
mod netfilter;
mod netloom;
mod nftables;
mod tool;
mod veth;
mod wiring;

use std::fmt;
use std::time::Duration;

use nix::unistd::Pid;

use super::Error;
use super::pods::Pods;

pub use build::{build, missing};
pub(crate) use tool::find;

/// A way to enforce policies, or none.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum SetupName {
    /// Nothing but links and routes: the limit.
    Veth,
    /// Pods on a bridge, chains of the old tables, a rule a peer.
    IptablesLegacy,
    /// The same rules, as the program of the same name writes them into nf_tables.
    IptablesNft,
    /// Routed pods, chains with a set of peers.
    Ipset,
    /// Routed pods, verdict maps and sets.
    Nftables,
    /// A real cluster of two nodes.
    Netloom,
}

impl SetupName {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Veth, Self::IptablesLegacy, Self::IptablesNft, Self::Ipset, Self::Nftables, Self::Netloom];

    /// As reports and options name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Veth => "veth",
            Self::IptablesLegacy => "iptables-legacy",
            Self::IptablesNft => "iptables-nft",
            Self::Ipset => "ipset",
            Self::Nftables => "nftables",
            Self::Netloom => "netloom",
        }
    }
}

impl fmt::Display for SetupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What it took to bring policies into force.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Loaded {
    /// From the first command, or the first object written, until all is in force.
    pub took: Duration,
    /// Rules, elements of sets and maps, or entries of the datapath's maps, on the node of the `server`, counted in what
    /// is in force.
    pub entries: usize,
    /// What the kernel keeps for them, where that can be told.
    pub memory: Option<Memory>,
}

/// What the kernel keeps for rules or maps.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Memory {
    /// How much.
    pub bytes: u64,
    /// How that is known.
    pub source: &'static str,
}

/// What a change cost, from the first command or request until it returned. That it is in force by then is not said:
/// see [`change`](super::change).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Cost {
    /// How long it took.
    pub took: Duration,
    /// Processor time of the programs that were run for it and have ended, user and system.
    pub children: Duration,
}

/// Pods on two nodes, and a way to enforce policies about them. What a setup made it removes when it is dropped.
pub trait Setup {
    /// Which it is.
    fn name(&self) -> SetupName;

    /// Whether it enforces policies: all do but the limit.
    fn enforces(&self) -> bool {
        self.name() != SetupName::Veth
    }

    /// Its pods.
    fn pods(&self) -> &Pods;

    /// Brings the policies of this size into force, in the place of those before; they are when this returns.
    ///
    /// # Errors
    /// When a program or the API refuses, or it takes too long.
    fn load(&mut self, peers: usize) -> Result<Loaded, Error>;

    /// Gives all links of the setup this MTU, in bytes.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn set_mtu(&mut self, mtu: u32) -> Result<(), Error>;

    /// Makes the `newcomer` a peer of `server`'s policy, in the quickest way there is.
    ///
    /// # Errors
    /// When it is refused, or there is no policy.
    fn add_peer(&mut self) -> Result<Cost, Error>;

    /// Undoes [`add_peer`](Self::add_peer).
    ///
    /// # Errors
    /// As there.
    fn remove_peer(&mut self) -> Result<Cost, Error>;

    /// Adds a policy about `other`, with the peers that `server`'s policy has: the `stranger` is none.
    ///
    /// # Errors
    /// When it is refused, or there is no policy to be like.
    fn add_policy(&mut self) -> Result<Cost, Error>;

    /// Undoes [`add_policy`](Self::add_policy).
    ///
    /// # Errors
    /// As there.
    fn remove_policy(&mut self) -> Result<Cost, Error>;

    /// The programs whose processor time belongs to it, beside the kernel's.
    fn processes(&self) -> Vec<Pid>;

    /// Holds what only the kernel can tell, after the setup was probed or measured at this size: that packets met the
    /// rules that they should have, that connection tracking had room, and of the limit that nothing is hooked into it.
    ///
    /// # Errors
    /// [`Error::Impure`].
    fn inspect(&self, peers: usize) -> Result<(), Error>;

    /// What is in force on the node of the `server`, as the tool prints it; of netloom, the objects.
    ///
    /// # Errors
    /// When the tool refuses.
    fn rules(&self) -> Result<String, Error>;
}

/// A program that a setup needs and that is not here.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Missing {
    /// Who needs it.
    pub setup: SetupName,
    /// The program.
    pub program: String,
    /// What brings it: a package of Debian, or how netloom's programs are built.
    pub package: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} needs {}: {}", self.setup, self.program, self.package)
    }
}
