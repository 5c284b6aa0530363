//! What can be configured. Keys are the reference's.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use daemon::listen::Listen;
use ipam::ClusterPool;
use ipnetwork::{IpNetwork, IpNetworkError};
use kubernetes::client::Rate;
use kubernetes::lease::Timing;
use policy::{ClusterName, LabelFilter, PodLabelling};
use selector::LabelSelector;

use crate::eni::{EniKeys, EniOptions};
use crate::readiness::Allowed;
use crate::view::PodView;

/// Where a pod's namespace is, and the namespace of what runs in no pod.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
const USUAL_NAMESPACE: &str = "kube-system";

/// Where nodes get their pod CIDRs, or addresses, from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IpamMode {
    /// From the operator.
    ClusterPool,
    /// From their Node objects.
    Kubernetes,
    /// None: pods have addresses of network interfaces of EC2.
    Eni,
}

/// Who makes CiliumIdentities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IdentityManagement {
    /// The agents.
    Agent,
    /// The operator.
    Operator,
    /// Whoever is first, while one hands over to the other.
    Both,
}

/// CIDRs, apart by commas or spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cidrs(pub Vec<IpNetwork>);

impl FromStr for Cidrs {
    type Err = IpNetworkError;

    fn from_str(text: &str) -> Result<Self, IpNetworkError> {
        let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
        parts.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// Keys and their defaults.
#[derive(Args, Clone, Debug)]
pub struct Keys {
    /// Kubeconfig file; without it and without a URL, the pod's own credentials
    #[arg(long, value_name = "FILE")]
    pub k8s_kubeconfig_path: Option<PathBuf>,
    /// URL of the API server
    #[arg(long, value_name = "URL")]
    pub k8s_api_server: Option<String>,
    /// Requests to the API server a second, in the long run
    #[arg(long, default_value_t = 100.0, value_name = "NUMBER")]
    pub k8s_client_qps: f64,
    /// Requests to the API server at once
    #[arg(long, default_value_t = 200, value_name = "NUMBER")]
    pub k8s_client_burst: u32,
    /// The operator's own namespace, where its Lease is; where none is named, that of its pod, and outside of pods kube-system
    #[arg(long, value_name = "NAMESPACE")]
    pub k8s_namespace: Option<String>,
    /// How long others leave the leader's lease alone
    #[arg(long, default_value = "15s", value_parser = duration, value_name = "DURATION")]
    pub leader_election_lease_duration: Duration,
    /// How long the leader goes on without a renewal
    #[arg(long, default_value = "10s", value_parser = duration, value_name = "DURATION")]
    pub leader_election_renew_deadline: Duration,
    /// Pause between two tries to get or renew the lease
    #[arg(long, default_value = "2s", value_parser = duration, value_name = "DURATION")]
    pub leader_election_retry_period: Duration,
    /// Where nodes get their pod CIDRs, or addresses, from
    #[arg(long, value_enum, default_value = "cluster-pool", value_name = "MODE")]
    pub ipam: IpamMode,
    /// Whether pods have IPv4 addresses
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub enable_ipv4: bool,
    /// Whether pods have IPv6 addresses
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub enable_ipv6: bool,
    /// IPv4 ranges that pod CIDRs are cut from; may be appended to, with a restart
    #[arg(long, default_value = "", value_name = "CIDR,…")]
    pub cluster_pool_ipv4_cidr: Cidrs,
    /// Prefix length of a node's IPv4 pod CIDR
    #[arg(long, default_value_t = 24, value_name = "BITS")]
    pub cluster_pool_ipv4_mask_size: u8,
    /// IPv6 ranges that pod CIDRs are cut from; may be appended to, with a restart
    #[arg(long, default_value = "", value_name = "CIDR,…")]
    pub cluster_pool_ipv6_cidr: Cidrs,
    /// Prefix length of a node's IPv6 pod CIDR
    #[arg(long, default_value_t = 112, value_name = "BITS")]
    pub cluster_pool_ipv6_mask_size: u8,
    /// How long a pod CIDR is kept for a node that is gone, whose pods may live on
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "DURATION")]
    pub cluster_pool_release_delay: Duration,
    #[command(flatten)]
    #[expect(missing_docs, reason = "it would be a text of the command's help")]
    pub eni: EniKeys,
    /// Who makes CiliumIdentities
    #[arg(long, value_enum, default_value = "agent", value_name = "WHO")]
    pub identity_management_mode: IdentityManagement,
    /// How often unused identities are looked for; 0 for never
    #[arg(long, default_value = "15m", value_parser = duration, value_name = "DURATION")]
    pub identity_gc_interval: Duration,
    /// How long an identity is unused before it is deleted
    #[arg(long, default_value = "30m", value_parser = duration, value_name = "DURATION")]
    pub identity_heartbeat_timeout: Duration,
    /// The time for which `identity-gc-rate-limit` holds
    #[arg(long, default_value = "1m", value_parser = duration, value_name = "DURATION")]
    pub identity_gc_rate_interval: Duration,
    /// Identities that are deleted at most
    #[arg(long, default_value_t = 2500, value_name = "NUMBER")]
    pub identity_gc_rate_limit: u32,
    /// How often CiliumEndpoints without a pod are looked for; 0 for never
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "DURATION")]
    pub cilium_endpoint_gc_interval: Duration,
    /// How often CiliumNodes without a Node are looked for; 0 for never
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "DURATION")]
    pub nodes_gc_interval: Duration,
    /// Whether CiliumEndpointSlices are kept
    #[arg(long, default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub enable_cilium_endpoint_slice: bool,
    /// Endpoints in one CiliumEndpointSlice
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    pub ces_max_ciliumendpoints_per_ces: usize,
    /// Label selector of the pods that are restarted when no agent has connected them
    #[arg(long, default_value = "k8s-app=kube-dns", value_name = "SELECTOR")]
    pub pod_restart_selector: LabelSelector,
    /// How often such pods are looked for; a number is seconds; 0 for never
    #[arg(long, default_value = "15", value_parser = duration, value_name = "DURATION")]
    pub unmanaged_pod_watcher_interval: Duration,
    /// Whether the taint of nodes whose network is up is removed
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub remove_cilium_node_taints: bool,
    /// Whether nodes with an agent's pod that is not ready get that taint, which keeps new pods away
    #[arg(long, default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub set_cilium_node_taints: bool,
    /// Whether the condition NetworkUnavailable of nodes whose network is up is set to False
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub set_cilium_is_up_condition: bool,
    /// Label selector of the agents' pods
    #[arg(long, default_value = "k8s-app=cilium", value_name = "SELECTOR")]
    pub cilium_pod_labels: LabelSelector,
    /// Namespace of the agents' pods; any where it is empty
    #[arg(long, default_value = "", value_name = "NAMESPACE")]
    pub cilium_pod_namespace: String,
    /// Which labels make identities, as patterns apart by spaces
    #[arg(long, default_value = "", value_name = "PATTERNS")]
    pub labels: LabelFilter,
    /// Name of the cluster, which pods carry as a label
    #[arg(long, default_value_t, value_name = "NAME")]
    pub cluster_name: ClusterName,
    /// Whether the custom resources are left as they are
    #[arg(long, default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub skip_crd_creation: bool,
    /// Address of the health endpoint
    #[arg(long, default_value = "localhost:9234", value_name = "HOST:PORT")]
    pub operator_api_serve_addr: Listen,
    /// Address of the metrics endpoint
    #[arg(long, default_value = ":9963", value_name = "[HOST]:PORT")]
    pub operator_prometheus_serve_addr: Listen,
    /// Whether there is a metrics endpoint
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub enable_metrics: bool,
}

