//! ClusterNetworkPolicies: the tiers of administrators.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::field::{list, object, one_of, perhaps};
use crate::selector::{cidr, namespaces, pods, selector};

pub(crate) fn cluster_network_policy() -> BoxedStrategy<Value> {
    let tier = one_of(["Admin", "Baseline"]);
    // Few priorities, so that names have to decide too.
    let priority = one_of([0, 5, 1000]);
    (tier, priority, namespaced_pods(), perhaps(rules("from")), perhaps(rules("to")))
        .prop_map(|(tier, priority, subject, ingress, egress)| {
            json!({
                "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
                "metadata": {"name": "name"},
                "spec": object([
                    ("tier", Some(tier.into())),
                    ("priority", Some(priority.into())),
                    ("subject", Some(subject)),
                    ("ingress", ingress),
                    ("egress", egress),
                ]),
            })
        })
        .boxed()
}

/// The `namespaces` or `pods` of a subject or peer.
fn namespaced_pods() -> BoxedStrategy<Value> {
    prop_oneof![
        namespaces().prop_map(|namespaces| json!({"namespaces": namespaces})),
        (namespaces(), pods()).prop_map(|(namespaces, pods)| {
            json!({"pods": {"namespaceSelector": namespaces, "podSelector": pods}})
        }),
    ]
    .boxed()
}

fn rules(key: &'static str) -> BoxedStrategy<Value> {
    let pods =
        (one_of(["Accept", "Deny", "Pass"]), list(namespaced_pods(), 1, 2), few(list(protocol(true), 1, 2)));
    // Names of ports are for pods, and DNS names for what is accepted.
    let others = (
        one_of(["Accept", "Deny", "Pass"]),
        list(prop_oneof![nodes(), networks()], 1, 2),
        few(list(protocol(false), 1, 2)),
    );
    let names = (Just("Accept"), list(domain_names(), 1, 1), few(list(protocol(false), 1, 2)));
    let rule =
        if key == "from" { pods.boxed() } else { prop_oneof![3 => pods, 3 => others, 1 => names].boxed() };
    let rule = rule.prop_map(move |(action, peers, protocols)| {
        object([("action", Some(action.into())), (key, Some(peers)), ("protocols", protocols)])
    });
    list(rule, 1, 4)
}

/// One in three has it.
fn few(value: BoxedStrategy<Value>) -> BoxedStrategy<Option<Value>> {
    proptest::option::weighted(0.33, value).boxed()
}

fn nodes() -> BoxedStrategy<Value> {
    selector(&["zone", "app"], &["web", "db"]).prop_map(|nodes| json!({"nodes": nodes})).boxed()
}

fn networks() -> BoxedStrategy<Value> {
    let different = proptest::collection::btree_set(cidr().prop_map(|cidr| cidr.to_string()), 1..=2);
    different
        .prop_map(|cidrs| {
            let cidrs: Vec<&str> = cidrs.iter().map(|cidr| cidr.trim_matches('"')).collect();
            json!({"networks": cidrs})
        })
        .boxed()
}

fn domain_names() -> BoxedStrategy<Value> {
    one_of(["a.example.com", "*.example.com", "example.org"])
        .prop_map(|name| json!({"domainNames": [name]}))
        .boxed()
}

fn protocol(of_pods: bool) -> BoxedStrategy<Value> {
    let port = prop_oneof![
        one_of([53, 80, 443, 8080]).prop_map(|port| json!({"number": port})),
        one_of([(80, 90), (1, 1023), (443, 65535)])
            .prop_map(|(start, end)| json!({"range": {"start": start, "end": end}})),
    ];
    let numbered = (one_of(["tcp", "tcp", "udp", "sctp"]), port)
        .prop_map(|(protocol, port)| json!({protocol: {"destinationPort": port}}));
    let named = one_of(["http", "dns"]).prop_map(|name| json!({"destinationNamedPort": name}));
    if of_pods { prop_oneof![3 => numbered, 1 => named].boxed() } else { numbered.boxed() }
}
