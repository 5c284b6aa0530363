//! The benchmark of the datapath with few runs: its numbers mean nothing, but each case must do what it says,
//! and the report must have its shape.

use netloom_benches::datapath::{Error, Options, Report, run};
use serde_json::Value;

/// Runs in a mount namespace of its own, so that nothing is left behind even on panic.
fn measure(peers: &[u32]) -> Option<Report> {
    match run(&Options { peers: peers.to_vec(), rounds: 2, repeat: 50 }) {
        Ok(report) => Some(report),
        Err(Error::NotRoot) => {
            eprintln!("skipped: {}", Error::NotRoot);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// `run` proves each case before it times it, and fails where a connection, a counter or a verdict is not what
/// the case says; so a report means that all of them were.
#[test]
fn each_case_is_what_it_says_and_the_report_has_its_shape() {
    let Some(report) = measure(&[40, 2]) else { return };
    let json = serde_json::to_value(&report).expect("the report is JSON");

    assert!(json["empty_ns"].is_u64(), "{json}");
    let cases = json["cases"].as_array().expect("cases");
    let mut found: Vec<String> = cases
        .iter()
        .map(|case| {
            assert_eq!(keys(case), ["case", "direction", "layout", "ns_median", "ns_min", "peers"]);
            assert!(case["ns_min"].is_u64() && case["ns_median"].is_u64(), "{case}");
            let word = |key: &str| case[key].as_str().expect("a word").to_owned();
            format!("{} {} {} {}", word("layout"), word("case"), word("direction"), case["peers"])
        })
        .collect();
    let mut expected = Vec::new();
    for layout in ["netloom", "two-lpm"] {
        for case in ["established", "new", "denied"] {
            for direction in ["ingress", "egress"] {
                for peers in [2, 40] {
                    expected.push(format!("{layout} {case} {direction} {peers}"));
                }
            }
        }
    }
    found.sort();
    expected.sort();
    assert_eq!(found, expected);

    let programs = json["programs"].as_array().expect("programs");
    for program in programs {
        assert_eq!(keys(program), ["jited_bytes", "name", "verified_insns"]);
    }
    for name in ["from_pod", "to_pod", "to_endpoint", "two_lpm_from_pod"] {
        assert!(programs.iter().any(|program| program["name"] == name), "{name} is not in {programs:?}");
    }
    // The sum against the product, with five ports.
    let entries: Vec<(&str, u64, u64)> = json["tables"]
        .as_array()
        .expect("tables")
        .iter()
        .map(|size| {
            let number = |key: &str| size[key].as_u64().expect("a number");
            (size["layout"].as_str().expect("a layout"), number("peers"), number("entries"))
        })
        .collect();
    assert_eq!(entries, [("netloom", 2, 7), ("two-lpm", 2, 10), ("netloom", 40, 45), ("two-lpm", 40, 200)]);
    for (array, rows) in [("verdicts", 8), ("wire_to_pod", 4), ("pod_to_pod", 4), ("many_flows", 8)] {
        assert_eq!(json[array].as_array().map(Vec::len), Some(rows), "{array}");
    }
}

#[test]
fn the_text_has_a_line_for_each_case() {
    let Some(report) = measure(&[10]) else { return };
    let text = report.to_string();
    for line in [
        "established  ingress",
        "new          egress",
        "denied       egress",
        "established  both",
        "same peer",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line:?} is not in\n{text}");
    }
    assert!(text.contains("two_lpm_to_endpoint"), "{text}");
}

#[test]
fn numbers_of_peers_that_do_not_fit_are_refused() {
    for peers in [0, 1, 104_858] {
        match run(&Options { peers: vec![peers], rounds: 1, repeat: 1 }) {
            Err(Error::NotRoot) => return eprintln!("skipped: {}", Error::NotRoot),
            Err(Error::Peers { peers: refused, most: 104_857 }) => assert_eq!(refused, peers),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn nothing_is_left_mounted() {
    if measure(&[2]).is_none() {
        return;
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("the mounts");
    let ours = format!("{}/netloom-bench-", std::env::temp_dir().display());
    // Another test of this process may be in its own room, but that is in no mount namespace but its thread's.
    assert!(!mounts.contains(&ours), "{mounts}");
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}
