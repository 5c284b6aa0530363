//! ClusterNetworkPolicy, by the limits of its CRD.

use crate::Kind;
use netloom_policy::{Action, PeerSelector, Peers, Tier};

const HEAD: &str = "tier: Admin\npriority: 10\nsubject: {namespaces: {}}\n";

#[test]
fn accepted() {
    Kind::Cluster.accepts(&[
        "tier: Admin\npriority: 0\nsubject: {namespaces: {}}",
        "tier: Baseline\npriority: 1000\nsubject: {pods: {podSelector: {}}}\ningress: []",
        "tier: Admin\npriority: 1\nsubject: {pods: {podSelector: {matchLabels: {a: b}}, namespaceSelector: {}}}",
        &format!("{HEAD}ingress: [{{action: Deny, from: [{{namespaces: {{}}}}, {{pods: {{podSelector: {{}}}}}}]}}]"),
        &format!("{HEAD}egress: [{{name: n, action: Pass, to: [{{namespaces: {{}}}}], protocols: [{{destinationNamedPort: http}}, {{tcp: {{destinationPort: {{range: {{start: 1, end: 65535}}}}}}}}]}}]"),
        &format!("{HEAD}egress: [{{action: Deny, to: [{{networks: [10.0.0.0/8, \"::/0\"]}}, {{nodes: {{}}}}], protocols: [{{udp: {{destinationPort: {{number: 53}}}}}}, {{sctp: {{destinationPort: {{number: 1}}}}}}]}}]"),
        &format!("{HEAD}egress: [{{action: Accept, to: [{{domainNames: [kubernetes.io, \"*.kubernetes.io\", a.b.]}}]}}]"),
    ]);
}

#[test]
fn refused_specs() {
    Kind::Cluster.refuses(&[
        (
            "tier: admin\npriority: 1001\nsubject: {}",
            "5:9: spec.tier: \"admin\" is not a tier (did you mean \"Admin\"?)
             6:13: spec.priority: 1001 is not a priority (0 (first) to 1000)
             7:12: spec.subject: names nothing (one of namespaces, pods)",
        ),
        (
            "ingres: []",
            "5:3: spec: \"tier\" is missing (Admin or Baseline)
             5:3: spec: \"priority\" is missing (0 (first) to 1000)
             5:3: spec: \"subject\" is missing (subject: {namespaces: {}} is about every pod)
             5:3: spec: unknown field \"ingres\" (did you mean \"ingress\"?)",
        ),
        (
            "tier: Admin\npriority: -1\nsubject: {namespaces: {}, pods: {podSelector: {}}}",
            "6:13: spec.priority: -1 is not a priority (0 (first) to 1000)
             7:35: spec.subject.pods: pods stands beside namespaces (one of namespaces, pods)",
        ),
        (
            "tier: Admin\npriority: 1\nsubject: {pods: {namespaceSelector: {}}}",
            "7:19: spec.subject.pods: \"podSelector\" is missing (podSelector: {} selects every pod)",
        ),
    ]);
}

