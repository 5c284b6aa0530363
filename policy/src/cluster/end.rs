//! The ends of connections.

use std::net::IpAddr;

use abi::Identity;

use super::Cluster;
use crate::manifest::{Node, Object, Pod};

/// Who is at one end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// A pod with a network of its own, by its index.
    Pod(usize),
    /// A node, by its index; its host-network pods too.
    Node(usize),
    /// Whoever lies outside the cluster.
    Outside,
    /// Whoever has this fixed identity, and no address that is known.
    Fixed(Identity),
}

/// An end of a connection, and the addresses that it may use for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Party {
    /// Who it is.
    pub end: End,
    /// Its addresses; none where they are not known.
    pub addresses: Vec<IpAddr>,
}

impl Party {
    /// Its first address of the wanted family; its first of any where it has none of that.
    #[must_use]
    pub fn address(&self, ipv4: Option<bool>) -> Option<IpAddr> {
        let fits = |addr: &&IpAddr| ipv4.is_none_or(|ipv4| addr.is_ipv4() == ipv4);
        self.addresses.iter().find(fits).or(self.addresses.first()).copied()
    }

    /// Whether it has an address of this family.
    #[must_use]
    pub fn has_family(&self, ipv4: bool) -> bool {
        self.addresses.iter().any(|addr| addr.is_ipv4() == ipv4)
    }
}

impl Cluster {
    /// A pod, or the node that it is where it uses the node's network.
    #[must_use]
    pub fn party_of_pod(&self, pod: usize) -> Party {
        let facts = &self.pods()[pod];
        match facts.node {
            Some(node) if facts.host_network => self.party_of_node(node),
            _ => Party { end: End::Pod(pod), addresses: facts.addresses.clone() },
        }
    }

    /// A node, with all its addresses.
    #[must_use]
    pub fn party_of_node(&self, node: usize) -> Party {
        Party { end: End::Node(node), addresses: self.nodes()[node].addresses.clone() }
    }

    /// Whoever has an address.
    #[must_use]
    pub fn party_at(&self, addr: IpAddr) -> Party {
        Party { end: self.owner(addr), addresses: vec![addr] }
    }

    /// The object of a pod.
    #[must_use]
    pub fn pod_object(&self, pod: usize) -> Option<&Pod> {
        match self.objects().get(self.pods().get(pod)?.object) {
            Some(Object::Pod(pod)) => Some(pod),
            _ => None,
        }
    }

    /// The object of a node.
    #[must_use]
    pub fn node_object(&self, node: usize) -> Option<&Node> {
        match self.objects().get(self.nodes().get(node)?.object) {
            Some(Object::Node(node)) => Some(node),
            _ => None,
        }
    }

    /// What people call an end: `shop/web-0`, `node n1`, `world`.
    #[must_use]
    pub fn describe(&self, end: End) -> String {
        match end {
            End::Pod(pod) => self
                .pod_object(pod)
                .map_or_else(String::new, |pod| format!("{}/{}", pod.meta.namespace(), pod.meta.name)),
            End::Node(node) => {
                self.node_object(node).map_or_else(String::new, |node| format!("node {}", node.meta.name))
            }
            End::Outside => "world".to_owned(),
            End::Fixed(identity) => crate::identity::reserved_labels(identity)
                .iter()
                .next()
                .map_or_else(|| format!("identity {}", identity.0), |label| label.key.clone()),
        }
    }

    /// The node that an end is on, or is.
    #[must_use]
    pub fn node_of(&self, end: End) -> Option<usize> {
        match end {
            End::Pod(pod) => self.pods()[pod].node,
            End::Node(node) => Some(node),
            End::Outside | End::Fixed(_) => None,
        }
    }
}
