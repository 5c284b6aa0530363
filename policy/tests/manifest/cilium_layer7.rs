//! What Cilium's rules ask of proxies.

use crate::{Kind, accepts_rules, refuses_rules, with_rule};
use netloom_policy::l7::Proxy;

/// An item of `toPorts` for TCP port 443 with more fields.
fn tcp(fields: &str) -> String {
    format!("{{toPorts: [{{ports: [{{port: \"443\", protocol: TCP}}], {fields}}}]}}")
}

#[test]
fn accepted() {
    accepts_rules(
        "ingress",
        &[
            "{toPorts: [{ports: [{port: \"80\", protocol: TCP}, {port: \"81\", protocol: TCP}], rules: {http: [{method: GET, path: /}]}}]}",
            "{toPorts: [{ports: [{port: \"80\", endPort: 90, protocol: TCP}], rules: {http: [{}]}}]}",
            "{toPorts: [{ports: [{port: web, protocol: TCP}], rules: {http: []}}]}",
            // Lists without a rule mean nothing, wherever they stand.
            "{toPorts: [{ports: [{port: \"0\", protocol: UDP}], rules: {}}]}",
            "{toPorts: [{ports: [{port: \"80\"}], rules: {http: [], dns: []}}]}",
            "{toPorts: [{ports: [{port: \"443\"}], rules: {http: []}, serverNames: [a.b]}]}",
            "{toPorts: [{rules: {http: [{}]}}]}",
            &tcp("serverNames: [a.b]"),
            &tcp("terminatingTLS: {secret: {name: a}}"),
            &tcp(
                "rules: {http: [{path: \"/a{b\", host: \"\", headers: [X-A, \"X-B: c\"], headerMatches: [{name: X, mismatch: ADD, value: v, secret: {name: s, namespace: n}}]}]}",
            ),
        ],
    );
    accepts_rules(
        "egress",
        &[
            "{toEndpoints: [{}], toPorts: [{ports: [{port: \"53\", protocol: TCP}, {port: \"53\", protocol: UDP}], rules: {dns: [{matchName: domain.com}]}}]}",
            "{toPorts: [{ports: [{port: \"53\", protocol: ANY}, {port: dns}], rules: {dns: [{matchPattern: \"*\"}]}}]}",
            &tcp("serverNames: [foo.bar.com, \"*.bar.com\", \"**.bar.com\"]"),
            &tcp("serverNames: [a.b], rules: {http: [{}]}, terminatingTLS: {secret: {name: s}}"),
            &tcp(
                "originatingTLS: {secret: {name: s, namespace: n}, trustedCA: a, certificate: b, privateKey: c}",
            ),
            &tcp("listener: {envoyConfig: {name: test-config}, name: myCustomListener}"),
            &tcp(
                "listener: {envoyConfig: {kind: CiliumClusterwideEnvoyConfig, name: c}, name: l, priority: 100}",
            ),
            &tcp("listener: {envoyConfig: {kind: CiliumEnvoyConfig, name: c}, name: l}, serverNames: [a.b]"),
        ],
    );
    Kind::Clusterwide.accepts(&[
        "nodeSelector: {}\negress: [{toPorts: [{ports: [{port: \"53\", protocol: UDP}], rules: {dns: [{matchName: a.b}]}}]}]",
        "endpointSelector: {}\negress: [{toPorts: [{ports: [{port: \"1\"}], listener: {envoyConfig: {name: c}, name: l}}]}]",
    ]);
}

#[test]
fn refused_ports() {
    refuses_rules(
        "egress",
        &[
            (
                "{toPorts: [{ports: [{port: \"80\"}], rules: {http: [{}]}}]}",
                "25: toPorts[0].ports[0]: rules of layer 7 other than dns stand on TCP only, not ANY (protocol: TCP)",
            ),
            (
                "{toPorts: [{ports: [{port: \"80\", protocol: UDP}, {port: \"81\", protocol: TCP}], rules: {http: [{}]}}]}",
                "25: toPorts[0].ports[0]: rules of layer 7 other than dns stand on TCP only, not UDP (protocol: TCP)",
            ),
            (
                "{toPorts: [{ports: [{port: \"0\", protocol: TCP}], rules: {http: [{}]}}]}",
                "25: toPorts[0].ports[0]: rules of layer 7 cannot stand on port 0 (name the ports that they are about)",
            ),
            (
                "{toPorts: [{rules: {dns: [{matchName: domain.com}]}}]}",
                "16: toPorts[0]: rules for DNS name no port (ports: [{port: \"53\", protocol: ANY}])",
            ),
            (
                "{toPorts: [{ports: [{port: \"443\", endPort: 445, protocol: TCP}], rules: {dns: [{matchName: a.b}]}}]}",
                "25: toPorts[0].ports[0]: rules for DNS cannot stand on a range of ports (name each port by itself)",
            ),
            (
                "{toPorts: [{ports: [{port: \"53\", protocol: SCTP}], rules: {dns: [{matchName: a.b}]}}]}",
                "25: toPorts[0].ports[0]: DNS is spoken over TCP and UDP only (protocol: ANY stands for both)",
            ),
        ],
    );
}

