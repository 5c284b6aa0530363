//! The objects of a cluster that does not exist.

use std::net::Ipv4Addr;

use ipnetwork::{IpNetwork, Ipv4Network};
use policy::LabelSet;
use serde_json::{Value, json};

use super::Options;
use crate::objects::{self, Endpoint};

/// The agent's node.
pub(super) const NODE: &str = "bench-node-0";
/// Marks what the benchmark made, so that it finds it again to remove it.
pub(super) const MARK: &str = "netloom-bench";
/// As many nodes have a /25 of 10.0.0.0/8 each.
pub(super) const MOST_NODES: u32 = 65_536;
/// The numbers of a cluster.
pub(super) const MOST_IDENTITIES: u32 = 65_000;
/// The first number of a cluster's workloads.
const FIRST_IDENTITY: u32 = 256;
/// As many namespaces, at most.
const NAMESPACES: u32 = 100;
/// Kinds of pods in a namespace.
const TIERS: u32 = 7;

/// A cluster of some size.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub(super) nodes: u32,
    pub(super) pods: u32,
    pub(super) identities: u32,
    pub(super) policies: u32,
    pub(super) local_pods: u32,
    pub(super) namespaces: u32,
}

impl Cluster {
    pub(super) fn of(options: &Options) -> Self {
        Self {
            nodes: options.nodes,
            pods: options.pods,
            identities: options.identities,
            policies: options.policies,
            local_pods: options.local_pods,
            // At least one policy for each tier of each namespace, where there are that many.
            namespaces: (options.policies / TIERS).min(options.identities).clamp(1, NAMESPACES),
        }
    }

    pub(super) fn namespace(&self, index: u32) -> Value {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace_name(index)}})
    }

    fn namespace_name(&self, index: u32) -> String {
        format!("bench-{}", index % self.namespaces)
    }

    /// A node's object; only the agent's own is needed.
    pub(super) fn own_node(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": NODE, "labels": node_labels(0)},
            "spec": {"podCIDR": pod_cidr(0), "podCIDRs": [pod_cidr(0)]},
        })
    }

    pub(super) fn own_node_status() -> Value {
        json!({"status": {"addresses": [{"type": "InternalIP", "address": node_address(0)}]}})
    }

    /// The agent's node's address, in a network that all nodes are in.
    pub(super) fn own_network() -> IpNetwork {
        IpNetwork::V4(Ipv4Network::new(node_address(0), 12).unwrap_or_else(|_| node_address(0).into()))
    }

    pub(super) fn node(&self, index: u32) -> Value {
        json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumNode",
            "metadata": {"name": format!("bench-node-{index}"), "labels": node_labels(index)},
            "spec": {
                "addresses": [{"type": "InternalIP", "ip": node_address(index)}],
                "ipam": {"podCIDRs": [pod_cidr(index)]},
            },
        })
    }

    /// What makes an identity: a workload of a namespace.
    fn workload(&self, identity: u32) -> Value {
        let tier = (identity / self.namespaces) % TIERS;
        json!({"app": format!("app-{identity}"), "tier": format!("tier-{tier}"), "version": "v1"})
    }

    /// A pod of the agent's node.
    pub(super) fn local_pod(&self, index: u32) -> Value {
        self.pod(index % self.identities, &local_pod_name(index))
    }

    pub(super) fn local_pod_namespace(&self, index: u32) -> String {
        self.namespace_name(index % self.identities)
    }

    fn pod(&self, identity: u32, name: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": self.namespace_name(identity), "labels": self.workload(identity),
            },
            "spec": {
                "nodeName": NODE, "serviceAccountName": "default", "automountServiceAccountToken": false,
                "containers": [{"name": "main", "image": "none"}],
            },
        })
    }

    /// The labels of an identity, as an agent makes them of a pod's object.
    fn labels(&self, identity: u32) -> LabelSet {
        objects::labels(&self.pod(identity, "any"))
    }

    pub(super) fn identity_name(&self, index: u32) -> String {
        (FIRST_IDENTITY + index).to_string()
    }

    pub(super) fn identity(&self, index: u32) -> Value {
        objects::identity(FIRST_IDENTITY + index, &self.namespace_name(index), &self.labels(index))
    }

    /// A pod of another node; `round` is how often its name had another pod before.
    pub(super) fn endpoint(&self, index: u32, round: u32) -> Value {
        let identity = index.wrapping_mul(7).wrapping_add(round.wrapping_mul(13)) % self.identities;
        let node = 1 + index % (self.nodes - 1);
        Endpoint {
            name: &endpoint_name(index, round),
            namespace: &self.namespace_name(identity),
            id: 1 + index % 60_000,
            identity: FIRST_IDENTITY + identity,
            labels: &self.labels(identity),
            address: Ipv4Addr::from(pod_range(node) + 2 + (index / (self.nodes - 1)) % 120),
            node: node_address(node),
        }
        .object()
    }

    /// Where an endpoint's object is: namespace and name.
    pub(super) fn endpoint_key(&self, index: u32, round: u32) -> (String, String) {
        let identity = index.wrapping_mul(7).wrapping_add(round.wrapping_mul(13)) % self.identities;
        (self.namespace_name(identity), endpoint_name(index, round))
    }

    /// A policy about a tier of a namespace, with a port to be told by.
    pub(super) fn policy(&self, index: u32, port: u16) -> Value {
        let (namespace, round) = (index % self.namespaces, index / self.namespaces);
        let app =
            |away: u32| format!("app-{}", (namespace + (round + away) * self.namespaces) % self.identities);
        json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
            "metadata": {"name": policy_name(index), "namespace": self.namespace_name(namespace)},
            "spec": {
                "endpointSelector": {"matchLabels": {"tier": format!("tier-{}", round % TIERS)}},
                "ingress": [{
                    "fromEndpoints": [
                        {"matchLabels": {"app": app(0)}},
                        {"matchLabels": {"tier": format!("tier-{}", (round + 1) % TIERS)}},
                    ],
                    "toPorts": [{"ports": [{"port": port.to_string(), "protocol": "TCP"}]}],
                }],
                "egress": [
                    {"toCIDR": [format!("192.0.{}.0/24", index % 256)]},
                    {"toEndpoints": [{"matchLabels": {"app": app(3)}}]},
                ],
            },
        })
    }

    /// Where a policy's object is that is about a pod of the agent's node.
    pub(super) fn policy_about(&self, pod: u32) -> u32 {
        let identity = pod % self.identities;
        let (namespace, tier) = (identity % self.namespaces, (identity / self.namespaces) % TIERS);
        (namespace + tier * self.namespaces) % self.policies
    }

    pub(super) fn policy_namespace(&self, index: u32) -> String {
        self.namespace_name(index % self.namespaces)
    }
}

