//! The meaning of policies, spelled out: slow and obviously right.
//!
//! It reads policy objects as their authors wrote them and shares nothing with rules, resolution or tables. Tests
//! compare the two; it is of use wherever one question is worth a thousand lines that need not be trusted.

use std::collections::BTreeMap;
use std::net::IpAddr;

use abi::{Direction, Identity};

use crate::identity::reserved_labels;
use crate::label::{LabelSet, Source};
use crate::manifest::{
    CidrSource, CiliumPolicy, CiliumRule, CiliumSpec, CiliumSubject, Entity, L3, LabelSelector,
    NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicyRule, Object, Operator, Pod, PortRule,
};
use crate::pod::{NAMESPACE, NAMESPACE_LABELS, pod_labels};
use crate::policy_key::RuleRef;
use crate::port::{PortMatch, PortSelector, Ports, Protocol};
use crate::rule::Action;

/// The objects of a cluster that bear on policy.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    network_policies: Vec<NetworkPolicy>,
    cilium_policies: Vec<CiliumPolicy>,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug)]
pub enum Party<'a> {
    /// A pod.
    Pod(&'a Pod),
    /// A node, or something outside the cluster: a fixed identity.
    Reserved(Identity),
}

/// What policies say of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is let through.
    pub allowed: bool,
    /// The rules that decide, in no particular order: those that deny it, else those that allow it.
    pub rules: Vec<RuleRef>,
}

/// A packet as policies see it.
#[derive(Clone, Copy)]
struct Packet<'a> {
    subject: &'a Pod,
    peer: Party<'a>,
    addr: IpAddr,
    direction: Direction,
    proto: u8,
    port: u16,
}

impl Oracle {
    /// Takes namespaces and policies from a cluster's objects.
    pub fn new<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Self {
        let mut oracle = Self::default();
        for object in objects {
            match object {
                Object::Namespace(namespace) => {
                    oracle.namespaces.insert(namespace.meta.name.clone(), namespace.meta.labels.clone());
                }
                Object::NetworkPolicy(policy) => oracle.network_policies.push(policy.clone()),
                Object::CiliumPolicy(policy) => oracle.cilium_policies.push(policy.clone()),
                _ => {}
            }
        }
        oracle
    }

    /// Judges a packet between a pod and a peer with address `addr`. `port` is its destination port.
    #[must_use]
    pub fn verdict(
        &self,
        subject: &Pod,
        direction: Direction,
        peer: Party<'_>,
        addr: IpAddr,
        proto: u8,
        port: u16,
    ) -> Verdict {
        let packet = Packet { subject, peer, addr, direction, proto, port };
        let (mut closed, mut allowing, mut denying) = (false, Vec::new(), Vec::new());
        for policy in &self.network_policies {
            let (affected, rules) = match direction {
                Direction::Ingress => (policy.affects_ingress, &policy.ingress),
                Direction::Egress => (policy.affects_egress, &policy.egress),
            };
            let selected = policy.meta.namespace() == subject.meta.namespace()
                && policy.pod_selector.matches(&subject.meta.labels);
            if selected && affected {
                closed = true;
                let matching = rules.iter().filter(|rule| self.kubernetes_rule(policy, rule, &packet));
                allowing.extend(matching.map(|rule| rule.origin.clone()));
            }
        }
        for policy in &self.cilium_policies {
            for spec in policy.specs.iter().filter(|spec| self.cilium_subject(policy, spec, subject)) {
                closed |= match direction {
                    Direction::Ingress => spec.default_deny_ingress,
                    Direction::Egress => spec.default_deny_egress,
                };
                for rule in spec.rules.iter().filter(|rule| self.cilium_rule(policy, spec, rule, &packet)) {
                    let matching = if rule.action == Action::Deny { &mut denying } else { &mut allowing };
                    matching.push(rule.origin.clone());
                }
            }
        }
        if !denying.is_empty() {
            return Verdict { allowed: false, rules: denying };
        }
        Verdict { allowed: !allowing.is_empty() || !closed, rules: allowing }
    }

