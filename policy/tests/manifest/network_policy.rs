//! `networking.k8s.io/v1` NetworkPolicy, by the rules of Kubernetes' own validation.

use crate::Kind;

#[test]
fn accepted() {
    Kind::Network.accepts(&[
        "podSelector: {}",
        // The API server fills in every field.
        "ingress: [{}]",
        "ingress: null\negress: null",
        "policyTypes: []",
        "policyTypes: [Egress]",
        "policyTypes: [Ingress, Ingress]",
        "ingress: [{from: [], ports: []}]",
        "ingress: [{ports: [{}]}]",
        "ingress: [{ports: [{port: 80}, {port: http}, {protocol: UDP}, {port: 7, protocol: SCTP}]}]",
        "ingress: [{ports: [{port: 1, endPort: 65535}, {port: 9, endPort: 9}]}]",
        "ingress: [{ports: [{port: a-b-1}]}]",
        "ingress: [{from: [{podSelector: {}}, {namespaceSelector: {}}]}]",
        "egress: [{to: [{podSelector: {}, namespaceSelector: {}}]}]",
        "egress: [{to: [{podSelector: {matchLabels: {app.kubernetes.io/name: A_b.c-1, b: \"\"}}}]}]",
        "egress: [{to: [{podSelector: {matchExpressions: [{key: a, operator: NotIn, values: [b, c]}]}}]}]",
        "egress: [{to: [{podSelector: {matchExpressions: [{key: a, operator: Exists, values: []}]}}]}]",
        "egress: [{to: [{ipBlock: {cidr: 10.1.2.3/8, except: [10.9.9.9/16, 10.0.0.0/9]}}]}]",
        "egress: [{to: [{ipBlock: {cidr: \"fd00::/8\", except: [\"fd00::/9\"]}}]}]",
    ]);
}

#[test]
fn refused_selectors() {
    Kind::Network.refuses(&[
        (
            "podSelector: {matchLabel: {a: b}}",
            "5:17: spec.podSelector: unknown field \"matchLabel\" (did you mean \"matchLabels\"?)",
        ),
        (
            "podSelector: {matchLabels: {a: 1}}",
            "5:34: spec.podSelector.matchLabels.a: must be a string, not a number (quote it: \"1\")",
        ),
        (
            "podSelector: {matchLabels: {A.com/a: b}}",
            "5:40: spec.podSelector.matchLabels.A.com/a: \"A.com/a\" is not a label key ([prefix/]name, as in app.kubernetes.io/name)",
        ),
        (
            "podSelector: {matchLabels: {a/b/c: b}}",
            "5:38: spec.podSelector.matchLabels.a/b/c: \"a/b/c\" is not a label key ([prefix/]name, as in app.kubernetes.io/name)",
        ),
        (
            "podSelector: {matchLabels: {a: \"-\"}}",
            "5:34: spec.podSelector.matchLabels.a: \"-\" is not a label value (at most 63 letters, digits, '-', '_' and '.', the first and last a letter or digit)",
        ),
        (
            "podSelector: {matchExpressions: [{key: a, operator: In}]}",
            "5:36: spec.podSelector.matchExpressions[0]: values are missing (In and NotIn compare with at least one value)",
        ),
        (
            "podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}",
            "5:36: spec.podSelector.matchExpressions[0]: values are not allowed (Exists and DoesNotExist compare with none)",
        ),
        (
            "podSelector: {matchExpressions: [{key: a, operator: exists}]}",
            "5:55: spec.podSelector.matchExpressions[0].operator: \"exists\" is not an operator (In, NotIn, Exists or DoesNotExist)",
        ),
        (
            "podSelector: {matchExpressions: [{operator: Exists}]}",
            "5:36: spec.podSelector.matchExpressions[0]: \"key\" is missing (the label's key)",
        ),
    ]);
}

