//! Nodes, as they published themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Result;
use crds::CiliumNode;
use crds::types::node::{NodeAddress, address_type};
use ipam::eni::handshake::{DRAIN, DRAINED};
use ipnetwork::IpNetwork;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use policy::cidr::canonical;
use policy::manifest::{self, Meta, Object, ObjectKey};

use super::kind::Kind;
use crate::source::{Change, OwnInterfaces};
use crate::state_file;

/// What is known of this node, and what it has published of itself.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    name: String,
    /// This node's Node.
    pub(super) own: Option<OwnNode>,
    /// This node's CiliumNode.
    pub(super) published: Option<CiliumNode>,
    /// The other nodes that were told of.
    others: BTreeSet<String>,
    /// The ranges of pod addresses that this node had last: they are still its own when the API has lost them.
    last_ranges: LastRanges,
    /// Whether this node's Node is gone.
    pub(super) own_is_gone: bool,
    /// What was told of its network interfaces last.
    interfaces: Option<OwnInterfaces>,
}

/// A node's ranges, in a file: an agent that is started again knows them though the API has lost them meanwhile.
#[derive(Debug, Default)]
struct LastRanges {
    file: PathBuf,
    ranges: Vec<String>,
    is_stored: bool,
}

impl LastRanges {
    fn open(file: PathBuf) -> Result<Self> {
        let ranges = state_file::read(&file)?.unwrap_or_default();
        Ok(Self { file, ranges, is_stored: true })
    }

    fn set(&mut self, ranges: &[String]) {
        if self.is_stored && self.ranges == ranges {
            return;
        }
        self.ranges = ranges.to_vec();
        let stored = state_file::write(&self.file, &self.ranges);
        self.is_stored = stored.is_ok();
        if let Err(error) = stored {
            let error = format!("{error:#}");
            tracing::warn!(
                error,
                "this node's ranges would be lost with the API server's data and a restart"
            );
        }
    }
}

/// What a Node says of the node that the agent runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OwnNode {
    pub(super) uid: String,
    pub(super) labels: BTreeMap<String, String>,
    /// Types and addresses.
    pub(super) addresses: Vec<NodeAddress>,
    pub(super) pod_cidrs: Vec<String>,
}

impl OwnNode {
    pub(super) fn new(node: Node) -> Self {
        let spec = node.spec.unwrap_or_default();
        let pod_cidrs = spec.pod_cidrs.filter(|all| !all.is_empty());
        let addresses = node.status.and_then(|status| status.addresses).unwrap_or_default();
        let known = [address_type::INTERNAL_IP, address_type::EXTERNAL_IP];
        Self {
            uid: node.metadata.uid.unwrap_or_default(),
            labels: node.metadata.labels.unwrap_or_default(),
            addresses: addresses
                .into_iter()
                .filter(|address| known.contains(&address.type_.as_str()))
                .map(|address| NodeAddress { type_: address.type_, ip: address.address })
                .collect(),
            pod_cidrs: pod_cidrs.unwrap_or_else(|| spec.pod_cidr.into_iter().collect()),
        }
    }

    /// All of its addresses.
    pub(super) fn ips(&self) -> BTreeSet<IpAddr> {
        self.addresses.iter().filter_map(|address| address.ip.parse().ok()).collect()
    }

    /// The address that other nodes know it by.
    pub(super) fn address(&self) -> Option<&str> {
        let internal = |address: &&NodeAddress| address.type_ == address_type::INTERNAL_IP;
        self.addresses.iter().find(internal).map(|address| address.ip.as_str())
    }
}

impl Nodes {
    /// The ranges that this node had last are kept in a file.
    ///
    /// # Errors
    /// When that file is there and cannot be read.
    pub(super) fn open(name: String, ranges: PathBuf) -> Result<Self> {
        Ok(Self { name, last_ranges: LastRanges::open(ranges)?, ..Self::default() })
    }

    /// The ranges of pod addresses that this node had last.
    pub(super) fn last_ranges(&self) -> &[String] {
        &self.last_ranges.ranges
    }

