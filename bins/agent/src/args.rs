//! How the agent is started.

use std::path::PathBuf;

use clap::Parser;

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
}
