//! Nodes as peers, and the Kubernetes API server, wherever it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use abi::Identity;
use ipnetwork::IpNetwork;
use policy::manifest::Node;
use policy::{IdentityAllocator, Label, LabelSet, Source, node_labels, reserved_labels};

use super::Cluster;
use super::holders::Claim;

/// The number of a node among those that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeId(pub(super) u32);

/// A node: what of its object matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownNode {
    /// Its name.
    pub name: String,
    /// Whence its pods' addresses come.
    pub pod_cidrs: Vec<IpNetwork>,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
    /// When its object was made, in seconds since 1970.
    pub(super) created: Option<i64>,
    /// Its labels, and what it is to pods.
    labels: LabelSet,
    identity: Identity,
}

/// Nodes by number and by name. This node is there from the beginning.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    entries: Vec<Option<KnownNode>>,
    free: Vec<u32>,
    by_name: BTreeMap<String, NodeId>,
    /// Whether this node's object is known.
    own_is_known: bool,
    /// How many nodes have each label set.
    users: HashMap<LabelSet, usize>,
}

impl Nodes {
    /// This node.
    pub(super) const OWN: NodeId = NodeId(0);

    pub(super) fn get(&self, id: NodeId) -> Option<&KnownNode> {
        self.entries.get(id.0 as usize)?.as_ref()
    }

    /// All whose objects are known, in the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &KnownNode> {
        let known = |id: &&NodeId| **id != Self::OWN || self.own_is_known;
        self.by_name.values().filter(known).filter_map(|id| self.get(*id))
    }

    pub(super) fn own(&self) -> Option<&KnownNode> {
        self.get(Self::OWN).filter(|_| self.own_is_known)
    }

    fn insert(&mut self, node: KnownNode) -> NodeId {
        if let Some(known) = self.by_name.get(&node.name).copied() {
            self.entries[known.0 as usize] = Some(node);
            return known;
        }
        let id = NodeId(self.free.pop().unwrap_or(self.entries.len() as u32));
        self.by_name.insert(node.name.clone(), id);
        match self.entries.get_mut(id.0 as usize) {
            Some(free) => *free = Some(node),
            None => self.entries.push(Some(node)),
        }
        id
    }

    fn remove(&mut self, id: NodeId) -> Option<KnownNode> {
        let gone = self.entries.get_mut(id.0 as usize)?.take()?;
        self.by_name.remove(&gone.name);
        self.free.push(id.0);
        Some(gone)
    }
}

impl Cluster {
    /// Makes this node known, of which there is no object: it is what its links say. `before` are the addresses that it
    /// had.
    pub(super) fn place_own_node(&mut self, before: &[IpAddr]) {
        let labels = reserved_labels(Identity::HOST);
        let (name, identity) = (self.node.clone(), Identity::HOST);
        let (pod_cidrs, addresses) = (Vec::new(), Vec::new());
        let none = KnownNode { name, pod_cidrs, addresses, created: None, labels, identity };
        self.nodes.insert(none);
        self.place_node(Nodes::OWN, before);
    }

    pub(super) fn set_node(&mut self, node: Node) {
        let known = self.nodes.by_name.get(&node.meta.name).copied();
        let is_own = known == Some(Nodes::OWN);
        let identity = if is_own { Identity::HOST } else { Identity::REMOTE_NODE };
        let before = known.and_then(|id| self.nodes.get(id)).cloned();
        let plain = node_labels(&node, identity);
        if let Some(before) = &before
            && before.addresses == node.addresses
            && before.pod_cidrs == node.pod_cidrs
            && before.created == node.created
            && own_labels(&before.labels).eq(own_labels(&plain))
            && (!is_own || self.nodes.own_is_known)
        {
            return;
        }
        let addresses_before = known.map(|id| self.addresses_of_node(id)).unwrap_or_default();
        self.nodes.own_is_known |= is_own;
        let changed = before.as_ref().is_none_or(|before| {
            before.addresses != node.addresses
                || before.pod_cidrs != node.pod_cidrs
                || before.created != node.created
        });
        self.changed.nodes |= changed;
        let labels = before.map_or_else(|| plain.clone(), |before| before.labels);
        let has_users = known.is_some();
        let id = self.nodes.insert(KnownNode {
            name: node.meta.name,
            pod_cidrs: node.pod_cidrs,
            addresses: node.addresses,
            created: node.created,
            labels: plain,
            identity,
        });
        self.place_node(id, &addresses_before);
        // Last, so that labels that stay keep their number.
        if has_users && !is_own {
            self.drop_node_labels(&labels);
        }
        if changed {
            self.elect_all();
        }
    }

