use std::collections::BTreeMap;

use kube::core::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::resource::resource;

/// The annotation with which the operator marks an identity that nothing uses; an RFC 3339 time.
pub const HEARTBEAT_ANNOTATION: &str = "io.cilium.heartbeat";

/// A set of labels and its number. The number is the object's name, in decimal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct CiliumIdentity {
    /// The number as name; the label `io.kubernetes.pod.namespace` for who lists by namespace.
    #[serde(default, deserialize_with = "crate::metadata::deserialize")]
    pub metadata: ObjectMeta,
    /// The labels, keys with their source: `k8s:app` → `web`. This is what the number stands for.
    #[serde(rename = "security-labels")]
    pub security_labels: BTreeMap<String, String>,
}

impl CiliumIdentity {
    /// The number, if the name is one.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        // "+7" and "007" parse as numbers, but no object of ours is called that: two names would mean one number.
        let name = self.metadata.name.as_deref()?;
        let number: u32 = name.parse().ok()?;
        (number.to_string() == name).then_some(number)
    }
}

resource!(CiliumIdentity, "ciliumidentities", "v2", ClusterResourceScope);
