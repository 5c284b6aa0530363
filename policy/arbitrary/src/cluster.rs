//! The objects of a cluster, the names that are known, and the settings.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use policy::{Enforcement, Settings};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::cilium;
use crate::cluster_network_policy::cluster_network_policy;
use crate::field::{list, object, one_of};
use crate::network_policy::network_policy;
use crate::selector::cidr;

/// All that verdicts depend on.
#[derive(Clone, Debug)]
pub struct Case {
    /// Manifests.
    pub objects: Vec<Value>,
    /// What the installation chose.
    pub settings: Settings,
    /// DNS names of addresses.
    pub names: BTreeMap<IpAddr, BTreeSet<String>>,
}

/// The key of the label by which CIDRs of the security group `sg-1` are found.
const CLOUD_GROUP: &str = "extgrp.cilium.io/eyJhd3MiOnsic2VjdXJpdHlHcm91cHNJZHMiOlsic2ctMSJdfX3RSgKMKjoryUd";

fn labels<const N: usize>(keys: [&'static str; N], values: [&'static str; 2]) -> BoxedStrategy<Value> {
    let label = move |key| of(one_of(values)).prop_map(move |value| (key, value));
    let labels: Vec<_> = keys.into_iter().map(label).collect();
    labels
        .prop_map(|labels| {
            let present = labels.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into())));
            Value::Object(present.collect())
        })
        .boxed()
}

/// Namespace `name`, with labels.
pub fn namespace(name: &'static str) -> BoxedStrategy<Value> {
    labels(["team"], ["web", "db"])
        .prop_map(move |labels| {
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        })
        .boxed()
}

/// Node `n1`, `n2`…, with an address of each family.
pub fn node(number: usize) -> BoxedStrategy<Value> {
    labels(["zone", "app"], ["web", "db"])
        .prop_map(move |labels| {
            let address = |addr| json!({"type": "InternalIP", "address": addr});
            json!({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"name": format!("n{number}"), "labels": labels},
                "status": {"addresses": [
                    address(format!("10.0.9.{number}")), address(format!("fd00:9::{number}")),
                ]},
            })
        })
        .boxed()
}

/// Pod `p0`, `p1`…, mostly on node `n1`, perhaps on its network, with an address of one family or of both.
pub fn pod(number: usize) -> BoxedStrategy<Value> {
    let port =
        (of(one_of(["http", "dns", "alt"])), one_of([53, 80, 443, 8080]), one_of(["TCP", "UDP", "SCTP"]))
            .prop_map(|(name, port, protocol)| {
                object([
                    ("name", name.map(Value::from)),
                    ("containerPort", Some(port.into())),
                    ("protocol", Some(protocol.into())),
                ])
            });
    let labels = labels(["app", "tier", "pod-template-hash"], ["web", "db"]);
    let place = (one_of(["n1", "n1", "n1", "n2"]), proptest::bool::weighted(0.1), 0..5u8);
    let account = of(one_of(["web", "db"]));
    (one_of(["x", "y"]), labels, list(port, 0, 2), place, account)
        .prop_map(move |(namespace, labels, ports, (node, host_network, net), account)| {
            let number = number + 1;
            let ips = match (host_network, net) {
                (true, _) => vec![format!("10.0.9.{}", &node[1..])],
                (false, 3) => vec![format!("fd00::{number}")],
                (false, 4) => vec![format!("10.0.0.{number}"), format!("fd00::{number}")],
                (false, net) => vec![format!("10.0.{net}.{number}")],
            };
            let ips: Vec<Value> = ips.into_iter().map(|ip| json!({"ip": ip})).collect();
            let name = format!("p{}", number - 1);
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": namespace, "labels": labels},
                "spec": object([
                    ("nodeName", Some(node.into())),
                    ("hostNetwork", host_network.then(|| true.into())),
                    ("serviceAccountName", account.map(Value::from)),
                    ("containers", Some(json!([{"name": "c", "ports": ports}]))),
                ]),
                "status": {"podIPs": ips},
            })
        })
        .boxed()
}

/// Addresses that a service without a selector may have for backends: outside, of nodes, of pods.
const BACKENDS: [&str; 5] = ["192.0.2.1", "192.0.2.200", "10.0.9.2", "10.0.0.1", "2001:db8::1"];

