//! What the operator needs of objects. Everything else is forgotten as soon as it is read.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crds::types::node::CNI_READY_ANNOTATION;
use crds::types::{CoreEndpoint, HEARTBEAT_ANNOTATION};
use crds::{CiliumEndpoint, CiliumIdentity, CiliumNode};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Node, NodeCondition, Pod, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use policy::manifest::{self, Object};

use crate::eni::EniView;
use crate::store::View;

/// Which object, and which state of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) uid: String,
    pub(crate) resource: String,
}

impl Version {
    pub(crate) fn of(meta: &ObjectMeta) -> Self {
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            resource: meta.resource_version.clone().unwrap_or_default(),
        }
    }
}

fn created(meta: &ObjectMeta) -> Timestamp {
    meta.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0)
}

/// The uid of the object's owner of that kind.
fn owner(meta: &ObjectMeta, kind: &str) -> Option<String> {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    owners.iter().find(|owner| owner.kind == kind).map(|owner| owner.uid.clone())
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NodeView {
    pub(crate) version: Version,
    pub(crate) created: Timestamp,
    pub(crate) taints: Vec<Taint>,
    pub(crate) conditions: Vec<NodeCondition>,
    pub(crate) pod_cidrs: Vec<String>,
}

impl View for NodeView {
    /// Kubelets say every few minutes that all is as it was.
    fn is_alike(&self, other: &Self) -> bool {
        let said = |condition: &NodeCondition| {
            (
                condition.type_.clone(),
                condition.status.clone(),
                condition.reason.clone(),
                condition.message.clone(),
            )
        };
        self.version.uid == other.version.uid
            && self.taints == other.taints
            && self.pod_cidrs == other.pod_cidrs
            && self.conditions.iter().map(said).eq(other.conditions.iter().map(said))
    }
}

impl View for CiliumNodeView {}
impl View for PodView {}
impl View for NamespaceView {}
impl View for EndpointView {}
impl View for IdentityView {}

impl From<Node> for NodeView {
    fn from(node: Node) -> Self {
        let spec = node.spec.unwrap_or_default();
        let own = spec.pod_cidrs.filter(|cidrs| !cidrs.is_empty());
        Self {
            version: Version::of(&node.metadata),
            created: created(&node.metadata),
            taints: spec.taints.unwrap_or_default(),
            conditions: node.status.and_then(|status| status.conditions).unwrap_or_default(),
            pod_cidrs: own.unwrap_or_else(|| spec.pod_cidr.into_iter().collect()),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CiliumNodeView {
    pub(crate) version: Version,
    pub(crate) created: Timestamp,
    /// Whether its agent says that it can connect pods.
    pub(crate) ready: bool,
    /// The Node that it is of; another one of that name is another machine.
    pub(crate) node_uid: Option<String>,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) pod_cidrs: Vec<String>,
    pub(crate) error: Option<String>,
    /// What it says about ENIs, where the operator manages them.
    pub(crate) eni: Option<Box<EniView>>,
}

impl CiliumNodeView {
    /// Whether the network of that Node is there. One that is said to be of an earlier Node of that name was another
    /// machine, or another life of this one.
    pub(crate) fn is_ready(&self, node: &NodeView) -> bool {
        self.ready && self.node_uid.as_ref() == Some(&node.version.uid)
    }
}

impl CiliumNodeView {
    pub(crate) fn of(node: CiliumNode, enis: bool) -> Self {
        let eni = enis.then(|| Box::new(EniView::from(&node)));
        let ready = node.metadata.annotations.as_ref().and_then(|notes| notes.get(CNI_READY_ANNOTATION));
        Self {
            version: Version::of(&node.metadata),
            created: created(&node.metadata),
            ready: ready.is_some_and(|value| value == "true"),
            node_uid: owner(&node.metadata, "Node"),
            addresses: node.spec.addresses.iter().filter_map(|address| address.ip.parse().ok()).collect(),
            pod_cidrs: node.spec.ipam.pod_cidrs,
            error: node.status.and_then(|status| status.ipam.operator_status.error),
            eni,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PodView {
    pub(crate) uid: String,
    pub(crate) node: String,
    pub(crate) host_network: bool,
    /// It has an address.
    pub(crate) has_address: bool,
    /// It runs, or is going to.
    pub(crate) live: bool,
    pub(crate) running: bool,
    pub(crate) ready: bool,
    pub(crate) deleted: bool,
    pub(crate) started: Option<Timestamp>,
    /// The labels that somebody may ask for.
    pub(crate) labels: BTreeMap<String, String>,
    /// What its identity is made of, where the operator makes identities.
    pub(crate) parsed: Option<Arc<manifest::Pod>>,
}

impl PodView {
    /// `keep` says which labels somebody may ask for.
    pub(crate) fn of(pod: Pod, identities: bool, keep: impl Fn(&str) -> bool) -> Self {
        let parsed = if identities { parse(&pod) } else { None };
        let spec = pod.spec.unwrap_or_default();
        let status = pod.status.unwrap_or_default();
        let phase = status.phase.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let labels = pod.metadata.labels.unwrap_or_default();
        Self {
            uid: pod.metadata.uid.unwrap_or_default(),
            node: spec.node_name.unwrap_or_default(),
            host_network: spec.host_network.unwrap_or(false),
            has_address: status.pod_ips.is_some_and(|ips| !ips.is_empty()) || status.pod_ip.is_some(),
            live: !matches!(phase.as_str(), "Succeeded" | "Failed"),
            running: phase == "Running",
            ready: conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
            deleted: pod.metadata.deletion_timestamp.is_some(),
            started: status.start_time.map(|time| time.0),
            labels: labels.into_iter().filter(|(key, _)| keep(key)).collect(),
            parsed,
        }
    }
}

impl PodView {
    /// Whether it is bound to a node, and waits for an address of the pod network.
    pub(crate) fn waits_for_address(&self) -> bool {
        !self.node.is_empty() && !self.host_network && !self.has_address && self.live && !self.deleted
    }
}

/// The pod as policies read it. A pod that the API server took can be read.
fn parse(pod: &Pod) -> Option<Arc<manifest::Pod>> {
    let text = serde_json::to_string(pod).ok()?;
    manifest::parse(&text, "pod", 1).into_iter().find_map(|object| match object {
        Ok(Object::Pod(pod)) => Some(Arc::new(pod)),
        _ => None,
    })
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamespaceView {
    pub(crate) labels: BTreeMap<String, String>,
}

impl From<Namespace> for NamespaceView {
    fn from(namespace: Namespace) -> Self {
        Self { labels: namespace.metadata.labels.unwrap_or_default() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndpointView {
    pub(crate) version: Version,
    /// The pod that owns it.
    pub(crate) pod_uid: Option<String>,
    pub(crate) identity: u32,
    pub(crate) addresses: Box<[IpAddr]>,
    /// The address of its node.
    pub(crate) node: Option<IpAddr>,
    /// What slices hold of it, where there are slices.
    pub(crate) core: Option<CoreEndpoint>,
}

impl EndpointView {
    pub(crate) fn of(endpoint: CiliumEndpoint, slices: bool) -> Self {
        let pod_uid = owner(&endpoint.metadata, "Pod");
        let version = Version::of(&endpoint.metadata);
        let name = endpoint.metadata.name.unwrap_or_default();
        let status = endpoint.status.unwrap_or_default();
        let identity = status.identity.as_ref().map_or(0, |identity| identity.id);
        let networking = status.networking.as_ref();
        let pairs = networking.map(|networking| networking.addressing.as_slice()).unwrap_or_default();
        let addresses = pairs.iter().flat_map(|pair| pair.ipv4.iter().chain(&pair.ipv6));
        let addresses = addresses.filter_map(|text| text.parse().ok()).collect();
        let node = networking.and_then(|networking| networking.node.as_ref()?.parse().ok());
        let core = slices.then(|| CoreEndpoint {
            name,
            id: identity,
            pod_uid: pod_uid.clone(),
            networking: status.networking,
            encryption: status.encryption,
            named_ports: status.named_ports,
            service_account: status.service_account,
        });
        let identity = u32::try_from(identity).unwrap_or(0);
        Self { version, pod_uid, identity, addresses, node, core }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentityView {
    pub(crate) version: Version,
    pub(crate) created: Timestamp,
    /// Its number; none if the object's name is no number.
    pub(crate) number: Option<u32>,
    pub(crate) labels: BTreeMap<String, String>,
    /// When it was marked as unused; a mark that is no time counts from the beginning of time.
    pub(crate) marked: Option<Timestamp>,
}

impl IdentityView {
    /// One that was just made and that no watch has told of.
    pub(crate) fn pending(number: u32, labels: BTreeMap<String, String>) -> Self {
        let version = Version::default();
        Self { version, created: Timestamp::MAX, number: Some(number), labels, marked: None }
    }
}

impl From<CiliumIdentity> for IdentityView {
    fn from(identity: CiliumIdentity) -> Self {
        let mark = identity.metadata.annotations.as_ref().and_then(|notes| notes.get(HEARTBEAT_ANNOTATION));
        Self {
            version: Version::of(&identity.metadata),
            created: created(&identity.metadata),
            number: identity.number(),
            marked: mark.map(|text| text.parse().unwrap_or(Timestamp::UNIX_EPOCH)),
            labels: identity.security_labels,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_earlier_nodes_network_is_not_this_ones() {
        let node = |uid: &str| {
            let node: Node = serde_json::from_value(json!({"metadata": {"name": "n", "uid": uid}})).unwrap();
            NodeView::from(node)
        };
        let said = |ready: &str, owners: &serde_json::Value| {
            let node: CiliumNode = serde_json::from_value(json!({
                "apiVersion": "cilium.io/v2", "kind": "CiliumNode", "spec": {},
                "metadata": {"name": "n", "annotations": {CNI_READY_ANNOTATION: ready}, "ownerReferences": owners},
            }))
            .unwrap();
            CiliumNodeView::of(node, false)
        };
        let of = |uid: &str| json!([{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": uid}]);
        assert!(said("true", &of("u")).is_ready(&node("u")));
        assert!(!said("false", &of("u")).is_ready(&node("u")));
        assert!(!said("true", &of("before")).is_ready(&node("u")));
        assert!(!said("true", &json!([])).is_ready(&node("u")));
    }

    #[test]
    fn a_heartbeat_is_nothing_to_look_at() {
        let node = |version: &str, seen: &str, status: &str| {
            let node: Node = serde_json::from_value(json!({
                "metadata": {"name": "n", "uid": "u", "resourceVersion": version},
                "status": {"conditions": [{"type": "Ready", "status": status, "lastHeartbeatTime": seen}]},
            }))
            .unwrap();
            NodeView::from(node)
        };
        let first = node("1", "2026-01-01T00:00:00Z", "True");
        let second = node("2", "2026-01-01T00:05:00Z", "True");
        assert!(first != second && first.is_alike(&second));
        assert!(!second.is_alike(&node("3", "2026-01-01T00:05:10Z", "False")));
    }
}
