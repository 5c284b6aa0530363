//! What CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy say (`cilium.io/v2`).

use std::net::IpAddr;

use super::Oracle;
use super::labels::{Labels, matches_object, split};
use super::packet::Packet;
use super::peer::{Kind, Peer};
use super::pod::PodLabels;
use crate::l7::Proxy;
use crate::label::Source;
use crate::manifest::{
    CidrRule, CidrSource, CiliumPolicy, CiliumRule, CiliumService, CiliumServices, CiliumSpec, CiliumSubject,
    Entity, L3, LabelSelector, Node, Service,
};
use crate::name_pattern::NamePattern;
use crate::pod::{CLUSTER, NAMESPACE, NAMESPACE_LABELS};
use crate::port::PortSelector;

/// Whether a spec is about a pod: of its own namespace only, where it has one.
pub(super) fn selects_pod(policy: &CiliumPolicy, spec: &CiliumSpec, pod: &PodLabels) -> bool {
    let own_namespace = policy.meta.namespace.as_deref().is_none_or(|namespace| namespace == pod.namespace);
    match &spec.subject {
        CiliumSubject::Endpoints(selector) => own_namespace && pod.cilium.matched_by(selector),
        CiliumSubject::Nodes(_) => false,
    }
}

/// Whether a spec is about a node, by the labels that it has as an endpoint.
pub(super) fn selects_node(spec: &CiliumSpec, node: Option<&Node>) -> bool {
    let CiliumSubject::Nodes(selector) = &spec.subject else { return false };
    let mut labels = Labels::default();
    labels.add_reserved("host");
    if let Some(node) = node {
        labels.add_all(Source::K8s, &node.meta.labels);
    }
    labels.matched_by(selector)
}

/// Which proxies take a packet that a rule names: none of them where the rule does not name it.
pub(super) type Proxies = Vec<Option<Proxy>>;

impl Oracle {
    /// Whether a rule names a packet from or to a peer: an entry for each of its items that do, with the proxy
    /// that it wants.
    pub(super) fn cilium_rule_names(
        &self,
        policy: &CiliumPolicy,
        spec: &CiliumSpec,
        rule: &CiliumRule,
        peer: &Peer<'_>,
        packet: &Packet<'_>,
    ) -> Proxies {
        let every_port = rule.ports.is_empty() && rule.icmps.is_empty();
        let peer_fits = match &rule.peers {
            // Without peers, ports are for everyone; without either, the rule is for nobody.
            None => !every_port,
            Some(L3::Endpoints(selectors)) => {
                selectors.iter().any(|selector| is_endpoint(policy, spec, selector, peer))
            }
            Some(L3::Entities(entities)) => entities.iter().any(|entity| is_entity(*entity, peer)),
            Some(L3::Cidrs(cidrs)) => cidrs.iter().any(|cidrs| self.is_in_cidrs(cidrs, peer)),
            Some(L3::Nodes(selectors)) => selectors.iter().any(|selector| is_node(selector, peer)),
            Some(L3::Groups(keys)) => keys.iter().any(|key| self.is_in_cloud_group(key, peer)),
            Some(L3::Services(services)) => services.iter().any(|service| self.is_backend(service, peer)),
            Some(L3::Names(patterns)) => patterns.iter().any(|pattern| self.is_named(pattern, peer)),
        };
        if !peer_fits {
            return Vec::new();
        }
        if every_port {
            return vec![None];
        }
        let selected = |selector: &PortSelector| {
            selector.protocols.iter().any(|protocol| packet.goes_to(*protocol, &selector.port))
        };
        let mut proxies = Vec::new();
        if rule.icmps.iter().any(selected) {
            proxies.push(None);
        }
        for item in &rule.ports {
            if item.ports.iter().any(selected) {
                proxies.push(item.l7.as_ref().and_then(|l7| l7.proxy()));
            }
        }
        proxies
    }

    fn is_in_cidrs(&self, rule: &CidrRule, peer: &Peer<'_>) -> bool {
        let Some(addr) = self.address_for_cidrs(peer) else { return false };
        let included = match &rule.cidr {
            CidrSource::Cidr(cidr) => cidr.contains(addr),
            CidrSource::Group(name) => {
                self.groups.iter().any(|group| group.meta.name == *name && has(&group.cidrs, addr))
            }
            CidrSource::Groups(selector) => self
                .groups
                .iter()
                .any(|group| matches_object(selector, &group.meta.labels) && has(&group.cidrs, addr)),
        };
        included && !has(&rule.except, addr)
    }

    fn is_in_cloud_group(&self, key: &str, peer: &Peer<'_>) -> bool {
        let Some(addr) = self.address_for_cidrs(peer) else { return false };
        self.groups.iter().any(|group| group.meta.labels.contains_key(key) && has(&group.cidrs, addr))
    }

    /// The address of a peer that CIDRs of Cilium's policies can be about.
    fn address_for_cidrs(&self, peer: &Peer<'_>) -> Option<IpAddr> {
        peer.addr.filter(|_| peer.is_matched_by_cidrs(self.settings.cidrs_match_nodes))
    }

