//! The ports of Cilium's rules, with what a proxy has to check.

use proptest::option::of;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::field::{list, object, one_of};

/// Which rules of layer 7 the rules of a policy have in one direction: those of two kinds would clash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer7 {
    None,
    /// Egress only.
    Dns,
    Http,
    /// Egress of pods only.
    Listener,
}

/// The field with ports or ICMP types, or none.
pub(crate) fn cilium_ports(layer7: Layer7) -> BoxedStrategy<Option<(&'static str, Value)>> {
    let plain = list(item(port()), 0, 2);
    let proxied = match layer7 {
        Layer7::None => plain.clone(),
        Layer7::Dns => list(dns(), 1, 1),
        Layer7::Http => list(prop_oneof![2 => item(port()), 3 => http(), 2 => tls()], 1, 2),
        Layer7::Listener => list(prop_oneof![2 => item(port()), 3 => listener(), 2 => tls()], 1, 2),
    };
    prop_oneof![
        2 => Just(None),
        2 => plain.prop_map(|items| Some(("toPorts", items))),
        6 => proxied.prop_map(|items| Some(("toPorts", items))),
        1 => icmps().prop_map(|items| Some(("icmps", items))),
    ]
    .boxed()
}

fn item(port: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    list(port, 1, 2).prop_map(|ports| json!({"ports": ports})).boxed()
}

fn port() -> BoxedStrategy<Value> {
    let numbered = prop_oneof![
        one_of(["0", "53", "80", "8080", "http", "dns"]).prop_map(|port| (port, None)),
        one_of([("80", 90), ("1", 65535), ("1", 1023)]).prop_map(|(port, end)| (port, Some(json!(end)))),
    ];
    let ported = (of(one_of(["TCP", "UDP", "SCTP", "ANY"])), numbered).prop_map(|(protocol, (port, end))| {
        object([("port", Some(port.into())), ("endPort", end), ("protocol", protocol.map(Value::from))])
    });
    let other = one_of(["VRRP", "IGMP", "GRE", "IPIP", "IPV6", "ESP", "AH"])
        .prop_map(|protocol| json!({"port": "0", "protocol": protocol}));
    prop_oneof![9 => ported, 1 => other].boxed()
}

/// TCP ports with rules for a proxy: lists without a rule ask for none.
fn http() -> BoxedStrategy<Value> {
    let rule = one_of(["/", "/a.*"]).prop_map(|path| json!({"method": "GET", "path": path}));
    (tcp_ports(), list(rule, 0, 2))
        .prop_map(|(ports, rules)| json!({"ports": ports, "rules": {"http": rules}}))
        .boxed()
}

fn tcp_ports() -> BoxedStrategy<Value> {
    let port = prop_oneof![
        3 => one_of(["80", "8080", "http"]).prop_map(|port| json!({"port": port, "protocol": "TCP"})),
        2 => one_of([("80", 90), ("1", 65535)])
            .prop_map(|(port, end)| json!({"port": port, "endPort": end, "protocol": "TCP"})),
    ];
    list(port, 1, 2)
}

fn dns() -> BoxedStrategy<Value> {
    let rule = || one_of(["*", "*.example.com"]).prop_map(|pattern| json!({"matchPattern": pattern}));
    // A list without a rule is none for DNS, and what is not for DNS stands on TCP only.
    prop_oneof![
        1 => (one_of(["53", "dns"]), Just("TCP"), Just(json!([]))),
        4 => (one_of(["53", "dns"]), one_of(["TCP", "UDP", "ANY"]), list(rule(), 1, 1)),
    ]
    .prop_map(|(port, protocol, rules)| {
        json!({"ports": [{"port": port, "protocol": protocol}], "rules": {"dns": rules}})
    })
    .boxed()
}

fn tls() -> BoxedStrategy<Value> {
    (tcp_ports(), any::<bool>())
        .prop_map(|(ports, names)| match names {
            true => json!({"ports": ports, "serverNames": ["a.example.com"]}),
            false => {
                json!({"ports": ports, "terminatingTLS": {"secret": {"namespace": "x", "name": "cert"}}})
            }
        })
        .boxed()
}

fn listener() -> BoxedStrategy<Value> {
    (tcp_ports(), of(one_of([1, 50, 100])))
        .prop_map(|(ports, priority)| {
            let listener = object([
                ("envoyConfig", Some(json!({"kind": "CiliumClusterwideEnvoyConfig", "name": "envoy"}))),
                ("name", Some("listener".into())),
                ("priority", priority.map(Value::from)),
            ]);
            json!({"ports": ports, "listener": listener})
        })
        .boxed()
}

fn icmps() -> BoxedStrategy<Value> {
    let field = prop_oneof![
        one_of([0, 3, 8]).prop_map(|kind| json!({"family": "IPv4", "type": kind})),
        one_of([128, 135]).prop_map(|kind| json!({"family": "IPv6", "type": kind})),
        one_of([("IPv4", "EchoRequest"), ("IPv6", "EchoRequest")])
            .prop_map(|(family, kind)| json!({"family": family, "type": kind})),
        Just(json!({"type": 8})),
    ];
    list(list(field, 1, 2).prop_map(|fields| json!({"fields": fields})), 1, 1)
}