#[test]
fn refused_rules() {
    let ingress = |rules: &str| format!("{HEAD}ingress:\n{rules}");
    Kind::Cluster.refuses(&[
        (
            &ingress("- {action: Allow, from: [{namespaces: {}}]}\n- {from: [], action: Deny}\n- {action: Pass}"),
            "9:14: spec.ingress[0].action: \"Allow\" is not an action (Accept, Deny, Pass)
             10:12: spec.ingress[1].from: is empty (at least one item)
             11:5: spec.ingress[2]: \"from\" is missing (at least one peer)",
        ),
        (
            &ingress("- {action: Deny, from: [{networks: [10.0.0.0/8]}, {namespaces: {namespaceSelector: {}}}], protocols: []}"),
            "9:104: spec.ingress[0].protocols: is empty (at least one item)
             9:28: spec.ingress[0].from[0]: unknown field \"networks\" (known fields: namespaces, pods)
             9:67: spec.ingress[0].from[1].namespaces: unknown field \"namespaceSelector\" (known fields: matchLabels, matchExpressions)",
        ),
    ]);
    let egress = |rule: &str| format!("{HEAD}egress:\n- {rule}");
    Kind::Cluster.refuses(&[
        (
            &egress("{action: Accept, to: [{domainNames: [\"*.a.b\", \"*.com\", localhost, \"a.*.b\", \"\"]}]}"),
            "9:51: spec.egress[0].to[0].domainNames[1]: \"*.com\" is not a domain name (such as kubernetes.io, or *.kubernetes.io for all names below it)
             9:60: spec.egress[0].to[0].domainNames[2]: \"localhost\" is not a domain name (such as kubernetes.io, or *.kubernetes.io for all names below it)
             9:71: spec.egress[0].to[0].domainNames[3]: \"a.*.b\" is not a domain name (such as kubernetes.io, or *.kubernetes.io for all names below it)
             9:80: spec.egress[0].to[0].domainNames[4]: \"\" is not a domain name (such as kubernetes.io, or *.kubernetes.io for all names below it)",
        ),
        (
            &egress("{action: Deny, to: [{domainNames: [a.b]}]}"),
            "9:39: spec.egress[0].to[0].domainNames: domainNames can only be accepted (action: Accept, before a rule that denies the rest)",
        ),
        (
            &egress("{action: Deny, to: [{networks: [10.0.0.0/8, 10.0.0.0/8, 1.2.3.4]}, {networks: []}]}"),
            "9:49: spec.egress[0].to[0].networks[1]: \"10.0.0.0/8\" is there twice
             9:61: spec.egress[0].to[0].networks[2]: \"1.2.3.4\" is not a CIDR (such as 10.0.0.0/8 or fd00::/8)
             9:83: spec.egress[0].to[1].networks: is empty (at least one item)",
        ),
        (
            &egress("{action: Deny, to: [{nodes: {}}], protocols: [{destinationNamedPort: http}]}"),
            "9:74: spec.egress[0].protocols[0].destinationNamedPort: a named port stands beside peers that are no pods (nodes, networks and domainNames have no named ports)",
        ),
        (
            &egress("{action: Deny, to: [{pods: {podSelector: {}}}], protocols: [{}, {tcp: {}}, {udp: {destinationPort: {number: 1, range: {}}}}, {tcp: {destinationPort: {number: 0}}}]}"),
            "9:65: spec.egress[0].protocols[0]: names nothing (one of tcp, udp, sctp, destinationNamedPort)
             9:75: spec.egress[0].protocols[1].tcp: \"destinationPort\" is missing (destinationPort: {number: 80})
             9:123: spec.egress[0].protocols[2].udp.destinationPort.range: range stands beside number (one of number, range)
             9:163: spec.egress[0].protocols[3].tcp.destinationPort.number: 0 is not a port (ports are 1 to 65535)",
        ),
        (
            &egress("{action: Deny, to: [{namespaces: {}}], protocols: [{sctp: {destinationPort: {range: {start: 5, end: 5}}}}, {icmp: {}}]}"),
            "9:105: spec.egress[0].protocols[0].sctp.destinationPort.range.end: end 5 is not above start 5 (number stands for a single port)
             9:113: spec.egress[0].protocols[1]: unknown field \"icmp\" (known fields: tcp, udp, sctp, destinationNamedPort)",
        ),
    ]);
}

#[test]
fn limits() {
    let rule = |peers: usize, name: usize| {
        let peers = vec!["{namespaces: {}}"; peers].join(", ");
        format!("{{action: Deny, name: {}, from: [{peers}]}}", "n".repeat(name))
    };
    let rules = |count: usize| format!("{HEAD}ingress: [{}]", vec![rule(1, 1); count].join(", "));
    Kind::Cluster.accepts(&[&rules(25), &format!("{HEAD}ingress: [{}]", rule(25, 100))]);
    Kind::Cluster.refuses(&[
        (&rules(26), "8:12: spec.ingress: has 26 items (at most 25)"),
        (
            &format!("{HEAD}ingress: [{}]", rule(26, 101)),
            "8:34: spec.ingress[0].name: has 101 characters (at most 100)
             8:143: spec.ingress[0].from: has 26 items (at most 25)",
        ),
    ]);
}

#[test]
fn meaning() {
    let spec = Kind::Cluster.spec(&format!(
        "{HEAD}egress: [{{action: Accept, to: [{{domainNames: [\"*.Kubernetes.io\"]}}]}}, {{action: Pass, to: [{{namespaces: {{}}}}]}}]"
    ));
    assert_eq!((spec.tier, spec.deny_ingress, spec.deny_egress), (Tier::Admin(10), false, false));
    let actions: Vec<_> = spec.rules.iter().map(|rule| rule.action).collect();
    assert_eq!(actions, [Action::Allow, Action::Pass]);
    let Peers::OneOf(peers) = &spec.rules[0].peers else { panic!() };
    let PeerSelector::Name(pattern) = &peers[0] else { panic!("{peers:?}") };
    assert_eq!(pattern.as_str(), "**.kubernetes.io");
    assert!(pattern.matches("latest.blog.kubernetes.io") && !pattern.matches("kubernetes.io"));
}
