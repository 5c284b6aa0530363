//! Who sends a probe, and who gets it.

use std::net::IpAddr;

use lab::plan;

use crate::error::Mistake;
use crate::objects::{Objects, of_family, pod_name};
use crate::suite::Family;

/// One end of a connection, as a case names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `namespace/name`.
    Pod(String),
    /// `node/NAME`.
    Node(String),
    /// `host`: the node of the pod at the other end.
    Host,
    /// `remote-node`: another one.
    RemoteNode,
    /// `world`: somebody outside of the cluster.
    World,
    /// An address.
    Address(IpAddr),
}

/// What an end is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The pod `namespace/name`, with an address of its own.
    Pod(String),
    /// A node, or a pod on its network.
    Node(String),
    /// Neither.
    Outside,
}

/// One end of a connection, with its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// What the case calls it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its address.
    pub address: IpAddr,
}

impl Place {
    /// Reads what a case says.
    ///
    /// # Errors
    /// When it is no place.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        match text {
            "host" => return Ok(Self::Host),
            "remote-node" => return Ok(Self::RemoteNode),
            "world" => return Ok(Self::World),
            _ => {}
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        match text.split_once('/') {
            Some(("node", name)) if !name.is_empty() => Ok(Self::Node(name.to_owned())),
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                Ok(Self::Pod(text.to_owned()))
            }
            _ => Err(Mistake::NoPlace(text.to_owned())),
        }
    }

    /// Whether it can have an address of this family.
    #[must_use]
    pub fn has(&self, family: Family) -> bool {
        !matches!(self, Self::Address(address) if address.is_ipv4() != (family == Family::V4))
    }

    /// Who that is, in this cluster. `other` is the other end.
    ///
    /// # Errors
    /// When nobody is there, or nobody has an address of the family.
    pub fn end(&self, text: &str, other: &Self, objects: &Objects, family: Family) -> Result<End, Mistake> {
        let no_address = || Mistake::NoAddress { who: text.to_owned(), family };
        let (kind, address) = match self {
            Self::Pod(name) => {
                let pod = objects.pod(name).ok_or_else(|| Mistake::Nobody(format!("pod {name}")))?;
                match (&pod.node_name, pod.host_network) {
                    (Some(node), true) => {
                        (Kind::Node(node.clone()), of_family(objects.node_addresses(node), family))
                    }
                    _ => (Kind::Pod(name.clone()), of_family(&pod.ips, family)),
                }
            }
            Self::Node(name) => {
                if !objects.nodes().any(|node| node == name) {
                    return Err(Mistake::Nobody(format!("node {name}")));
                }
                (Kind::Node(name.clone()), of_family(objects.node_addresses(name), family))
            }
            Self::Host | Self::RemoteNode => {
                let Self::Pod(pod) = other else { return Err(Mistake::NoPodAtTheOtherEnd(text.to_owned())) };
                let own = objects.pod(pod).and_then(|pod| pod.node_name.clone()).unwrap_or_default();
                let node = if *self == Self::Host {
                    own
                } else {
                    let another = objects.nodes().find(|node| *node != own);
                    another.ok_or_else(|| Mistake::NoOtherNode(own.clone()))?.to_owned()
                };
                let address = of_family(objects.node_addresses(&node), family);
                (Kind::Node(node), address)
            }
            Self::World => (Kind::Outside, of_family(&plan::world(), family)),
            Self::Address(address) => (owner(*address, objects), Some(*address)),
        };
        Ok(End { name: text.to_owned(), kind, address: address.ok_or_else(no_address)? })
    }
}

/// Who has an address.
fn owner(address: IpAddr, objects: &Objects) -> Kind {
    if let Some(pod) = objects.pods().find(|pod| !pod.host_network && pod.ips.contains(&address)) {
        return Kind::Pod(pod_name(pod));
    }
    let node = objects.nodes().find(|node| objects.node_addresses(node).contains(&address));
    node.map_or(Kind::Outside, |node| Kind::Node(node.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Cluster;

    fn objects() -> Objects {
        let text = r#"{"pods": {"x/a": {"node": "node2"}, "x/b": {"node": "node1"}}, "objects": [
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "h", "namespace": "x"},
             "spec": {"hostNetwork": true, "nodeName": "node1"}}]}"#;
        let cluster: Cluster = serde_json::from_str(text).unwrap();
        let mut objects = Objects::of_cluster(&cluster, std::path::Path::new(".")).unwrap();
        objects.place_pods().unwrap();
        objects
    }

    #[test]
    fn who_is_where() {
        let objects = objects();
        let pod = Kind::Pod("x/a".into());
        let node = |name: &str| Kind::Node(name.into());
        for (text, kind, address) in [
            ("x/a", pod.clone(), "10.244.2.1"),
            ("10.244.2.1", pod, "10.244.2.1"),
            ("host", node("node2"), "172.30.0.12"),
            ("remote-node", node("node1"), "172.30.0.11"),
            ("node/node1", node("node1"), "172.30.0.11"),
            ("172.30.0.11", node("node1"), "172.30.0.11"),
            ("x/h", node("node1"), "172.30.0.11"),
            ("world", Kind::Outside, "198.51.100.10"),
            ("192.0.2.1", Kind::Outside, "192.0.2.1"),
        ] {
            let end = Place::parse(text).unwrap().end(text, &Place::Pod("x/a".into()), &objects, Family::V4);
            let end = end.unwrap();
            assert_eq!((end.kind, end.address.to_string()), (kind, address.to_owned()), "{text}");
        }
    }

    #[test]
    fn who_is_nowhere() {
        let objects = objects();
        for text in ["x", "", "/a", "node/"] {
            assert!(matches!(Place::parse(text), Err(Mistake::NoPlace(_))), "{text}");
        }
        for (text, other) in [("x/q", "x/a"), ("node/node3", "x/a"), ("host", "world")] {
            let (place, other) = (Place::parse(text).unwrap(), Place::parse(other).unwrap());
            assert!(place.end(text, &other, &objects, Family::V4).is_err(), "{text}");
        }
    }
}
