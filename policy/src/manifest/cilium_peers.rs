//! The peers of Cilium's rules: endpoints, entities, CIDRs.

use abi::Direction;

use super::cilium::{CidrRule, CidrSource, CiliumServices, CiliumSubject, L3};
use super::label_selector::{self, Keys, LabelSelector, split_source};
use super::network_policy::cidr;
use super::reader::{Field, Fields};
use crate::cidr::{canonical, contains};
use crate::label::Source;
use crate::peer_selector::{
    CidrGroupSelector, CidrScope, CidrSelector, Named, PeerSelector, Peers, ServiceSelector,
};
use crate::pod::{CLUSTER, DEFAULT_CLUSTER, NAMESPACE, NAMESPACE_LABELS};
use crate::rule::Subject;
use crate::selector::{Requirement, Selector};

/// A group of peers with a name, as in Cilium's `pkg/policy/api/entity.go`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// Everyone.
    All,
    /// Everything outside the cluster.
    World,
    /// IPv4 addresses outside the cluster.
    WorldIpv4,
    /// IPv6 addresses outside the cluster.
    WorldIpv6,
    /// Everything inside the cluster.
    Cluster,
    /// The endpoint's own node.
    Host,
    /// Endpoints whose labels are not known yet.
    Init,
    /// The ingress proxy.
    Ingress,
    /// Pods that are not managed.
    Unmanaged,
    /// The other nodes.
    RemoteNode,
    /// Health-check endpoints.
    Health,
    /// Nobody.
    None,
    /// The Kubernetes API server.
    KubeApiserver,
}

impl Entity {
    const NAMES: [(&str, Self); 13] = [
        ("all", Self::All),
        ("world", Self::World),
        ("world-ipv4", Self::WorldIpv4),
        ("world-ipv6", Self::WorldIpv6),
        ("cluster", Self::Cluster),
        ("host", Self::Host),
        ("init", Self::Init),
        ("ingress", Self::Ingress),
        ("unmanaged", Self::Unmanaged),
        ("remote-node", Self::RemoteNode),
        ("health", Self::Health),
        ("none", Self::None),
        ("kube-apiserver", Self::KubeApiserver),
    ];

    /// The entity of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, entity)| entity)
    }

    /// The keys of the reserved labels of which its members carry one. [`Entity::All`] and [`Entity::None`]
    /// have none; the members of [`Entity::Cluster`] include all pods beside these.
    #[must_use]
    pub const fn reserved(self) -> &'static [&'static str] {
        match self {
            Self::All | Self::None => &[],
            Self::World => &["world", "world-ipv4", "world-ipv6"],
            Self::WorldIpv4 => &["world-ipv4"],
            Self::WorldIpv6 => &["world-ipv6"],
            Self::Cluster => {
                &["host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver"]
            }
            Self::Host => &["host"],
            Self::Init => &["init"],
            Self::Ingress => &["ingress"],
            Self::Unmanaged => &["unmanaged"],
            Self::RemoteNode => &["remote-node"],
            Self::Health => &["health"],
            Self::KubeApiserver => &["kube-apiserver"],
        }
    }

    fn selectors(self) -> Vec<PeerSelector> {
        let reserved = |name: &&str| Selector::everything().and(Requirement::exists(Source::Reserved, *name));
        let mut selectors: Vec<_> = self.reserved().iter().map(reserved).collect();
        if self == Self::Cluster {
            selectors.push(Selector::everything().and(Requirement::equals(
                Source::K8s,
                CLUSTER,
                DEFAULT_CLUSTER,
            )));
        }
        selectors.into_iter().map(PeerSelector::Labels).collect()
    }
}

/// A key with the source that its prefix names; without one, every source.
fn key(text: &str) -> (Source, String) {
    split_source(text, Source::Any)
        .map_or_else(|| (Source::Any, text.to_owned()), |(s, key)| (s, key.to_owned()))
}

/// Whether a selector is about endpoints whose labels are not known yet.
pub(super) fn selects_init(selector: &LabelSelector) -> bool {
    selector.keys().any(|text| key(text) == (Source::Reserved, "init".to_owned()))
}

/// The namespace that a subject selector asks for, where it is not the policy's own.
pub(super) fn foreign_namespace<'a>(selector: &'a LabelSelector, own: &str) -> Option<&'a str> {
    let asked = selector.match_labels.iter().find(|(text, _)| {
        let (source, key) = key(text);
        source.accepts(Source::K8s) && key == NAMESPACE
    });
    asked.map(|(_, value)| value.as_str()).filter(|value| *value != own)
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

/// `fromEndpoints` and `toEndpoints`: without a word about namespaces, a namespaced policy means its own, and a
/// cluster-wide one every pod of every namespace (and nothing that is no pod).
fn endpoints(selector: &LabelSelector, namespace: Option<&str>, selects_init: bool) -> Selector {
    let normal = selector.selector(key);
    let asks = |wanted: &dyn Fn(&Requirement) -> bool| normal.requirements().iter().any(wanted);
    let any_pod = |r: &Requirement| r.source.accepts(Source::K8s);
    if asks(&|r| r.source == Source::Reserved) || asks(&|r| any_pod(r) && r.key == NAMESPACE) {
        return normal;
    }
    let by_namespace_labels = asks(&|r| any_pod(r) && r.key.starts_with(NAMESPACE_LABELS));
    match namespace {
        None if selects_init => normal,
        None => normal.and(Requirement::exists(Source::K8s, NAMESPACE)),
        Some(_) if by_namespace_labels => normal,
        Some(namespace) => normal.and(Requirement::equals(Source::K8s, NAMESPACE, namespace)),
    }
}

