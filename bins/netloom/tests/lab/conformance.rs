//! Other people's cases, as packets in a lab that they share.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::programs;

/// Runs cases in a lab: the exit code, and the report.
fn run(name: &str, cases: &Path) -> Option<(bool, Value)> {
    let programs = programs()?;
    let output = Command::new(env!("CARGO_BIN_EXE_netloom"))
        .env("NETLOOM_BIN_DIR", programs)
        .args(["conformance", "--level", "lab", "--output", "json", "--lab"])
        .arg(format!("c{}-{name}", std::process::id()))
        .arg(cases)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    Some((output.status.success(), report))
}

fn suite(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/cases").join(name)
}

/// Every case passes, or is skipped for a reason that is printed.
fn all_pass(lab: &str, name: &str, cases: usize) {
    let Some((ok, report)) = run(lab, &suite(name)) else { return };
    let failed: Vec<&Value> =
        report["cases"].as_array().unwrap().iter().filter(|case| case["status"] == "fail").collect();
    assert!(ok && failed.is_empty(), "{failed:#?}");
    let mut reasons: Vec<&str> = Vec::new();
    for case in report["cases"].as_array().unwrap() {
        reasons.extend(case["message"].as_str());
        reasons
            .extend(case["skipped"].as_array().unwrap().iter().filter_map(|skipped| skipped["why"].as_str()));
    }
    reasons.sort_unstable();
    reasons.dedup();
    for why in reasons {
        eprintln!("skipped: {why}");
    }
    let tally = &report["summary"]["lab"];
    assert_eq!(tally["pass"].as_u64().unwrap() + tally["skip"].as_u64().unwrap(), cases as u64);
    assert!(tally["skip"].as_u64().unwrap() < cases as u64 / 3, "{tally}");
}

#[test]
fn kubernetes_cases_hold_for_packets() {
    all_pass("k8s", "kubernetes", 48);
}

#[test]
fn cases_of_the_network_policy_api_hold_for_packets() {
    all_pass("npa", "network-policy-api", 24);
}

#[test]
fn a_wrong_expectation_fails_and_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let text = r#"{"cases": [{"name": "wrong", "cluster": {"pods": {"x/a": {"ports": ["80"]}, "x/b": {}}},
        "steps": [{"apply": [{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "deny", "namespace": "x"},
            "spec": {"podSelector": {}, "egress": [{}], "policyTypes": ["Ingress", "Egress"]}}],
          "probes": [{"from": "x/b", "to": "x/a", "port": 80, "expect": "ALLOW"},
            {"from": "x/b", "to": "world", "port": 80, "expect": "DENY"},
            {"from": "host", "to": "x/a", "port": 80, "expect": "ALLOW"},
            {"from": "remote-node", "to": "x/a", "port": 80, "expect": "DENY"},
            {"from": "x/a", "to": "192.0.2.1", "port": 80, "expect": "ALLOW"}]},
         {"apply": [{"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
            "metadata": {"name": "http", "namespace": "x"}, "spec": {"endpointSelector": {}, "ingress": [
              {"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{}]}}]}]}}],
          "probes": [{"from": "x/b", "to": "x/a", "port": 80, "expect": "REDIRECT"}]}]}]}"#;
    std::fs::write(directory.path().join("wrong.json"), text).unwrap();
    let Some((ok, report)) = run("wrong", directory.path()) else { return };
    assert!(!ok);
    let case = &report["cases"][0];
    assert_eq!((&case["status"], &case["probes"]), (&"fail".into(), &5.into()), "{case:#}");
    assert_eq!(case["skipped"][0]["why"], "nobody has 192.0.2.1 in a lab");
    let wrong: Vec<(&str, &str)> = case["wrong"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wrong| (wrong["to"].as_str().unwrap(), wrong["got"].as_str().unwrap()))
        .collect();
    assert_eq!(wrong, [("x/a", "DENY"), ("world", "ALLOW")], "{case:#}");
    assert_eq!(case["wrong"][0]["rules"][0], "NetworkPolicy x/deny spec");
}