pub(super) fn policy_name(index: u32) -> String {
    format!("policy-{index}")
}

pub(super) fn local_pod_name(index: u32) -> String {
    format!("local-{index}")
}

/// As long as the names of a deployment's pods are.
fn endpoint_name(index: u32, round: u32) -> String {
    format!("deployment-{}-{:010x}-{round:05x}", index % 1000, index)
}

fn node_labels(index: u32) -> Value {
    json!({
        MARK: "true",
        "kubernetes.io/hostname": format!("bench-node-{index}"),
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/zone": format!("zone-{}", index % 3),
    })
}

fn node_address(index: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(172, 16, 0, 2)) + index)
}

/// The first address of a node's range.
fn pod_range(index: u32) -> u32 {
    u32::from(Ipv4Addr::new(10, 0, 0, 0)) + index * 128
}

fn pod_cidr(index: u32) -> String {
    format!("{}/25", Ipv4Addr::from(pod_range(index)))
}

#[cfg(test)]
mod tests {
    use policy::manifest::parse;

    use super::*;

    #[test]
    fn local_pods_have_numbers_and_policies() {
        let cluster =
            Cluster { nodes: 10, pods: 100, identities: 200, policies: 70, local_pods: 20, namespaces: 10 };
        for pod in 0..cluster.local_pods {
            let policy = cluster.policy(cluster.policy_about(pod), 80);
            let object = cluster.local_pod(pod);
            assert_eq!(policy["metadata"]["namespace"], object["metadata"]["namespace"]);
            assert_eq!(
                policy["spec"]["endpointSelector"]["matchLabels"]["tier"],
                object["metadata"]["labels"]["tier"]
            );
            let text = policy.to_string();
            assert!(parse(&text, "policy", 1).iter().all(Result::is_ok), "{text}");
            let labels = &cluster.identity(pod)["security-labels"];
            assert_eq!(labels["k8s:app"], object["metadata"]["labels"]["app"]);
        }
    }
}