#[test]
fn refused_rules() {
    Kind::Network.refuses(&[
        (
            "podSelector: {}\ningres: []",
            "6:3: spec: unknown field \"ingres\" (did you mean \"ingress\"?)",
        ),
        (
            "policyTypes: [ingress]",
            "5:17: spec.policyTypes[0]: \"ingress\" is not a policy type (Ingress or Egress)",
        ),
        (
            "policyTypes: [Ingress, Egress, Egress]",
            "5:16: spec.policyTypes: has more than two items (Ingress and Egress, once each)",
        ),
        ("ingress: {}", "5:12: spec.ingress: must be a list, not an object"),
        ("ingress: [{to: []}]", "5:14: spec.ingress[0]: unknown field \"to\" (known fields: from, ports)"),
        (
            "ingress: [{from: [{}, {podSelector: null}]}]",
            "5:21: spec.ingress[0].from[0]: selects nothing (podSelector, namespaceSelector or ipBlock)
             5:25: spec.ingress[0].from[1]: selects nothing (podSelector, namespaceSelector or ipBlock)",
        ),
        (
            "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]",
            "5:31: spec.ingress[0].from[0].ipBlock: ipBlock stands beside a selector (put it into an item of its own)",
        ),
        (
            "ingress: [{from: [{ipBlock: {}}]}]",
            "5:31: spec.ingress[0].from[0].ipBlock: \"cidr\" is missing (such as 10.0.0.0/8)",
        ),
        (
            "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0}}, {ipBlock: {cidr: 10.0.0.0/255.0.0.0}}]}]",
            "5:38: spec.ingress[0].from[0].ipBlock.cidr: \"10.0.0.0\" is not a CIDR (such as 10.0.0.0/8 or fd00::/8)
             5:67: spec.ingress[0].from[1].ipBlock.cidr: \"10.0.0.0/255.0.0.0\" is not a CIDR (such as 10.0.0.0/8 or fd00::/8)",
        ),
        (
            "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8, \"fd00::/8\"]}}]}]",
            "5:59: spec.ingress[0].from[0].ipBlock.except[0]: 10.0.0.0/8 does not lie strictly inside 10.0.0.0/8 (except takes parts of cidr away)
             5:71: spec.ingress[0].from[0].ipBlock.except[1]: fd00::/8 does not lie strictly inside 10.0.0.0/8 (except takes parts of cidr away)",
        ),
        (
            "ingress: [{ports: [{port: 80, endPort: 79}, {port: 80, endPort: 65536}, {port: http, endPort: 90}, {endPort: 90}]}]",
            "5:42: spec.ingress[0].ports[0].endPort: endPort 79 is below port 80 (at least 80)
             5:67: spec.ingress[0].ports[1].endPort: 65536 is not a port (ports are 1 to 65535)
             5:97: spec.ingress[0].ports[2].endPort: endPort needs a numeric port (port: the first of the range)
             5:112: spec.ingress[0].ports[3].endPort: endPort needs a numeric port (port: the first of the range)",
        ),
        (
            "ingress: [{ports: [{port: 0}, {port: 65536}, {port: -1}, {port: \"80\"}]}]",
            "5:29: spec.ingress[0].ports[0].port: 0 is not a port (ports are 1 to 65535)
             5:40: spec.ingress[0].ports[1].port: 65536 is not a port (ports are 1 to 65535)
             5:55: spec.ingress[0].ports[2].port: -1 is not a port (ports are 1 to 65535)
             5:67: spec.ingress[0].ports[3].port: \"80\" is not the name of a port (a number without quotes, or at most 15 lower-case letters, digits and '-', with a letter)",
        ),
        (
            "ingress: [{ports: [{protocol: tcp}, {protocol: ICMP}]}]",
            "5:33: spec.ingress[0].ports[0].protocol: \"tcp\" is not a protocol (TCP, UDP or SCTP)
             5:50: spec.ingress[0].ports[1].protocol: \"ICMP\" is not a protocol (TCP, UDP or SCTP)",
        ),
    ]);
}

#[test]
fn kubernetes_defaults() {
    let cases = [
        ("podSelector: {}", (true, false)),
        ("podSelector: {}\negress: []", (true, false)),
        ("podSelector: {}\negress: [{}]", (true, true)),
        ("podSelector: {}\npolicyTypes: [Egress]\ningress: [{}]", (false, true)),
        ("podSelector: {}\npolicyTypes: []\negress: [{}]", (true, true)),
    ];
    for (text, expected) in cases {
        let spec = Kind::Network.spec(text);
        assert_eq!((spec.deny_ingress, spec.deny_egress), expected, "{text}");
        // Rules of a direction that is not affected have no effect.
        assert!(spec.rules.iter().all(|rule| spec.default_deny(rule.direction)), "{text}");
    }
    let bare = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}";
    let spec = crate::one(bare).unwrap().policy().unwrap().specs.remove(0);
    assert_eq!((spec.deny_ingress, spec.deny_egress, spec.rules.len()), (true, false, 0));
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let rejected = Kind::Network.read("foo: 1\ningress:\n- ports: [{port: 0}]\n  form: []\n").unwrap_err();
    let places: Vec<_> = rejected
        .diagnostics
        .iter()
        .map(|d| ((d.line, d.column), (d.end_line, d.end_column), d.path.as_str()))
        .collect();
    assert_eq!(
        places,
        [
            ((7, 20), (7, 21), "spec.ingress[0].ports[0].port"),
            ((8, 5), (8, 9), "spec.ingress[0]"),
            ((5, 3), (5, 6), "spec")
        ]
    );
    let json = serde_json::to_value(&rejected).unwrap();
    assert_eq!(json["object"]["kind"], "NetworkPolicy");
    assert_eq!(json["diagnostics"][1]["help"], "did you mean \"from\"?");
    assert_eq!(json["diagnostics"][1]["end_column"], 9);
}
