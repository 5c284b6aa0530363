//! Nodes: their addresses, and what they are to pods.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use super::made_up;
use crate::manifest::{Node, Object};

/// What is known of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its index among the cluster's objects.
    pub object: usize,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether the API server listens at one of its addresses.
    pub serves_api: bool,
}

/// The nodes of a cluster, in the order of their objects.
pub(super) fn facts(objects: &[Object], apiservers: &[IpAddr]) -> Vec<NodeFacts> {
    let mut of_pods: HashMap<&str, Vec<IpAddr>> = HashMap::new();
    for object in objects {
        if let Object::Pod(pod) = object
            && let Some(node) = pod.node_name.as_deref()
        {
            let of_node = of_pods.entry(node).or_default();
            of_node.extend(&pod.host_ips);
            if pod.host_network {
                of_node.extend(&pod.ips);
            }
        }
    }
    let mut nodes = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        let Object::Node(node) = object else { continue };
        let mut addresses = node.addresses.clone();
        for addr in of_pods.get(node.meta.name.as_str()).into_iter().flatten() {
            if !addresses.contains(addr) {
                addresses.push(*addr);
            }
        }
        let serves_api = addresses.iter().any(|addr| apiservers.contains(addr));
        nodes.push(NodeFacts { object: index, addresses, serves_api });
    }
    nodes
}

/// Gives pods a node that do not name one but know its address.
pub(super) fn place(objects: &mut [Object]) {
    let mut by_address: HashMap<IpAddr, String> = HashMap::new();
    for object in objects.iter() {
        if let Object::Node(node) = object {
            by_address.extend(node.addresses.iter().map(|addr| (*addr, node.meta.name.clone())));
        }
    }
    for object in objects {
        if let Object::Pod(pod) = object
            && pod.node_name.is_none()
            && let Some(first) = pod.host_ips.first()
        {
            let known = pod.host_ips.iter().find_map(|addr| by_address.get(addr)).cloned();
            pod.node_name = Some(known.unwrap_or_else(|| format!("(node at {first})")));
        }
    }
}

/// The nodes that pods name and that have no object; and one for each host-network pod that names none and whose
/// address no node has.
pub(super) fn missing(objects: &[Object]) -> Vec<Node> {
    let mut known: HashSet<&str> = HashSet::new();
    let mut addresses: HashSet<IpAddr> = HashSet::new();
    for object in objects {
        if let Object::Node(node) = object {
            known.insert(&node.meta.name);
            addresses.extend(&node.addresses);
        }
    }
    let mut found: BTreeMap<String, Node> = BTreeMap::new();
    for object in objects {
        let Object::Pod(pod) = object else { continue };
        let named = pod.node_name.as_deref().filter(|name| !known.contains(name));
        let unnamed = pod.host_network
            && pod.node_name.is_none()
            && !pod.ips.iter().any(|addr| addresses.contains(addr));
        let name = match named {
            Some(name) => name.to_owned(),
            None if unnamed => unnamed_node(pod.meta.namespace(), &pod.meta.name),
            None => continue,
        };
        let own = if unnamed { pod.ips.clone() } else { Vec::new() };
        let meta = made_up(&name, &pod.meta.file);
        let node = Node { meta, pod_cidrs: Vec::new(), addresses: own, created: None };
        found.entry(name).or_insert(node);
    }
    found.into_values().collect()
}

/// The name of the node of a host-network pod that does not say where it runs.
pub(super) fn unnamed_node(namespace: &str, pod: &str) -> String {
    format!("(node of {namespace}/{pod})")
}
