//! Policies to measure.

use std::net::Ipv4Addr;

use ::policy::l7::{HttpRule, L7};
use ::policy::pod::{NAMESPACE, NAMESPACE_LABELS};
use ::policy::selector::{Requirement, Test};
use ::policy::{
    Action, CidrScope, CidrSelector, PeerSelector, Peers, Policy, PolicyKey, PolicyKind, PortMatch,
    PortSelector, Ports, Protocol, Rule, RuleRef, Source, Spec, Subject, Tier,
};
use abi::Direction::{self, Egress, Ingress};
use ipnetwork::{IpNetwork, Ipv4Network};

use super::cluster::{COMPONENTS, NAMESPACES, app, namespace};

/// Whom policies are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// Apps, namespaces, or all pods: each policy its own, as in a cluster.
    Their,
    /// Every one of them about all pods.
    All,
}

/// A policy by its number: what teams write, in turns. One in fifty is the administrators'.
pub(super) fn policy(number: u32, about: About) -> Policy {
    // Each namespace has each kind, and each kind is about each app, again and again.
    let (turn, own) = (number / NAMESPACES, namespace(number));
    let (one, other) = (app(turn), app(turn / 7 + 1));
    let mut draft = Draft::new(number, PolicyKind::NetworkPolicy, [of("app", one), of(NAMESPACE, &own)]);
    let here = |key: &str, value: &str| [of(key, value), of(NAMESPACE, &own)];
    let port = 1000 + (turn % 40) as u16;
    match turn % 10 {
        // The namespace's own pods may talk to each other's web ports; everyone may ask for names.
        0 => {
            draft.about([of(NAMESPACE, &own)]);
            let component = COMPONENTS[(turn / 10) as usize % COMPONENTS.len()];
            draft.rule(Ingress, labels(here("component", component)), tcp([443, 8443]));
            let names = [port_of(Protocol::Udp, 53), port_of(Protocol::Tcp, 53)];
            draft.rule(Egress, labels([of(NAMESPACE, "team-0"), of("app", "api")]), names.into());
        }
        // One app may use another's port.
        1 => draft.rule(Ingress, labels(here("app", other)), tcp([port])),
        // From the namespaces of an environment, on a range of ports.
        2 => {
            let environment = if turn.is_multiple_of(4) { "production" } else { "staging" };
            let from = [of(&format!("{NAMESPACE_LABELS}env"), environment), of("app", other)];
            let first = 8000 + (turn % 30) as u16;
            draft.rule(Ingress, labels(from), vec![ports(Protocol::Tcp, first, first + 99)]);
        }
        // Addresses: mostly outside the cluster, some with pods in them.
        3 => {
            let inside = turn.is_multiple_of(40);
            let base = if inside { 0x0a40_0000 } else { 0xac10_0000 } + (number << 8 & 0xff_ffff);
            let from = cidrs(CidrScope::Everyone, base, 24, &[(base + 128, 25)]);
            draft.rule(Ingress, from, vec![port_of(Protocol::Udp, 5000 + (turn % 20) as u16)]);
        }
        // Several apps at once, and some pods never.
        4 => {
            draft.kind(PolicyKind::CiliumNetworkPolicy);
            let apps = [other, app(turn + 3), app(turn + 5)].map(str::to_owned).into();
            let among = Requirement { key: "app".to_owned(), source: Source::Any, test: Test::In(apps) };
            draft.rule(Ingress, labels([among, of(NAMESPACE, &own)]), tcp([port, 9090]));
            let old = here("version", &format!("v{}", turn % 8));
            draft.deny(Ingress, labels(old), tcp([9090]));
        }
        // What a proxy checks.
        5 => {
            draft.kind(PolicyKind::CiliumNetworkPolicy);
            draft.rule(Ingress, labels(here("app", other)), tcp([8080]));
            let get = HttpRule { method: Some("GET".to_owned()), ..HttpRule::default() };
            draft.with_l7(L7 { http: vec![get], ..L7::default() });
        }
        // A range outside, with a hole in it.
        6 => {
            draft.kind(PolicyKind::CiliumNetworkPolicy);
            let base = 0xc600_0000 + (number << 16 & 0xff_0000);
            draft.rule(Egress, cidrs(CidrScope::Outside, base, 16, &[(base + 0x500, 24)]), tcp([443]));
            draft.deny(Egress, labels([exists(Source::Reserved, "kube-apiserver")]), tcp([6443]));
        }
        // Another namespace's port by its name.
        7 => {
            draft.kind(PolicyKind::CiliumNetworkPolicy);
            let there = [of(NAMESPACE, &namespace(number + 1)), of("app", other)];
            let http =
                PortSelector { protocols: [Protocol::Tcp].into(), port: PortMatch::Named("http".into()) };
            draft.rule(Egress, labels(there), vec![http]);
        }
        // Everyone, on ports; and outside to anywhere.
        8 => {
            draft.rule(Ingress, Peers::Any, tcp([80 + (turn % 5) as u16]));
            draft.rule(Egress, Peers::Any, tcp([443]));
        }
        // Administrators': for the whole cluster.
        _ if turn.is_multiple_of(5) || turn % 10 == 9 && turn < 20 => {
            draft.about_all();
            let tier =
                if number.is_multiple_of(4) { Tier::Baseline(0) } else { Tier::Admin((number % 20) as u16) };
            draft.tier(tier);
            let spared = labels([of("app", "auth"), exists(Source::K8s, NAMESPACE)]);
            draft.say(Action::Pass, Ingress, spared, tcp([22]));
            draft.deny(Ingress, labels([of("component", "job")]), tcp([22, 23]));
            let base = 0xc612_0000 + (number << 8 & 0xff00);
            draft.deny(Egress, cidrs(CidrScope::Everyone, base, 24, &[]), Vec::new());
        }
        // Whole namespaces may reach whole namespaces.
        _ => draft.rule(Ingress, labels([of(NAMESPACE, &namespace(turn))]), tcp([port, 443])),
    }
    if about == About::All {
        draft.about_all();
    }
    draft.policy()
}

