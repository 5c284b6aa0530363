//! What is told of answers: right ones, wrong ones, and those that a level cannot give.

use crate::support::Written;
use conformance::Level;
use conformance::expect::Got;
use conformance::level::{Core, Oracle};
use conformance::report::Status;

fn levels() -> [Box<dyn Level>; 2] {
    [Box::new(Oracle::default()), Box::new(Core::default())]
}

/// Only `x/b` may reach `x/a`, and only on port 80. `probes` is what is expected.
fn guarded(probes: &str) -> Written {
    Written::new(&format!(
        r#"{{"cases": [{{"name": "guarded", "cluster": {{"pods": {{
             "x/a": {{"ports": ["web:80"]}}, "x/b": {{"labels": {{"app": "b"}}}}, "x/c": {{}}}}}},
           "steps": [{{"apply": [{{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
             "metadata": {{"name": "guard", "namespace": "x"}}, "spec": {{"podSelector": {{}},
             "ingress": [{{"from": [{{"podSelector": {{"matchLabels": {{"app": "b"}}}}}}], "ports": [{{"port": "web"}}]}}]}}}}],
           "probes": [{probes}]}}]}}]}}"#
    ))
}

#[test]
fn a_wrong_answer_fails_the_case_and_is_told_with_its_rules() {
    let case = guarded(
        r#"{"from": "x/b", "to": "x/a", "port": 80, "expect": "DENY"},
           {"from": "x/c", "to": "x/a", "port": 80, "expect": "ALLOW"},
           {"from": "x/c", "to": "x/a", "port": "web", "expect": "DENY"}"#,
    );
    for mut level in levels() {
        let report = case.run(&mut *level);
        assert_eq!((report.result.status, report.result.probes), (Status::Fail, 3));
        let [allowed, denied] = &report.result.wrong[..] else { panic!("{report}") };
        assert_eq!((allowed.from.as_str(), allowed.got), ("x/b", Got::Allow));
        assert_eq!((denied.from.as_str(), denied.got), ("x/c", Got::Deny));
        assert_eq!(denied.rules, ["NetworkPolicy x/guard spec"]);
        assert!(denied.detail.as_ref().unwrap().contains("ingress"), "{report}");
    }
    let report = case.run(&mut Core::default());
    assert_eq!(report.result.wrong[0].rules, ["NetworkPolicy x/guard spec.ingress[0]"]);
}

#[test]
fn the_own_node_other_nodes_the_world_and_addresses() {
    let case = guarded(
        r#"{"from": "host", "to": "x/a", "port": 80, "expect": "ALLOW"},
           {"from": "remote-node", "to": "x/a", "port": 80, "expect": "DENY"},
           {"from": "world", "to": "x/a", "port": 80, "expect": "DENY"},
           {"from": "192.0.2.7", "to": "x/a", "port": 80, "expect": "DENY"},
           {"from": "x/a", "to": "world", "port": 80, "protocol": "UDP", "expect": "ALLOW"},
           {"from": "x/a", "to": "node/node2", "protocol": "ICMP", "expect": "ALLOW"},
           {"from": "x/b", "to": "x/a", "protocol": "ICMP", "expect": "DENY"}"#,
    );
    for mut level in levels() {
        let report = case.run(&mut *level);
        assert_eq!((report.result.status, report.result.probes), (Status::Pass, 7), "{report}");
    }
}

#[test]
fn what_a_proxy_would_decide_is_redirected() {
    let case = Written::new(
        r#"{"cases": [{"name": "http", "cluster": {"pods": {"x/a": {}, "x/b": {}}}, "steps": [{
             "apply": [{"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
               "metadata": {"name": "http", "namespace": "x"}, "spec": {"endpointSelector": {}, "ingress": [
                 {"fromEndpoints": [{}], "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{"method": "GET"}]}}]}]}}],
             "matrix": [{"port": 80, "default": "REDIRECT"}, {"port": 81, "default": "DENY"}]}]}]}"#,
    );
    for mut level in levels() {
        let report = case.run(&mut *level);
        assert_eq!((report.result.status, report.result.probes), (Status::Pass, 4), "{report}");
    }
}

