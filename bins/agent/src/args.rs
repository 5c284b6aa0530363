//! How the agent is started.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result};
use clap::{ArgAction, Parser};
use daemon::config::List;
use daemon::listen::{BadListen, Listen};
use daemon::logs::LogArgs;
use kubernetes::client;
use policy::{ClusterName, Enforcement, LabelFilter, PodLabelling, Settings};

use crate::cni::{Conflist, Plugin};
use crate::eni::EniArgs;
use crate::source::{IdentityManagement, Ipam};

/// Netloom's node agent: connects the node's pods and enforces policy on them.
///
/// It takes the cluster's objects from the Kubernetes API, or from a directory of manifests.
#[derive(Clone, Debug, Parser)]
#[command(name = "netloom-agent", version)]
pub struct Args {
    /// Name of this node
    #[arg(long, alias = "k8s-node-name", env = "K8S_NODE_NAME")]
    pub node: String,
    /// Directory with a file for each of these keys, as a ConfigMap is mounted
    #[arg(long, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,
    /// Check the configuration, say what is wrong with it, and end
    #[arg(long)]
    pub check_config: bool,
    /// Directory of manifests to take the cluster's objects from, in place of the Kubernetes API
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,
    /// How the Kubernetes API is used.
    #[command(flatten)]
    pub kubernetes: KubernetesArgs,
    /// What the container runtime is told.
    #[command(flatten)]
    pub cni: CniArgs,
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
    /// Give pods' packets to the outside the node's IPv4 address
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    pub enable_ipv4_masquerade: bool,
    /// Links by which packets to the outside leave, in place of the uplink: eth+ is every link that begins with eth
    #[arg(long, value_name = "LINKS", default_value = "", hide_default_value = true)]
    pub egress_masquerade_interfaces: List,
    /// Room for addresses of pods and nodes in the datapath, in entries
    #[arg(long, value_name = "N", default_value_t = abi::maps::capacity::ADDRESSES as u32, value_parser = clap::value_parser!(u32).range(1..))]
    pub address_capacity: u32,
    /// Room for established connections in the datapath, in entries
    #[arg(long, value_name = "N", default_value_t = abi::maps::capacity::CT_ESTABLISHED as u32, value_parser = clap::value_parser!(u32).range(1..))]
    pub connection_capacity: u32,
    /// Port of the health endpoints on the loopback addresses; 0 for none
    #[arg(long, value_name = "PORT", default_value_t = 9879)]
    pub agent_health_port: u16,
    /// Where metrics are served: ADDRESS:PORT or :PORT; off for nowhere
    #[arg(long, value_name = "ADDRESS", default_value = ":9962")]
    pub prometheus_serve_addr: Serve,
    /// Network interfaces of AWS.
    #[command(flatten)]
    pub eni: EniArgs,
    /// Go on although the configuration asks for protection that there is not: encryption, policy for nodes
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub ignore_unsupported_protection: bool,
    /// Logging.
    #[command(flatten)]
    pub logs: LogArgs,
    /// What holds for all policies.
    #[command(flatten)]
    pub policy: PolicyArgs,
}

/// How the Kubernetes API is used.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Kubernetes API")]
pub struct KubernetesArgs {
    /// Kubeconfig of the API server; a pod's own credentials where there is none
    #[arg(long, value_name = "FILE")]
    pub k8s_kubeconfig_path: Option<PathBuf>,
    /// URL of the API server, in place of the one that is configured
    #[arg(long, value_name = "URL")]
    pub k8s_api_server: Option<String>,
    /// Requests a second, at most, in the long run
    #[arg(long, value_name = "N", default_value_t = 50.0)]
    pub k8s_client_qps: f64,
    /// Requests at once, at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub k8s_client_burst: u32,
    /// Where the node's ranges of pod addresses come from: the operator, or the Node's podCIDRs
    #[arg(long, value_enum, value_name = "MODE", default_value_t)]
    pub ipam: Ipam,
    /// Who makes numbers stand for labels
    #[arg(long, value_enum, value_name = "WHO", default_value_t)]
    pub identity_management_mode: IdentityManagement,
    /// Learn of pods of other nodes from CiliumEndpointSlices, in place of CiliumEndpoints
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub enable_cilium_endpoint_slice: bool,
}

impl KubernetesArgs {
    /// How the API server is reached.
    #[must_use]
    pub fn client(&self) -> client::Settings {
        let mut settings = client::Settings::new("netloom-agent");
        settings.kubeconfig.clone_from(&self.k8s_kubeconfig_path);
        settings.server.clone_from(&self.k8s_api_server);
        settings.rate = (self.k8s_client_qps > 0.0)
            .then_some(client::Rate { per_second: self.k8s_client_qps, burst: self.k8s_client_burst });
        settings
    }
}