    fn namespace_labels(&self, pod: &Pod) -> BTreeMap<String, String> {
        self.namespaces.get(pod.meta.namespace()).cloned().unwrap_or_default()
    }

    fn kubernetes_rule(&self, policy: &NetworkPolicy, rule: &NetworkPolicyRule, packet: &Packet<'_>) -> bool {
        let peer = |peer: &NetworkPolicyPeer| match peer {
            NetworkPolicyPeer::IpBlock { cidr, except } => {
                cidr.contains(packet.addr) && !except.iter().any(|except| except.contains(packet.addr))
            }
            NetworkPolicyPeer::Pods { pods, namespaces } => {
                let Party::Pod(pod) = packet.peer else { return false };
                let namespace_fits = match namespaces {
                    Some(selector) => selector.matches(&self.namespace_labels(pod)),
                    None => pod.meta.namespace() == policy.meta.namespace(),
                };
                namespace_fits && pods.as_ref().is_none_or(|selector| selector.matches(&pod.meta.labels))
            }
        };
        let port = |port: &NetworkPolicyPort| packet.has_port(port.protocol, &port.port);
        (rule.peers.is_empty() || rule.peers.iter().any(peer))
            && (rule.ports.is_empty() || rule.ports.iter().any(port))
    }

    fn labels(&self, party: Party<'_>) -> LabelSet {
        match party {
            Party::Pod(pod) => pod_labels(pod, &self.namespace_labels(pod)),
            Party::Reserved(identity) => reserved_labels(identity),
        }
    }

    fn cilium_subject(&self, policy: &CiliumPolicy, spec: &CiliumSpec, subject: &Pod) -> bool {
        policy.meta.namespace.as_deref().is_none_or(|namespace| namespace == subject.meta.namespace())
            && matches!(&spec.subject, CiliumSubject::Endpoints(s) if matches_labels(s, &self.labels(Party::Pod(subject))))
    }

    fn cilium_rule(
        &self,
        policy: &CiliumPolicy,
        spec: &CiliumSpec,
        rule: &CiliumRule,
        packet: &Packet<'_>,
    ) -> bool {
        if rule.direction != packet.direction {
            return false;
        }
        let peer_fits = match &rule.peers {
            // Without peers, ports are for everyone; without either, the rule is for nobody.
            None => !rule.ports.is_empty(),
            Some(L3::Cidrs(cidrs)) => {
                let outside = matches!(packet.peer, Party::Reserved(identity) if identity.is_world());
                outside
                    && cidrs.iter().any(|block| {
                        matches!(block.cidr, CidrSource::Cidr(cidr) if cidr.contains(packet.addr))
                            && !block.except.iter().any(|except| except.contains(packet.addr))
                    })
            }
            Some(L3::Nodes(_) | L3::Groups(_) | L3::Services(_) | L3::Names(_)) => false,
            Some(L3::Entities(entities)) => entities.iter().any(|entity| is_entity(*entity, packet.peer)),
            Some(L3::Endpoints(selectors)) => {
                let namespace = policy.meta.namespace.as_deref();
                let init = matches!(&spec.subject, CiliumSubject::Endpoints(s) if s.keys().any(|key| key == "reserved:init"));
                selectors.iter().any(|selector| self.cilium_endpoint(selector, namespace, init, packet.peer))
            }
        };
        let port = |port: &PortSelector| {
            port.protocols.iter().any(|protocol| packet.has_port(*protocol, &port.port))
        };
        let item = |item: &PortRule| match &item.ports {
            Ports::Any => true,
            Ports::OneOf(ports) => ports.iter().any(port),
        };
        peer_fits && (rule.ports.is_empty() || rule.ports.iter().any(item))
    }

