//! The peers of Cilium's rules.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::field::{list, object, one_of};
use crate::selector::{block, cidr, selector};

/// One field with peers, or none. `prefix` is `from` or `to`; `names`: whether `toFQDNs` may be used.
pub(crate) fn cilium_peers(prefix: &'static str, names: bool) -> BoxedStrategy<(String, Option<Value>)> {
    let field = |name: &'static str, items: BoxedStrategy<Value>| {
        items.prop_map(move |items| (format!("{prefix}{name}"), Some(items)))
    };
    let of_both = prop_oneof![
        6 => Just((format!("{prefix}Endpoints"), None)),
        5 => field("Endpoints", list(endpoint(), 0, 2)),
        4 => field("Entities", list(entity(), 0, 2)),
        1 => field("CIDR", list(prop_oneof![5 => cidr(), 1 => Just(json!("192.0.2.1/32"))], 0, 2)),
        3 => field("CIDRSet", list(cidr_rule(), 0, 2)),
        1 => field("Nodes", list(selector(&["zone", "app"], &["web", "db"]), 0, 2)),
        1 => field("Groups", list(Just(json!({"aws": {"securityGroupsIds": ["sg-1"]}})), 0, 1)),
    ];
    match (prefix, names) {
        ("to", true) => prop_oneof![
            6 => of_both,
            1 => field("Services", list(service(), 0, 2)),
            2 => field("FQDNs", list(name(), 0, 2)),
        ]
        .boxed(),
        ("to", false) => prop_oneof![6 => of_both, 1 => field("Services", list(service(), 0, 2))].boxed(),
        _ => of_both.boxed(),
    }
}

fn endpoint() -> BoxedStrategy<Value> {
    const PLAIN: [&str; 6] =
        ["app", "k8s:app", "any:tier", "tier", "pod-template-hash", "k8s:io.kubernetes.pod.namespace"];
    const OTHER: [&str; 6] = [
        "k8s:io.cilium.k8s.namespace.labels.team",
        "io.cilium.k8s.policy.serviceaccount",
        "k8s:io.cilium.k8s.policy.cluster",
        "reserved:host",
        "reserved:world-ipv4",
        "app",
    ];
    prop_oneof![
        4 => selector(&PLAIN, &["web", "db", "x", "y"]),
        1 => selector(&OTHER, &["web", "db", "default"]),
    ]
    .boxed()
}

fn entity() -> BoxedStrategy<Value> {
    one_of([
        "all",
        "all",
        "world",
        "world",
        "world-ipv4",
        "world-ipv6",
        "cluster",
        "cluster",
        "cluster-mesh",
        "host",
        "remote-node",
        "init",
        "health",
        "unmanaged",
        "kube-apiserver",
        "ingress",
        "none",
    ])
    .prop_map(Value::from)
    .boxed()
}

fn cidr_rule() -> BoxedStrategy<Value> {
    let except = || {
        proptest::option::of(
            one_of(["192.0.2.1/32", "10.0.0.0/8", "10.0.9.2/32"]).prop_map(|cidr| json!([cidr])),
        )
    };
    prop_oneof![
        3 => block(),
        2 => (one_of(["g1", "g2", "g3"]), except())
            .prop_map(|(group, except)| object([("cidrGroupRef", Some(group.into())), ("except", except)])),
        2 => (selector(&["env"], &["web", "db"]), except())
            .prop_map(|(groups, except)| object([("cidrGroupSelector", Some(groups)), ("except", except)])),
    ]
    .boxed()
}

fn service() -> BoxedStrategy<Value> {
    let namespace = || proptest::option::of(one_of(["x", "y", "default"]).prop_map(Value::from));
    prop_oneof![
        (one_of(["s1", "s2", "kubernetes"]), namespace()).prop_map(|(name, namespace)| {
            json!({"k8sService": object([("serviceName", Some(name.into())), ("namespace", namespace)])})
        }),
        (selector(&["svc"], &["web", "db"]), namespace()).prop_map(|(services, namespace)| {
            json!({"k8sServiceSelector": object([("selector", Some(services)), ("namespace", namespace)])})
        }),
    ]
    .boxed()
}

fn name() -> BoxedStrategy<Value> {
    prop_oneof![
        one_of(["a.example.com", "example.org"]).prop_map(|name| json!({"matchName": name})),
        one_of(["*.example.com", "**.example.com", "*", "a.*.com"])
            .prop_map(|name| json!({"matchPattern": name})),
    ]
    .boxed()
}