#[test]
fn refused_rules() {
    refuses_rules(
        "egress",
        &[
            (
                &tcp("rules: {http: [{}], dns: []}"),
                "81: toPorts[0].rules.dns: dns stands beside http (one protocol for each item of toPorts)",
            ),
            (
                &tcp("rules: {kafka: [{}]}"),
                "64: toPorts[0].rules.kafka: \"kafka\" is no longer part of the API (rules of layer 7 are http or dns)",
            ),
            (
                &tcp("rules: {htpp: []}"),
                "64: toPorts[0].rules: unknown field \"htpp\" (did you mean \"http\"?)",
            ),
            (
                &tcp("rules: {http: [{path: \"*\", method: \"*\", host: \"(\"}]}"),
                "78: toPorts[0].rules.http[0].path: \"*\" is not a regular expression: repetition operator missing expression
                 91: toPorts[0].rules.http[0].method: \"*\" is not a regular expression: repetition operator missing expression
                 102: toPorts[0].rules.http[0].host: \"(\" is not a regular expression: unclosed group",
            ),
            (
                &tcp("rules: {http: [{headerMatches: [{name: X, mismatch: log}, {value: v}, {name: \"\"}, {name: X, secret: {}}]}]}"),
                "108: toPorts[0].rules.http[0].headerMatches[0].mismatch: \"log\" is not an action (did you mean \"LOG\"?)
                 114: toPorts[0].rules.http[0].headerMatches[1]: \"name\" is missing (the header's name)
                 133: toPorts[0].rules.http[0].headerMatches[2].name: is empty
                 156: toPorts[0].rules.http[0].headerMatches[3].secret: \"name\" is missing (the secret's name)",
            ),
            (
                &tcp("serverNames: []"),
                "69: toPorts[0].serverNames: is empty (at least one name, or no serverNames)",
            ),
            (
                &tcp("serverNames: [\"\", a.b, a.b, \"a.*.b\"]"),
                "70: toPorts[0].serverNames[0]: \"\" is not a server name (such as www.example.com, *.example.com or **.example.com)
                 79: toPorts[0].serverNames[2]: \"a.b\" is there twice
                 84: toPorts[0].serverNames[3]: \"a.*.b\" is not a server name (such as www.example.com, *.example.com or **.example.com)",
            ),
            (
                &tcp("serverNames: [a.b], rules: {http: [{}]}"),
                "69: toPorts[0].serverNames: server names stand beside rules of layer 7 without terminatingTLS (the proxy can only look into TLS that it ends)",
            ),
            (
                &tcp("terminatingTLS: {}, originatingTLS: {secret: {namespace: a}, ca: b}"),
                "72: toPorts[0].terminatingTLS: \"secret\" is missing (secret: {name: …})
                 101: toPorts[0].originatingTLS.secret: \"name\" is missing (the secret's name)
                 117: toPorts[0].originatingTLS: unknown field \"ca\" (known fields: secret, trustedCA, certificate, privateKey)",
            ),
            (
                &tcp("listener: {envoyConfig: {name: a}, name: b}, rules: {http: [{}]}"),
                "66: toPorts[0].listener: a listener stands beside rules of layer 7 (the listener decides by itself)",
            ),
            (
                &tcp("listener: {envoyConfig: {kind: Foo, name: a}, name: \"\", priority: 101}"),
                "87: toPorts[0].listener.envoyConfig.kind: \"Foo\" is not a kind of listeners' configurations (CiliumEnvoyConfig, CiliumClusterwideEnvoyConfig)
                 108: toPorts[0].listener.name: is empty
                 122: toPorts[0].listener.priority: 101 is not a priority (1 (first) to 100)",
            ),
        ],
    );
    refuses_rules(
        "ingress",
        &[
            (
                "{toPorts: [{ports: [{port: \"53\", protocol: ANY}], rules: {dns: [{matchName: a.b}]}}]}",
                "68: toPorts[0].rules.dns: rules for DNS are not allowed for ingress (egress only)",
            ),
            (
                &tcp("listener: {envoyConfig: {name: a}, name: b}"),
                "66: toPorts[0].listener: a listener is not allowed for ingress (egress only)",
            ),
        ],
    );
    refuses_rules(
        "ingressDeny",
        &[(&tcp("rules: {}"), "56: toPorts[0]: unknown field \"rules\" (known fields: ports)")],
    );
    Kind::Clusterwide.refuses(&[
        (
            "nodeSelector: {}\ningress: [{toPorts: [{ports: [{port: \"80\", protocol: TCP}], rules: {http: [{}]}}]}]",
            "6:70: spec.ingress[0].toPorts[0].rules: a policy for nodes has no rules of layer 7 on ingress (for egress it can have rules for dns)",
        ),
        (
            "nodeSelector: {}\negress: [{toPorts: [{ports: [{port: \"80\", protocol: TCP}], rules: {http: [{}]}}]}]",
            "6:76: spec.egress[0].toPorts[0].rules.http: a policy for nodes has no rules for http (for egress it can have rules for dns)",
        ),
        (
            "endpointSelector: {}\negress: [{toPorts: [{listener: {envoyConfig: {name: a, kind: CiliumEnvoyConfig}, name: b}}]}]",
            "6:64: spec.egress[0].toPorts[0].listener.envoyConfig.kind: a clusterwide policy cannot use a listener of one namespace (CiliumClusterwideEnvoyConfig)",
        ),
    ]);
}

