//! NetworkPolicies.

use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::{Value, json};

use crate::field::{list, object, one_of, perhaps};
use crate::selector::{block, namespaces, pods};

pub(crate) fn network_policy() -> BoxedStrategy<Value> {
    let types = of(subsequence(vec!["Ingress", "Egress"], 1..=2));
    (one_of(["x", "y"]), pods(), types, perhaps(rules("from")), perhaps(rules("to")))
        .prop_map(|(namespace, pods, types, ingress, egress)| {
            json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"name": "name", "namespace": namespace},
                "spec": object([
                    ("podSelector", Some(pods)),
                    ("policyTypes", types.map(Value::from)),
                    ("ingress", ingress),
                    ("egress", egress),
                ]),
            })
        })
        .boxed()
}

fn rules(key: &'static str) -> BoxedStrategy<Value> {
    let rule = (of(list(peer(), 0, 2)), of(list(port(), 0, 2)))
        .prop_map(move |(peers, ports)| object([(key, peers), ("ports", ports)]));
    list(rule, 0, 2)
}

fn peer() -> BoxedStrategy<Value> {
    prop_oneof![
        2 => pods().prop_map(|pods| json!({"podSelector": pods})),
        1 => namespaces().prop_map(|namespaces| json!({"namespaceSelector": namespaces})),
        2 => (pods(), namespaces())
            .prop_map(|(pods, namespaces)| json!({"podSelector": pods, "namespaceSelector": namespaces})),
        2 => block().prop_map(|block| json!({"ipBlock": block})),
    ]
    .boxed()
}

fn port() -> BoxedStrategy<Value> {
    let port = prop_oneof![
        Just((None, None)),
        one_of([53, 80, 443, 8080]).prop_map(|port| (Some(json!(port)), None)),
        one_of([(80, 90), (1, 1023), (80, 80), (1, 65535), (443, 65535)])
            .prop_map(|(first, last)| (Some(json!(first)), Some(json!(last)))),
        one_of(["http", "dns"]).prop_map(|name| (Some(json!(name)), None)),
    ];
    (of(one_of(["TCP", "UDP", "SCTP"])), port)
        .prop_map(|(protocol, (port, end))| {
            object([("protocol", protocol.map(Value::from)), ("port", port), ("endPort", end)])
        })
        .boxed()
}