/// What was configured, checked.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) ipam: IpamMode,
    pub(crate) pools: Vec<ClusterPool>,
    pub(crate) release_delay: Duration,
    /// Where the operator manages ENIs.
    pub(crate) eni: Option<EniOptions>,
    pub(crate) identity_management: IdentityManagement,
    pub(crate) identity_gc_interval: Duration,
    pub(crate) identity_heartbeat_timeout: Duration,
    pub(crate) identity_gc_rate_interval: Duration,
    pub(crate) identity_gc_rate_limit: u32,
    pub(crate) endpoint_gc_interval: Duration,
    pub(crate) nodes_gc_interval: Duration,
    pub(crate) endpoint_slices: bool,
    pub(crate) endpoints_per_slice: usize,
    pod_restart_selector: LabelSelector,
    pub(crate) unmanaged_pods_interval: Duration,
    pub(crate) nodes: Allowed,
    agents: LabelSelector,
    agents_namespace: String,
    pub(crate) labelling: PodLabelling,
}

impl Keys {
    /// Checks what depends on one another.
    ///
    /// # Errors
    ///
    /// Names the keys that do not fit.
    pub fn options(&self) -> Result<Options> {
        let mut pools = Vec::new();
        if self.ipam == IpamMode::ClusterPool {
            let families = [
                (self.enable_ipv4, "ipv4", &self.cluster_pool_ipv4_cidr, self.cluster_pool_ipv4_mask_size),
                (self.enable_ipv6, "ipv6", &self.cluster_pool_ipv6_cidr, self.cluster_pool_ipv6_mask_size),
            ];
            for (_, family, cidrs, size) in families.into_iter().filter(|(enabled, ..)| *enabled) {
                let pool = ClusterPool::new(&cidrs.0, size)
                    .with_context(|| format!("cluster-pool-{family}-cidr"))?;
                if pool.family().to_string().to_lowercase() != family {
                    bail!("cluster-pool-{family}-cidr: {} ranges", pool.family());
                }
                pools.push(pool);
            }
        }
        let enis = self.ipam == IpamMode::Eni;
        let eni = enis.then(|| self.eni.options(&self.cluster_name)).transpose()?;
        if self.ces_max_ciliumendpoints_per_ces == 0 {
            bail!("ces-max-ciliumendpoints-per-ces is 0");
        }
        if self.identity_gc_rate_limit == 0 || self.identity_gc_rate_interval.is_zero() {
            bail!("identity-gc-rate-limit and identity-gc-rate-interval must not be 0");
        }
        Ok(Options {
            ipam: self.ipam,
            pools,
            release_delay: self.cluster_pool_release_delay,
            eni,
            identity_management: self.identity_management_mode,
            identity_gc_interval: self.identity_gc_interval,
            identity_heartbeat_timeout: self.identity_heartbeat_timeout,
            identity_gc_rate_interval: self.identity_gc_rate_interval,
            identity_gc_rate_limit: self.identity_gc_rate_limit,
            endpoint_gc_interval: self.cilium_endpoint_gc_interval,
            nodes_gc_interval: self.nodes_gc_interval,
            endpoint_slices: self.enable_cilium_endpoint_slice,
            endpoints_per_slice: self.ces_max_ciliumendpoints_per_ces,
            pod_restart_selector: self.pod_restart_selector.clone(),
            unmanaged_pods_interval: self.unmanaged_pod_watcher_interval,
            nodes: Allowed {
                remove_taint: self.remove_cilium_node_taints,
                set_taint: self.set_cilium_node_taints,
                set_condition: self.set_cilium_is_up_condition,
            },
            agents: self.cilium_pod_labels.clone(),
            agents_namespace: self.cilium_pod_namespace.clone(),
            labelling: PodLabelling { filter: self.labels.clone(), cluster: self.cluster_name.clone() },
        })
    }

