//! `cilium.io/v2` CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy, as far as layers 3 and 4 go.

use std::sync::Arc;

use abi::Direction;
use ipnetwork::IpNetwork;

use super::cilium_peers;
use super::cilium_ports;
use super::label_selector::{self, Keys, LabelSelector};
use super::meta::Meta;
use super::reader::{Field, Fields};
use crate::l7::L7;
use crate::name_pattern::NamePattern;
use crate::peer_selector::Peers;
use crate::policy_key::{PolicyKey, PolicyKind, RuleRef};
use crate::port::{PortSelector, Ports};
use crate::rule::{Action, Authentication, Policy, Rule, Spec, Tier};

pub use super::cilium_peers::Entity;

/// A Cilium policy of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiliumPolicy {
    /// Name, namespace (none: cluster-wide) and labels.
    pub meta: Meta,
    /// `spec`, then `specs`.
    pub specs: Vec<CiliumSpec>,
}

/// One spec of a Cilium policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiliumSpec {
    /// Whom it is about.
    pub subject: CiliumSubject,
    /// Whether it closes ingress to what no rule allows.
    pub default_deny_ingress: bool,
    /// Whether it closes egress to what no rule allows.
    pub default_deny_egress: bool,
    /// The items of `ingress`, `ingressDeny`, `egress` and `egressDeny`.
    pub rules: Vec<CiliumRule>,
    /// `log.value`: what to report with its verdicts.
    pub log: Option<Arc<str>>,
    /// Where it stands.
    pub origin: RuleRef,
}

/// Whom a [`CiliumSpec`] is about. Keys may have sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CiliumSubject {
    /// `endpointSelector`.
    Endpoints(LabelSelector),
    /// `nodeSelector`.
    Nodes(LabelSelector),
}

/// One rule of a Cilium policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiliumRule {
    /// The direction.
    pub direction: Direction,
    /// Deny for `ingressDeny` and `egressDeny`.
    pub action: Action,
    /// The peers; none where no such field is there, which means everyone if there are ports or ICMP types, else
    /// nobody.
    pub peers: Option<L3>,
    /// `toPorts`; all ports where empty.
    pub ports: Vec<PortRule>,
    /// `icmps`: as protocols and types. Never beside ports.
    pub icmps: Vec<PortSelector>,
    /// `authentication`.
    pub authentication: Option<Authentication>,
    /// Where it stands.
    pub origin: RuleRef,
}

/// One item of `toPorts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRule {
    /// `ports`. Port 0 of any protocol stands for everything ([`Ports::Any`]).
    pub ports: Ports,
    /// What a proxy has to check, if anything.
    pub l7: Option<Arc<L7>>,
}

/// The peers of a rule: fields of one kind only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum L3 {
    /// `fromEndpoints`, `toEndpoints`. Keys may have sources.
    Endpoints(Vec<LabelSelector>),
    /// `fromEntities`, `toEntities`.
    Entities(Vec<Entity>),
    /// `fromCIDR`, `toCIDR`, `fromCIDRSet`, `toCIDRSet`.
    Cidrs(Vec<CidrRule>),
    /// `fromNodes`, `toNodes`, by the labels of nodes.
    Nodes(Vec<LabelSelector>),
    /// `fromGroups`, `toGroups`: security groups of a cloud, as the key of the CiliumCIDRGroup label that the
    /// operator resolves them to.
    Groups(Vec<String>),
    /// `toServices`.
    Services(Vec<CiliumService>),
    /// `toFQDNs`.
    Names(Vec<NamePattern>),
}

/// A CIDR, or a group of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CidrRule {
    /// The addresses.
    pub cidr: CidrSource,
    /// Those that are left out.
    pub except: Vec<IpNetwork>,
}

/// Where a [`CidrRule`]'s addresses are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CidrSource {
    /// Here.
    Cidr(IpNetwork),
    /// In the CiliumCIDRGroup of this name.
    Group(String),
    /// In the CiliumCIDRGroups whose labels match.
    Groups(LabelSelector),
}

/// An item of `toServices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiliumService {
    /// Which services.
    pub services: CiliumServices,
    /// Their namespace; all where absent.
    pub namespace: Option<String>,
}

