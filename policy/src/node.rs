//! The labels of nodes, as peers and as subjects.

use abi::Identity;

use crate::identity::reserved_labels;
use crate::label::{Label, LabelSet, Source};
use crate::manifest::Node;

/// The labels of a node as a peer: those of its fixed identity ([`Identity::HOST`] for the subject's own node,
/// [`Identity::REMOTE_NODE`] for others, [`Identity::KUBE_APISERVER`] where it serves the API), and the node's own with
/// the source `node`.
#[must_use]
pub fn node_labels(node: &Node, identity: Identity) -> LabelSet {
    let own = node.meta.labels.iter().map(|(key, value)| Label::new(Source::Node, key, value));
    reserved_labels(identity).iter().cloned().chain(own).collect()
}

/// The labels of a node as a subject of host policies: `reserved:host`, and the node's own with the source `k8s`.
#[must_use]
pub fn host_labels(node: &Node) -> LabelSet {
    let own = node.meta.labels.iter().map(|(key, value)| Label::k8s(key, value));
    reserved_labels(Identity::HOST).iter().cloned().chain(own).collect()
}
