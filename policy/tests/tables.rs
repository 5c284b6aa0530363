//! The shape of compiled tables: minimal, deterministic, explained.

use std::net::IpAddr;
use std::sync::Arc;

use abi::{Cell, CellAction, Direction, Identity, Peer, PeerClass, PolicyFlags, proto};
use netloom_policy::manifest::parse;
use netloom_policy::{Compiled, Label, LabelSet, Policy, PolicyKey, Repository, Source, reserved_labels};

fn pod(app: &str) -> LabelSet {
    [Label::k8s("app", app), Label::k8s("io.kubernetes.pod.namespace", "default")].into_iter().collect()
}

fn policies(text: &str) -> Vec<Policy> {
    parse(text, "f", 1).into_iter().map(|o| o.unwrap_or_else(|e| panic!("{e}")).policy().unwrap()).collect()
}

fn allow(name: &str, rules: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}}}\nspec:\n  podSelector: {{}}\n  ingress: [{rules}]\n"
    )
}

/// Pods `a0`, `a1`…, with identities from 256 and addresses from 10.0.0.0.
fn repository(pods: u32) -> Repository {
    let mut repository = Repository::default();
    for number in 0..pods {
        let addr = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        repository.set_address(addr, Identity(256 + number), pod(&format!("a{number}")));
    }
    repository
}

fn ingress(repository: &mut Repository) -> Arc<Compiled> {
    repository.compile(&pod("subject"), Direction::Ingress)
}

fn action(compiled: &Compiled, identity: u32, proto: u8, port: u16) -> u8 {
    let peer = Peer { identity: Identity(identity), ..Peer::default() };
    compiled.tables.lookup(peer, proto, port).0.action
}

const ALLOW: u8 = CellAction::Allow as u8;
const NO_RULE: u8 = CellAction::NoRule as u8;

#[test]
fn without_policies_everything_is_allowed() {
    let mut repository = repository(3);
    let compiled = ingress(&mut repository);
    assert!(compiled.tables.allow_all && compiled.tables.flags().has(PolicyFlags::ALLOW_ALL));
    repository.set_policies(policies(&allow("deny", "")));
    let compiled = ingress(&mut repository);
    let tables = &compiled.tables;
    assert!(!tables.allow_all && tables.peers.is_empty() && tables.ports.is_empty());
    assert_eq!((tables.cells.as_slice(), tables.stride), (&[Cell::default()][..], 1));
    assert_eq!(compiled.closed_by[0].to_string(), "NetworkPolicy default/deny spec (f:5)");
    let egress = repository.compile(&pod("subject"), Direction::Egress);
    assert!(egress.tables.allow_all);
}

#[test]
fn entries_grow_with_the_sum() {
    let mut repository = repository(1000);
    let ports: Vec<_> = (0..20).map(|i| format!("{{port: {}}}", 1000 + i * 2)).collect();
    let rule = format!("{{from: [{{podSelector: {{}}}}], ports: [{}]}}", ports.join(", "));
    repository.set_policies(policies(&allow("web", &rule)));
    let compiled = ingress(&mut repository);
    assert_eq!((compiled.tables.peers.len(), compiled.tables.ports.len()), (1000, 20));
    assert_eq!((compiled.tables.peer_classes(), compiled.tables.stride), (2, 2));
    assert!(compiled.tables.ranges.is_empty());
    assert_eq!(action(&compiled, 256, proto::TCP, 1000), ALLOW);
    assert_eq!(action(&compiled, 256, proto::TCP, 1001), NO_RULE);
    assert_eq!(action(&compiled, 256, proto::ICMP, 8), NO_RULE);
    assert_eq!(action(&compiled, 9, proto::TCP, 1000), NO_RULE);
    let reasons = compiled.reasons(PeerClass(1), compiled.tables.ports[&(proto::TCP, 1000)]);
    assert_eq!(
        reasons.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["NetworkPolicy default/web spec.ingress[0] (f:7)"]
    );
}

#[test]
fn alike_means_one_class() {
    let mut repository = repository(4);
    // Two rules that say the same of two peers, and ports that join.
    let rules = "{from: [{podSelector: {matchLabels: {app: a0}}}], ports: [{port: 80, endPort: 87}]},
        {from: [{podSelector: {matchLabels: {app: a1}}}], ports: [{port: 80, endPort: 83}, {port: 84, endPort: 87}]},
        {ports: [{port: 443}]}, {from: [{podSelector: {matchLabels: {app: a2}}}], ports: [{port: 443}]}";
    repository.set_policies(policies(&allow("web", rules)));
    let compiled = ingress(&mut repository);
    let tables = &compiled.tables;
    // The third pod has what everyone has: it needs no entry.
    assert_eq!(tables.peers.keys().map(|peer| peer.identity.0).collect::<Vec<_>>(), [256, 257]);
    assert_eq!((tables.peer_classes(), tables.stride), (2, 3));
    assert_eq!((tables.ranges.len(), tables.ports.len()), (1, 1));
    assert_eq!((tables.ranges[0].port, tables.ranges[0].bits), (80, 13));
    assert_eq!(compiled.reasons(PeerClass(1), tables.ranges[0].class).len(), 2);
}

