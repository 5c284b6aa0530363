//! Ports and ranges of ports in tables.

use abi::{CellAction, Direction, Identity, Peer};
use arbitrary::{Arbitrary, Unstructured};
use policy::{
    Action, Label, Peers, Policy, PolicyKey, PolicyKind, PortMatch, PortSelector, Ports, Protocol,
    Repository, Rule, RuleRef, Selector, Spec, Subject, Tier,
};

#[derive(Debug, Arbitrary)]
struct Input {
    closed: bool,
    rules: Vec<(bool, Vec<(u8, Span)>)>,
    probes: Vec<(u8, u16)>,
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Span {
    All,
    One(u16),
    Few(u16, u8),
    Range(u16, u16),
    Edge(u8, u8),
}

impl Span {
    fn port(self, protocol: Protocol) -> PortMatch {
        let (first, last) = match self {
            Self::All => return PortMatch::All,
            Self::One(port) => (port, port),
            Self::Few(first, more) => (first, first.saturating_add(more.into())),
            Self::Range(one, other) => (one.min(other), one.max(other)),
            Self::Edge(low, high) => (u16::from(low), u16::MAX - u16::from(high)),
        };
        match most(protocol.number()) {
            0 => PortMatch::All,
            most => PortMatch::Range(first.min(most), last.min(most)),
        }
    }
}

/// Reads the input as rules about ports alone. The tables say of each port at which a range begins or ends, of its
/// neighbours, and of those in the input, what a walk over the rules says.
pub fn ports(input: &[u8]) {
    let Ok(mut input) = Input::arbitrary(&mut Unstructured::new(input)) else { return };
    input.rules.truncate(6);
    let rules: Vec<(Action, Vec<PortSelector>)> = input
        .rules
        .iter()
        .map(|(deny, ports)| {
            let selector = |(protocol, span): &(u8, Span)| {
                let protocol = Protocol::ALL[usize::from(*protocol) % Protocol::ALL.len()];
                PortSelector { protocols: [protocol].into(), port: span.port(protocol) }
            };
            (if *deny { Action::Deny } else { Action::Allow }, ports.iter().take(6).map(selector).collect())
        })
        .collect();
    let mut repository = Repository::default();
    repository.set_policies([policy(&rules, input.closed)]);
    let labels = [Label::k8s("io.kubernetes.pod.namespace", "x")].into_iter().collect();
    let compiled = repository.compile(&labels, Direction::Ingress);
    let peer = Peer { identity: Identity::WORLD_IPV4, ..Peer::default() };

    let mut probes: Vec<(u8, u16)> =
        input.probes.iter().take(16).map(|(proto, port)| (*proto, (*port).min(most(*proto)))).collect();
    for selector in rules.iter().flat_map(|(_, ports)| ports) {
        let (first, last) = match selector.port {
            PortMatch::Range(first, last) => (first, last),
            _ => (0, u16::MAX),
        };
        let middle = first / 2 + last / 2;
        let around = [first.saturating_sub(1), first, middle, last, last.saturating_add(1), 0, u16::MAX];
        for protocol in &selector.protocols {
            let number = protocol.number();
            probes.extend(around.map(|port| (number, port.min(most(number)))));
        }
    }
    for (proto, port) in probes {
        let expected = walk(&rules, input.closed, proto, port);
        let (cell, ..) = compiled.tables.lookup(peer, proto, port);
        let found = if compiled.tables.allow_all { CellAction::Allow as u8 } else { cell.action };
        assert_eq!(found, expected as u8, "{proto}/{port} {rules:?} {:#?}", compiled.tables);
    }
}

/// The greatest "port" of a protocol's packets: ICMP's types are bytes, and most protocols have nothing of the kind.
fn most(proto: u8) -> u16 {
    match Protocol::from_number(proto) {
        Some(protocol) if protocol.has_ports() => u16::MAX,
        Some(Protocol::Icmp | Protocol::Icmpv6) => 255,
        _ => 0,
    }
}

fn walk(rules: &[(Action, Vec<PortSelector>)], closed: bool, proto: u8, port: u16) -> CellAction {
    let selects = |selector: &PortSelector| {
        selector.protocols.iter().any(|protocol| protocol.number() == proto)
            && match selector.port {
                PortMatch::Range(first, last) => first <= port && port <= last,
                _ => true,
            }
    };
    let says =
        |action: Action| rules.iter().any(|(says, ports)| *says == action && ports.iter().any(selects));
    match (says(Action::Deny), says(Action::Allow), closed) {
        (true, ..) => CellAction::Deny,
        (_, true, _) => CellAction::Allow,
        (_, _, true) => CellAction::NoRule,
        (_, _, false) => CellAction::Allow,
    }
}

fn policy(rules: &[(Action, Vec<PortSelector>)], closed: bool) -> Policy {
    let key = PolicyKey {
        kind: PolicyKind::CiliumNetworkPolicy,
        namespace: Some("x".to_owned()),
        name: "ports".to_owned(),
    };
    let origin = RuleRef { policy: key.clone(), path: "spec".into(), file: "ports.yaml".into(), line: 1 };
    let rule = |(action, ports): &(Action, Vec<PortSelector>)| Rule {
        direction: Direction::Ingress,
        peers: Peers::Any,
        ports: Ports::OneOf(ports.clone()),
        action: *action,
        l7: None,
        authentication: None,
        log: None,
        origin: origin.clone(),
    };
    let spec = Spec {
        subject: Subject::Endpoints(Selector::everything()),
        tier: Tier::Normal,
        deny_ingress: closed,
        deny_egress: false,
        rules: rules.iter().map(rule).collect(),
        origin: origin.clone(),
    };
    Policy { key, specs: vec![spec] }
}
