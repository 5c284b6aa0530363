//! What NetworkPolicy says (`networking.k8s.io/v1`).

use super::packet::Packet;
use super::peer::{Kind, Peer};
use super::pod::PodLabels;
use crate::manifest::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyRule};

/// Whether a policy is about a pod.
pub(super) fn selects(policy: &NetworkPolicy, pod: &PodLabels) -> bool {
    policy.meta.namespace() == pod.namespace && policy.pod_selector.matches(&pod.own)
}

/// Whether a rule allows a packet from or to a peer.
pub(super) fn allows(
    policy: &NetworkPolicy,
    rule: &NetworkPolicyRule,
    peer: &Peer<'_>,
    packet: &Packet<'_>,
) -> bool {
    let peer_fits = rule.peers.is_empty() || rule.peers.iter().any(|wanted| is_peer(policy, wanted, peer));
    let port_fits =
        rule.ports.is_empty() || rule.ports.iter().any(|port| packet.goes_to(port.protocol, &port.port));
    peer_fits && port_fits
}

fn is_peer(policy: &NetworkPolicy, wanted: &NetworkPolicyPeer, peer: &Peer<'_>) -> bool {
    match wanted {
        // Whoever has the address.
        NetworkPolicyPeer::IpBlock { cidr, except } => peer
            .addr
            .is_some_and(|addr| cidr.contains(addr) && !except.iter().any(|except| except.contains(addr))),
        NetworkPolicyPeer::Pods { pods, namespaces } => {
            let Kind::Pod(pod, _) = &peer.kind else { return false };
            let namespace_fits = match namespaces {
                Some(namespaces) => namespaces.matches(&pod.of_namespace),
                None => pod.namespace == policy.meta.namespace(),
            };
            namespace_fits && pods.as_ref().is_none_or(|pods| pods.matches(&pod.own))
        }
    }
}