#[test]
fn the_same_input_gives_the_same_tables() {
    let text: String = (0..6)
        .map(|i| {
            allow(
                &format!("p{i}"),
                &format!(
                    "{{from: [{{podSelector: {{matchLabels: {{app: a{i}}}}}}}], ports: [{{port: {}}}]}}",
                    90 - i
                ),
            )
        })
        .collect();
    let mut one = repository(6);
    one.set_policies(policies(&text));
    let mut other = Repository::default();
    for policy in policies(&text).into_iter().rev() {
        other.set_policy(policy);
    }
    for number in (0..6).rev() {
        let addr = IpAddr::from((0x0a00_0000_u32 + number).to_be_bytes());
        other.set_address(addr, Identity(256 + number), pod(&format!("a{number}")));
    }
    assert_eq!(ingress(&mut one).tables, ingress(&mut other).tables);
    // Subjects that the same specs select share them.
    assert!(Arc::ptr_eq(&ingress(&mut one), &one.compile(&pod("another"), Direction::Ingress)));
}

#[test]
fn what_does_not_compress_is_sparse() {
    let mut repository = repository(600);
    let rules: Vec<_> = (0..600)
        .map(|i| {
            format!(
                "{{from: [{{podSelector: {{matchLabels: {{app: a{i}}}}}}}], ports: [{{port: {}}}]}}",
                1000 + i
            )
        })
        .collect();
    repository.set_policies(policies(&allow("diagonal", &rules.join(", "))));
    let compiled = ingress(&mut repository);
    let tables = &compiled.tables;
    assert!(tables.flags().has(PolicyFlags::SPARSE) && tables.cells.is_empty());
    assert_eq!((tables.sparse.len(), tables.peers.len(), tables.ports.len()), (600, 600, 600));
    assert_eq!(action(&compiled, 256 + 7, proto::TCP, 1007), ALLOW);
    assert_eq!(action(&compiled, 256 + 7, proto::TCP, 1008), NO_RULE);
}

#[test]
fn ip_blocks_match_pods_and_cilium_cidrs_do_not() {
    let block = |kind: &str, version: &str, rule: &str, selector: &str| {
        format!(
            "---\napiVersion: {version}\nkind: {kind}\nmetadata: {{name: p}}\nspec:\n  {selector}: {{}}\n  ingress: [{rule}]\n"
        )
    };
    let kubernetes = block(
        "NetworkPolicy",
        "networking.k8s.io/v1",
        "{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.1/32]}}]}",
        "podSelector",
    );
    let cilium = block("CiliumNetworkPolicy", "cilium.io/v2", "{fromCIDR: [10.0.0.0/8]}", "endpointSelector");
    for (text, expected) in [(kubernetes, [true, false, true]), (cilium, [false, false, true])] {
        let mut repository = repository(2);
        assert!(repository.set_policies(policies(&text)));
        let compiled = ingress(&mut repository);
        let addrs = ["10.0.0.0", "10.0.0.1", "10.200.0.1"].map(|addr| addr.parse::<IpAddr>().unwrap());
        let found = addrs.map(|addr| {
            let cell = compiled.tables.lookup(repository.peer(addr), proto::TCP, 80).0;
            cell.action == ALLOW
        });
        assert_eq!(found, expected, "{text}");
        // What the datapath will find by longest prefix is what the repository says.
        assert!(
            repository
                .cidrs()
                .iter()
                .any(|(net, peer)| { net.to_string() == "10.0.0.0/8" && *peer == repository.peer(addrs[2]) })
        );
        let outside = repository.peer("1.1.1.1".parse().unwrap());
        assert_eq!(compiled.tables.lookup(outside, proto::TCP, 80).0.action, NO_RULE);
    }
}

#[test]
fn the_repository_follows_changes() {
    let mut repository = repository(2);
    let key: PolicyKey = policies(&allow("web", ""))[0].key.clone();
    assert!(
        !repository
            .set_policies(policies(&allow("web", "{from: [{podSelector: {matchLabels: {app: a9}}}]}")))
    );
    assert!(ingress(&mut repository).tables.peers.is_empty());
    let addr = "10.0.9.9".parse().unwrap();
    repository.set_address(addr, Identity(300), pod("a9"));
    assert_eq!(ingress(&mut repository).tables.peers.len(), 1);
    // The same address is another's now.
    repository.set_address(addr, Identity::REMOTE_NODE, reserved_labels(Identity::REMOTE_NODE));
    assert!(ingress(&mut repository).tables.peers.is_empty());
    assert_eq!(repository.peer(addr).identity, Identity::REMOTE_NODE);
    repository.remove_address(addr);
    assert_eq!(repository.peer(addr).identity, Identity::WORLD_IPV4);
    repository.remove_policy(&key);
    assert!(ingress(&mut repository).tables.allow_all);
}

#[test]
fn a_name_of_a_port_may_come_with_its_first_pod() {
    let text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: out}\nspec:\n  podSelector: {}\n  egress: [{to: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: http}]}]\n  policyTypes: [Egress]\n";
    let mut repository = repository(2);
    repository.set_policies(policies(text));
    let egress = |repository: &mut Repository| repository.compile(&pod("subject"), Direction::Egress);
    assert!(egress(&mut repository).tables.peers.is_empty());
    let http = Label::new(Source::Generated, "io.cilium.k8s.named-ports", "http.TCP.8080");
    let labels: LabelSet = pod("web").iter().cloned().chain([http]).collect();
    repository.set_address("10.0.9.9".parse().unwrap(), Identity(300), labels);
    let compiled = egress(&mut repository);
    assert_eq!(action(&compiled, 300, proto::TCP, 8080), CellAction::Allow as u8);
    assert_eq!(action(&compiled, 300, proto::TCP, 80), CellAction::NoRule as u8);
    // Without it, the name says nothing again.
    repository.remove_address("10.0.9.9".parse().unwrap());
    assert!(egress(&mut repository).tables.peers.is_empty());
}
