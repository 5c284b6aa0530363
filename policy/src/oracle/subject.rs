//! A pod or node that is asked, and how the tiers come to a verdict.

use std::net::IpAddr;

use abi::Direction;
use serde::Serialize;

use super::packet::Packet;
use super::peer::{Kind, Party, Peer};
use super::{Oracle, cilium, cluster_network_policy, network_policy};
use crate::l7::Proxy;
use crate::manifest::{CiliumPolicy, CiliumSpec, ClusterNetworkPolicy, NetworkPolicy, Node, Pod};
use crate::policy_key::RuleRef;
use crate::rule::{Action, Authentication, Tier};
use crate::settings::Enforcement;
use crate::verdict::Verdict;

/// A pod or node, with the policies that are about it.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    oracle: &'a Oracle,
    /// None for a node.
    pod: Option<&'a Pod>,
    /// The node that it runs on, or is.
    own_node: Option<&'a str>,
    network_policies: Vec<&'a NetworkPolicy>,
    cilium_specs: Vec<(&'a CiliumPolicy, &'a CiliumSpec)>,
    cluster_policies: Vec<&'a ClusterNetworkPolicy>,
}

/// What policies say of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// What becomes of it.
    pub verdict: Verdict,
    /// The proxy that decides, for [`Verdict::Redirect`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// How the two ends must prove who they are; none where they need not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// The tier that decides; none where nothing does, or the enforcement mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// The rules that decide, each once, in no particular order.
    pub rules: Vec<RuleRef>,
    /// Where no rule names it, the specs that close the direction.
    pub closed_by: Vec<RuleRef>,
}

impl Judgement {
    fn new(verdict: Verdict) -> Self {
        let (rules, closed_by) = (Vec::new(), Vec::new());
        Self { verdict, proxy: None, authentication: None, tier: None, rules, closed_by }
    }
}

impl<'a> Subject<'a> {
    pub(super) fn pod(oracle: &'a Oracle, pod: &'a Pod) -> Self {
        let own_node = pod.node_name.as_deref();
        if pod.host_network {
            return Self::node(oracle, own_node, own_node.and_then(|name| oracle.nodes.get(name)));
        }
        let labels = oracle.pod_labels(pod);
        let specs = oracle
            .cilium_policies
            .iter()
            .flat_map(|policy| policy.specs.iter().map(move |spec| (policy, spec)));
        Self {
            oracle,
            pod: Some(pod),
            own_node,
            network_policies: oracle
                .network_policies
                .iter()
                .filter(|policy| network_policy::selects(policy, &labels))
                .collect(),
            cilium_specs: specs.filter(|(policy, spec)| cilium::selects_pod(policy, spec, &labels)).collect(),
            cluster_policies: oracle
                .cluster_policies
                .iter()
                .filter(|policy| cluster_network_policy::selects(policy, &labels))
                .collect(),
        }
    }

    /// Only specs with a node selector are about nodes.
    pub(super) fn node(oracle: &'a Oracle, name: Option<&'a str>, node: Option<&'a Node>) -> Self {
        let specs = oracle
            .cilium_policies
            .iter()
            .flat_map(|policy| policy.specs.iter().map(move |spec| (policy, spec)));
        let cilium_specs = specs.filter(|(_, spec)| cilium::selects_node(spec, node)).collect();
        let (network_policies, cluster_policies) = (Vec::new(), Vec::new());
        Self { oracle, pod: None, own_node: name, network_policies, cilium_specs, cluster_policies }
    }

    /// Judges a packet between the subject and a peer with this address, if it is known. `proto` is the protocol's
    /// number; `port` is the destination port, or the type of ICMP and ICMPv6.
    ///
    /// A pod's own node may always reach it, whatever policies say: it checks the pod's health.
    #[must_use]
    pub fn verdict(
        &self,
        direction: Direction,
        peer: Party<'_>,
        addr: Option<IpAddr>,
        proto: u8,
        port: u16,
    ) -> Judgement {
        let peer = Peer::new(self.oracle, self.own_node, peer, addr);
        if direction == Direction::Ingress && self.pod.is_some() && matches!(peer.kind, Kind::OwnNode(_)) {
            return Judgement::new(Verdict::Allow);
        }
        self.judge(direction, &peer, proto, port)
    }

    /// As [`Subject::verdict`], but a pod's own node is a peer like any other: what compiled tables say.
    #[must_use]
    pub fn by_policies(
        &self,
        direction: Direction,
        peer: Party<'_>,
        addr: Option<IpAddr>,
        proto: u8,
        port: u16,
    ) -> Judgement {
        self.judge(direction, &Peer::new(self.oracle, self.own_node, peer, addr), proto, port)
    }

