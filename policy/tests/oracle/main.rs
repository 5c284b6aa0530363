//! Compiled tables agree with the oracle on random small clusters, for every pod, peer and port.

mod clusters;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use abi::{CellAction, Direction, Identity, proto};
use netloom_policy::manifest::{Object, Pod, parse};
use netloom_policy::oracle::{Oracle, Party};
use netloom_policy::{IdentityAllocator, LabelSet, LocalIdentities, Repository, pod_labels, reserved_labels};
use proptest::prelude::*;

const PROBES: [(u8, u16); 16] = [
    (proto::TCP, 53),
    (proto::TCP, 79),
    (proto::TCP, 80),
    (proto::TCP, 81),
    (proto::TCP, 90),
    (proto::TCP, 443),
    (proto::TCP, 8080),
    (proto::TCP, 65535),
    (proto::UDP, 53),
    (proto::UDP, 80),
    (proto::UDP, 8080),
    (proto::SCTP, 80),
    (proto::SCTP, 9),
    (proto::ICMP, 8),
    (proto::ICMPV6, 128),
    (47, 0),
];

/// Peers that are no pods.
const OTHERS: [(&str, Identity); 8] = [
    ("10.0.9.1", Identity::HOST),
    ("10.0.9.2", Identity::REMOTE_NODE),
    ("10.0.9.3", Identity::KUBE_APISERVER),
    ("10.0.9.4", Identity::HEALTH),
    ("192.0.2.1", Identity::WORLD_IPV4),
    ("192.0.2.200", Identity::WORLD_IPV4),
    ("10.1.0.1", Identity::WORLD_IPV4),
    ("2001:db8::1", Identity::WORLD_IPV6),
];

struct Cluster {
    pods: Vec<(Pod, LabelSet)>,
    oracle: Oracle,
    repository: Repository,
}

impl Cluster {
    fn new(text: &str) -> Self {
        let objects: Vec<Object> = parse(text, "cluster.yaml", 1)
            .into_iter()
            .map(|object| object.unwrap_or_else(|e| panic!("{e}")))
            .collect();
        let mut repository = Repository::default();
        let mut identities = LocalIdentities::default();
        let mut namespaces = BTreeMap::new();
        for object in &objects {
            if let Object::Namespace(namespace) = object {
                namespaces.insert(namespace.meta.name.clone(), namespace.meta.labels.clone());
            }
        }
        for (addr, identity) in OTHERS {
            if !identity.is_world() {
                repository.set_address(addr.parse().unwrap(), identity, reserved_labels(identity));
            }
        }
        let mut pods = Vec::new();
        for object in &objects {
            if let Object::Pod(pod) = object {
                let labels = pod_labels(pod, &namespaces[pod.meta.namespace()]);
                repository.set_address(pod.ips[0], identities.allocate(&labels).unwrap(), labels.clone());
                pods.push((pod.clone(), labels));
            }
        }
        for policy in objects.iter().filter_map(Object::policy) {
            repository.set_policy(policy);
        }
        Self { pods, oracle: Oracle::new(&objects), repository }
    }

    /// Compares every probe.
    fn check(&mut self) {
        let mut parties: Vec<(IpAddr, Party<'_>)> =
            self.pods.iter().map(|(pod, _)| (pod.ips[0], Party::Pod(pod))).collect();
        parties.extend(OTHERS.map(|(addr, identity)| (addr.parse().unwrap(), Party::Reserved(identity))));
        let first = &self.pods[0].1;
        for (pod, labels) in &self.pods {
            for direction in [Direction::Ingress, Direction::Egress] {
                let compiled = self.repository.compile(labels, direction);
                for (addr, party) in &parties {
                    let peer = self.repository.peer(*addr);
                    for (proto, port) in PROBES {
                        let what = || format!("{} {direction:?} {addr} {proto}/{port}", pod.meta.name);
                        let expected = self.oracle.verdict(pod, direction, *party, *addr, proto, port);
                        let (cell, peer_class, port_class) = compiled.tables.lookup(peer, proto, port);
                        let allowed = compiled.tables.allow_all || cell.action == CellAction::Allow as u8;
                        assert_eq!(allowed, expected.allowed, "{}: {expected:#?} {compiled:#?}", what());
                        // Explanations are slow, and the first pod is as good as any.
                        if labels != first {
                            continue;
                        }
                        let explained = self.repository.explain(labels, direction, peer, proto, port);
                        assert_eq!(explained.allowed(), expected.allowed, "{}: {explained:#?}", what());
                        assert_eq!(explained.action as u8, cell.action, "{}", what());
                        let rules: BTreeSet<_> = expected.rules.iter().collect();
                        assert_eq!(explained.rules.iter().collect::<BTreeSet<_>>(), rules, "{}", what());
                        // A class tells the rules of all that are in it; class 0 those for everyone.
                        let reasons: BTreeSet<_> =
                            compiled.reasons(peer_class, port_class).into_iter().collect();
                        if !rules.is_empty() && peer_class.0 != 0 {
                            assert!(rules.is_subset(&reasons), "{}: {rules:?} {reasons:?}", what());
                        }
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn tables_agree_with_the_oracle(objects in clusters::cluster()) {
        let text = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        Cluster::new(&text).check();
    }
}
