use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::resource::resource;

/// Configuration keys for some nodes, over those of the ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct CiliumNodeConfig {
    /// Name and namespace.
    #[serde(default, deserialize_with = "crate::metadata::deserialize")]
    pub metadata: ObjectMeta,
    /// Keys, and the nodes they are for.
    pub spec: NodeConfigSpec,
}

/// The spec of a [`CiliumNodeConfig`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeConfigSpec {
    /// Keys and values as in the ConfigMap.
    pub defaults: BTreeMap<String, String>,
    /// The nodes, by their labels.
    pub node_selector: LabelSelector,
}

resource!(CiliumNodeConfig, "ciliumnodeconfigs", "v2", NamespaceResourceScope);