    /// A CiliumNode is there, or is another now.
    pub(super) fn set(&mut self, object: CiliumNode, changes: &mut Vec<Change>) {
        let name = object.name_any();
        let mut node = node(&object);
        if name == self.name {
            if node.pod_cidrs.is_empty() {
                node.pod_cidrs = ranges(self.last_ranges(), &name);
            } else {
                self.last_ranges.set(&object.spec.ipam.pod_cidrs);
            }
        }
        changes.push(Change::Set(Box::new(Object::Node(node))));
        let version = object.resource_version().unwrap_or_default();
        changes.push(Change::Version(key(Kind::CiliumNode, &name), version));
        if name == self.name {
            let interfaces = interfaces(&object);
            if self.interfaces.as_ref() != Some(&interfaces) {
                self.interfaces = Some(interfaces.clone());
                changes.push(Change::Interfaces(Box::new(interfaces)));
            }
            self.published = Some(object);
        } else {
            self.others.insert(name);
        }
    }

    /// How many nodes there are.
    pub(super) fn count(&self) -> usize {
        self.others.len() + usize::from(self.published.is_some())
    }

    /// A CiliumNode is gone. This node is there all the same, with what it has.
    pub(super) fn remove(&mut self, name: &str, changes: &mut Vec<Change>) {
        if name == self.name {
            self.published = None;
        } else {
            self.others.remove(name);
            changes.push(Change::Removed(key(Kind::Node, name)));
        }
        // Its version.
        changes.push(Change::Removed(key(Kind::CiliumNode, name)));
    }
}

fn interfaces(object: &CiliumNode) -> OwnInterfaces {
    let status = object.status.clone().unwrap_or_default();
    let annotation = |name| object.metadata.annotations.as_ref()?.get(name).cloned();
    OwnInterfaces {
        uid: object.metadata.uid.clone().unwrap_or_default(),
        status: status.eni,
        problem: status.ipam.operator_status.error,
        drain: annotation(DRAIN),
        drained: annotation(DRAINED),
    }
}

fn key(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey { kind: kind.name().to_owned(), namespace: None, name: name.to_owned() }
}

fn node(object: &CiliumNode) -> manifest::Node {
    let name = object.name_any();
    let addresses = object.spec.addresses.iter().filter(|address| address.type_ != address_type::HOSTNAME);
    let mut addresses: Vec<IpAddr> = addresses
        .filter_map(|address| {
            let parsed = address.ip.parse();
            if parsed.is_err() {
                tracing::warn!(name, address = address.ip, "CiliumNode: this is no address");
            }
            parsed.ok()
        })
        .collect();
    let mut seen = BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
    manifest::Node {
        pod_cidrs: ranges(&object.spec.ipam.pod_cidrs, &name),
        addresses,
        created: object.metadata.creation_timestamp.as_ref().map(|time| time.0.as_second()),
        meta: Meta {
            namespace: None,
            file: format!("CiliumNode {name}").into(),
            name,
            labels: object.metadata.labels.clone().unwrap_or_default(),
            line: 0,
        },
    }
}

