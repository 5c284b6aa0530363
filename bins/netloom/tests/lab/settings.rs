//! What an installation chooses for all its policies.

use crate::support::{FAMILIES, Lab, eventually};

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: client, team: a}}
spec: {nodeName: node1, containers: [{name: c, image: x}]}
---
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: server, team: a}}
spec: {nodeName: node1, containers: [{name: c, image: x, ports: [{containerPort: 80}, {containerPort: 81}]}]}
";

const CLOSED: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed}
spec: {podSelector: {matchLabels: {app: server}}, ingress: [{ports: [{port: 80}]}]}
";

#[test]
fn audit_mode_lets_pass_and_tells() {
    let Some(lab) = Lab::up_with("audit", &["--nodes", "1", "--policy-audit-mode"], PODS) else { return };
    assert!(lab.agent("node1").policy_audit);
    lab.applied(CLOSED);
    assert!(lab.reaches("client", "server", 80, true));
    assert!(lab.reaches("client", "server", 81, true), "what is not allowed passes");
    for (port, verdict) in [(80, "FORWARDED"), (81, "AUDIT")] {
        eventually(&format!("{verdict} is told of port {port}"), || {
            let flows = lab.json("flows", &["--last", "200"]);
            let told = flows.as_array()?.iter().filter(|flow| {
                flow["destination"]["port"] == port
                    && flow["direction"] == "ingress"
                    && flow["verdict"] == verdict
            });
            (told.count() >= FAMILIES.len()).then_some(())
        });
    }
    // It is about policy alone, and what it tells names the policy that would have closed the port.
    let flows = lab.json("flows", &["--last", "200"]);
    let audited = flows.as_array().unwrap().iter().find(|flow| flow["verdict"] == "AUDIT").unwrap();
    assert_eq!(audited["rules"][0]["policy"], "NetworkPolicy default/closed", "{audited}");
}

#[test]
fn always_closes_what_no_policy_selects() {
    let arguments = ["--nodes", "1", "--policy-enforcement-mode", "always"];
    let Some(lab) = Lab::up_with("always", &arguments, PODS) else { return };
    assert_eq!(lab.agent("node1").policy_enforcement, "always");
    assert!(!lab.reaches("client", "server", 80, false));
    assert!(lab.reaches("node/node1", "server", 80, true), "its own node reaches a pod all the same");
    let rules =
        "spec: {endpointSelector: {}, ingress: [{fromEndpoints: [{}]}], egress: [{toEndpoints: [{}]}]}";
    lab.applied(&format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: open}}\n{rules}\n"
    ));
    assert!(lab.reaches("client", "server", 80, true));
}

#[test]
fn never_leaves_all_open() {
    let arguments = ["--nodes", "1", "--policy-enforcement-mode", "never"];
    let Some(lab) = Lab::up_with("never", &arguments, PODS) else { return };
    lab.applied(CLOSED);
    assert!(lab.reaches("client", "server", 81, true));
}

#[test]
fn labels_that_are_left_out_select_nothing() {
    let Some(lab) = Lab::up_with("labels", &["--nodes", "1", "--labels", "!team"], PODS) else { return };
    let endpoints = lab.agent("node1").endpoints;
    assert!(!endpoints.is_empty());
    for endpoint in endpoints {
        assert!(endpoint.labels.iter().any(|label| label.starts_with("k8s:app=")), "{endpoint:?}");
        assert!(!endpoint.labels.iter().any(|label| label.starts_with("k8s:team=")), "{endpoint:?}");
    }
    let refused = lab.run("up", &["--labels", "k8s:"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("k8s:"));
}
