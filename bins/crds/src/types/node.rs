//! CiliumNode: what the nodes tell each other about themselves.

use std::collections::BTreeMap;

use kube::core::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::endpoint::AddressPair;
use crate::metadata::is_default;
use crate::resource::resource;

mod eni;
mod ipam;

pub use eni::{Eni, EniSpec, EniStatus, EniSubnet, EniVpc};
pub use ipam::{
    AllocatedPool, AllocationIp, IpamSpec, IpamStatus, OperatorStatus, PodCidrStatus, PoolDemand, Pools,
    RequestedPool,
};

/// The annotation with which an agent says whether its node can connect pods: `"true"` or `"false"`.
pub const CNI_READY_ANNOTATION: &str = "netloom.io/cni-ready";

/// A node: named as the Node, owned by it. Its agent writes it; in some address modes the operator writes
/// `spec.ipam` and the status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct CiliumNode {
    /// Name, the Node's labels, the reference to it.
    #[serde(default, deserialize_with = "crate::metadata::deserialize")]
    pub metadata: ObjectMeta,
    /// What its agent, and for addresses the operator, wants.
    pub spec: NodeSpec,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<NodeStatus>,
}

/// The spec of a [`CiliumNode`], without that of other clouds than AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct NodeSpec {
    /// The cloud's id of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Changes with every boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootid: Option<String>,
    /// All addresses of the node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<NodeAddress>,
    /// The addresses of its health endpoint.
    #[serde(skip_serializing_if = "is_default")]
    pub health: AddressPair,
    /// The addresses of its ingress listener.
    #[serde(skip_serializing_if = "is_default")]
    pub ingress: AddressPair,
    /// The key that it encrypts with.
    #[serde(skip_serializing_if = "is_default")]
    pub encryption: Encryption,
    /// Wishes about its ENIs (AWS).
    #[serde(skip_serializing_if = "is_default")]
    pub eni: EniSpec,
    /// Its pod addresses.
    #[serde(skip_serializing_if = "is_default")]
    pub ipam: IpamSpec,
}

/// An address of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeAddress {
    /// One of [`address_type`]'s constants.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub type_: String,
    /// The address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ip: String,
}

/// The types of a [`NodeAddress`].
pub mod address_type {
    /// Reachable from the other nodes.
    pub const INTERNAL_IP: &str = "InternalIP";
    /// Reachable from outside.
    pub const EXTERNAL_IP: &str = "ExternalIP";
    /// The host's own address in the pod network.
    pub const CILIUM_INTERNAL_IP: &str = "CiliumInternalIP";
    /// A name.
    pub const HOSTNAME: &str = "Hostname";
}

/// The key that a node encrypts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Encryption {
    /// 0 is none.
    #[serde(skip_serializing_if = "is_default")]
    pub key: i64,
}

/// The status of a [`CiliumNode`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Its ENIs (AWS).
    #[serde(skip_serializing_if = "is_default")]
    pub eni: EniStatus,
    /// Its pod addresses.
    #[serde(skip_serializing_if = "is_default")]
    pub ipam: IpamStatus,
}

/// Names and values, as of tags.
pub type Tags = BTreeMap<String, String>;

resource!(CiliumNode, "ciliumnodes", "v2", ClusterResourceScope);
