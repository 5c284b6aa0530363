//! What Cilium's rules mean, and where they stand.

use abi::Direction;
use netloom_policy::{Action, Authentication, Peers, Ports, Subject};

use crate::Kind;

#[test]
fn rules_know_their_places() {
    let policy = Kind::Network.policy("podSelector: {}\ningress:\n- {}\n-\n  from: []");
    let origins: Vec<_> = policy.specs[0].rules.iter().map(|rule| rule.origin.to_string()).collect();
    assert_eq!(
        origins,
        [
            "NetworkPolicy default/p spec.ingress[0] (f.yaml:7)",
            "NetworkPolicy default/p spec.ingress[1] (f.yaml:9)"
        ]
    );
}

#[test]
fn cilium_rules() {
    let spec = |text| Kind::Cilium.spec(text);
    // An empty rule closes the direction and allows nothing.
    let found = spec("endpointSelector: {}\ningress: [{}]");
    assert!(found.deny_ingress && !found.deny_egress);
    assert_eq!(found.rules[0].peers, Peers::OneOf(vec![]));
    // Ports alone are for everyone, an empty list of peers is for nobody.
    let found = spec("endpointSelector: {}\negress: [{toPorts: [{ports: [{port: \"80\"}]}]}]");
    assert_eq!((&found.rules[0].peers, found.deny_egress), (&Peers::Any, true));
    let found =
        spec("endpointSelector: {}\negress: [{toEndpoints: [], toPorts: [{ports: [{port: \"80\"}]}]}]");
    assert_eq!(found.rules[0].peers, Peers::OneOf(vec![]));
    let found =
        spec("endpointSelector: {}\nenableDefaultDeny: {egress: false}\negressDeny: [{toEntities: [all]}]");
    let rule = &found.rules[0];
    assert_eq!((rule.action, rule.direction, &rule.peers), (Action::Deny, Direction::Egress, &Peers::Any));
    assert_eq!((&rule.ports, found.deny_egress), (&Ports::Any, false));
    // Accepted and without effect.
    spec(
        "endpointSelector: {}\ndescription: x\nlabels: [{key: a, value: b}]\ningress: [{authentication: {mode: disabled}}]",
    );
}

#[test]
fn subjects_and_what_goes_with_rules() {
    let found = Kind::Clusterwide.spec("nodeSelector: {}\ningress: [{}]");
    assert!(matches!(found.subject, Subject::Nodes(_)));
    let found = Kind::Cilium.spec(
        "endpointSelector: {matchLabels: {\"k8s:io.kubernetes.pod.namespace\": other, a: b}}\nlog: {value: cookie}\ningress: [{fromEntities: [all], authentication: {mode: required}}]",
    );
    let Subject::Endpoints(selector) = &found.subject else { panic!() };
    assert_eq!(selector.requirements().len(), 2);
    assert!(format!("{selector:?}").contains("default"), "{selector:?}");
    let rule = &found.rules[0];
    assert_eq!((rule.log.as_deref(), rule.authentication), (Some("cookie"), Some(Authentication::Required)));
}
