use kube::core::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::resource::resource;

/// A named set of CIDRs that policies refer to by name or by label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct CiliumCIDRGroup {
    /// Name and labels.
    #[serde(default, deserialize_with = "crate::metadata::deserialize")]
    pub metadata: ObjectMeta,
    /// The set.
    pub spec: CidrGroupSpec,
}

/// The CIDRs of a [`CiliumCIDRGroup`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CidrGroupSpec {
    /// CIDRs of both families.
    #[serde(rename = "externalCIDRs")]
    pub external_cidrs: Vec<String>,
}

resource!(CiliumCIDRGroup, "ciliumcidrgroups", "v2", ClusterResourceScope);
