use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::resource::resource;

/// A policy of one namespace. Its rules are JSON here: `policy::manifest` reads them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct CiliumNetworkPolicy {
    /// Name and namespace.
    #[serde(default, deserialize_with = "crate::metadata::deserialize")]
    pub metadata: ObjectMeta,
    /// One rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Value>,
    /// Several rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specs: Option<Value>,
    /// Whether it is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<NetworkPolicyStatus>,
}

/// A policy of the whole cluster; it can select nodes too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct CiliumClusterwideNetworkPolicy {
    /// Name.
    #[serde(default, deserialize_with = "crate::metadata::deserialize")]
    pub metadata: ObjectMeta,
    /// One rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Value>,
    /// Several rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specs: Option<Value>,
    /// Whether it is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<NetworkPolicyStatus>,
}

/// The status of both policy kinds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicyStatus {
    /// `Valid`, and whatever others add.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<NetworkPolicyCondition>,
    /// The policies that were made from this one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub derivative_policies: BTreeMap<String, Value>,
}

/// One condition. It has no `observedGeneration`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicyCondition {
    /// `Valid`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// When the status changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// Why, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

resource!(CiliumNetworkPolicy, "ciliumnetworkpolicies", "v2", NamespaceResourceScope);
resource!(CiliumClusterwideNetworkPolicy, "ciliumclusterwidenetworkpolicies", "v2", ClusterResourceScope);
