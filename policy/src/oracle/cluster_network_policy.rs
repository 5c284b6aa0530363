//! What ClusterNetworkPolicy says (`policy.networking.k8s.io/v1alpha2`).

use super::Oracle;
use super::packet::Packet;
use super::peer::{Kind, Peer};
use super::pod::PodLabels;
use crate::manifest::{ClusterNetworkPolicy, ClusterPeer, ClusterProtocol, ClusterRule, NamespacedPods};

/// Whether a policy is about a pod.
pub(super) fn selects(policy: &ClusterNetworkPolicy, pod: &PodLabels) -> bool {
    is_one_of(&policy.subject, pod)
}

fn is_one_of(pods: &NamespacedPods, pod: &PodLabels) -> bool {
    pods.namespaces.matches(&pod.of_namespace) && pods.pods.as_ref().is_none_or(|pods| pods.matches(&pod.own))
}

impl Oracle {
    /// Whether a rule of a ClusterNetworkPolicy is about a packet from or to a peer.
    pub(super) fn cluster_rule_names(
        &self,
        rule: &ClusterRule,
        peer: &Peer<'_>,
        packet: &Packet<'_>,
    ) -> bool {
        let protocol_fits = |protocol: &ClusterProtocol| match protocol {
            ClusterProtocol::Ports(protocol, port) => packet.goes_to(*protocol, port),
            ClusterProtocol::Named(name) => packet.goes_to_named(name),
        };
        rule.peers.iter().any(|wanted| self.is_cluster_peer(wanted, peer))
            && (rule.protocols.is_empty() || rule.protocols.iter().any(protocol_fits))
    }

    fn is_cluster_peer(&self, wanted: &ClusterPeer, peer: &Peer<'_>) -> bool {
        match wanted {
            ClusterPeer::Pods(pods) => matches!(&peer.kind, Kind::Pod(pod, _) if is_one_of(pods, pod)),
            ClusterPeer::Nodes(nodes) => match &peer.kind {
                Kind::OwnNode(node) | Kind::OtherNode(node) => match node {
                    Some(node) => nodes.matches(&node.meta.labels),
                    None => nodes.matches(&Default::default()),
                },
                _ => false,
            },
            // Whoever has the address.
            ClusterPeer::Networks(cidrs) => {
                peer.addr.is_some_and(|addr| cidrs.iter().any(|cidr| cidr.contains(addr)))
            }
            ClusterPeer::Names(patterns) => patterns.iter().any(|pattern| self.is_named(pattern, peer)),
        }
    }
}
