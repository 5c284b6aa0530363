//! Tables and the oracle say the same of random clusters, through all that probes can ask.

use netloom_policy::cluster::{Cluster, Names};
use netloom_policy::judge::{Explaining, Judge, OracleEngine, Peers, TablesEngine};
use netloom_policy::manifest::{Object, parse};
use proptest::prelude::*;
use serde_json::json;

use crate::support::sorted;

const ADDRESSES: [&str; 9] = [
    "10.0.9.1",
    "10.0.9.2",
    "fd00:9::1",
    "192.0.2.1",
    "192.0.2.200",
    "10.1.0.1",
    "198.51.100.1",
    "2001:db8::1",
    "10.96.0.1",
];

const PORTS: [(&str, u16); 7] =
    [("TCP", 80), ("TCP", 8080), ("TCP", 1), ("UDP", 53), ("SCTP", 443), ("ICMP", 8), ("ICMPv6", 128)];

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn engines_agree(case in policy_arbitrary::case()) {
        let objects = case.objects.iter().flat_map(|object| parse(&object.to_string(), "case.json", 1));
        let objects: Vec<Object> = objects.map(Result::unwrap).collect();
        let mut names = Names::default();
        for (addr, known) in &case.names {
            known.iter().for_each(|name| names.insert(name, *addr));
        }
        let mut ends: Vec<String> = ADDRESSES.iter().map(ToString::to_string).collect();
        ends.extend(objects.iter().filter_map(|object| match object {
            Object::Pod(pod) => Some(format!("{}/{}", pod.meta.namespace(), pod.meta.name)),
            _ => None,
        }));
        let cluster = Cluster::new(objects).with_names(names);
        let oracle = cluster.oracle(case.settings);
        let peers = Peers::new(&cluster, case.settings).unwrap();
        let mut by_oracle = Judge::new(&cluster, OracleEngine::new(&cluster, &oracle));
        let mut by_tables = Judge::new(&cluster, TablesEngine::new(&cluster, &peers, Explaining::ByTables));
        for from in &ends {
            for to in &ends {
                for (protocol, port) in PORTS {
                    let number = if protocol.starts_with("ICMP") { "type" } else { "port" };
                    let probe = json!({"from": from, "to": to, "protocol": protocol, number: port});
                    let (tables, oracle) = (by_tables.answer(&probe), by_oracle.answer(&probe));
                    prop_assert_eq!(sorted(tables), sorted(oracle), "{}", json!(case.objects));
                }
            }
        }
    }
}