    /// Checks all that can be known before anything is asked: what [`options`](Self::options) and
    /// [`timing`](Self::timing) refuse.
    ///
    /// # Errors
    ///
    /// Names the keys that do not fit.
    pub fn check(&self) -> Result<()> {
        self.options()?;
        self.timing()?;
        Ok(())
    }

    /// The operator's own namespace: that which is named, else its pod's, else the one where operators usually are.
    #[must_use]
    pub fn namespace(&self) -> String {
        self.namespace_of(Path::new(OWN_NAMESPACE))
    }

    fn namespace_of(&self, file: &Path) -> String {
        let of_pod = || std::fs::read_to_string(file).ok().map(|text| text.trim().to_owned());
        let known = self.k8s_namespace.clone().or_else(of_pod).filter(|name| !name.is_empty());
        known.unwrap_or_else(|| USUAL_NAMESPACE.to_owned())
    }

    /// How long the election takes its time.
    ///
    /// # Errors
    ///
    /// When the times are not in their order.
    pub fn timing(&self) -> Result<Timing> {
        let timing = Timing {
            duration: self.leader_election_lease_duration,
            renew_deadline: self.leader_election_renew_deadline,
            retry_period: self.leader_election_retry_period,
        };
        // The API knows whole seconds only.
        if timing.duration.subsec_nanos() != 0 || timing.duration.is_zero() {
            bail!("leader-election-lease-duration must be whole seconds");
        }
        if timing.duration <= timing.renew_deadline || timing.renew_deadline <= timing.retry_period {
            bail!(
                "leader-election-lease-duration must be longer than leader-election-renew-deadline, and that longer \
                 than leader-election-retry-period"
            );
        }
        Ok(timing)
    }

