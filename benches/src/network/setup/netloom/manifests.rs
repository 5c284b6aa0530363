//! The objects of netloom's setup: the same pods and policies as everywhere, in the words of Kubernetes.

use std::net::Ipv4Addr;

use policy::LabelSet;
use serde_json::{Value, json};

use crate::network::pods::BYSTANDERS;
use crate::network::rules::{BYSTANDERS_PEERS, LEAST, MOST, PORTS, absent};
use crate::objects::{self, Endpoint, identity};

/// The namespace of all pods and policies.
pub(super) const NAMESPACE: &str = "bench";
/// The label that policies select peers by.
pub(super) const ROLE: &str = "role";
/// Its value.
pub(super) const PEER: &str = "peer";
/// The label that tells one change from all others; no policy knows it.
pub(super) const CHANGE: &str = "change";
/// The number of the first identity of a pod that does not exist. Agents give lower ones.
const FIRST_IDENTITY: u32 = 30_000;

/// A pod that exists. It declares no port: nothing shall answer but what is measured.
pub(super) fn pod(name: &str, node: &str, role: Option<&str>) -> Value {
    let mut labels = json!({"app": name});
    if let Some(role) = role {
        labels[ROLE] = role.into();
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "none"}]},
    })
}

/// All pods that exist.
pub(super) fn pods() -> Vec<Value> {
    let mut pods = Vec::new();
    for (name, role) in [
        ("first", Some(PEER)),
        ("middle", Some(PEER)),
        ("last", Some(PEER)),
        ("stranger", None),
        ("newcomer", None),
    ] {
        pods.push(pod(name, "node1", role));
    }
    let servers = ["server".to_owned(), "other".to_owned()].into_iter();
    let bystanders = (0..BYSTANDERS).map(|number| format!("bystander-{number}"));
    pods.extend(servers.chain(bystanders).map(|name| pod(&name, "node2", None)));
    pods
}

/// A pod of another node that does not exist, by its place among [`absent`]s.
pub(super) struct Absent(pub(super) usize);

impl Absent {
    /// Those that are peers of the server's policy, of this many peers.
    pub(super) fn peers(peers: usize) -> impl Iterator<Item = Self> {
        (0..peers.saturating_sub(LEAST)).map(Self)
    }

    /// Those that are peers of bystanders' policies.
    pub(super) fn of_bystanders() -> impl Iterator<Item = Self> {
        (MOST..MOST + BYSTANDERS + BYSTANDERS_PEERS - 1).map(Self)
    }

    pub(super) fn address(&self) -> Ipv4Addr {
        absent(self.0)
    }

    pub(super) fn name(&self) -> String {
        format!("peer-{}", self.0)
    }

    fn number(&self) -> u32 {
        FIRST_IDENTITY + u32::try_from(self.0).unwrap_or_default()
    }

    /// Labels of its own: no two of them share an identity.
    fn labels(&self) -> LabelSet {
        let role = if self.0 < MOST { PEER } else { "neighbour" };
        objects::labels(&pod(&self.name(), "node", Some(role)))
    }

    /// Its identity.
    pub(super) fn identity(&self) -> Value {
        identity(self.number(), NAMESPACE, &self.labels())
    }

    /// Itself.
    pub(super) fn endpoint(&self) -> Value {
        let [a, b, node, _] = self.address().octets();
        Endpoint {
            name: &self.name(),
            namespace: NAMESPACE,
            id: 1 + u32::try_from(self.0).unwrap_or_default(),
            identity: self.number(),
            labels: &self.labels(),
            address: self.address(),
            // A node that nobody routes to: its pods are only ever peers.
            node: Ipv4Addr::new(a, b.wrapping_add(1), node, 1),
        }
        .object()
    }
}

/// The policy that a pod may be reached by these on the open ports, and by nobody else at all.
fn policy(name: &str, peers: &Value) -> Value {
    let port = |protocol: &str| json!({"protocol": protocol, "port": PORTS.start(), "endPort": PORTS.end()});
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "podSelector": {"matchLabels": {"app": name}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": peers}], "ports": [port("TCP"), port("UDP")]}],
        },
    })
}

/// The policy of `server`, or that of `other`.
pub(super) fn policy_of(name: &str) -> Value {
    policy(name, &json!({"matchLabels": {ROLE: PEER}}))
}

/// All policies.
pub(super) fn policies() -> Vec<Value> {
    let of_bystander = |number: usize| {
        let peers: Vec<String> =
            (number..number + BYSTANDERS_PEERS).map(|peer| Absent(MOST + peer).name()).collect();
        let peers = json!({"matchExpressions": [{"key": "app", "operator": "In", "values": peers}]});
        policy(&format!("bystander-{number}"), &peers)
    };
    [policy_of("server")].into_iter().chain((0..BYSTANDERS).map(of_bystander)).collect()
}

#[cfg(test)]
mod tests {
    use policy::manifest::parse;

    use super::*;

    #[test]
    fn manifests_are_valid_and_absent_pods_have_identities_of_their_own() {
        for object in pods().into_iter().chain(policies()) {
            assert!(parse(&object.to_string(), "bench", 1).iter().all(Result::is_ok), "{object}");
        }
        let of = |index: usize| Absent(index).identity();
        assert_ne!(of(0)["security-labels"], of(1)["security-labels"]);
        assert_eq!(of(7)["security-labels"]["k8s:role"], PEER);
        assert_eq!(of(MOST)["security-labels"]["k8s:role"], "neighbour");
        assert_eq!(Absent::peers(10).count(), 7);
    }
}
