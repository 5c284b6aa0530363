use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Tags;
use crate::metadata::is_default;

/// The pod addresses that a node has, and how many it wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct IpamSpec {
    /// Single IPv4 addresses that it may give to pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pool: BTreeMap<String, AllocationIp>,
    /// Single IPv6 addresses that it may give to pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ipv6_pool: BTreeMap<String, AllocationIp>,
    /// CIDRs of named pools.
    #[serde(skip_serializing_if = "is_default")]
    pub pools: Pools,
    /// Its pod CIDRs.
    #[serde(rename = "podCIDRs", skip_serializing_if = "Vec::is_empty")]
    pub pod_cidrs: Vec<String>,
    /// How many addresses it has at least.
    #[serde(skip_serializing_if = "is_default")]
    pub min_allocate: u64,
    /// How many addresses it has at most; 0 is no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub max_allocate: u64,
    /// How many free addresses it has at least.
    #[serde(skip_serializing_if = "is_default")]
    pub pre_allocate: u64,
    /// How many more are taken when a call to the cloud is made anyway.
    #[serde(skip_serializing_if = "is_default")]
    pub max_above_watermark: u64,
    /// Tags of the public address to bind to the node.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub static_ip_tags: Tags,
}

/// Whose an address is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllocationIp {
    /// Who has it: `namespace/name` of a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Where it comes from: an ENI's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
}

/// Named pools.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pools {
    /// What the node asks for; its agent writes this.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requested: Vec<RequestedPool>,
    /// What it got; the operator writes this.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allocated: Vec<AllocatedPool>,
}

/// How much a node wants of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedPool {
    /// The pool's name.
    pub pool: String,
    /// How many addresses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub needed: PoolDemand,
}

/// A number of addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct PoolDemand {
    /// IPv4.
    #[serde(skip_serializing_if = "is_default")]
    pub ipv4_addrs: i64,
    /// IPv6.
    #[serde(skip_serializing_if = "is_default")]
    pub ipv6_addrs: i64,
}

/// What a node has of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocatedPool {
    /// The pool's name.
    pub pool: String,
    /// Whether a CIDR's first address is a pod's.
    #[serde(rename = "allowFirstIP", default, skip_serializing_if = "is_default")]
    pub allow_first_ip: bool,
    /// Whether a CIDR's last address is a pod's.
    #[serde(rename = "allowLastIP", default, skip_serializing_if = "is_default")]
    pub allow_last_ip: bool,
    /// The CIDRs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cidrs: Vec<String>,
}

/// What came of a node's wishes for addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct IpamStatus {
    /// IPv4 addresses of the pool that are in use.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub used: BTreeMap<String, AllocationIp>,
    /// IPv6 addresses of the pool that are in use.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ipv6_used: BTreeMap<String, AllocationIp>,
    /// What became of each pod CIDR.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_cidrs: BTreeMap<String, PodCidrStatus>,
    /// What hinders the operator.
    #[serde(skip_serializing_if = "is_default")]
    pub operator_status: OperatorStatus,
    /// The handshake about giving IPv4 addresses back.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub release_ips: Tags,
    /// The handshake about giving IPv6 addresses back.
    #[serde(rename = "release-ipv6s", skip_serializing_if = "Tags::is_empty")]
    pub release_ipv6s: Tags,
    /// The public address that was bound to the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned_static_ip: Option<String>,
}

/// What became of a pod CIDR: `released`, `depleted` or `in-use`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodCidrStatus {
    /// The word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// What hinders the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OperatorStatus {
    /// A sentence, or nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