/// The services of a [`CiliumService`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CiliumServices {
    /// `k8sService`.
    Name(String),
    /// `k8sServiceSelector`.
    Labels(LabelSelector),
}

impl CiliumPolicy {
    /// Whether it is a CiliumNetworkPolicy or a CiliumClusterwideNetworkPolicy.
    #[must_use]
    pub const fn kind(&self) -> PolicyKind {
        kind(&self.meta)
    }

    /// Its name among policies.
    #[must_use]
    pub fn key(&self) -> PolicyKey {
        key(&self.meta)
    }

    /// As rules.
    #[must_use]
    pub fn normalise(&self) -> Policy {
        let namespace = self.meta.namespace.as_deref();
        let spec = |spec: &CiliumSpec| Spec {
            subject: cilium_peers::subject(&spec.subject, namespace),
            tier: Tier::Normal,
            deny_ingress: spec.default_deny_ingress,
            deny_egress: spec.default_deny_egress,
            rules: spec.rules.iter().flat_map(|rule| spec.normalise(rule, namespace)).collect(),
            origin: spec.origin.clone(),
        };
        Policy { key: self.key(), specs: self.specs.iter().map(spec).collect() }
    }
}

impl CiliumSpec {
    /// One rule for what needs no proxy, and one for each item that does.
    fn normalise(&self, rule: &CiliumRule, namespace: Option<&str>) -> Vec<Rule> {
        let everything = rule.ports.is_empty() && rule.icmps.is_empty();
        let peers = match &rule.peers {
            Some(peers) => cilium_peers::normalise(peers, namespace, &self.subject),
            None if everything => Peers::OneOf(Vec::new()),
            None => Peers::Any,
        };
        let with = |ports, l7| Rule {
            direction: rule.direction,
            peers: peers.clone(),
            ports,
            action: rule.action,
            l7,
            authentication: rule.authentication,
            log: self.log.clone(),
            origin: rule.origin.clone(),
        };
        if everything {
            return vec![with(Ports::Any, None)];
        }
        let mut plain = rule.icmps.clone();
        let mut rules = Vec::new();
        for item in &rule.ports {
            match (&item.l7, &item.ports) {
                (None, Ports::OneOf(ports)) => plain.extend(ports.iter().cloned()),
                (l7, ports) => rules.push(with(ports.clone(), l7.clone())),
            }
        }
        if !plain.is_empty() {
            rules.insert(0, with(Ports::OneOf(plain), None));
        }
        rules
    }
}

const fn kind(meta: &Meta) -> PolicyKind {
    match meta.namespace {
        Some(_) => PolicyKind::CiliumNetworkPolicy,
        None => PolicyKind::CiliumClusterwideNetworkPolicy,
    }
}

fn key(meta: &Meta) -> PolicyKey {
    PolicyKey { kind: kind(meta), namespace: meta.namespace.clone(), name: meta.name.clone() }
}

/// Reads a policy. The second value is set where the policy is wrong but its subjects are known.
pub(super) fn read(meta: Meta, mut object: Fields<'_>) -> (Option<CiliumPolicy>, Option<Policy>) {
    let report = object.field.report;
    let mut fields: Vec<Field<'_>> = object.get("spec").into_iter().collect();
    if let Some(list) = object.get("specs") {
        let items = list.list().unwrap_or_default();
        if items.is_empty() {
            list.error("is empty", "at least one spec");
        }
        fields.extend(items);
    } else if fields.is_empty() {
        object.field.error("\"spec\" is missing", "spec, or specs for several");
    }
    object.ignore(&["status"]);
    object.finish();
    let specs: Vec<_> = fields.iter().filter_map(|field| spec(field, &meta)).collect();
    let policy = CiliumPolicy { meta, specs };
    if report.count() == 0 {
        return (Some(policy), None);
    }
    let mut closed = policy.normalise();
    for spec in &mut closed.specs {
        spec.rules.clear();
    }
    (None, Some(closed).filter(|policy| !policy.specs.is_empty()))
}

fn origin(field: &Field<'_>, meta: &Meta) -> RuleRef {
    RuleRef { policy: key(meta), path: field.path.clone(), file: Arc::clone(&meta.file), line: field.line() }
}

