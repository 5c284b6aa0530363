use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::metadata::is_default;
use crate::resource::resource;

/// A pool that nodes get pod CIDRs from in multi-pool mode.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct CiliumPodIPPool {
    /// The pool's name.
    #[serde(default, deserialize_with = "crate::metadata::deserialize")]
    pub metadata: ObjectMeta,
    /// The pool.
    pub spec: IpPoolSpec,
}

/// The spec of a [`CiliumPodIPPool`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IpPoolSpec {
    /// IPv4 CIDRs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<PoolFamily>,
    /// IPv6 CIDRs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<PoolFamily>,
    /// Whether a CIDR's first address is a pod's.
    #[serde(rename = "allowFirstIP", skip_serializing_if = "is_default")]
    pub allow_first_ip: bool,
    /// Whether a CIDR's last address is a pod's.
    #[serde(rename = "allowLastIP", skip_serializing_if = "is_default")]
    pub allow_last_ip: bool,
    /// The pods that use it without asking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// The namespaces of such pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

/// One family of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolFamily {
    /// The CIDRs that it consists of.
    pub cidrs: Vec<String>,
    /// The prefix length of what one node gets.
    pub mask_size: u8,
}

resource!(CiliumPodIPPool, "ciliumpodippools", "v2alpha1", ClusterResourceScope);