/// What the container runtime is told.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Container runtime")]
pub struct CniArgs {
    /// Directory to copy the plugin to, as netloom-cni and cilium-cni
    #[arg(long, value_name = "DIR")]
    pub cni_bin_dir: Option<PathBuf>,
    /// The plugin to copy; the one beside the agent where none is named
    #[arg(long, value_name = "FILE")]
    pub cni_plugin: Option<PathBuf>,
    /// Network configuration to write once pods can be connected, such as /etc/cni/net.d/05-cilium.conflist
    #[arg(long, value_name = "FILE")]
    pub write_cni_conf_when_ready: Option<PathBuf>,
    /// File with the network configuration to write, in place of the usual one
    #[arg(long, value_name = "FILE")]
    pub read_cni_conf: Option<PathBuf>,
    /// Move other networks' configurations aside
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub cni_exclusive: bool,
    /// The plugin's log
    #[arg(long, value_name = "FILE")]
    pub cni_log_file: Option<PathBuf>,
}

impl Args {
    /// The network configuration that the runtime gets, if it is to get one.
    #[must_use]
    pub fn conflist(&self) -> Option<Conflist> {
        let unusual = |path: &PathBuf, usual: &str| (path.as_os_str() != usual).then(|| path.clone());
        Some(Conflist {
            path: self.cni.write_cni_conf_when_ready.clone()?,
            custom: self.cni.read_cni_conf.clone(),
            exclusive: self.cni.cni_exclusive,
            plugin: Plugin {
                socket: unusual(&self.socket, api::DEFAULT_SOCKET),
                queue: unusual(&self.cni_queue, api::DEFAULT_QUEUE),
                log: self.cni.cni_log_file.clone(),
                debug: self.logs.debug,
            },
        })
    }

    /// Whether packets of pods to the outside get the node's IPv4 address.
    #[must_use]
    pub const fn masquerades_v4(&self) -> bool {
        self.enable_ipv4_masquerade && !self.no_masquerade
    }

    /// The links by which packets to the outside leave.
    #[must_use]
    pub fn masquerade_links(&self) -> BTreeSet<String> {
        let named = self.egress_masquerade_interfaces.0.iter().cloned().collect::<BTreeSet<_>>();
        if named.is_empty() { [self.uplink.clone()].into() } else { named }
    }

    /// The plugin that the runtime gets, and where, if it is to get it.
    ///
    /// # Errors
    /// When it is not known where this program is.
    pub fn plugin(&self) -> Result<Option<(PathBuf, PathBuf)>> {
        let Some(directory) = self.cni.cni_bin_dir.clone() else { return Ok(None) };
        let plugin = match &self.cni.cni_plugin {
            Some(plugin) => plugin.clone(),
            None => std::env::current_exe()
                .context("finding the plugin beside this program")?
                .with_file_name("netloom-cni"),
        };
        Ok(Some((plugin, directory)))
    }
}

/// An address to serve on, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serve(pub Option<Listen>);

impl FromStr for Serve {
    type Err = BadListen;

    fn from_str(text: &str) -> Result<Self, BadListen> {
        if text.is_empty() || text == "off" {
            Ok(Self(None))
        } else {
            text.parse().map(|listen| Self(Some(listen)))
        }
    }
}

/// What an installation chooses for all its policies.
#[derive(Clone, Debug, clap::Args)]
pub struct PolicyArgs {
    /// When pods are closed to what no policy allows: default (where a policy selects them), always or never
    #[arg(long = "enable-policy", alias = "policy-enforcement-mode", value_name = "MODE", default_value_t)]
    pub policy_enforcement_mode: Enforcement,
    /// Let through what policies would drop, and report it
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub policy_audit_mode: bool,
    /// What CIDR rules of Cilium's policies match beside what lies outside the cluster
    #[arg(long, value_name = "WHAT")]
    pub policy_cidr_match_mode: Option<CidrMatch>,
    /// Which labels make identities, beside the usual ones: [SOURCE:][!]EXPRESSION, apart by spaces
    #[arg(long, value_name = "PATTERNS", default_value = "", hide_default_value = true)]
    pub labels: LabelFilter,
    /// Name of the cluster, which pods carry as a label
    #[arg(long, value_name = "NAME", default_value_t)]
    pub cluster_name: ClusterName,
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

    /// How labels are made of pods.
    #[must_use]
    pub fn labelling(&self) -> PodLabelling {
        PodLabelling { filter: self.labels.clone(), cluster: self.cluster_name.clone() }
    }
}