#[test]
fn settings_and_names() {
    let case = Written::new(
        r#"{"settings": {"enforcement": "always"}, "names": {"example.com": ["192.0.2.1"]},
            "cases": [{"name": "names", "cluster": {"pods": {"x/a": {}, "x/b": {}}}, "steps": [{
             "apply": [{"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
               "metadata": {"name": "out", "namespace": "x"}, "spec": {"endpointSelector": {},
               "egress": [{"toFQDNs": [{"matchName": "example.com"}]}]}}],
             "probes": [{"from": "x/a", "to": "192.0.2.1", "port": 443, "expect": "ALLOW"},
                        {"from": "x/a", "to": "192.0.2.2", "port": 443, "expect": "DENY"},
                        {"from": "x/a", "to": "x/b", "port": 443, "expect": "DENY"},
                        {"from": "192.0.2.1", "to": "x/b", "port": 443, "expect": "DENY"}]}]}]}"#,
    );
    for mut level in levels() {
        let report = case.run(&mut *level);
        assert_eq!((report.result.status, report.result.probes), (Status::Pass, 4), "{report}");
    }
}

#[test]
fn manifests_of_their_own_files() {
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a, namespace: x}\nspec:\n  podSelector: {}\n";
    let pods = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}}\n- {apiVersion: v1, kind: Pod, metadata: {name: b, namespace: x}}\n";
    let case = Written::new(
        r#"{"cases": [{"name": "files", "cluster": {"objects": ["pods.yaml"]}, "steps": [
             {"apply": ["policy.yaml"], "matrix": [{"port": 80, "default": "DENY"}]},
             {"delete": ["NetworkPolicy x/a"], "matrix": [{"port": 80, "default": "ALLOW"}]}]}]}"#,
    )
    .beside("pods.yaml", pods)
    .beside("policy.yaml", policy);
    for mut level in levels() {
        let report = case.run(&mut *level);
        assert_eq!((report.result.status, report.result.probes), (Status::Pass, 4), "{report}");
    }
}

#[test]
fn what_is_not_judged_is_counted_and_says_why() {
    let itself = guarded(r#"{"from": "x/a", "to": "x/a", "port": 80, "expect": "DENY"}"#);
    let report = itself.run(&mut Oracle::default());
    assert_eq!((report.result.status, report.result.probes), (Status::Skip, 0));
    assert_eq!(report.result.skipped[0].probes, 1);
    assert!(report.result.message.unwrap().contains("itself"));

    let elsewhere = Written::new(
        r#"{"levels": ["core"], "cases": [{"name": "core only", "cluster": {"pods": {"x/a": {}, "x/b": {}}},
            "steps": [{"matrix": [{"port": 80, "default": "ALLOW"}]}]}]}"#,
    );
    assert_eq!(elsewhere.run(&mut Oracle::default()).result.status, Status::Skip);
    assert_eq!(elsewhere.run(&mut Core::default()).result.status, Status::Pass);
}

#[test]
fn a_policy_that_is_refused_fails_its_case() {
    for (kind, why) in [
        (r#""kind": "NetworkPolicy", "spec": {"podSelektor": {}}"#, "podSelektor"),
        (r#""kind": "NoSuchPolicy", "spec": {}"#, "no policy that is known"),
    ] {
        let case = Written::new(&format!(
            r#"{{"cases": [{{"name": "refused", "cluster": {{"pods": {{"x/a": {{}}, "x/b": {{}}}}}}, "steps": [
                 {{"apply": [{{"apiVersion": "networking.k8s.io/v1", "metadata": {{"name": "p", "namespace": "x"}}, {kind}}}],
                  "matrix": [{{"port": 80, "default": "ALLOW"}}]}}]}}]}}"#
        ));
        let report = case.run(&mut Oracle::default());
        assert_eq!(report.result.status, Status::Fail);
        let message = report.result.message.unwrap();
        assert!(message.starts_with("step 1: ") && message.contains(why), "{message}");
    }
}

#[test]
fn the_example_in_the_documentation_passes() {
    let page = include_str!("../../../../docs/conformance.md");
    let example = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let case = Written::new(example);
    for mut level in levels() {
        let report = case.run(&mut *level);
        assert_eq!((report.result.status, report.result.probes), (Status::Pass, 7), "{report}");
    }
}
