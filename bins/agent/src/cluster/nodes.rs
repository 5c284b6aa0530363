//! Nodes as peers, and the Kubernetes API server, wherever it is.

use std::collections::BTreeSet;
use std::net::IpAddr;

use abi::Identity;
use policy::manifest::Node;
use policy::{IdentityAllocator, Label, LabelSet, node_labels, reserved_labels};

use super::{Cluster, Holder};

impl Cluster {
    pub(super) fn set_node(&mut self, node: Node) {
        let name = node.meta.name.clone();
        if let Some(before) = self.nodes.get(&name) {
            let gone: Vec<IpAddr> = before
                .addresses
                .iter()
                .copied()
                .filter(|address| !node.addresses.contains(address))
                .collect();
            for address in gone {
                self.release(address, &Holder::Node(name.clone()));
            }
        }
        self.nodes.insert(name, node);
        self.place_nodes();
    }

    /// Brings the addresses of all nodes, and of the API server, in line with what is known of them.
    pub(super) fn place_nodes(&mut self) {
        let own = self.node.clone();
        let labels = self.own_labels();
        for address in self.own_addresses() {
            self.hold(address, Holder::Node(own.clone()), Identity::HOST, labels.clone());
        }
        let others: Vec<(String, Vec<IpAddr>, LabelSet)> = self
            .other_nodes()
            .map(|node| (node.meta.name.clone(), node.addresses.clone(), self.labels_of(node)))
            .collect();
        let mut used = BTreeSet::new();
        for (name, addresses, labels) in others {
            let identity = self.node_identity(&labels, Identity::REMOTE_NODE);
            for address in addresses {
                self.hold(address, Holder::Node(name.clone()), identity, labels.clone());
            }
            used.insert(labels);
        }
        for address in self.services.api_server() {
            self.place_api_server(address);
            used.insert(outside_labels(address));
        }
        let before = self.node_identities.len();
        self.node_identities.retain(|labels, _| used.contains(labels));
        self.new_identities |= self.node_identities.len() != before;
    }

    /// Where the API server has an address that is nobody else's, it is something outside with a name.
    pub(super) fn place_api_server(&mut self, address: IpAddr) {
        let is_free = matches!(self.holders.get(&address), None | Some(Holder::ApiServer));
        if is_free && self.services.api_server().contains(&address) {
            let labels = outside_labels(address);
            let identity = self.node_identity(&labels, Identity::KUBE_APISERVER);
            self.hold(address, Holder::ApiServer, identity, labels);
        }
    }

    /// What this node is to its own pods.
    fn own_labels(&self) -> LabelSet {
        let labels = self
            .own_node()
            .map_or_else(|| reserved_labels(Identity::HOST), |node| node_labels(node, Identity::HOST));
        if self.serves_api(&self.own_addresses()) {
            labels.iter().cloned().chain([Label::reserved("kube-apiserver")]).collect()
        } else {
            labels
        }
    }

    /// What another node is to pods.
    fn labels_of(&self, node: &Node) -> LabelSet {
        let serves_api = self.serves_api(&node.addresses);
        node_labels(node, if serves_api { Identity::KUBE_APISERVER } else { Identity::REMOTE_NODE })
    }

    fn serves_api(&self, addresses: &[IpAddr]) -> bool {
        let api_server = self.services.api_server();
        addresses.iter().any(|address| api_server.contains(address))
    }

    /// The number of a label set of another node; `fallback` where none is left.
    fn node_identity(&mut self, labels: &LabelSet, fallback: Identity) -> Identity {
        if let Some(known) = self.node_identities.get(labels) {
            return known;
        }
        self.new_identities = true;
        self.node_identities.allocate(labels).unwrap_or_else(|error| {
            tracing::error!(%error, "a node has no identity of its own");
            fallback
        })
    }
}

/// What the API server is where it is no node: an address outside, with a name.
fn outside_labels(address: IpAddr) -> LabelSet {
    let outside = if address.is_ipv4() { Identity::WORLD_IPV4 } else { Identity::WORLD_IPV6 };
    reserved_labels(outside).iter().cloned().chain([Label::reserved("kube-apiserver")]).collect()
}
