//! The other end of a connection, as a subject's policies see it.

use std::net::IpAddr;
use std::sync::Arc;

use abi::Identity;

use super::Oracle;
use super::labels::Labels;
use super::pod::PodLabels;
use crate::label::Source;
use crate::manifest::{ContainerPort, Node, Pod};

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub enum Party<'a> {
    /// A pod. One on the host's network is its node.
    Pod(&'a Pod),
    /// A node: the subject's own, or another.
    Node(&'a Node),
    /// Anything else, by its fixed identity. [`Party::outside`] has those of addresses outside the cluster.
    Reserved(Identity),
}

impl Party<'_> {
    /// Whoever has an address that is neither a pod's nor a node's.
    #[must_use]
    pub const fn outside(addr: IpAddr) -> Self {
        Self::Reserved(if addr.is_ipv4() { Identity::WORLD_IPV4 } else { Identity::WORLD_IPV6 })
    }
}

/// A [`Party`], with all that rules may ask of it.
pub(super) struct Peer<'a> {
    pub(super) kind: Kind<'a>,
    /// What Cilium's label selectors see, where it is no pod.
    labels: Labels,
    pub(super) addr: Option<IpAddr>,
}

/// What a peer is.
#[derive(Clone)]
pub(super) enum Kind<'a> {
    /// A pod with an address of its own.
    Pod(Arc<PodLabels>, &'a [ContainerPort]),
    /// The node that the subject runs on, or is.
    OwnNode(Option<&'a Node>),
    /// Another node.
    OtherNode(Option<&'a Node>),
    /// Nothing of the cluster.
    Outside,
    /// A health endpoint, an ingress proxy….
    Other,
}

impl<'a> Peer<'a> {
    /// `own_node`: the name of the node that the subject runs on, or is.
    pub(super) fn new(
        oracle: &'a Oracle,
        own_node: Option<&str>,
        party: Party<'a>,
        addr: Option<IpAddr>,
    ) -> Self {
        match party {
            Party::Pod(pod) if pod.host_network => {
                let name = pod.node_name.as_deref();
                let node = name.and_then(|name| oracle.nodes.get(name));
                Self::node(oracle, name.is_some() && name == own_node, node, addr)
            }
            Party::Pod(pod) => {
                Self { kind: Kind::Pod(oracle.pod_labels(pod), &pod.ports), labels: Labels::default(), addr }
            }
            Party::Node(node) => {
                Self::node(oracle, Some(node.meta.name.as_str()) == own_node, Some(node), addr)
            }
            Party::Reserved(Identity::HOST) => Self::node(oracle, true, None, addr),
            Party::Reserved(Identity::REMOTE_NODE) => Self::node(oracle, false, None, addr),
            Party::Reserved(Identity::KUBE_APISERVER) => {
                let mut peer = Self::node(oracle, false, None, addr);
                peer.labels.add_reserved("kube-apiserver");
                peer
            }
            Party::Reserved(identity) => Self::reserved(oracle, identity, addr),
        }
    }

    fn node(oracle: &Oracle, own: bool, node: Option<&'a Node>, addr: Option<IpAddr>) -> Self {
        let mut labels = Labels::default();
        labels.add_reserved(if own { "host" } else { "remote-node" });
        if let Some(node) = node {
            labels.add_all(Source::Node, &node.meta.labels);
        }
        let mut addresses = node.iter().flat_map(|node| &node.addresses).chain(&addr);
        if addresses.any(|addr| oracle.apiserver.contains(addr)) {
            labels.add_reserved("kube-apiserver");
        }
        let kind = if own { Kind::OwnNode(node) } else { Kind::OtherNode(node) };
        Self { kind, labels, addr }
    }

    fn reserved(oracle: &Oracle, identity: Identity, addr: Option<IpAddr>) -> Self {
        let name = match identity {
            Identity::WORLD => Some("world"),
            Identity::WORLD_IPV4 => Some("world-ipv4"),
            Identity::WORLD_IPV6 => Some("world-ipv6"),
            Identity::UNMANAGED => Some("unmanaged"),
            Identity::HEALTH => Some("health"),
            Identity::INIT => Some("init"),
            Identity::INGRESS => Some("ingress"),
            _ => None,
        };
        let kind = if identity.is_world() { Kind::Outside } else { Kind::Other };
        let mut labels = Labels::default();
        if let Some(name) = name {
            labels.add_reserved(name);
        }
        if identity.is_world() {
            labels.add_reserved("world");
        }
        // The API server of a managed cluster is no node of it.
        if matches!(kind, Kind::Outside) && addr.is_some_and(|addr| oracle.apiserver.contains(&addr)) {
            labels.add_reserved("kube-apiserver");
        }
        Self { kind, labels, addr }
    }

    /// What Cilium's label selectors see.
    pub(super) fn labels(&self) -> &Labels {
        match &self.kind {
            Kind::Pod(pod, _) => &pod.cilium,
            _ => &self.labels,
        }
    }

    /// The container ports that may have names; none where it is no pod.
    pub(super) const fn ports(&self) -> &'a [ContainerPort] {
        match self.kind {
            Kind::Pod(_, ports) => ports,
            _ => &[],
        }
    }

    /// Whether a CIDR rule of Cilium's policies can be about it at all.
    pub(super) const fn is_matched_by_cidrs(&self, nodes_too: bool) -> bool {
        match self.kind {
            Kind::Outside => true,
            Kind::OwnNode(_) | Kind::OtherNode(_) => nodes_too,
            Kind::Pod(..) | Kind::Other => false,
        }
    }
}
