//! Before and after conversion, the oracle says the same of random clusters.

use std::cell::Cell;

use netloom_policy::Settings;
use netloom_policy::cluster::{Cluster, Names};
use netloom_policy::convert::{Ranges, convert};
use netloom_policy::judge::{Judge, OracleEngine};
use netloom_policy::manifest::{Object, parse};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

/// Enough that the count of converted policies below is reached with certainty, not on most days.
const CLUSTERS: u32 = 800;

/// Who is asked about, beside pods: nodes, and outsiders whom blocks tell apart.
const ADDRESSES: [&str; 8] = [
    "10.0.9.1",
    "10.0.9.2",
    "fd00:9::1",
    "192.0.2.1",
    "192.0.2.200",
    "10.1.0.1",
    "198.51.100.1",
    "2001:db8::1",
];

/// Ports that rules tell apart.
const PORTS: [(&str, u16); 8] = [
    ("TCP", 80),
    ("TCP", 85),
    ("TCP", 8080),
    ("TCP", 1),
    ("UDP", 53),
    ("UDP", 2000),
    ("SCTP", 443),
    ("ICMP", 8),
];

fn objects(manifests: &[Value]) -> Vec<Object> {
    manifests
        .iter()
        .flat_map(|manifest| parse(&manifest.to_string(), "case.json", 1))
        .map(Result::unwrap)
        .collect()
}

fn probes(objects: &[Object]) -> Vec<Value> {
    let pods = objects.iter().filter_map(|object| match object {
        Object::Pod(pod) => Some(format!("{}/{}", pod.meta.namespace(), pod.meta.name)),
        _ => None,
    });
    let pods: Vec<String> = pods.collect();
    let others: Vec<String> = ADDRESSES.iter().map(ToString::to_string).collect();
    let mut probes = Vec::new();
    for pod in &pods {
        for other in pods.iter().chain(&others) {
            for (protocol, port) in PORTS {
                let number = if protocol == "ICMP" { "type" } else { "port" };
                probes.push(json!({"from": pod, "to": other, "protocol": protocol, number: port}));
                probes.push(json!({"from": other, "to": pod, "protocol": protocol, number: port}));
            }
        }
    }
    probes
}

/// The verdicts of both ends, for each probe.
fn verdicts(objects: Vec<Object>, names: &Names, settings: Settings, probes: &[Value]) -> Vec<String> {
    let cluster = Cluster::new(objects).with_names(names.clone());
    let oracle = cluster.oracle(settings);
    let mut judge = Judge::new(&cluster, OracleEngine::new(&cluster, &oracle));
    let verdict = |probe| {
        let answer = judge.answer(probe);
        assert_eq!(answer.get("error"), None, "{answer}");
        format!("{} {}", answer["egress"], answer["ingress"])
    };
    probes.iter().map(verdict).collect()
}

/// A policy of namespace x whose peers are blocks, most of which hold whole ranges or nothing of them.
fn with_blocks_alone() -> impl Strategy<Value = Value> {
    let blocks = vec![
        json!({"cidr": "10.0.0.0/8"}),
        json!({"cidr": "fd00::/8"}),
        json!({"cidr": "10.0.9.0/24"}),
        json!({"cidr": "10.0.0.0/8", "except": ["10.0.9.0/24"]}),
        json!({"cidr": "192.0.2.0/24", "except": ["192.0.2.128/25"]}),
        json!({"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "198.51.100.0/24"]}),
        json!({"cidr": "0.0.0.0/0"}),
        json!({"cidr": "::/0"}),
    ];
    let peers = proptest::sample::subsequence(blocks, 1..=3)
        .prop_map(|blocks| blocks.into_iter().map(|block| json!({"ipBlock": block})).collect::<Vec<_>>());
    let port = proptest::option::of(Just(json!([{"port": 80}])));
    (peers.clone(), peers, port).prop_map(|(from, to, ports)| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "blocks", "namespace": "x"},
            "spec": {
                "podSelector": {}, "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": from, "ports": ports.clone().unwrap_or_else(|| json!([]))}],
                "egress": [{"to": to, "ports": ports.unwrap_or_else(|| json!([]))}],
            },
        })
    })
}

#[test]
fn conversion_keeps_every_verdict() {
    let ranges = |pods: &[&str], nodes: &[&str]| Ranges {
        pods: pods.iter().map(|cidr| cidr.parse().unwrap()).collect(),
        nodes: nodes.iter().map(|cidr| cidr.parse().unwrap()).collect(),
        ..Ranges::default()
    };
    // Both are true of the random clusters; the second one says less.
    let known = [
        ranges(&["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24", "fd00::/112"], &["10.0.9.0/24", "fd00:9::/64"]),
        ranges(&["10.0.0.0/22", "fd00::/16"], &["10.0.9.0/24", "fd00:9::/32"]),
    ];
    let (converted, with_blocks, refused) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let config = Config { cases: CLUSTERS, failure_persistence: None, ..Config::default() };
    let case = (policy_arbitrary::case(), 0..known.len(), with_blocks_alone());
    let outcome = TestRunner::new(config).run(&case, |(mut case, which, policy)| {
        case.objects.push(policy);
        let mut ranges = known[which].clone();
        ranges.cidrs_match_nodes = case.settings.cidrs_match_nodes;
        let before = objects(&case.objects);
        let mut after = Vec::new();
        let mut any = false;
        for (object, manifest) in before.iter().zip(&case.objects) {
            let Object::NetworkPolicy(policy) = object else {
                after.push(object.clone());
                continue;
            };
            match convert(policy, &ranges) {
                Ok(result) => {
                    any = true;
                    converted.set(converted.get() + 1);
                    with_blocks
                        .set(with_blocks.get() + usize::from(manifest.to_string().contains("ipBlock")));
                    let mut object = result.object;
                    // Not to replace another of the same name.
                    object["metadata"]["name"] = format!("{}-converted", policy.meta.name).into();
                    after.extend(objects(&[object]));
                }
                Err(_) => {
                    refused.set(refused.get() + 1);
                    after.push(object.clone());
                }
            }
        }
        if !any {
            return Ok(());
        }
        let mut names = Names::default();
        for (addr, known) in &case.names {
            known.iter().for_each(|name| names.insert(name, *addr));
        }
        let probes = probes(&before);
        let was = verdicts(before, &names, case.settings, &probes);
        let is = verdicts(after, &names, case.settings, &probes);
        for ((probe, was), is) in probes.iter().zip(was).zip(is) {
            prop_assert_eq!(was, is, "{} in {}", probe, Value::from(case.objects.clone()));
        }
        Ok(())
    });
    eprintln!(
        "{} policies converted, {} of them with blocks; {} refused",
        converted.get(),
        with_blocks.get(),
        refused.get()
    );
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert!(converted.get() >= 100 && with_blocks.get() >= 30, "too few policies to tell");
}
