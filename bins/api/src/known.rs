//! What a node knows of the cluster, so that whoever changed the cluster can tell whether the change has arrived.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What a node knows and enforces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Whether something of this is known, and not enforced yet.
    pub pending: bool,
    /// The objects that the source sent with a version, invalid ones included.
    pub objects: Vec<KnownObject>,
    /// Everybody in the cluster, by address.
    pub peers: BTreeMap<IpAddr, KnownPeer>,
}

/// An object, and which version of it is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KnownObject {
    /// Its kind, such as `CiliumNetworkPolicy`.
    pub kind: String,
    /// Its namespace; none for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its `metadata.resourceVersion`, which is to be compared and not to be understood.
    pub version: String,
}

/// Who has an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPeer {
    /// The identity's number.
    pub identity: u32,
    /// The identity's labels, as `source:key=value`.
    pub labels: Vec<String>,
}