pub(super) fn normalise(peers: &L3, namespace: Option<&str>, subject: &CiliumSubject) -> Peers {
    Peers::OneOf(match peers {
        L3::Endpoints(selectors) => {
            let init = matches!(subject, CiliumSubject::Endpoints(selector) if selects_init(selector));
            let selector = |selector| PeerSelector::Labels(endpoints(selector, namespace, init));
            selectors.iter().map(selector).collect()
        }
        L3::Entities(entities) if entities.contains(&Entity::All) => return Peers::Any,
        L3::Entities(entities) => entities.iter().copied().flat_map(Entity::selectors).collect(),
        L3::Cidrs(cidrs) => cidrs.iter().map(cidrs_of).collect(),
        L3::Nodes(selectors) => {
            selectors.iter().map(|selector| PeerSelector::Labels(nodes(selector))).collect()
        }
        L3::Groups(keys) => keys.iter().map(|key| group(key)).collect(),
        L3::Services(services) => {
            let selector = |service: &super::cilium::CiliumService| {
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

fn group(key: &str) -> PeerSelector {
    let labelled = Selector::everything().and(Requirement::exists(Source::K8s, key));
    PeerSelector::CidrGroup(CidrGroupSelector { groups: Named::Labels(labelled), except: Vec::new() })
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

/// Reads the peers of a rule: none where no such field is there.
pub(super) fn read(fields: &mut Fields<'_>, direction: Direction) -> Option<L3> {
    let (known, refused): ([&'static str; 4], &[&'static str]) = match direction {
        Direction::Ingress => (
            ["fromEndpoints", "fromEntities", "fromCIDR", "fromCIDRSet"],
            &["fromGroups", "fromNodes", "fromRequires"],
        ),
        Direction::Egress => (
            ["toEndpoints", "toEntities", "toCIDR", "toCIDRSet"],
            &["toGroups", "toNodes", "toRequires", "toServices"],
        ),
    };
    let [endpoints, entities, cidrs, cidr_sets] = known;
    fields.refuse(refused);
    let mut found: Vec<(Field<'_>, usize, L3)> = Vec::new();
    type Read = fn(&[Field<'_>]) -> L3;
    let kinds: [(&'static str, Read); 4] = [
        (endpoints, |items| L3::Endpoints(items.iter().filter_map(endpoint).collect())),
        (entities, |items| L3::Entities(items.iter().filter_map(entity).collect())),
        (cidrs, |items| L3::Cidrs(items.iter().filter_map(plain_cidr).collect())),
        (cidr_sets, |items| L3::Cidrs(items.iter().filter_map(cidr_rule).collect())),
    ];
    for (key, read) in kinds {
        if let Some(field) = fields.get(key)
            && let Some(items) = field.list()
        {
            found.push((field, items.len(), read(&items)));
        }
    }
    let several = found.iter().filter(|(_, len, _)| *len > 0).count() > 1;
    if several && let Some((field, ..)) = found.iter().rfind(|(_, len, _)| *len > 0) {
        field.error("cannot be combined with other peers in one rule", "put it into a rule of its own");
    }
    // An empty list selects nobody, unless another one selects somebody.
    let chosen = found.iter().position(|(_, len, _)| *len > 0).unwrap_or(0);
    (!found.is_empty()).then(|| found.swap_remove(chosen).2)
}

fn endpoint(field: &Field<'_>) -> Option<LabelSelector> {
    label_selector::read(field, Keys::WithSource)
}

fn entity(field: &Field<'_>) -> Option<Entity> {
    let name = field.string()?;
    let entity = Entity::from_name(&name);
    if entity.is_none() {
        let names = Entity::NAMES.map(|(name, _)| name).join(", ");
        field.error(format!("{name:?} is not an entity"), names);
    }
    entity
}

/// An item of `fromCIDR` or `toCIDR`: a CIDR, or a single address.
fn plain_cidr(field: &Field<'_>) -> Option<CidrRule> {
    let text = field.string()?;
    match text.parse().map(canonical) {
        Ok(cidr) => Some(CidrRule { cidr: CidrSource::Cidr(cidr), except: Vec::new() }),
        Err(_) => {
            field.error(
                format!("{text:?} is neither a CIDR nor an address"),
                "such as 10.0.0.0/8 or 10.0.0.1",
            );
            None
        }
    }
}

/// An item of `fromCIDRSet` or `toCIDRSet`.
fn cidr_rule(field: &Field<'_>) -> Option<CidrRule> {
    let mut fields = field.object()?;
    fields.refuse(&["cidrGroupRef", "cidrGroupSelector"]);
    let outer = fields.get("cidr");
    if outer.is_none()
        && field.node.get("cidrGroupRef").or_else(|| field.node.get("cidrGroupSelector")).is_none()
    {
        field.error("\"cidr\" is missing", "such as 10.0.0.0/8");
    }
    let items = fields.get("except").and_then(|field| field.list()).unwrap_or_default();
    fields.finish();
    let outer = cidr(&outer?)?;
    let inner = |item: &Field<'_>| {
        let except = cidr(item)?;
        if !contains(outer, except) {
            item.error(format!("{except} does not lie inside {outer}"), "except takes parts of cidr away");
            return None;
        }
        Some(except)
    };
    Some(CidrRule { cidr: CidrSource::Cidr(outer), except: items.iter().filter_map(inner).collect() })
}
