//! Whose a range of pod addresses is, where several nodes say that it is theirs: this node's own before anybody's, then
//! the oldest node's, so that all agents agree.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ipnetwork::IpNetwork;

use super::Cluster;
use super::nodes::{KnownNode, NodeId, Nodes};

/// A range that a node says is its own, and is another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contested {
    /// The range.
    pub range: IpNetwork,
    /// Who does not get it.
    pub node: String,
    /// Whose it is.
    pub owner: String,
}

impl Cluster {
    /// The ranges of other nodes' pods with whose they are, and those that are somebody else's.
    #[must_use]
    pub fn ranges_elsewhere(&self) -> (BTreeMap<IpNetwork, &KnownNode>, Vec<Contested>) {
        let mut ranges: BTreeMap<IpNetwork, &KnownNode> = BTreeMap::new();
        let mut contested = Vec::new();
        let mut lose = |range, node: &KnownNode, owner: &str| {
            contested.push(Contested { range, node: node.name.clone(), owner: owner.to_owned() });
        };
        let own = self.own_node().map(|own| own.pod_cidrs.as_slice()).unwrap_or_default();
        for node in self.other_nodes() {
            for range in &node.pod_cidrs {
                if own.iter().any(|own| overlap(*own, *range)) {
                    lose(*range, node, &self.node);
                    continue;
                }
                match ranges.entry(*range) {
                    Entry::Vacant(free) => _ = free.insert(node),
                    Entry::Occupied(taken) if taken.get().name == node.name => {}
                    Entry::Occupied(mut taken) if is_older(node, taken.get()) => {
                        let loser = taken.insert(node);
                        lose(*range, loser, &node.name);
                    }
                    Entry::Occupied(taken) => lose(*range, node, &taken.get().name),
                }
            }
        }
        (ranges, contested)
    }
}

impl Nodes {
    /// Whether a range that a node has is the node's.
    pub(super) fn is_owner(&self, id: NodeId, range: IpNetwork) -> bool {
        let Some(node) = self.get(id) else { return false };
        let others = self.iter().filter(|other| other.pod_cidrs.contains(&range) && other.name != node.name);
        let own = self.own().map(|own| own.name.as_str());
        id == Self::OWN
            || others.into_iter().all(|other| own != Some(other.name.as_str()) && is_older(node, other))
    }
}

fn is_older(one: &KnownNode, other: &KnownNode) -> bool {
    // What says no time is younger than what does.
    let age = |node: &KnownNode| (node.created.map(Reverse), Reverse(node.name.clone()));
    age(one) > age(other)
}

fn overlap(one: IpNetwork, other: IpNetwork) -> bool {
    one.contains(other.network()) || other.contains(one.network())
}

#[cfg(test)]
mod tests {
    use policy::manifest::{Meta, Node, Object};

    use super::*;
    use crate::cluster::Beginnings;
    use crate::source::Change;

    fn tell(cluster: &mut Cluster, name: &str, created: Option<i64>, range: &str) {
        let meta =
            Meta { namespace: None, name: name.into(), labels: BTreeMap::new(), file: "".into(), line: 0 };
        let pod_cidrs = vec![range.parse().unwrap()];
        let node = Node { meta, pod_cidrs, addresses: Vec::new(), created };
        cluster.apply(Change::Set(Box::new(Object::Node(node))));
    }

    fn whose(cluster: &Cluster) -> (Vec<String>, Vec<String>) {
        let (ranges, contested) = cluster.ranges_elsewhere();
        let ranges = ranges.iter().map(|(range, node)| format!("{range} {}", node.name)).collect();
        let lost = |lost: &Contested| format!("{} {} not {}", lost.range, lost.owner, lost.node);
        (ranges, contested.iter().map(lost).collect())
    }

    #[test]
    fn of_two_nodes_with_one_range_the_older_has_it() {
        for order in [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"]] {
            let mut cluster = Cluster::new("own", Beginnings::default(), Vec::new());
            for name in order {
                let created = match name {
                    "a" => None,
                    "b" => Some(5),
                    _ => Some(4),
                };
                tell(&mut cluster, name, created, "10.1.0.0/24");
            }
            let (ranges, lost) = whose(&cluster);
            assert_eq!((ranges, lost.len()), (vec!["10.1.0.0/24 c".to_owned()], 2), "{order:?}");
            let range = "10.1.0.0/24".parse().unwrap();
            let owners = (1..4).filter(|id| cluster.nodes.is_owner(NodeId(*id), range)).count();
            assert_eq!(owners, 1);
        }
    }

    #[test]
    fn this_node_keeps_its_own() {
        let mut cluster = Cluster::new("own", Beginnings::default(), Vec::new());
        tell(&mut cluster, "own", Some(9), "10.1.0.0/24");
        tell(&mut cluster, "a", Some(1), "10.0.0.0/8");
        tell(&mut cluster, "b", Some(1), "10.1.0.0/24");
        tell(&mut cluster, "c", Some(1), "10.2.0.0/24");
        let (ranges, lost) = whose(&cluster);
        assert_eq!(ranges, ["10.2.0.0/24 c"]);
        assert_eq!(lost, ["10.0.0.0/8 own not a", "10.1.0.0/24 own not b"]);
        assert!(cluster.nodes.is_owner(Nodes::OWN, "10.1.0.0/24".parse().unwrap()));
        assert!(!cluster.nodes.is_owner(NodeId(2), "10.1.0.0/24".parse().unwrap()));
    }
}
