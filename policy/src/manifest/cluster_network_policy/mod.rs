//! `policy.networking.k8s.io/v1alpha2` ClusterNetworkPolicy (network-policy-api): administrators' tiers.

mod read;

use abi::Direction;
use ipnetwork::IpNetwork;

use super::label_selector::LabelSelector;
use super::meta::Meta;
use crate::label::Source;
use crate::name_pattern::NamePattern;
use crate::peer_selector::{CidrScope, CidrSelector, PeerSelector, Peers};
use crate::pod::{NAMESPACE, NAMESPACE_LABELS};
use crate::policy_key::{PolicyKey, PolicyKind, RuleRef};
use crate::port::{PortMatch, PortSelector, Ports, Protocol};
use crate::rule::{Action, Policy, Rule, Spec, Subject, Tier};
use crate::selector::{Requirement, Selector};

pub(super) use read::read;

/// A ClusterNetworkPolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterNetworkPolicy {
    /// Name and labels.
    pub meta: Meta,
    /// `tier` and `priority`; never [`Tier::Normal`].
    pub tier: Tier,
    /// The pods that it is about.
    pub subject: NamespacedPods,
    /// `ingress`, in order: the first that matches decides.
    pub ingress: Vec<ClusterRule>,
    /// `egress`, in order: the first that matches decides.
    pub egress: Vec<ClusterRule>,
    /// Where its spec stands.
    pub origin: RuleRef,
}

/// Pods by their labels and those of their namespaces. Pods on the host's network are not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespacedPods {
    /// The namespaces.
    pub namespaces: LabelSelector,
    /// The pods in them; all where absent.
    pub pods: Option<LabelSelector>,
}

/// One item of `ingress` or `egress`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterRule {
    /// `name`, empty where absent.
    pub name: String,
    /// Accept is [`Action::Allow`].
    pub action: Action,
    /// `from` or `to`, never empty.
    pub peers: Vec<ClusterPeer>,
    /// `protocols`; everything where empty.
    pub protocols: Vec<ClusterProtocol>,
    /// Where it stands.
    pub origin: RuleRef,
}

/// One item of `from` or `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterPeer {
    /// `namespaces` or `pods`.
    Pods(NamespacedPods),
    /// `nodes`, by their labels. Egress only.
    Nodes(LabelSelector),
    /// `networks`: addresses, whoever has them. Egress only.
    Networks(Vec<IpNetwork>),
    /// `domainNames`: a leading `*.` stands for one or more labels. Egress only, and only to accept.
    Names(Vec<NamePattern>),
}

/// One item of `protocols`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterProtocol {
    /// `tcp`, `udp` or `sctp`: all its ports, one, or a range.
    Ports(Protocol, PortMatch),
    /// `destinationNamedPort`, of whatever protocol.
    Named(String),
}

impl ClusterNetworkPolicy {
    /// Its name among policies.
    #[must_use]
    pub fn key(&self) -> PolicyKey {
        key(&self.meta)
    }

    /// As rules.
    #[must_use]
    pub fn normalise(&self) -> Policy {
        let rules = [(Direction::Ingress, &self.ingress), (Direction::Egress, &self.egress)];
        let rules = rules.into_iter().flat_map(|(direction, rules)| {
            rules.iter().map(move |rule| Rule {
                direction,
                peers: Peers::OneOf(rule.peers.iter().flat_map(ClusterPeer::selectors).collect()),
                ports: ports(&rule.protocols),
                action: rule.action,
                l7: None,
                authentication: None,
                log: None,
                origin: rule.origin.clone(),
            })
        });
        let spec = Spec {
            subject: Subject::Endpoints(self.subject.selector()),
            tier: self.tier,
            deny_ingress: false,
            deny_egress: false,
            rules: rules.collect(),
            origin: self.origin.clone(),
        };
        Policy { key: self.key(), specs: vec![spec] }
    }
}

impl NamespacedPods {
    fn selector(&self) -> Selector {
        let of_namespaces = self.namespaces.selector(|key| (Source::K8s, format!("{NAMESPACE_LABELS}{key}")));
        let of_pods = self.pods.as_ref().map(|pods| pods.selector(|key| (Source::K8s, key.to_owned())));
        let pods = of_pods.unwrap_or_else(Selector::everything);
        // Only pods have namespaces: without this, NotIn would match all else too.
        let all = of_namespaces.requirements().iter().cloned().fold(pods, Selector::and);
        all.and(Requirement::exists(Source::K8s, NAMESPACE))
    }
}

impl ClusterPeer {
    fn into_pods(self) -> Option<NamespacedPods> {
        match self {
            Self::Pods(pods) => Some(pods),
            _ => None,
        }
    }

    fn selectors(&self) -> Vec<PeerSelector> {
        match self {
            Self::Pods(pods) => vec![PeerSelector::Labels(pods.selector())],
            Self::Nodes(selector) => {
                let labelled = selector.selector(|key| (Source::Node, key.to_owned()));
                let kinds = ["host", "remote-node"].into_iter();
                kinds
                    .map(|kind| labelled.clone().and(Requirement::exists(Source::Reserved, kind)))
                    .map(PeerSelector::Labels)
                    .collect()
            }
            Self::Networks(cidrs) => cidrs
                .iter()
                .map(|cidr| CidrSelector { cidr: *cidr, except: Vec::new(), scope: CidrScope::Everyone })
                .map(PeerSelector::Cidr)
                .collect(),
            Self::Names(patterns) => patterns.iter().cloned().map(PeerSelector::Name).collect(),
        }
    }
}

fn ports(protocols: &[ClusterProtocol]) -> Ports {
    if protocols.is_empty() {
        return Ports::Any;
    }
    let selector = |protocol: &ClusterProtocol| match protocol {
        ClusterProtocol::Ports(protocol, port) => {
            PortSelector { protocols: [*protocol].into(), port: port.clone() }
        }
        ClusterProtocol::Named(name) => {
            PortSelector { protocols: Protocol::WITH_PORTS.into(), port: PortMatch::Named(name.clone()) }
        }
    };
    Ports::OneOf(protocols.iter().map(selector).collect())
}

fn key(meta: &Meta) -> PolicyKey {
    PolicyKey { kind: PolicyKind::ClusterNetworkPolicy, namespace: None, name: meta.name.clone() }
}