    pub(super) fn remove_node(&mut self, name: &str) {
        let Some(id) = self.nodes.by_name.get(name).copied() else { return };
        self.changed.nodes = true;
        let before = self.addresses_of_node(id);
        if id == Nodes::OWN {
            self.nodes.own_is_known = false;
            self.place_own_node(&before);
            return self.elect_all();
        }
        for address in before {
            self.release(address, Claim::Node(id));
        }
        if let Some(gone) = self.nodes.remove(id) {
            self.drop_node_labels(&gone.labels);
        }
        self.elect_all();
    }

    /// The addresses of a node; of this one those of its links too.
    pub(super) fn addresses_of_node(&self, id: NodeId) -> Vec<IpAddr> {
        let Some(node) = self.nodes.get(id) else { return Vec::new() };
        let mut all = node.addresses.clone();
        if id == Nodes::OWN {
            all.extend(self.own_addresses.iter().filter(|address| !node.addresses.contains(address)));
        }
        all
    }

    /// Takes over the addresses that this node's links have.
    pub fn set_own_addresses(&mut self, addresses: Vec<IpAddr>) {
        if addresses != self.own_addresses {
            let before = self.addresses_of_node(Nodes::OWN);
            self.own_addresses = addresses;
            self.place_node(Nodes::OWN, &before);
            self.changed.nodes = true;
        }
    }

    /// Brings the addresses of a node in line with what is known of it. `before` are those that it had.
    fn place_node(&mut self, id: NodeId, before: &[IpAddr]) {
        let after = self.addresses_of_node(id);
        self.name_node(id, &after);
        for address in before.iter().filter(|address| !after.contains(address)) {
            self.release(*address, Claim::Node(id));
        }
        for address in after {
            self.claim(address, Claim::Node(id));
        }
    }

    /// Says what a node is to pods, which depends on whether it serves the API. The labels that it has until now are
    /// not counted yet.
    fn name_node(&mut self, id: NodeId, addresses: &[IpAddr]) {
        let serves_api = addresses.iter().any(|address| self.api_server.contains(address));
        let Some(node) = self.nodes.get(id) else { return };
        let reserved = match (id == Nodes::OWN, serves_api) {
            (true, false) => reserved_labels(Identity::HOST),
            (true, true) => {
                let host = reserved_labels(Identity::HOST);
                host.iter().cloned().chain([Label::reserved("kube-apiserver")]).collect()
            }
            (false, true) => reserved_labels(Identity::KUBE_APISERVER),
            (false, false) => reserved_labels(Identity::REMOTE_NODE),
        };
        let labels: LabelSet = own_labels(&node.labels).chain(&reserved).cloned().collect();
        let labels = self.shared.share(&labels);
        let identity = if id == Nodes::OWN {
            Identity::HOST
        } else {
            let fallback = if serves_api { Identity::KUBE_APISERVER } else { Identity::REMOTE_NODE };
            self.take_node_labels(&labels, fallback)
        };
        if let Some(Some(node)) = self.nodes.entries.get_mut(id.0 as usize) {
            (node.labels, node.identity) = (labels, identity);
        }
    }

    /// Who a node is to policies.
    pub(super) fn who_is_node(&self, id: NodeId) -> (Identity, LabelSet) {
        let unknown = || (Identity::REMOTE_NODE, reserved_labels(Identity::REMOTE_NODE));
        self.nodes.get(id).map_or_else(unknown, |node| (node.identity, node.labels.clone()))
    }

