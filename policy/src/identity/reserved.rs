//! Fixed identities.

use abi::Identity;

use crate::label::{Label, LabelSet};

/// The labels of a fixed identity, as in Cilium's `pkg/identity`. Empty for any other.
#[must_use]
pub fn reserved_labels(identity: Identity) -> LabelSet {
    let names: &[&str] = match identity {
        Identity::HOST => &["host"],
        Identity::WORLD => &["world"],
        Identity::UNMANAGED => &["unmanaged"],
        Identity::HEALTH => &["health"],
        Identity::INIT => &["init"],
        Identity::REMOTE_NODE => &["remote-node"],
        Identity::KUBE_APISERVER => &["kube-apiserver", "remote-node"],
        Identity::INGRESS => &["ingress"],
        Identity::WORLD_IPV4 => &["world", "world-ipv4"],
        Identity::WORLD_IPV6 => &["world", "world-ipv6"],
        _ => &[],
    };
    names.iter().map(|name| Label::reserved(name)).collect()
}
