use kube::core::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::endpoint::{EndpointNetworking, NamedPort};
use super::node::Encryption;
use crate::metadata::is_default;
use crate::resource::resource;

/// Many endpoints of one namespace in one object, so that a watch sees fewer of them. Made by the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct CiliumEndpointSlice {
    /// A generated name.
    #[serde(default, deserialize_with = "crate::metadata::deserialize")]
    pub metadata: ObjectMeta,
    /// The namespace of all endpoints in it. The slice itself is in none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The endpoints.
    pub endpoints: Vec<CoreEndpoint>,
}

/// What other nodes need to know of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct CoreEndpoint {
    /// The pod's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The number of its **identity**.
    #[serde(skip_serializing_if = "is_default")]
    pub id: i64,
    /// The pod's uid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Its addresses and its node's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networking: Option<EndpointNetworking>,
    /// The key that its node encrypts with.
    #[serde(skip_serializing_if = "is_default")]
    pub encryption: Encryption,
    /// Ports that policies can name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub named_ports: Vec<NamedPort>,
    /// The pod's service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
}

resource!(CiliumEndpointSlice, "ciliumendpointslices", "v2alpha1", ClusterResourceScope);
