//! `cilium.io/v2` CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy: what they say, and as rules.

mod conflict;
mod entity;
mod group;
mod http;
mod icmp;
mod l3;
mod l7;
mod peers;
mod ports;
mod spec;

use std::sync::Arc;

use abi::Direction;
use ipnetwork::IpNetwork;

use super::label_selector::LabelSelector;
use super::meta::Meta;
use crate::cluster_name::ClusterName;
use crate::l7::L7;
use crate::name_pattern::NamePattern;
use crate::peer_selector::Peers;
use crate::policy_key::{PolicyKey, PolicyKind, RuleRef};
use crate::port::{PortSelector, Ports};
use crate::rule::{Action, Authentication, Policy, Rule, Spec, Tier};
use peers::Place;

pub use entity::Entity;
pub(super) use spec::read;

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
    /// `icmps`: as protocols and types. Never beside ports; where it names no type, `ports` has one item that
    /// selects nothing.
    pub icmps: Vec<PortSelector>,
    /// `authentication`.
    pub authentication: Option<Authentication>,
    /// Where it stands.
    pub origin: RuleRef,
}

/// One item of `toPorts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRule {
    /// `ports`; none where empty. Any protocol means TCP, UDP and SCTP.
    pub ports: Vec<PortSelector>,
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

    /// As rules of a cluster.
    #[must_use]
    pub fn normalise(&self, cluster: &ClusterName) -> Policy {
        let namespace = self.meta.namespace.as_deref();
        let place = Place { cluster, namespace };
        let spec = |spec: &CiliumSpec| Spec {
            subject: peers::subject(&spec.subject, namespace),
            tier: Tier::Normal,
            deny_ingress: spec.default_deny_ingress,
            deny_egress: spec.default_deny_egress,
            rules: spec.rules.iter().flat_map(|rule| spec.normalise(rule, place)).collect(),
            origin: spec.origin.clone(),
        };
        Policy { key: self.key(), specs: self.specs.iter().map(spec).collect() }
    }
}

impl CiliumSpec {
    /// One rule for what needs no proxy, and one for each item that does.
    fn normalise(&self, rule: &CiliumRule, place: Place<'_>) -> Vec<Rule> {
        let everything = rule.ports.is_empty() && rule.icmps.is_empty();
        let peers = match &rule.peers {
            Some(peers) => peers::normalise(peers, place, &self.subject),
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
            match &item.l7 {
                None => plain.extend(item.ports.iter().cloned()),
                l7 => rules.push(with(Ports::OneOf(item.ports.clone()), l7.clone())),
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