    fn judge(&self, direction: Direction, peer: &Peer<'_>, proto: u8, port: u16) -> Judgement {
        if self.oracle.settings.enforcement == Enforcement::Never {
            return Judgement::new(Verdict::Allow);
        }
        let destination = match direction {
            Direction::Ingress => self.pod.map_or(&[][..], |pod| &pod.ports),
            Direction::Egress => peer.ports(),
        };
        let packet = Packet { direction, proto, port, destination };
        self.by_administrators(peer, &packet, true)
            .or_else(|| self.by_everyone(peer, &packet))
            .or_else(|| self.by_administrators(peer, &packet, false))
            .unwrap_or_else(|| Judgement::new(Verdict::Allow))
    }

    /// The tiers Admin (`first`) and Baseline: the first rule that names the packet decides, unless it passes.
    fn by_administrators(&self, peer: &Peer<'_>, packet: &Packet<'_>, first: bool) -> Option<Judgement> {
        let of_tier = |policy: &&&ClusterNetworkPolicy| matches!(policy.tier, Tier::Admin(_)) == first;
        let rules = self.cluster_policies.iter().filter(of_tier).flat_map(|policy| {
            let rules = match packet.direction {
                Direction::Ingress => &policy.ingress,
                Direction::Egress => &policy.egress,
            };
            rules.iter().map(|rule| (policy.tier, rule))
        });
        let mut naming = rules.filter(|(_, rule)| self.oracle.cluster_rule_names(rule, peer, packet));
        let (tier, rule) = naming.next()?;
        let verdict = match rule.action {
            Action::Allow => Verdict::Allow,
            Action::Deny => Verdict::Deny,
            Action::Pass => return None,
        };
        Some(Judgement { tier: Some(tier), rules: vec![rule.origin.clone()], ..Judgement::new(verdict) })
    }

    /// The tier in between: all rules at once.
    fn by_everyone(&self, peer: &Peer<'_>, packet: &Packet<'_>) -> Option<Judgement> {
        let mut said = Said::default();
        for policy in &self.network_policies {
            let (affected, rules) = match packet.direction {
                Direction::Ingress => (policy.affects_ingress, &policy.ingress),
                Direction::Egress => (policy.affects_egress, &policy.egress),
            };
            if !affected {
                continue;
            }
            said.closed_by.push(policy.origin.clone());
            for rule in rules.iter().filter(|rule| network_policy::allows(policy, rule, peer, packet)) {
                said.allowing.push(rule.origin.clone());
            }
        }
        for (policy, spec) in &self.cilium_specs {
            let closes = match packet.direction {
                Direction::Ingress => spec.default_deny_ingress,
                Direction::Egress => spec.default_deny_egress,
            };
            if closes {
                said.closed_by.push(spec.origin.clone());
            }
            for rule in spec.rules.iter().filter(|rule| rule.direction == packet.direction) {
                let proxies = self.oracle.cilium_rule_names(policy, spec, rule, peer, packet);
                if proxies.is_empty() {
                    continue;
                }
                if rule.action == Action::Deny {
                    said.denying.push(rule.origin.clone());
                } else {
                    said.allowing.push(rule.origin.clone());
                    said.proxy = said.proxy.max(proxies.into_iter().flatten().max());
                    said.authentication = said.authentication.max(rule.authentication);
                }
            }
        }
        // Nodes stay open until a policy is about them: nobody could repair one that is closed.
        said.judgement(self.oracle.settings.enforcement == Enforcement::Always && self.pod.is_some())
    }
}

/// What the rules that name a packet say of it.
#[derive(Default)]
struct Said {
    denying: Vec<RuleRef>,
    allowing: Vec<RuleRef>,
    proxy: Option<Proxy>,
    authentication: Option<Authentication>,
    closed_by: Vec<RuleRef>,
}

impl Said {
    /// None where they leave it to the next tier. `closed`: whether what none of them names is denied anyway.
    fn judgement(self, closed: bool) -> Option<Judgement> {
        let judged = |verdict| Judgement { tier: Some(Tier::Normal), ..Judgement::new(verdict) };
        if !self.denying.is_empty() {
            return Some(Judgement { rules: self.denying, ..judged(Verdict::Deny) });
        }
        if !self.allowing.is_empty() {
            let authentication = self.authentication.filter(|mode| *mode != Authentication::Disabled);
            let verdict = match self.proxy {
                _ if authentication == Some(Authentication::TestAlwaysFail) => Verdict::Deny,
                Some(_) => Verdict::Redirect,
                None => Verdict::Allow,
            };
            let rules = self.allowing;
            return Some(Judgement { proxy: self.proxy, authentication, rules, ..judged(verdict) });
        }
        let closed = closed || !self.closed_by.is_empty();
        closed.then(|| Judgement { closed_by: self.closed_by, ..judged(Verdict::Deny) })
    }
}