    fn cilium_endpoint(
        &self,
        selector: &LabelSelector,
        own: Option<&str>,
        init: bool,
        peer: Party<'_>,
    ) -> bool {
        if !matches_labels(selector, &self.labels(peer)) {
            return false;
        }
        let keys: Vec<&str> = selector.keys().collect();
        let of_pods = |key: &str| {
            let bare = key.strip_prefix("k8s:").or_else(|| key.strip_prefix("any:")).unwrap_or(key);
            (!bare.contains(':')).then(|| bare.to_owned())
        };
        let names_namespace = keys.iter().filter_map(|key| of_pods(key)).any(|key| key == NAMESPACE);
        if names_namespace || keys.iter().any(|key| key.starts_with("reserved:")) {
            return true;
        }
        match (own, peer) {
            (None, Party::Pod(_)) => true,
            (None, Party::Reserved(_)) => init,
            (Some(own), peer) => {
                let by_labels =
                    keys.iter().filter_map(|key| of_pods(key)).any(|key| key.starts_with(NAMESPACE_LABELS));
                by_labels || matches!(peer, Party::Pod(pod) if pod.meta.namespace() == own)
            }
        }
    }
}

impl Packet<'_> {
    fn has_port(&self, protocol: Protocol, port: &PortMatch) -> bool {
        let owner = match (self.direction, self.peer) {
            (Direction::Ingress, _) => Some(self.subject),
            (Direction::Egress, Party::Pod(pod)) => Some(pod),
            (Direction::Egress, Party::Reserved(_)) => None,
        };
        protocol.number() == self.proto
            && match port {
                PortMatch::All => true,
                PortMatch::Range(first, last) => *first <= self.port && self.port <= *last,
                PortMatch::Named(name) => owner.is_some_and(|pod| {
                    pod.ports.iter().any(|port| {
                        port.name.as_ref() == Some(name)
                            && port.protocol == protocol
                            && port.port == self.port
                    })
                }),
            }
    }
}

fn is_entity(entity: Entity, party: Party<'_>) -> bool {
    let identity = match party {
        Party::Pod(_) => return matches!(entity, Entity::All | Entity::Cluster),
        Party::Reserved(identity) => identity,
    };
    match entity {
        Entity::All => true,
        Entity::None => false,
        Entity::World => identity.is_world(),
        Entity::WorldIpv4 => identity == Identity::WORLD_IPV4,
        Entity::WorldIpv6 => identity == Identity::WORLD_IPV6,
        Entity::Cluster => !identity.is_world() && identity != Identity::UNKNOWN,
        Entity::Host => identity == Identity::HOST,
        // The API server, seen from another node, is a node as well.
        Entity::RemoteNode => matches!(identity, Identity::REMOTE_NODE | Identity::KUBE_APISERVER),
        Entity::KubeApiserver => identity == Identity::KUBE_APISERVER,
        Entity::Init => identity == Identity::INIT,
        Entity::Ingress => identity == Identity::INGRESS,
        Entity::Unmanaged => identity == Identity::UNMANAGED,
        Entity::Health => identity == Identity::HEALTH,
    }
}

/// Matches keys that may have sources against labels that have.
fn matches_labels(selector: &LabelSelector, labels: &LabelSet) -> bool {
    let values = |text: &str| -> Vec<String> {
        let (source, key) = match text.split_once(':') {
            Some(("any", key)) => (None, key),
            Some((source, key)) => (Source::from_name(source), key),
            None => (None, text),
        };
        let same = labels.iter().filter(|l| l.key == key && source.is_none_or(|source| source == l.source));
        same.map(|label| label.value.clone()).collect()
    };
    selector.match_labels.iter().all(|(key, value)| values(key).contains(value))
        && selector.match_expressions.iter().all(|expression| {
            let found = values(&expression.key);
            let among = found.iter().any(|value| expression.values.contains(value));
            match expression.operator {
                Operator::In => among,
                Operator::NotIn => !among,
                Operator::Exists => !found.is_empty(),
                Operator::DoesNotExist => found.is_empty(),
            }
        })
}