/// Service `s1`, `s2`…, with the EndpointSlice of one without a selector.
pub fn service(number: usize) -> BoxedStrategy<Vec<Value>> {
    let selector = of(one_of([("app", "web"), ("tier", "db")]));
    (one_of(["x", "y"]), labels(["svc"], ["web", "db"]), selector, one_of(BACKENDS))
        .prop_map(move |(namespace, labels, selector, addr)| {
            let name = format!("s{number}");
            let spec = object([
                ("selector", selector.map(|(key, value)| json!({key: value}))),
                ("ports", Some(json!([{"port": 80}]))),
            ]);
            let service = json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": spec,
            });
            match selector {
                Some(_) => vec![service],
                None => vec![service, slice(namespace, &name, addr)],
            }
        })
        .boxed()
}

fn slice(namespace: &str, service: &str, addr: &str) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{service}-1"), "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": if addr.contains(':') { "IPv6" } else { "IPv4" },
        "endpoints": [{"addresses": [addr]}],
        "ports": [{"port": 6443, "protocol": "TCP"}],
    })
}

/// The Kubernetes API server: on a node, or outside.
pub fn apiserver() -> BoxedStrategy<Vec<Value>> {
    prop_oneof![
        Just(Vec::new()),
        one_of(["10.0.9.1", "10.0.9.2", "192.0.2.200"]).prop_map(|addr| {
            let service = json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "kubernetes", "namespace": "default"},
                "spec": {"ports": [{"port": 443}]},
            });
            vec![service, slice("default", "kubernetes", addr)]
        }),
    ]
    .boxed()
}

/// CIDR group `g1`, `g2`….
pub fn group(number: usize) -> BoxedStrategy<Value> {
    (labels(["env", CLOUD_GROUP], ["web", "db"]), list(cidr(), 0, 2))
        .prop_map(move |(labels, cidrs)| {
            json!({
                "apiVersion": "cilium.io/v2", "kind": "CiliumCIDRGroup",
                "metadata": {"name": format!("g{number}"), "labels": labels},
                "spec": {"externalCIDRs": cidrs},
            })
        })
        .boxed()
}

/// A policy of any kind. All of a kind have the same name.
pub fn policy() -> BoxedStrategy<Value> {
    prop_oneof![
        3 => network_policy(),
        8 => cilium::about_pods(),
        1 => cilium::about_nodes(),
        8 => cluster_network_policy(),
    ]
    .boxed()
}

/// Names that addresses are known by. That pods and nodes have names does not count.
pub fn names() -> BoxedStrategy<BTreeMap<IpAddr, BTreeSet<String>>> {
    let addr = one_of(["192.0.2.1", "192.0.2.200", "2001:db8::1", "10.0.0.1", "10.0.9.2"]);
    let name = one_of(["a.example.com", "example.com", "b.a.example.com", "example.org"]);
    vec((addr, name), 0..4)
        .prop_map(|known| {
            let mut names: BTreeMap<IpAddr, BTreeSet<String>> = BTreeMap::new();
            for (addr, name) in known {
                names.entry(addr.parse().unwrap()).or_default().insert(name.to_owned());
            }
            names
        })
        .boxed()
}

/// What an installation may choose.
pub fn settings() -> BoxedStrategy<Settings> {
    let enforcement = prop_oneof![
        20 => Just(Enforcement::Default),
        1 => Just(Enforcement::Always),
        1 => Just(Enforcement::Never),
    ];
    (enforcement, any::<bool>())
        .prop_map(|(enforcement, cidrs_match_nodes)| Settings {
            enforcement,
            cidrs_match_nodes,
            ..Settings::default()
        })
        .boxed()
}

/// A cluster with some policies.
pub fn case() -> BoxedStrategy<Case> {
    let pods: Vec<_> = (0..6).map(pod).collect();
    let pods = (pods, 2..=6usize).prop_map(|(mut pods, count)| {
        pods.truncate(count);
        pods
    });
    let fixed =
        (namespace("x"), namespace("y"), node(1), node(2)).prop_map(|(x, y, one, two)| vec![x, y, one, two]);
    let lists = (apiserver(), of(service(1)), of(service(2)), vec(group(1), 0..=1), vec(group(2), 0..=1))
        .prop_map(|(apiserver, one, two, g1, g2)| {
            [apiserver, one.unwrap_or_default(), two.unwrap_or_default(), g1, g2].concat()
        });
    (fixed, pods, lists, vec(policy(), 2..9), names(), settings())
        .prop_map(|(fixed, pods, lists, mut policies, names, settings)| {
            for (number, policy) in policies.iter_mut().enumerate() {
                policy["metadata"]["name"] = format!("policy-{number}").into();
            }
            Case { objects: [fixed, pods, lists, policies].concat(), settings, names }
        })
        .boxed()
}
