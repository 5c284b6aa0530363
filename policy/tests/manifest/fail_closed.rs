//! A wrong policy closes what it names.

use crate::Kind;
use netloom_policy::{Action, Peers, Ports, Subject, Tier};

fn closes(kind: Kind, cases: &[(&str, Option<(bool, bool)>)]) {
    for (spec, expected) in cases {
        let closed = kind.read(spec).unwrap_err().fail_closed;
        let found = closed.as_ref().map(|policy| (policy.specs[0].deny_ingress, policy.specs[0].deny_egress));
        assert_eq!(found, *expected, "{spec}");
        assert!(closed.is_none_or(|policy| policy.specs[0].rules.is_empty()));
    }
}

#[test]
fn network_policies() {
    closes(
        Kind::Network,
        &[
            // Types decide where they are valid.
            ("podSelector: {matchLabels: {a: b}}\ningress: [{ports: [{port: 0}]}]", Some((true, false))),
            ("podSelector: {}\negress: [{ports: [{port: 0}]}]", Some((true, true))),
            ("podSelector: {}\npolicyTypes: [Egress]\negress: [{ports: [{port: 0}]}]", Some((false, true))),
            ("podSelector: {}\npolicyTypes: [Egress, ingress]", Some((true, true))),
            ("podSelector: {}\negress: 7", Some((true, true))),
            ("podSelector: {}\negress: []\nfoo: 1", Some((true, false))),
            // Whom it is about is not known.
            ("podSelector: {matchLabels: 1}", None),
        ],
    );
}

#[test]
fn cilium_policies() {
    closes(
        Kind::Cilium,
        &[
            ("endpointSelector: {}\ningress: [{fromFoo: []}]", Some((true, false))),
            (
                "endpointSelector: {}\negressDeny: [{icmps: 7}]\nenableDefaultDeny: {egress: false}",
                Some((false, true)),
            ),
            ("endpointSelector: {}\negress: 7", Some((false, true))),
            ("endpointSelector: 7\negress: [{}]", None),
            ("nodeSelector: {}\negress: [{}]", None),
        ],
    );
    closes(Kind::Clusterwide, &[("nodeSelector: {}\ningress: [{foo: 1}]", Some((true, false)))]);
    let closed = Kind::Clusterwide.read("nodeSelector: {}\ningress: 1").unwrap_err().fail_closed.unwrap();
    assert!(matches!(closed.specs[0].subject, Subject::Nodes(_)));
}

/// The tiers of administrators overrule policies that allow: only a rule that denies keeps closed what was meant to be.
#[test]
fn cluster_network_policies() {
    let head = "priority: 7\nsubject: {namespaces: {}}\n";
    let cases = [
        (format!("tier: Admin\n{head}egress: [{{action: Accept}}]"), Tier::Admin(7), vec!["spec.egress"]),
        (
            format!("tier: Baseline\n{head}ingress: 7\negress: [{{action: Deny}}]"),
            Tier::Baseline(7),
            vec!["spec.ingress", "spec.egress"],
        ),
        (format!("tier: Normal\n{head}ingress: [{{}}]\negress: []"), Tier::Admin(0), vec!["spec.ingress"]),
        (format!("tier: Admin\n{head}foo: 1"), Tier::Admin(7), vec![]),
    ];
    for (spec, tier, paths) in cases {
        let closed = Kind::Cluster.read(&spec).unwrap_err().fail_closed.unwrap();
        let found = &closed.specs[0];
        assert_eq!((found.tier, found.deny_ingress, found.deny_egress), (tier, false, false), "{spec}");
        let origins: Vec<_> = found.rules.iter().map(|rule| rule.origin.path.as_str()).collect();
        assert_eq!(origins, paths, "{spec}");
        for rule in &found.rules {
            assert_eq!((rule.action, &rule.peers, &rule.ports), (Action::Deny, &Peers::Any, &Ports::Any));
        }
    }
    let unknown = "tier: Admin\npriority: 1\nsubject: {}\negress: [{}]";
    assert!(Kind::Cluster.read(unknown).unwrap_err().fail_closed.is_none());
}