fn ranges(texts: &[String], name: &str) -> Vec<IpNetwork> {
    let range = |text: &String| {
        let parsed = text.parse().map(canonical);
        if parsed.is_err() {
            tracing::warn!(name, range = text, "CiliumNode: this is no range of addresses");
        }
        parsed.ok()
    };
    texts.iter().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn published(name: &str, ranges: &[&str]) -> CiliumNode {
        from_value(json!({
            "metadata": {"name": name, "labels": {"zone": "a"}, "resourceVersion": "7"},
            "spec": {
                "addresses": [
                    {"type": "InternalIP", "ip": "192.0.2.1"}, {"type": "Hostname", "ip": "n"},
                    {"type": "ExternalIP", "ip": "192.0.2.1"}, {"type": "InternalIP", "ip": "nonsense"},
                ],
                "ipam": {"podCIDRs": ranges},
            },
        }))
        .unwrap()
    }

    fn told(step: impl FnOnce(&mut Vec<Change>)) -> Vec<String> {
        let mut changes = Vec::new();
        step(&mut changes);
        let tell = |change| match change {
            Change::Set(object) => match *object {
                Object::Node(node) => {
                    format!(
                        "{} {:?} {:?} {:?}",
                        node.meta.name, node.addresses, node.pod_cidrs, node.meta.labels
                    )
                }
                other => format!("{other:?}"),
            },
            Change::Removed(key) => format!("-{key}"),
            Change::Version(key, version) => format!("{key} {version}"),
            other => format!("{other:?}"),
        };
        let is_told = |change: &Change| !matches!(change, Change::Interfaces(_));
        changes.into_iter().filter(is_told).map(tell).collect()
    }

    #[test]
    fn another_node_is_what_it_published() {
        let mut nodes = Nodes { name: "own".into(), ..Nodes::default() };
        assert_eq!(
            told(|changes| nodes.set(published("n", &["10.1.0.9/24", "nonsense"]), changes)),
            [
                r#"n [192.0.2.1] [V4(Ipv4Network { addr: 10.1.0.0, prefix: 24 })] {"zone": "a"}"#,
                "CiliumNode n 7"
            ]
        );
        assert_eq!(told(|changes| nodes.remove("n", changes)), ["-Node n", "-CiliumNode n"]);
    }

    #[test]
    fn this_node_stays_with_its_ranges_when_the_api_has_lost_it() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Nodes::open("own".into(), directory.path().join("ranges.json")).unwrap();
        let mut nodes = open();
        let before = told(|changes| nodes.set(published("own", &["10.1.0.0/24"]), changes));
        assert_eq!(told(|changes| nodes.remove("own", changes)), ["-CiliumNode own"]);
        assert!(nodes.published.is_none());
        assert_eq!(told(|changes| nodes.set(published("own", &[]), changes)), before);
        assert_eq!(nodes.last_ranges(), ["10.1.0.0/24"]);

        // So does the next agent.
        let mut nodes = open();
        assert_eq!(nodes.last_ranges(), ["10.1.0.0/24"]);
        assert_eq!(told(|changes| nodes.set(published("own", &[]), changes)), before);
        told(|changes| nodes.set(published("own", &["10.2.0.0/24"]), changes));
        assert_eq!(open().last_ranges(), ["10.2.0.0/24"]);
    }

    #[test]
    fn interfaces_are_told_once_and_again_when_they_change() {
        let state = tempfile::tempdir().unwrap();
        let mut nodes = Nodes::open("own".into(), state.path().join("ranges.json")).unwrap();
        let mut tell = |name: &str, patch: serde_json::Value| {
            let mut object = serde_json::to_value(published(name, &[])).unwrap();
            for (key, value) in patch.as_object().unwrap() {
                object[key] = value.clone();
            }
            let mut changes = Vec::new();
            nodes.set(from_value(object).unwrap(), &mut changes);
            changes.into_iter().find_map(|change| match change {
                Change::Interfaces(told) => Some(*told),
                _ => None,
            })
        };
        let metadata = |version: &str, drain: &str| {
            let annotations = json!({DRAIN: drain, "other": version});
            json!({"metadata": {"name": "own", "uid": "u", "resourceVersion": version, "annotations": annotations}})
        };
        assert_eq!(tell("other", json!({})), None);
        // Nothing is something: the operator waits for an answer.
        assert_eq!(tell("own", json!({})), Some(OwnInterfaces::default()));
        assert_eq!(tell("own", json!({})), None);
        let told = tell("own", metadata("8", "x")).unwrap();
        assert_eq!((told.uid.as_str(), told.drain.as_deref()), ("u", Some("x")));
        assert_eq!(tell("own", metadata("9", "x")), None);
        let status = json!({"eni": {"enis": {"eni-1": {"prefixes": ["100.64.0.16/28"]}}}, "ipam": {"operator-status": {"error": "full"}}});
        let told = tell("own", json!({"status": status})).unwrap();
        assert_eq!((told.status.enis.len(), told.problem.as_deref()), (1, Some("full")));
    }

    #[test]
    fn what_a_node_says_of_itself() {
        let own = OwnNode::new(
            from_value(json!({
                "metadata": {"name": "n", "uid": "u", "labels": {"zone": "a"}},
                "spec": {"podCIDR": "10.1.0.0/24"},
                "status": {"addresses": [
                    {"type": "Hostname", "address": "n"}, {"type": "ExternalIP", "address": "198.51.100.1"},
                    {"type": "InternalIP", "address": "192.0.2.1"},
                ]},
            }))
            .unwrap(),
        );
        assert_eq!((own.address(), own.ips().len()), (Some("192.0.2.1"), 2));
        assert_eq!(own.pod_cidrs, ["10.1.0.0/24"]);
    }
}
