//! Policies and labels that change under traffic, and policies that are not valid.

use std::net::SocketAddr;

use lab::cluster::{Cluster, Target};
use policy::manifest::ObjectKey;
use serde_json::{Value, json};

use crate::support::{FAMILIES, Lab, eventually};
use crate::traffic::Traffic;

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: near, labels: {role: client}}
spec: {nodeName: node1, containers: [{name: c, image: x, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: far, labels: {role: client}}
spec: {nodeName: node2, containers: [{name: c, image: x, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {role: server}}
spec: {nodeName: node1, containers: [{name: c, image: x, ports: [{containerPort: 80}]}]}
";

fn policy(spec: &str) -> String {
    format!("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec: {spec}\n")
}

fn client(name: &str, node: &str, role: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{role: {role}}}}}\n\
         spec: {{nodeName: {node}, containers: [{{name: c, image: x, ports: [{{containerPort: 80}}]}}]}}\n"
    )
}

/// TCP and UDP in both families from either client to the server.
fn traffic(lab: &Lab, from: &str) -> Vec<Traffic> {
    let (client, server) = (lab.netns(from), lab.netns("server"));
    let mut port = if from == "near" { 1000 } else { 2000 };
    FAMILIES
        .into_iter()
        .flat_map(|family| {
            port += 1;
            let at = SocketAddr::new(lab.address("server", family), port);
            [Traffic::tcp(&client, &server, at), Traffic::udp(&client, &server, at)]
        })
        .collect()
}

#[test]
fn established_connections_follow_policies_and_labels() {
    let Some(lab) = Lab::up("change", 2, PODS) else { return };
    let (near, far) = (traffic(&lab, "near"), traffic(&lab, "far"));
    let all = || near.iter().chain(&far);
    all().for_each(Traffic::flows);

    let clients = "{podSelector: {matchLabels: {role: server}}, ingress: [{from: [{podSelector: {matchLabels: {role: client}}}]}]}";
    lab.applied(&policy(clients));
    all().for_each(Traffic::flows);
    lab.applied(&client("near", "node1", "stranger"));
    near.iter().for_each(Traffic::stands_still);
    far.iter().for_each(Traffic::flows);
    lab.applied(&client("far", "node2", "stranger"));
    far.iter().for_each(Traffic::stands_still);
    lab.applied(&client("near", "node1", "client"));
    lab.applied(&client("far", "node2", "client"));
    all().for_each(Traffic::flows);

    lab.applied(&policy("{podSelector: {matchLabels: {role: server}}}"));
    all().for_each(Traffic::stands_still);
    lab.json("delete", &["networkpolicy", "p"]);
    all().for_each(Traffic::flows);

    // The sender's side of it.
    lab.applied(&policy(
        "{podSelector: {matchLabels: {role: client}}, policyTypes: [Egress], egress: [{ports: [{port: 1}]}]}",
    ));
    all().for_each(Traffic::stands_still);
    lab.applied(&policy("{podSelector: {matchLabels: {role: client}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {role: server}}}]}]}"));
    all().for_each(Traffic::flows);
}

#[test]
fn changes_that_allow_the_same_lose_nothing() {
    let Some(lab) = Lab::up("same", 2, PODS) else { return };
    let all: Vec<Traffic> = ["near", "far"].iter().flat_map(|client| traffic(&lab, client)).collect();
    let specs = [
        "{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]}",
        "{podSelector: {matchLabels: {role: server}}, ingress: [{from: [{podSelector: {}}]}]}",
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.244.0.0/16}}, {ipBlock: {cidr: 'fd00::/16'}}]}]}",
        "{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{ports: [{port: 1, endPort: 4000}, {protocol: UDP}]}], egress: [{to: [{podSelector: {matchLabels: {role: server}}}]}]}",
    ];
    for round in 0..2 {
        for spec in specs {
            lab.applied(&policy(spec));
        }
        // Another pod comes and goes meanwhile, with labels of its own.
        lab.applied(&client("other", "node2", &format!("other{round}")));
        lab.json("delete", &["pod", "other"]);
    }
    lab.json("delete", &["networkpolicy", "p"]);
    all.into_iter().for_each(Traffic::finish);
}

#[test]
fn invalid_policies_close_and_never_open() {
    let Some(lab) = Lab::up("invalid", 1, &PODS.replace("node2", "node1")) else { return };
    let invalid = "{podSelector: {matchLabels: {role: server}}, ingres: [{}]}";
    let refused = lab.apply(&format!("{}---\n{}", client("new", "node1", "x"), policy(invalid)));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("<stdin>:9:") && said.contains("ingres"), "{said}");
    assert_eq!(lab.json("status", &[])["pods"].as_array().unwrap().len(), 3, "nothing is applied");

    // Past `lab apply`: what the API's schema lets pass.
    let name: lab::name::LabName = lab.name.parse().unwrap();
    let cluster = Cluster::of(&name).unwrap();
    let key =
        ObjectKey { kind: "CiliumNetworkPolicy".into(), namespace: Some("default".into()), name: "p".into() };
    let target = Target::of(key).unwrap();
    let write = |spec: Value| {
        let policy = json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
            "metadata": {"name": "p", "namespace": "default"}, "spec": spec,
        });
        cluster.apply(&target, &policy).unwrap();
    };
    let invalid = || {
        json!({
            "endpointSelector": {"matchLabels": {"role": "server"}},
            "ingress": [{"fromEndpoints": [{}], "fromCIDR": ["10.0.0.0/8"]}],
        })
    };
    let valid = |valid: bool| {
        eventually(&format!("the policy's validity is {valid}"), || {
            let policies = lab.agent("node1").policies;
            policies
                .iter()
                .any(|policy| policy.policy == "CiliumNetworkPolicy default/p" && policy.valid == valid)
                .then_some(())
        });
    };
    assert!(lab.reaches("near", "server", 80, true));
    write(invalid());
    valid(false);
    assert!(!lab.reaches("near", "server", 80, false), "a new one closes its subjects");
    assert!(lab.reaches("server", "near", 80, true), "in its direction only");
    assert!(lab.agent("node1").warnings.iter().any(|warning| warning.contains("default/p")));

    write(json!({
        "endpointSelector": {"matchLabels": {"role": "server"}},
        "ingress": [{"fromEndpoints": [{"matchLabels": {"role": "client"}}]}],
    }));
    valid(true);
    assert!(lab.reaches("near", "server", 80, true) && !lab.reaches("node/node1", "far", 81, false));
    let entities = json!({
        "endpointSelector": {},
        "ingress": [{"fromEntities": ["world"], "fromCIDR": ["10.0.0.0/8"]}],
    });
    for broken in [invalid(), entities] {
        write(broken.clone());
        valid(false);
        assert!(lab.reaches("near", "server", 80, true), "what was valid stays in force: {broken}");
        lab.applied(&client("near", "node1", "stranger"));
        assert!(!lab.reaches("near", "server", 80, false), "what was valid stays in force: {broken}");
        // Over a restart too.
        let before = lab.kill_agent("node1");
        lab.another_agent("node1", before);
        assert!(!lab.reaches("near", "server", 80, false), "an agent's restart opens nothing: {broken}");
        lab.applied(&client("near", "node1", "client"));
        assert!(lab.reaches("near", "server", 80, true), "an agent's restart closes nothing: {broken}");
    }
    lab.json("delete", &["cnp", "p"]);
    lab.applied(&client("near", "node1", "stranger"));
    assert!(lab.reaches("near", "server", 80, true), "without the policy all is open");
}
