//! The peers and subjects of Cilium's policies as selectors.

use super::group;
use super::{CidrRule, CidrSource, CiliumService, CiliumServices, CiliumSubject, Entity, L3};
use crate::cluster_name::ClusterName;
use crate::label::Source;
use crate::manifest::label_selector::{LabelSelector, split_source};
use crate::peer_selector::{
    CidrGroupSelector, CidrScope, CidrSelector, Named, PeerSelector, Peers, ServiceSelector,
};
use crate::pod::{CLUSTER, NAMESPACE, NAMESPACE_LABELS};
use crate::rule::Subject;
use crate::selector::{Requirement, Selector};

/// A key with the source that its prefix names; without one, every source.
fn key(text: &str) -> (Source, String) {
    split_source(text, Source::Any)
        .map_or_else(|| (Source::Any, text.to_owned()), |(s, key)| (s, key.to_owned()))
}

/// Whether a selector is about endpoints whose labels are not known yet.
pub(super) fn selects_init(selector: &LabelSelector) -> bool {
    selector.keys().any(|text| key(text) == (Source::Reserved, "init".to_owned()))
}

/// The subject of a policy; a namespaced one is about pods of its own namespace.
pub(super) fn subject(subject: &CiliumSubject, namespace: Option<&str>) -> Subject {
    match (subject, namespace) {
        (CiliumSubject::Endpoints(selector), None) => Subject::Endpoints(selector.selector(key)),
        (CiliumSubject::Endpoints(selector), Some(namespace)) => {
            let in_namespace = Requirement::equals(Source::K8s, NAMESPACE, namespace);
            Subject::Endpoints(selector.selector(key).and(in_namespace))
        }
        (CiliumSubject::Nodes(selector), _) => Subject::Nodes(selector.selector(key)),
    }
}

/// Where a policy is, and in which cluster it means pods that it does not say more of.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) namespace: Option<&'a str>,
}

/// `fromEndpoints` and `toEndpoints`: without a word about namespaces, a namespaced policy means its own, and a
/// cluster-wide one every pod of every namespace (and nothing that is no pod).
fn endpoints(selector: &LabelSelector, place: Place<'_>, selects_init: bool) -> Selector {
    let normal = selector.selector(key);
    let asks = |wanted: &dyn Fn(&Requirement) -> bool| normal.requirements().iter().any(wanted);
    let any_pod = |r: &Requirement| r.source.accepts(Source::K8s);
    if asks(&|r| r.source == Source::Reserved) {
        return normal;
    }
    let names_namespace = asks(&|r| any_pod(r) && r.key == NAMESPACE);
    let by_namespace_labels = asks(&|r| any_pod(r) && r.key.starts_with(NAMESPACE_LABELS));
    let names_cluster = asks(&|r| any_pod(r) && r.key == CLUSTER);
    let in_namespace = match place.namespace {
        _ if names_namespace => normal,
        None if selects_init => normal,
        None => normal.and(Requirement::exists(Source::K8s, NAMESPACE)),
        Some(_) if by_namespace_labels => normal,
        Some(namespace) => normal.and(Requirement::equals(Source::K8s, NAMESPACE, namespace)),
    };
    // Without it, a requirement that something is not there would match what lies outside, too.
    match names_cluster {
        true => in_namespace,
        false => in_namespace.and(Requirement::equals(Source::K8s, CLUSTER, place.cluster.as_str())),
    }
}

pub(super) fn normalise(peers: &L3, place: Place<'_>, subject: &CiliumSubject) -> Peers {
    Peers::OneOf(match peers {
        L3::Endpoints(selectors) => {
            let init = matches!(subject, CiliumSubject::Endpoints(selector) if selects_init(selector));
            let selector = |selector| PeerSelector::Labels(endpoints(selector, place, init));
            selectors.iter().map(selector).collect()
        }
        L3::Entities(entities) if entities.contains(&Entity::All) => return Peers::Any,
        L3::Entities(entities) => {
            entities.iter().flat_map(|entity| entity.selectors(place.cluster)).collect()
        }
        L3::Cidrs(cidrs) => cidrs.iter().map(cidrs_of).collect(),
        L3::Nodes(selectors) => {
            selectors.iter().map(|selector| PeerSelector::Labels(nodes(selector))).collect()
        }
        L3::Groups(keys) => keys.iter().map(|key| group::selector(key)).collect(),
        L3::Services(services) => {
            let selector = |service: &CiliumService| {
                PeerSelector::Service(ServiceSelector {
                    services: match &service.services {
                        CiliumServices::Name(name) => Named::Name(name.clone()),
                        CiliumServices::Labels(selector) => Named::Labels(selector.selector(of_objects)),
                    },
                    namespace: service.namespace.clone(),
                })
            };
            services.iter().map(selector).collect()
        }
        L3::Names(patterns) => patterns.iter().cloned().map(PeerSelector::Name).collect(),
    })
}

/// A key of an object's own label.
fn of_objects(text: &str) -> (Source, String) {
    (Source::K8s, key(text).1)
}

/// Other nodes, by their labels.
fn nodes(selector: &LabelSelector) -> Selector {
    let other_nodes = Requirement::exists(Source::Reserved, "remote-node");
    selector.selector(|text| (Source::Node, key(text).1)).and(other_nodes)
}

fn cidrs_of(rule: &CidrRule) -> PeerSelector {
    let except = rule.except.clone();
    let groups = match &rule.cidr {
        CidrSource::Cidr(cidr) => {
            return PeerSelector::Cidr(CidrSelector { cidr: *cidr, except, scope: CidrScope::Outside });
        }
        CidrSource::Group(name) => Named::Name(name.clone()),
        CidrSource::Groups(selector) => Named::Labels(selector.selector(of_objects)),
    };
    PeerSelector::CidrGroup(CidrGroupSelector { groups, except })
}
