use kube::core::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::node::Encryption;
use crate::metadata::is_default;
use crate::resource::resource;

/// A pod that is connected to the network: named as the pod, owned by it, written by the agent of its node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct CiliumEndpoint {
    /// Name and namespace of the pod, and the reference to it.
    #[serde(default, deserialize_with = "crate::metadata::deserialize")]
    pub metadata: ObjectMeta,
    /// What is known of the endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<EndpointStatus>,
}

/// The fields of a [`CiliumEndpoint`] that agents and operators read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct EndpointStatus {
    /// The agent's own number for it, unique on its node.
    #[serde(skip_serializing_if = "is_default")]
    pub id: i64,
    /// The number of its labels, and the labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<EndpointIdentity>,
    /// Its addresses and its node's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networking: Option<EndpointNetworking>,
    /// The key that its node encrypts with.
    #[serde(skip_serializing_if = "is_default")]
    pub encryption: Encryption,
    /// Container and pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_identifiers: Option<EndpointIdentifiers>,
    /// Ports that policies can name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub named_ports: Vec<NamedPort>,
    /// Whether policy is enforced, by direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<EndpointPolicy>,
    /// The pod's service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// One of [`state`]'s constants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// The states that the schema knows.
pub mod state {
    /// Its links and addresses are being made.
    pub const CREATING: &str = "creating";
    /// Its labels have no number yet.
    pub const WAITING_FOR_IDENTITY: &str = "waiting-for-identity";
    /// It has a number, and its policy is not in force yet.
    pub const NOT_READY: &str = "not-ready";
    /// A policy changed that it is subject to.
    pub const WAITING_TO_REGENERATE: &str = "waiting-to-regenerate";
    /// The changed policy is being written.
    pub const REGENERATING: &str = "regenerating";
    /// The agent started anew and takes it over.
    pub const RESTORING: &str = "restoring";
    /// Its policy is in force.
    pub const READY: &str = "ready";
    /// It is being disconnected.
    pub const DISCONNECTING: &str = "disconnecting";
    /// It is no more.
    pub const DISCONNECTED: &str = "disconnected";
    /// It could not be made.
    pub const INVALID: &str = "invalid";

    /// All of them.
    pub const ALL: [&str; 10] = [
        CREATING,
        WAITING_FOR_IDENTITY,
        NOT_READY,
        WAITING_TO_REGENERATE,
        REGENERATING,
        RESTORING,
        READY,
        DISCONNECTING,
        DISCONNECTED,
        INVALID,
    ];
}

/// Who an endpoint is to policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointIdentity {
    /// The number; 0 is none.
    #[serde(skip_serializing_if = "is_default")]
    pub id: i64,
    /// Labels as text: `k8s:app=web`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

/// Where an endpoint is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointNetworking {
    /// Its addresses, in pairs of an IPv4 and an IPv6 one.
    pub addressing: Vec<AddressPair>,
    /// The address of its node that other nodes reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// An address of each family, or one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AddressPair {
    /// The IPv4 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<String>,
    /// The IPv6 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<String>,
}

/// What others call an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct EndpointIdentifiers {
    /// `container-id:interface`, unique to one attachment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cni_attachment_id: Option<String>,
    /// The runtime's id of the sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// The pod's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k8s_namespace: Option<String>,
    /// The pod's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k8s_pod_name: Option<String>,
    /// `namespace/name` of the pod; older readers use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
}

/// A port that has a name in the pod's spec.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NamedPort {
    /// The name that policies use.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The number.
    #[serde(skip_serializing_if = "is_default")]
    pub port: i64,
    /// `TCP`, `UDP`, `SCTP` or `ANY`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
}

/// What policy does to an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointPolicy {
    /// Traffic to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<PolicyDirection>,
    /// Traffic from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<PolicyDirection>,
}

/// One direction of an [`EndpointPolicy`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyDirection {
    /// Whether what no rule allows is dropped.
    pub enforcing: bool,
    /// `enforcing`, `non-enforcing` or `disabled`: what `kubectl get -o wide` shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

resource!(CiliumEndpoint, "ciliumendpoints", "v2", NamespaceResourceScope);
