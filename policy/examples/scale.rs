//! How long it takes to resolve and compile many policies over many identities.
//!
//! `cargo run --release -p netloom-policy --example scale [policies] [identities]`

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use abi::{Direction, Identity};
use netloom_policy::manifest::{Object, parse};
use netloom_policy::{Label, LabelSet, Repository};

const NAMESPACES: u32 = 10;

fn labels(number: u32) -> LabelSet {
    let label = |key: &str, value: u32| Label::k8s(key, format!("v{value}"));
    [
        Label::k8s("io.kubernetes.pod.namespace", format!("ns{}", number % NAMESPACES)),
        label("app", number % 1000),
        label("tier", number % 7),
        label("number", number),
    ]
    .into_iter()
    .collect()
}

fn policy(number: u32) -> String {
    let (namespace, app) = (number % NAMESPACES, number % 1000);
    format!(
        r#"{{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {{"name": "policy{number}", "namespace": "ns{namespace}"}},
            "spec": {{"podSelector": {{}}, "ingress": [
                {{"from": [{{"namespaceSelector": {{}}, "podSelector": {{"matchLabels": {{"app": "v{app}"}}}}}}],
                  "ports": [{{"port": {port}}}, {{"port": 443}}]}},
                {{"from": [{{"ipBlock": {{"cidr": "10.{b}.{c}.0/24"}}}}], "ports": [{{"port": 53, "protocol": "UDP"}}]}}
            ]}}}}"#,
        port = 1000 + number % 50,
        b = number % 256,
        c = number / 256,
    )
}

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u32>().expect("a number"));
    let (policies, identities) = (args.next().unwrap_or(1000), args.next().unwrap_or(10_000));
    let mut repository = Repository::default();

    let start = Instant::now();
    let texts: Vec<String> = (0..policies).map(policy).collect();
    let parsed: Vec<_> = texts
        .iter()
        .flat_map(|text| parse(text, "scale", 1))
        .filter_map(|object| object.ok().as_ref().and_then(Object::policy))
        .collect();
    println!("parse {} policies: {:?}", parsed.len(), start.elapsed());

    let start = Instant::now();
    repository.set_policies(parsed);
    println!("add them: {:?}", start.elapsed());

    let start = Instant::now();
    let addr = |number: u32| IpAddr::from(Ipv4Addr::from(0x0a00_0000 + number * 7));
    for number in 0..identities {
        repository.set_address(addr(number), Identity(256 + number), labels(number));
    }
    println!("add {identities} identities: {:?}", start.elapsed());

    let start = Instant::now();
    let mut compiled = Vec::new();
    for subject in 0..NAMESPACES {
        compiled.push(repository.compile(&labels(subject), Direction::Ingress));
    }
    println!("compile for {NAMESPACES} namespaces, all policies among them: {:?}", start.elapsed());
    let tables = &compiled[0].tables;
    println!(
        "one of them: {} peers, {} ports, {} x {} classes",
        tables.peers.len(),
        tables.ports.len(),
        tables.peer_classes(),
        tables.stride
    );

    let start = Instant::now();
    repository.set_address(addr(identities), Identity(256 + identities), labels(identities));
    println!("add one identity: {:?}", start.elapsed());
    let start = Instant::now();
    let again = repository.compile(&labels(0), Direction::Ingress);
    println!("compile one namespace again: {:?} ({} peers)", start.elapsed(), again.tables.peers.len());
}