/// Reads a spec; none where its subject is not known. Where anything else is wrong it closes the directions
/// that it names.
fn spec(field: &Field<'_>, meta: &Meta) -> Option<CiliumSpec> {
    let before = field.report.count();
    let mut fields = field.object()?;
    let selector = match (fields.get("endpointSelector"), fields.get("nodeSelector")) {
        (Some(selector), None) => subject(&selector, meta),
        (None, None) => {
            field.error("\"endpointSelector\" is missing", "endpointSelector: {} selects every pod");
            None
        }
        (_, Some(node)) if meta.namespace.is_some() => {
            node.error("a namespaced policy has no nodeSelector", "CiliumClusterwideNetworkPolicy has");
            None
        }
        (_, Some(node)) => {
            node.error("\"nodeSelector\" is not enforced yet", "select pods by endpointSelector");
            None
        }
    };
    let mut rules = Vec::new();
    let mut named = [false; 2];
    for (key, direction, action) in [
        ("ingress", Direction::Ingress, Action::Allow),
        ("ingressDeny", Direction::Ingress, Action::Deny),
        ("egress", Direction::Egress, Action::Allow),
        ("egressDeny", Direction::Egress, Action::Deny),
    ] {
        let Some(list) = fields.get(key) else { continue };
        let items = list.list();
        // A list that is none names its direction too.
        named[direction as usize] |= items.as_ref().is_none_or(|items| !items.is_empty());
        rules.extend(items.unwrap_or_default().iter().filter_map(|item| rule(item, direction, action, meta)));
    }
    if let Some(labels) = fields.get("labels") {
        labels.list();
    }
    if let Some(description) = fields.get("description") {
        description.string();
    }
    let mut default_deny = named;
    let mut explicit = false;
    if let Some(mut inner) = fields.get("enableDefaultDeny").and_then(|field| field.object()) {
        for (key, direction) in [("ingress", Direction::Ingress), ("egress", Direction::Egress)] {
            if let Some(value) = inner.get(key).and_then(|field| field.boolean()) {
                default_deny[direction as usize] = value;
                explicit |= value;
            }
        }
        inner.finish();
    }
    fields.refuse(&["log"]);
    fields.finish();
    if selector.is_some() && rules.is_empty() && named == [false; 2] && !explicit {
        field.error("has no rules", "at least one of ingress, ingressDeny, egress, egressDeny");
    }
    let valid = field.report.count() == before;
    let default_deny =
        if valid { default_deny } else { [default_deny[0] | named[0], default_deny[1] | named[1]] };
    Some(CiliumSpec {
        subject: CiliumSubject::Endpoints(selector?),
        log: None,
        default_deny_ingress: default_deny[Direction::Ingress as usize],
        default_deny_egress: default_deny[Direction::Egress as usize],
        rules,
        origin: origin(field, meta),
    })
}

fn subject(field: &Field<'_>, meta: &Meta) -> Option<LabelSelector> {
    let selector = label_selector::read(field, Keys::WithSource)?;
    if let Some(own) = &meta.namespace
        && let Some(other) = cilium_peers::foreign_namespace(&selector, own)
    {
        field.error(
            format!("selects pods of namespace {other:?}"),
            format!("a policy of namespace {own:?} is about pods of that namespace only"),
        );
        return None;
    }
    Some(selector)
}

fn rule(field: &Field<'_>, direction: Direction, action: Action, meta: &Meta) -> Option<CiliumRule> {
    let mut fields = field.object()?;
    let peers = cilium_peers::read(&mut fields, direction);
    let ports =
        fields.get("toPorts").map(|field| cilium_ports::read(&field, direction, action)).unwrap_or_default();
    let ports = match ports.is_empty() {
        true => Vec::new(),
        false => vec![PortRule { ports: Ports::OneOf(ports), l7: None }],
    };
    fields.refuse(&["icmps"]);
    if action == Action::Allow {
        if let Some(authentication) = fields.get("authentication") {
            cilium_ports::authentication(&authentication);
        }
        if direction == Direction::Egress {
            fields.refuse(&["toFQDNs"]);
        }
    }
    fields.finish();
    Some(CiliumRule {
        direction,
        action,
        peers,
        ports,
        icmps: Vec::new(),
        authentication: None,
        origin: origin(field, meta),
    })
}