/// A policy about all pods, of which each rule allows one app's pods of one port only: `rules` as pairs of a peer's
/// number and a port.
pub(super) fn pairs(rules: impl Iterator<Item = (u32, u16)>) -> Policy {
    let mut draft = Draft::new(0, PolicyKind::CiliumClusterwideNetworkPolicy, []);
    draft.about_all();
    for (peer, port) in rules {
        draft.rule(Ingress, labels([of("peer", &peer.to_string())]), tcp([port]));
    }
    draft.policy()
}

fn of(key: &str, value: &str) -> Requirement {
    Requirement::equals(Source::K8s, key, value)
}

fn exists(source: Source, key: &str) -> Requirement {
    Requirement::exists(source, key)
}

fn labels<const N: usize>(requirements: [Requirement; N]) -> Peers {
    Peers::OneOf(vec![PeerSelector::Labels(requirements.into_iter().collect())])
}

fn cidr(addr: u32, length: u8) -> Option<IpNetwork> {
    Ipv4Network::new(Ipv4Addr::from(addr), length).ok().map(IpNetwork::V4)
}

fn cidrs(scope: CidrScope, addr: u32, length: u8, except: &[(u32, u8)]) -> Peers {
    let except: Vec<IpNetwork> = except.iter().filter_map(|(addr, length)| cidr(*addr, *length)).collect();
    let selector = cidr(addr, length).map(|cidr| PeerSelector::Cidr(CidrSelector { cidr, except, scope }));
    Peers::OneOf(selector.into_iter().collect())
}

fn ports(protocol: Protocol, first: u16, last: u16) -> PortSelector {
    PortSelector { protocols: [protocol].into(), port: PortMatch::Range(first, last) }
}

fn port_of(protocol: Protocol, port: u16) -> PortSelector {
    ports(protocol, port, port)
}

fn tcp<const N: usize>(wanted: [u16; N]) -> Vec<PortSelector> {
    wanted.map(|port| port_of(Protocol::Tcp, port)).into()
}

/// A policy with one spec, as it grows.
struct Draft {
    key: PolicyKey,
    spec: Spec,
}

impl Draft {
    fn new<const N: usize>(number: u32, kind: PolicyKind, subject: [Requirement; N]) -> Self {
        let key = PolicyKey { kind, namespace: Some(namespace(number)), name: format!("policy-{number}") };
        let spec = Spec {
            subject: Subject::Endpoints(subject.into_iter().collect()),
            tier: Tier::Normal,
            deny_ingress: false,
            deny_egress: false,
            rules: Vec::new(),
            origin: origin(&key, "spec".to_owned()),
        };
        Self { key, spec }
    }

    fn policy(mut self) -> Policy {
        self.spec.origin.policy = self.key.clone();
        for rule in &mut self.spec.rules {
            rule.origin.policy = self.key.clone();
        }
        Policy { key: self.key, specs: vec![self.spec] }
    }

    fn kind(&mut self, kind: PolicyKind) {
        self.key.kind = kind;
    }

    fn about<const N: usize>(&mut self, subject: [Requirement; N]) {
        self.spec.subject = Subject::Endpoints(subject.into_iter().collect());
    }

    /// All pods, of whatever namespace. The kind stays: what its rules mean does not depend on their subject.
    fn about_all(&mut self) {
        self.about([exists(Source::K8s, NAMESPACE)]);
        self.key.namespace = None;
    }

    fn tier(&mut self, tier: Tier) {
        self.kind(PolicyKind::ClusterNetworkPolicy);
        self.spec.tier = tier;
    }

    fn rule(&mut self, direction: Direction, peers: Peers, ports: Vec<PortSelector>) {
        match direction {
            Ingress => self.spec.deny_ingress = true,
            Egress => self.spec.deny_egress = true,
        }
        self.say(Action::Allow, direction, peers, ports);
    }

    fn deny(&mut self, direction: Direction, peers: Peers, ports: Vec<PortSelector>) {
        self.say(Action::Deny, direction, peers, ports);
    }

    fn say(&mut self, action: Action, direction: Direction, peers: Peers, ports: Vec<PortSelector>) {
        let path = format!("spec.rules[{}]", self.spec.rules.len());
        self.spec.rules.push(Rule {
            direction,
            peers,
            ports: if ports.is_empty() { Ports::Any } else { Ports::OneOf(ports) },
            action,
            l7: None,
            authentication: None,
            log: None,
            origin: origin(&self.key, path),
        });
    }

    fn with_l7(&mut self, l7: L7) {
        if let Some(rule) = self.spec.rules.last_mut() {
            rule.l7 = Some(l7.into());
        }
    }
}

fn origin(policy: &PolicyKey, path: String) -> RuleRef {
    RuleRef { policy: policy.clone(), path, file: "bench.yaml".into(), line: 1 }
}
