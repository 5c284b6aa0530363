//! The rule that is missing.

use abi::{Direction, Identity};
use serde_json::{Map, Value, json};

use super::probe::{Wanted, WantedPort};
use crate::cluster::{Cluster, End, Party};
use crate::identity::reserved_labels;
use crate::label::Label;
use crate::label_filter::LabelFilter;
use crate::pod::{NAMESPACE, NAMESPACE_NAME};
use crate::policy_key::PolicyKind;
use crate::port::Protocol;

/// A rule of a policy of this kind that would allow a connection; none where the kind cannot say it.
pub(super) fn suggestion(
    cluster: &Cluster,
    kind: PolicyKind,
    direction: Direction,
    own: &Party,
    other: &Party,
    wanted: &Wanted,
) -> Option<Value> {
    match kind {
        PolicyKind::NetworkPolicy => kubernetes(cluster, direction, own, other, wanted),
        PolicyKind::CiliumNetworkPolicy | PolicyKind::CiliumClusterwideNetworkPolicy => {
            cilium(cluster, direction, own, other, wanted)
        }
        PolicyKind::ClusterNetworkPolicy => None,
    }
}

/// An item of `ingress` or `egress` of a NetworkPolicy.
fn kubernetes(
    cluster: &Cluster,
    direction: Direction,
    own: &Party,
    other: &Party,
    wanted: &Wanted,
) -> Option<Value> {
    let peer = match other.end {
        End::Pod(pod) => {
            let (namespace, labels) = pod_labels(cluster, pod)?;
            let mut peer = Map::new();
            if namespace_of(cluster, own) != Some(namespace) {
                let name = json!({"matchLabels": {(NAMESPACE_NAME): namespace}});
                peer.insert("namespaceSelector".into(), name);
            }
            peer.insert("podSelector".into(), selector(&labels));
            Value::Object(peer)
        }
        End::Node(_) | End::Outside => json!({"ipBlock": {"cidr": host(other)?}}),
        End::Fixed(_) => return None,
    };
    let mut rule = Map::new();
    rule.insert(if direction == Direction::Ingress { "from" } else { "to" }.into(), json!([peer]));
    // Ports of NetworkPolicy leave out everything without ports: such a rule has none.
    if let (Some(protocol), WantedPort::Number(port)) = (wanted.protocol(), &wanted.port)
        && protocol.has_ports()
    {
        rule.insert("ports".into(), json!([{"protocol": protocol, "port": port}]));
    }
    Some(Value::Object(rule))
}

/// An item of `ingress` or `egress` of a Cilium policy.
fn cilium(
    cluster: &Cluster,
    direction: Direction,
    own: &Party,
    other: &Party,
    wanted: &Wanted,
) -> Option<Value> {
    let prefix = if direction == Direction::Ingress { "from" } else { "to" };
    let entity = |name: &str| ("Entities", json!([name]));
    let (field, peers) = match other.end {
        End::Pod(pod) => {
            let (namespace, mut labels) = pod_labels(cluster, pod)?;
            labels.insert(format!("k8s:{NAMESPACE}"), namespace.into());
            ("Endpoints", json!([selector(&labels)]))
        }
        End::Node(node) if cluster.node_of(own.end) == Some(node) => entity("host"),
        End::Node(_) => entity("remote-node"),
        End::Outside => ("CIDR", json!([host(other)?])),
        End::Fixed(Identity::KUBE_APISERVER) => entity("kube-apiserver"),
        End::Fixed(identity) => entity(&reserved_labels(identity).iter().next()?.key),
    };
    let mut rule = Map::new();
    rule.insert(format!("{prefix}{field}"), peers);
    match (wanted.protocol(), &wanted.port) {
        (Some(Protocol::Icmp), WantedPort::Number(kind)) => {
            rule.insert("icmps".into(), json!([{"fields": [{"family": "IPv4", "type": kind}]}]));
        }
        (Some(Protocol::Icmpv6), WantedPort::Number(kind)) => {
            rule.insert("icmps".into(), json!([{"fields": [{"family": "IPv6", "type": kind}]}]));
        }
        (Some(protocol), WantedPort::Number(port)) => {
            let port = json!({"port": port.to_string(), "protocol": protocol});
            rule.insert("toPorts".into(), json!([{"ports": [port]}]));
        }
        (Some(protocol), _) => {
            let port = json!({"port": "0", "protocol": protocol});
            rule.insert("toPorts".into(), json!([{"ports": [port]}]));
        }
        (None, _) => {}
    }
    Some(Value::Object(rule))
}

fn namespace_of<'a>(cluster: &'a Cluster, party: &Party) -> Option<&'a str> {
    match party.end {
        End::Pod(pod) => cluster.pod_object(pod).map(|pod| pod.meta.namespace()),
        _ => None,
    }
}

/// A pod's namespace, and those of its labels that policies can select.
fn pod_labels(cluster: &Cluster, pod: usize) -> Option<(&str, Map<String, Value>)> {
    let pod = cluster.pod_object(pod)?;
    let filter = LabelFilter::default();
    let selectable = |(key, value): (&String, &String)| {
        filter.accepts(&Label::k8s(key, value)).then(|| (key.clone(), Value::from(value.as_str())))
    };
    Some((pod.meta.namespace(), pod.meta.labels.iter().filter_map(selectable).collect()))
}

fn selector(labels: &Map<String, Value>) -> Value {
    if labels.is_empty() { json!({}) } else { json!({"matchLabels": labels}) }
}

/// An address as a CIDR.
fn host(party: &Party) -> Option<String> {
    let addr = party.addresses.first()?;
    Some(format!("{addr}/{}", if addr.is_ipv4() { 32 } else { 128 }))
}
