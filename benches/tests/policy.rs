//! The benchmark of policies with few of them: its times mean nothing, but its sizes do, and the report has its shape.

use netloom_benches::policy::heap::Counting;
use netloom_benches::policy::{Options, Report, run};
use serde_json::Value;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn measure() -> Report {
    run(&Options { policies: 500, identities: 600, runs: 3, additions: 20, pairs: 40 })
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn the_report_has_its_shape() {
    let json = serde_json::to_value(measure()).expect("the report is JSON");
    assert_eq!(keys(&json), ["add_identity", "adversarial", "cold", "entries"]);
    for (part, wanted) in [
        ("cold", &["policies", "identities", "subjects", "seconds", "heap_bytes"][..]),
        ("add_identity", &["seconds_median"]),
        ("entries", &["peers", "ports", "peer_entries", "port_entries", "cells"]),
    ] {
        for key in wanted {
            assert!(json[part][key].is_number(), "{part}.{key} in {json}");
        }
    }
    assert_eq!(
        [&json["cold"]["policies"], &json["cold"]["identities"], &json["cold"]["subjects"]],
        [500, 600, 110]
    );
}

#[test]
fn every_policy_is_about_a_subject_and_additions_change_tables() {
    let report = measure();
    assert_eq!(report.cold.unused_policies, 0);
    assert!(report.add_identity.tables_changed > 1.0, "{report:?}");
    let heap = report.cold.heap_bytes.expect("this program counts");
    // Ten labels of a hundred bytes for each identity alone are more.
    assert!((500_000..100_000_000).contains(&heap), "{heap}");
}

#[test]
fn entries_grow_with_the_sum_of_peers_and_ports() {
    let report = measure();
    let entries = report.entries;
    assert!(entries.peers > 600 && entries.ports > 20, "{entries:?}");
    assert!(entries.peer_entries <= entries.peers, "{entries:?}");
    assert!(entries.peer_entries + entries.port_entries < entries.peers * entries.ports / 10, "{entries:?}");
    let [diagonal, sparse] = &report.adversarial[..] else { panic!("{report:?}") };
    assert_eq!((diagonal.shape, diagonal.pairs), ("diagonal", 40));
    assert_eq!((diagonal.entries.peer_entries, diagonal.entries.port_entries), (40, 40));
    assert_eq!((sparse.shape, sparse.entries.peer_entries), ("sparse", 40));
}

#[test]
fn the_text_names_figures_and_targets() {
    let text = measure().to_string();
    for line in ["cold ", "one identity added", "memory", "all policies", "diagonal", "sparse"] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line:?} is not in\n{text}");
    }
    assert!(text.contains("1000 ms") && text.contains("MiB"), "{text}");
}
