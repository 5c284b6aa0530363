//! Random small clusters, as manifests.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

/// A field that may be left out.
fn object(fields: Vec<(&str, Option<Value>)>) -> Value {
    Value::Object(fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect())
}

fn labels() -> BoxedStrategy<Value> {
    (of(select(vec!["web", "db"])), of(select(vec!["1", "2"])))
        .prop_map(|(app, tier)| object(vec![("app", app.map(Value::from)), ("tier", tier.map(Value::from))]))
        .boxed()
}

fn namespace(name: &'static str) -> BoxedStrategy<Value> {
    of(select(vec!["a", "b"]))
        .prop_map(move |team| {
            let labels = object(vec![("team", team.map(Value::from))]);
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        })
        .boxed()
}

fn pod(number: usize) -> BoxedStrategy<Value> {
    let port = (
        of(select(vec!["http", "dns", "alt"])),
        select(vec![53, 80, 443, 8080]),
        select(vec!["TCP", "UDP", "SCTP"]),
    )
        .prop_map(|(name, port, protocol)| {
            object(vec![
                ("name", name.map(Value::from)),
                ("containerPort", Some(port.into())),
                ("protocol", Some(protocol.into())),
            ])
        });
    (select(vec!["x", "y"]), labels(), vec(port, 0..3), 0..4u8)
        .prop_map(move |(namespace, labels, ports, net)| {
            let ip =
                if net == 3 { format!("fd00::{}", number + 1) } else { format!("10.0.{net}.{}", number + 1) };
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": format!("p{number}"), "namespace": namespace, "labels": labels},
                "spec": {"containers": [{"name": "c", "ports": ports}]},
                "status": {"podIPs": [{"ip": ip}]},
            })
        })
        .boxed()
}

/// A label selector over these keys, all of which know these values.
fn selector(keys: Vec<&'static str>, values: Vec<&'static str>) -> BoxedStrategy<Value> {
    let label = of((select(keys.clone()), select(values.clone())));
    let expression =
        (select(keys), 0..4usize, subsequence(values, 1..=2)).prop_map(|(key, operator, values)| {
            let operators = ["In", "NotIn", "Exists", "DoesNotExist"];
            let values = (operator < 2).then(|| Value::from(values));
            object(vec![
                ("key", Some(key.into())),
                ("operator", Some(operators[operator].into())),
                ("values", values),
            ])
        });
    (label, vec(expression, 0..2))
        .prop_map(|(label, expressions)| {
            let match_labels = label.map(|(key, value)| json!({key: value}));
            object(vec![
                ("matchLabels", match_labels),
                ("matchExpressions", (!expressions.is_empty()).then(|| expressions.into())),
            ])
        })
        .boxed()
}

fn pod_selector() -> BoxedStrategy<Value> {
    selector(vec!["app", "tier"], vec!["web", "db", "1", "2"])
}

/// A CIDR and parts of it.
fn block() -> BoxedStrategy<Value> {
    let blocks = vec![
        ("0.0.0.0/0", vec!["10.0.0.0/8", "192.0.2.0/25", "10.0.1.0/24"]),
        ("10.0.0.0/8", vec!["10.0.0.0/16", "10.1.0.0/16", "10.0.2.0/24"]),
        ("10.0.0.0/16", vec!["10.0.0.0/24", "10.0.0.1/32", "10.0.1.2/32"]),
        ("10.0.1.0/24", vec!["10.0.1.0/30", "10.0.1.1/32"]),
        ("10.0.0.1/32", vec![]),
        ("192.0.2.0/24", vec!["192.0.2.0/25", "192.0.2.1/32"]),
        ("::/0", vec!["fd00::/8", "2001:db8::/32"]),
        ("fd00::/8", vec!["fd00::1/128", "fd00::/126"]),
    ];
    select(blocks)
        .prop_flat_map(|(cidr, except)| {
            let len = except.len();
            subsequence(except, 0..=len.min(2)).prop_map(move |except| {
                let except = (!except.is_empty()).then(|| Value::from(except));
                object(vec![("cidr", Some(cidr.into())), ("except", except)])
            })
        })
        .boxed()
}

