//! How the agent is started.

use std::path::PathBuf;

use clap::Parser;
use policy::{Enforcement, LabelFilter, Settings};

/// Netloom's node agent: connects the node's pods and enforces policy on them.
#[derive(Clone, Debug, Parser)]
#[command(name = "netloom-agent", version)]
pub struct Args {
    /// Name of this node
    #[arg(long)]
    pub node: String,
    /// Directory of manifests to take the cluster's objects from
    #[arg(long, value_name = "DIR")]
    pub manifests: PathBuf,
    /// Directory for what must survive a restart of the agent
    #[arg(long, value_name = "DIR", default_value = "/run/netloom/state")]
    pub state_dir: PathBuf,
    /// Directory to pin the datapath in; a BPF file system is mounted there if it is in none
    #[arg(long, value_name = "DIR", default_value = "/sys/fs/bpf/netloom")]
    pub bpffs: PathBuf,
    /// Socket to listen on
    #[arg(long, value_name = "FILE", default_value = api::DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// Directory where the CNI plugin leaves disconnections while the agent is away
    #[arg(long, value_name = "DIR", default_value = api::DEFAULT_QUEUE)]
    pub cni_queue: PathBuf,
    /// Link that leads to the other nodes
    #[arg(long, value_name = "LINK", default_value = "eth0")]
    pub uplink: String,
    /// Attach programs by clsact filters even where the kernel has tcx
    #[arg(long)]
    pub clsact: bool,
    /// Leave the source addresses of packets to the outside as they are
    #[arg(long)]
    pub no_masquerade: bool,
    /// Room for addresses of pods and nodes in the datapath, in entries
    #[arg(long, value_name = "N", default_value_t = abi::maps::capacity::ADDRESSES as u32)]
    pub address_capacity: u32,
    /// Room for established connections in the datapath, in entries
    #[arg(long, value_name = "N", default_value_t = abi::maps::capacity::CT_ESTABLISHED as u32)]
    pub connection_capacity: u32,
    /// What holds for all policies.
    #[command(flatten)]
    pub policy: PolicyArgs,
}

/// What an installation chooses for all its policies.
#[derive(Clone, Debug, clap::Args)]
pub struct PolicyArgs {
    /// When pods are closed to what no policy allows: default (where a policy selects them), always or never
    #[arg(long, value_name = "MODE", default_value_t)]
    pub policy_enforcement_mode: Enforcement,
    /// Let through what policies would drop, and report it
    #[arg(long)]
    pub policy_audit_mode: bool,
    /// What CIDR rules of Cilium's policies match beside what lies outside the cluster
    #[arg(long, value_name = "WHAT")]
    pub policy_cidr_match_mode: Option<CidrMatch>,
    /// Which labels make identities, beside the usual ones: [SOURCE:][!]EXPRESSION, apart by spaces
    #[arg(long, value_name = "PATTERNS", default_value = "", hide_default_value = true)]
    pub labels: LabelFilter,
}

/// What CIDR rules of Cilium's policies may match inside the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CidrMatch {
    /// Nodes.
    Nodes,
}

impl PolicyArgs {
    /// As the policy engine has it.
    #[must_use]
    pub const fn settings(&self) -> Settings {
        Settings {
            enforcement: self.policy_enforcement_mode,
            cidrs_match_nodes: matches!(self.policy_cidr_match_mode, Some(CidrMatch::Nodes)),
            audit: self.policy_audit_mode,
        }
    }
}
