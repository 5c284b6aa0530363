//! CiliumNetworkPolicies and CiliumClusterwideNetworkPolicies.

use proptest::option::of;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::cilium_peers::cilium_peers;
use crate::cilium_ports::{Layer7, cilium_ports};
use crate::field::{list, object, one_of, perhaps};
use crate::selector::selector;

/// A policy about pods.
pub(crate) fn about_pods() -> BoxedStrategy<Value> {
    let with = |egress_layer7| {
        let subject = selector(&["app", "k8s:tier", "any:app"], &["web", "db"]);
        let spec = (subject, spec("endpointSelector", Layer7::Http, egress_layer7)).prop_map(
            |(subject, mut spec)| {
                spec["endpointSelector"] = subject;
                spec
            },
        );
        let specs = prop_oneof![
            4 => spec.clone().prop_map(|spec| json!({"spec": spec})),
            1 => list(spec, 1, 2).prop_map(|specs| json!({"specs": specs})),
        ];
        (of(one_of(["x", "y"])), specs).prop_map(|(namespace, specs)| policy(namespace, specs))
    };
    prop_oneof![with(Layer7::Http), with(Layer7::Dns), with(Layer7::Listener)].boxed()
}

/// A policy about nodes.
pub(crate) fn about_nodes() -> BoxedStrategy<Value> {
    let subject = selector(&["zone", "k8s:app"], &["web", "db"]);
    (subject, spec("nodeSelector", Layer7::None, Layer7::Dns))
        .prop_map(|(subject, mut spec)| {
            spec["nodeSelector"] = subject;
            policy(None, json!({"spec": spec}))
        })
        .boxed()
}

fn policy(namespace: Option<&str>, mut policy: Value) -> Value {
    let kind = if namespace.is_some() { "CiliumNetworkPolicy" } else { "CiliumClusterwideNetworkPolicy" };
    policy["apiVersion"] = "cilium.io/v2".into();
    policy["kind"] = kind.into();
    policy["metadata"] = object([("name", Some("name".into())), ("namespace", namespace.map(Value::from))]);
    policy
}

/// A spec, but for its subject.
fn spec(subject: &'static str, ingress_layer7: Layer7, egress_layer7: Layer7) -> BoxedStrategy<Value> {
    let rules = |prefix, layer7| perhaps(list(rule(prefix, layer7), 1, 3));
    let deny = |prefix| prop_oneof![5 => Just(None), 1 => list(denial(prefix), 1, 2).prop_map(Some)];
    let default_deny = prop_oneof![
        3 => Just(None),
        1 => (of(any::<bool>()), of(any::<bool>())).prop_map(|(ingress, egress)| {
            Some(object([("ingress", ingress.map(Value::from)), ("egress", egress.map(Value::from))]))
        }),
    ];
    let log = prop_oneof![4 => Just(None), 1 => one_of(["first", "second"]).prop_map(|value| Some(json!({"value": value})))];
    (rules("from", ingress_layer7), deny("from"), rules("to", egress_layer7), deny("to"), default_deny, log)
        .prop_map(move |(ingress, ingress_deny, egress, egress_deny, default_deny, log)| {
            let has_rules =
                [&ingress, &ingress_deny, &egress, &egress_deny].iter().any(|rules| rules.is_some());
            let ingress = if has_rules { ingress } else { Some(json!([{}])) };
            object([
                (subject, Some(json!({}))),
                ("ingress", ingress),
                ("ingressDeny", ingress_deny),
                ("egress", egress),
                ("egressDeny", egress_deny),
                ("enableDefaultDeny", default_deny),
                ("log", log),
            ])
        })
        .boxed()
}

fn rule(prefix: &'static str, layer7: Layer7) -> BoxedStrategy<Value> {
    let authentication = prop_oneof![
        3 => Just(None),
        1 => one_of(["disabled", "required", "required", "test-always-fail"]).prop_map(|mode| Some(json!({"mode": mode}))),
    ];
    (cilium_peers(prefix, true), cilium_ports(layer7), authentication)
        .prop_map(|((field, peers), ports, authentication)| {
            let (port_field, ports) = ports.map_or(("toPorts", None), |(field, ports)| (field, Some(ports)));
            object([(&field, peers), (port_field, ports), ("authentication", authentication)])
        })
        .boxed()
}

fn denial(prefix: &'static str) -> BoxedStrategy<Value> {
    (cilium_peers(prefix, false), cilium_ports(Layer7::None))
        .prop_map(|((field, peers), ports)| {
            let (port_field, ports) = ports.map_or(("toPorts", None), |(field, ports)| (field, Some(ports)));
            object([(&field, peers), (port_field, ports)])
        })
        .boxed()
}