fn network_policy() -> BoxedStrategy<Value> {
    let port = (
        of(select(vec!["TCP", "UDP", "SCTP"])),
        prop_oneof![
            Just((None, None)),
            select(vec![53, 80, 443, 8080]).prop_map(|port| (Some(json!(port)), None)),
            select(vec![(80, 90), (1, 1023), (80, 80), (1, 65535), (443, 65535)])
                .prop_map(|(first, last)| (Some(json!(first)), Some(json!(last)))),
            select(vec!["http", "dns"]).prop_map(|name| (Some(json!(name)), None)),
        ],
    )
        .prop_map(|(protocol, (port, end))| {
            object(vec![("protocol", protocol.map(Value::from)), ("port", port), ("endPort", end)])
        });
    let namespaces = selector(vec!["team"], vec!["a", "b"]);
    let peer = prop_oneof![
        2 => pod_selector().prop_map(|pods| json!({"podSelector": pods})),
        1 => namespaces.clone().prop_map(|namespaces| json!({"namespaceSelector": namespaces})),
        2 => (pod_selector(), namespaces)
            .prop_map(|(pods, namespaces)| json!({"podSelector": pods, "namespaceSelector": namespaces})),
        2 => block().prop_map(|block| json!({"ipBlock": block})),
    ]
    .boxed();
    let port = port.boxed();
    let rules = |key: &'static str| {
        let rule =
            (of(vec(peer.clone(), 0..3)), of(vec(port.clone(), 0..3))).prop_map(move |(peers, ports)| {
                object(vec![(key, peers.map(Value::from)), ("ports", ports.map(Value::from))])
            });
        of(vec(rule, 0..3))
    };
    let types = of(subsequence(vec!["Ingress", "Egress"], 1..=2));
    (select(vec!["x", "y"]), pod_selector(), types, rules("from"), rules("to"))
        .prop_map(|(namespace, pods, types, ingress, egress)| {
            json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"name": "name", "namespace": namespace},
                "spec": object(vec![
                    ("podSelector", Some(pods)),
                    ("policyTypes", types.map(Value::from)),
                    ("ingress", ingress.map(Value::from)),
                    ("egress", egress.map(Value::from)),
                ]),
            })
        })
        .boxed()
}

fn cilium_port() -> BoxedStrategy<Value> {
    let protocol = of(select(vec!["TCP", "UDP", "SCTP", "ANY"]));
    let port = prop_oneof![
        select(vec!["0", "53", "80", "8080", "http", "dns"]).prop_map(|port| (port, None)),
        select(vec![("80", 90), ("1", 65535), ("1", 1023)]).prop_map(|(port, end)| (port, Some(json!(end)))),
    ];
    (protocol, port)
        .prop_map(|(protocol, (port, end))| {
            object(vec![
                ("port", Some(port.into())),
                ("endPort", end),
                ("protocol", protocol.map(Value::from)),
            ])
        })
        .boxed()
}