    fn is_backend(&self, wanted: &CiliumService, peer: &Peer<'_>) -> bool {
        let chosen = |service: &&Service| {
            let namespace_fits =
                wanted.namespace.as_deref().is_none_or(|namespace| namespace == service.meta.namespace());
            namespace_fits
                && match &wanted.services {
                    CiliumServices::Name(name) => *name == service.meta.name,
                    CiliumServices::Labels(selector) => matches_object(selector, &service.meta.labels),
                }
        };
        self.services.iter().filter(chosen).any(|service| {
            if service.selector.is_empty() {
                let addr = self.address_for_cidrs(peer);
                return addr.is_some_and(|addr| self.backends_of(&service.meta).any(|known| known == addr));
            }
            match &peer.kind {
                Kind::Pod(pod, _) => {
                    pod.namespace == service.meta.namespace()
                        && service.selector.iter().all(|(key, value)| pod.own.get(key) == Some(value))
                }
                _ => false,
            }
        })
    }

    /// Whether an address outside the cluster is known by a name.
    pub(super) fn is_named(&self, pattern: &NamePattern, peer: &Peer<'_>) -> bool {
        let names = peer.addr.and_then(|addr| self.names.get(&addr));
        matches!(peer.kind, Kind::Outside)
            && names.is_some_and(|names| names.iter().any(|name| pattern.matches(name)))
    }
}

fn has(cidrs: &[ipnetwork::IpNetwork], addr: IpAddr) -> bool {
    cidrs.iter().any(|cidr| cidr.contains(addr))
}

/// `fromNodes` and `toNodes`: other nodes, by their labels.
fn is_node(selector: &LabelSelector, peer: &Peer<'_>) -> bool {
    match &peer.kind {
        Kind::OtherNode(Some(node)) => matches_object(selector, &node.meta.labels),
        Kind::OtherNode(None) => matches_object(selector, &Default::default()),
        _ => false,
    }
}

/// `fromEndpoints` and `toEndpoints`.
///
/// Without a word about namespaces, a namespaced policy means pods of its own, and a cluster-wide one pods of all
/// of them; a cluster-wide one about endpoints without labels yet (`reserved:init`) has nothing to say of namespaces. Without
/// a word about clusters, all mean their own.
fn is_endpoint(policy: &CiliumPolicy, spec: &CiliumSpec, selector: &LabelSelector, peer: &Peer<'_>) -> bool {
    if !peer.labels().matched_by(selector) {
        return false;
    }
    let keys = || selector.keys().map(split);
    let of_pods =
        || keys().filter(|(source, _)| matches!(source, None | Some(Source::K8s))).map(|(_, key)| key);
    if keys().any(|(source, _)| source == Some(Source::Reserved)) {
        return true;
    }
    // Only pods are of a cluster.
    let is_pod = matches!(peer.kind, Kind::Pod(..));
    if !is_pod && !of_pods().any(|key| key == CLUSTER) {
        return false;
    }
    if of_pods().any(|key| key == NAMESPACE) {
        return true;
    }
    match (policy.meta.namespace.as_deref(), &peer.kind) {
        (None, Kind::Pod(..)) => true,
        (None, _) => matches!(
            &spec.subject,
            CiliumSubject::Endpoints(subject)
                if subject.keys().any(|key| split(key) == (Some(Source::Reserved), "init"))
        ),
        (Some(_), _) if of_pods().any(|key| key.starts_with(NAMESPACE_LABELS)) => true,
        (Some(own), Kind::Pod(pod, _)) => pod.namespace == own,
        (Some(_), _) => false,
    }
}

/// The fixed identities of the entities `cluster` and `cluster-mesh`. The API server is among them wherever it runs.
const INSIDE: [&str; 7] = ["host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver"];

fn is_entity(entity: Entity, peer: &Peer<'_>) -> bool {
    let outside = matches!(peer.kind, Kind::Outside);
    match entity {
        Entity::All => true,
        Entity::None => false,
        Entity::World => outside,
        Entity::WorldIpv4 => peer.labels().is_reserved("world-ipv4"),
        Entity::WorldIpv6 => peer.labels().is_reserved("world-ipv6"),
        // There is one cluster.
        Entity::Cluster | Entity::ClusterMesh => {
            matches!(peer.kind, Kind::Pod(..)) || INSIDE.iter().any(|name| peer.labels().is_reserved(name))
        }
        Entity::Host => matches!(peer.kind, Kind::OwnNode(_)),
        Entity::RemoteNode => matches!(peer.kind, Kind::OtherNode(_)),
        Entity::KubeApiserver => peer.labels().is_reserved("kube-apiserver"),
        Entity::Init => peer.labels().is_reserved("init"),
        Entity::Ingress => peer.labels().is_reserved("ingress"),
        Entity::Unmanaged => peer.labels().is_reserved("unmanaged"),
        Entity::Health => peer.labels().is_reserved("health"),
    }
}