#[test]
fn clashes() {
    let wide = "{ports: [{port: \"1\", endPort: 100, protocol: TCP}], rules: {http: [{}]}}";
    let http = "{ports: [{port: \"53\", protocol: TCP}], rules: {http: [{}]}}";
    let dns = "{ports: [{port: \"53\"}], rules: {dns: [{matchName: a.b}]}}";
    let other = "{ports: [{port: \"5353\"}], rules: {dns: [{matchName: a.b}]}}";
    let sni = "{ports: [{port: \"53\", protocol: TCP}], serverNames: [a.b]}";
    let spec = |one: &str, two: &str| {
        format!(
            "endpointSelector: {{}}\negress:\n- {{toEndpoints: [{{}}], toPorts: [{one}]}}\n- {{toEndpoints: [{{}}], toPorts: [{two}]}}"
        )
    };
    Kind::Cilium.accepts(&[
        &spec(http, other),
        // Ports that only overlap are told apart.
        &spec(wide, dns),
        &spec(wide, sni),
        &spec(http, http),
        &spec(http, dns).replacen("toEndpoints: [{}]", "toEntities: [world]", 1),
        &spec(http, dns).replace("\"53\"}", "\"53\", protocol: UDP}"),
    ]);
    Kind::Cilium.refuses(&[
        (
            &spec(http, dns),
            "8:35: spec.egress[1].toPorts[0]: rules for dns clash with those of spec.egress[0].toPorts[0] (line 7) (one kind of rules for the same peers and ports)",
        ),
        (
            &spec(dns, sni),
            "8:35: spec.egress[1].toPorts[0]: rules for TLS clash with those of spec.egress[0].toPorts[0] (line 7) (one kind of rules for the same peers and ports)",
        ),
        (
            &with_rule(
                "egress",
                "toPorts:\n  - {ports: [{port: \"80\", protocol: TCP}], terminatingTLS: {secret: {name: a}}}\n  - {ports: [{port: \"80\", protocol: TCP}], terminatingTLS: {secret: {name: b}}}",
            ),
            "9:7: spec.egress[0].toPorts[1]: TLS contexts clash with those of spec.egress[0].toPorts[0] (line 8) (one kind of rules for the same peers and ports)",
        ),
    ]);
}

#[test]
fn proxies() {
    let proxy = |fields: &str| {
        let spec = Kind::Cilium.spec(&with_rule("egress", &tcp(fields)));
        spec.rules[0].l7.as_ref().and_then(|l7| l7.proxy())
    };
    assert_eq!(proxy("rules: {http: [{}]}"), Some(Proxy::Http));
    assert_eq!(proxy("rules: {http: []}"), None);
    assert_eq!(proxy("rules: {dns: [{matchPattern: \"*\"}]}"), Some(Proxy::Dns));
    assert_eq!(proxy("serverNames: [A.b]"), Some(Proxy::Tls));
    assert_eq!(proxy("listener: {envoyConfig: {name: a}, name: b}"), Some(Proxy::Listener));
    assert!(matches!(
        proxy("listener: {envoyConfig: {name: a}, name: b, priority: 7}"),
        Some(Proxy::PriorityListener(priority)) if priority.0 == 7
    ));
}
