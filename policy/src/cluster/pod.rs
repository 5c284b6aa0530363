//! Pods: their identity's labels, their addresses, where they run.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::node::{NodeFacts, unnamed_node};
use crate::label::LabelSet;
use crate::manifest::Object;
use crate::pod::pod_labels;

/// What is known of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFacts {
    /// Its index among the cluster's objects.
    pub object: usize,
    /// The labels of its identity. Pods with equal labels share them.
    pub labels: LabelSet,
    /// The number of its labels: pods with equal labels have the same, from 0.
    pub kind: usize,
    /// Its own addresses: none for a host-network pod, or one that has finished.
    pub addresses: Vec<IpAddr>,
    /// The index of its node, where it is on one.
    pub node: Option<usize>,
    /// Whether it is its node to everyone else.
    pub host_network: bool,
}

/// The pods of a cluster, in the order of their objects.
pub(super) fn facts(
    objects: &[Object],
    namespaces: &BTreeMap<String, BTreeMap<String, String>>,
    nodes: &[NodeFacts],
) -> Vec<PodFacts> {
    let mut nodes_by_name = HashMap::new();
    let mut nodes_by_address = HashMap::new();
    for (index, facts) in nodes.iter().enumerate() {
        if let Object::Node(node) = &objects[facts.object] {
            nodes_by_name.insert(node.meta.name.as_str(), index);
        }
        nodes_by_address.extend(facts.addresses.iter().map(|addr| (*addr, index)));
    }
    let nothing = BTreeMap::new();
    let mut kinds: HashMap<LabelSet, usize> = HashMap::new();
    let mut pods = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        let Object::Pod(pod) = object else { continue };
        let of_namespace = namespaces.get(pod.meta.namespace()).unwrap_or(&nothing);
        let labels = pod_labels(pod, of_namespace);
        let next = kinds.len();
        let (labels, kind) = match kinds.get_key_value(&labels) {
            Some((known, kind)) => (known.clone(), *kind),
            None => {
                kinds.insert(labels.clone(), next);
                (labels, next)
            }
        };
        let by_address = || pod.ips.iter().find_map(|addr| nodes_by_address.get(addr));
        let unnamed = || nodes_by_name.get(unnamed_node(pod.meta.namespace(), &pod.meta.name).as_str());
        let node = match &pod.node_name {
            Some(name) => nodes_by_name.get(name.as_str()),
            None if pod.host_network => by_address().or_else(unnamed),
            None => None,
        };
        let has_own = !pod.host_network && !pod.is_finished();
        pods.push(PodFacts {
            object: index,
            labels,
            kind,
            addresses: if has_own { pod.ips.clone() } else { Vec::new() },
            node: node.copied(),
            host_network: pod.host_network,
        });
    }
    pods
}