    /// How many requests may be sent; none for no limit.
    #[must_use]
    pub fn rate(&self) -> Option<Rate> {
        let per_second = self.k8s_client_qps;
        (per_second > 0.0).then_some(Rate { per_second, burst: self.k8s_client_burst })
    }
}

impl Options {
    /// Whether a pod is an agent's.
    pub(crate) fn is_agent(&self, namespace: &str, pod: &PodView) -> bool {
        (self.agents_namespace.is_empty() || self.agents_namespace == namespace) && selects(&self.agents, pod)
    }

    /// Whether a pod that no agent has connected is restarted.
    pub(crate) fn is_restarted(&self, pod: &PodView) -> bool {
        selects(&self.pod_restart_selector, pod)
    }

    /// Whether a selector of pods names this key.
    pub(crate) fn asks_for_pod_label(&self, key: &str) -> bool {
        self.agents.names(key) || self.pod_restart_selector.names(key)
    }
}

fn selects(selector: &LabelSelector, pod: &PodView) -> bool {
    selector.matches(|key| pod.labels.get(key).map(String::as_str))
}

/// A time as in Go (`1h30m`, `15m0s`, `0`); a number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let duration: jiff::SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    duration.try_into().map_err(|_| format!("{text:?} is less than nothing"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        keys: Keys,
    }

    fn keys(text: &str) -> Keys {
        Command::parse_from(["operator"].into_iter().chain(text.split_whitespace())).keys
    }

    #[test]
    fn defaults_are_the_references() {
        let keys = keys("");
        assert_eq!(keys.identity_gc_interval, Duration::from_secs(900));
        assert_eq!(keys.timing().unwrap(), Timing::default());
        assert_eq!(keys.options().unwrap_err().to_string(), "cluster-pool-ipv4-cidr");
    }

    #[test]
    fn its_own_namespace() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("namespace");
        assert_eq!(keys("").namespace_of(&file), "kube-system", "in no pod");
        std::fs::write(&file, "network\n").unwrap();
        assert_eq!(keys("").namespace_of(&file), "network");
        assert_eq!(keys("--k8s-namespace other").namespace_of(&file), "other");
    }

    #[test]
    fn durations_as_in_go() {
        assert_eq!(duration("15m0s"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("15"), Ok(Duration::from_secs(15)));
        assert!(duration("-1s").is_err());
        assert!(duration("soon").is_err());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let wrong = |text: &str| format!("{:#}", keys(text).options().unwrap_err());
        assert_eq!(
            wrong("--cluster-pool-ipv4-cidr 10.0.0.0/16,10.0.1.0/24"),
            "cluster-pool-ipv4-cidr: 10.0.0.0/16 and 10.0.1.0/24 overlap"
        );
        assert_eq!(
            wrong("--cluster-pool-ipv4-cidr fd00::/8 --cluster-pool-ipv4-mask-size 64"),
            "cluster-pool-ipv4-cidr: IPv6 ranges"
        );
        // Amazon's own endpoints want signatures.
        let refused = keys("--ipam eni").options().map_err(|error| error.to_string()).err();
        match cfg!(feature = "aws") {
            true => assert_eq!(refused, None),
            false => assert!(refused.is_some_and(|why| why.contains("needs a build with the feature aws"))),
        }
        let eni = "--ipam eni --ec2-api-endpoint http://127.0.0.1:1";
        assert!(keys(eni).options().unwrap().eni.is_some());
        assert_eq!(
            wrong(&format!("{eni} --aws-max-results-per-call 4")),
            "aws-max-results-per-call: 4 is not within 5 to 1000"
        );
        let both =
            "--cluster-pool-ipv4-cidr 10.0.0.0/8 --enable-ipv6 true --cluster-pool-ipv6-cidr fd00::/104";
        assert_eq!(keys(both).options().unwrap().pools.len(), 2);
        assert!(keys("--leader-election-renew-deadline 15s").timing().is_err());
    }
}