    /// Takes over which addresses serve the Kubernetes API.
    pub(super) fn set_api_server(&mut self, addresses: BTreeSet<IpAddr>) {
        let before = std::mem::replace(&mut self.api_server, addresses);
        let changed: Vec<IpAddr> = before.symmetric_difference(&self.api_server).copied().collect();
        let mut nodes = BTreeSet::new();
        for address in changed {
            nodes.extend(self.holders.all(address).into_iter().filter_map(|claim| match claim {
                Claim::Node(id) => Some(id),
                _ => None,
            }));
            if before.contains(&address) {
                self.release(address, Claim::ApiServer);
                self.drop_node_labels(&outside_labels(address));
            } else {
                self.take_node_labels(&outside_labels(address), Identity::KUBE_APISERVER);
                self.place_api_server(address);
            }
        }
        for id in nodes {
            let addresses = self.addresses_of_node(id);
            let labels = self.nodes.get(id).map(|node| node.labels.clone()).unwrap_or_default();
            self.name_node(id, &addresses);
            if id != Nodes::OWN {
                self.drop_node_labels(&labels);
            }
            for address in addresses {
                self.claim(address, Claim::Node(id));
            }
        }
    }

    /// Where the API server has an address that is nobody else's, it is something outside with a name.
    pub(super) fn place_api_server(&mut self, address: IpAddr) {
        if self.api_server.contains(&address) {
            self.claim(address, Claim::ApiServer);
        }
    }

    /// Who the API server is where it is no node.
    pub(super) fn who_is_api_server(&self, address: IpAddr) -> (Identity, LabelSet) {
        let labels = outside_labels(address);
        (self.node_identities.get(&labels).unwrap_or(Identity::KUBE_APISERVER), labels)
    }

    /// Counts a use of a label set of another node in. Its number; `fallback` where none is left.
    fn take_node_labels(&mut self, labels: &LabelSet, fallback: Identity) -> Identity {
        *self.nodes.users.entry(labels.clone()).or_default() += 1;
        if let Some(known) = self.node_identities.get(labels) {
            return known;
        }
        self.new_identities = true;
        self.node_identities.allocate(labels).unwrap_or_else(|error| {
            tracing::error!(%error, "a node has no identity of its own");
            fallback
        })
    }

    /// Counts a use of a label set of another node out.
    fn drop_node_labels(&mut self, labels: &LabelSet) {
        let Some(users) = self.nodes.users.get_mut(labels) else { return };
        *users -= 1;
        if *users == 0 {
            self.nodes.users.remove(labels);
            self.new_identities |= self.node_identities.release(labels).is_some();
        }
    }

    /// Forgets numbers of other nodes from before a restart that no node has, once all nodes are known.
    pub(super) fn forget_unused_nodes(&mut self) {
        let before = self.node_identities.len();
        let users = &self.nodes.users;
        self.node_identities.retain(|labels, _| users.contains_key(labels));
        self.new_identities |= self.node_identities.len() != before;
    }
}

/// The labels that are the node's own.
fn own_labels(labels: &LabelSet) -> impl Iterator<Item = &Label> {
    labels.iter().filter(|label| label.source == Source::Node)
}

/// What the API server is where it is no node: an address outside, with a name.
fn outside_labels(address: IpAddr) -> LabelSet {
    let outside = if address.is_ipv4() { Identity::WORLD_IPV4 } else { Identity::WORLD_IPV6 };
    reserved_labels(outside).iter().cloned().chain([Label::reserved("kube-apiserver")]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Beginnings;

    #[test]
    fn addresses_of_links_come_and_go() {
        let [first, eni] = ["192.0.2.1", "100.64.0.4"].map(|address| address.parse().unwrap());
        let mut cluster = Cluster::new("n1", Beginnings::default(), vec![first]);
        cluster.take_changed();
        cluster.set_own_addresses(vec![first, eni]);
        assert_eq!((cluster.identity(first), cluster.identity(eni)), (Identity::HOST, Identity::HOST));
        assert!(cluster.take_changed().nodes);
        cluster.set_own_addresses(vec![first, eni]);
        assert!(!cluster.take_changed().nodes);
        cluster.set_own_addresses(vec![first]);
        assert_eq!((cluster.identity(first), cluster.identity(eni)), (Identity::HOST, Identity::UNKNOWN));
    }
}