/// The peers of a Cilium rule: one field, or none. `prefix` is `from` or `to`.
fn cilium_peers(prefix: &'static str) -> BoxedStrategy<(String, Option<Value>)> {
    const PLAIN: [&str; 5] = ["app", "k8s:app", "any:tier", "tier", "k8s:io.kubernetes.pod.namespace"];
    const OTHER: [&str; 3] = ["k8s:io.cilium.k8s.namespace.labels.team", "reserved:host", "app"];
    let endpoint = prop_oneof![
        4 => selector(PLAIN.to_vec(), vec!["web", "db", "1", "2", "x", "y"]),
        1 => selector(OTHER.to_vec(), vec!["a", "b", "web"]),
    ];
    let entity = select(vec![
        "all",
        "world",
        "world-ipv4",
        "world-ipv6",
        "cluster",
        "host",
        "remote-node",
        "init",
        "health",
        "unmanaged",
        "kube-apiserver",
        "ingress",
        "none",
    ]);
    let cidr = select(vec!["0.0.0.0/0", "10.0.0.0/8", "192.0.2.0/24", "192.0.2.1", "::/0", "2001:db8::/32"]);
    let list = |field: &'static str, items: BoxedStrategy<Vec<Value>>| {
        items.prop_map(move |items| (format!("{prefix}{field}"), Some(items.into())))
    };
    prop_oneof![
        1 => Just((format!("{prefix}Endpoints"), None)),
        3 => list("Endpoints", vec(endpoint, 0..3).boxed()),
        2 => list("Entities", vec(entity.prop_map(Value::from), 0..3).boxed()),
        1 => list("CIDR", vec(cidr.prop_map(Value::from), 0..3).boxed()),
        1 => list("CIDRSet", vec(block(), 0..3).boxed()),
    ]
    .boxed()
}

fn cilium_policy() -> BoxedStrategy<Value> {
    let rules = |prefix| {
        let ports = vec(cilium_port(), 1..3).prop_map(|ports| json!({"ports": ports}));
        let rule = (cilium_peers(prefix), of(vec(ports, 0..2))).prop_map(|((field, peers), ports)| {
            object(vec![(field.as_str(), peers), ("toPorts", ports.map(Value::from))])
        });
        of(vec(rule, 1..3))
    };
    let subject = selector(vec!["app", "k8s:tier", "any:app"], vec!["web", "db", "1", "2"]);
    let default_deny = of((of(any::<bool>()), of(any::<bool>())));
    let namespace = of(select(vec!["x", "y"]));
    (namespace, subject, rules("from"), rules("from"), rules("to"), rules("to"), default_deny)
        .prop_map(|(namespace, subject, ingress, ingress_deny, egress, egress_deny, default_deny)| {
            let has_rules = [&ingress, &ingress_deny, &egress, &egress_deny].iter().any(|rules| rules.is_some());
            let ingress = if has_rules { ingress } else { Some(vec![json!({})]) };
            let default_deny = default_deny.map(|(ingress, egress)| {
                object(vec![("ingress", ingress.map(Value::from)), ("egress", egress.map(Value::from))])
            });
            let kind = if namespace.is_some() { "CiliumNetworkPolicy" } else { "CiliumClusterwideNetworkPolicy" };
            json!({
                "apiVersion": "cilium.io/v2", "kind": kind,
                "metadata": object(vec![("name", Some("name".into())), ("namespace", namespace.map(Value::from))]),
                "spec": object(vec![
                    ("endpointSelector", Some(subject)),
                    ("ingress", ingress.map(Value::from)),
                    ("ingressDeny", ingress_deny.map(Value::from)),
                    ("egress", egress.map(Value::from)),
                    ("egressDeny", egress_deny.map(Value::from)),
                    ("enableDefaultDeny", default_deny),
                ]),
            })
        })
        .boxed()
}

/// The objects of a cluster.
pub(crate) fn cluster() -> BoxedStrategy<Vec<Value>> {
    let pods: Vec<_> = (0..5).map(pod).collect();
    let pods = (pods, 1..=5usize).prop_map(|(mut pods, count)| {
        pods.truncate(count);
        pods
    });
    let policies = vec(prop_oneof![network_policy(), cilium_policy()], 0..4);
    (namespace("x"), namespace("y"), pods, policies)
        .prop_map(|(x, y, pods, mut policies)| {
            for (number, policy) in policies.iter_mut().enumerate() {
                policy["metadata"]["name"] = format!("policy-{number}").into();
            }
            [x, y].into_iter().chain(pods).chain(policies).collect()
        })
        .boxed()
}
