//! The programs of the control plane, killed and stopped under traffic.

use std::net::SocketAddr;

use lab::paths::Paths;

use crate::support::{FAMILIES, Lab, eventually, kill};
use crate::traffic::Traffic;

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: near, labels: {role: client}}
spec: {nodeName: node1, containers: [{name: c, image: x}]}
---
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {role: server}}
spec: {nodeName: node2, containers: [{name: c, image: x, ports: [{containerPort: 80}, {containerPort: 81}]}]}
";

/// A policy that lets the client in at this port.
fn policy(port: u16) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\n\
         spec: {{podSelector: {{matchLabels: {{role: server}}}}, ingress: [{{ports: [{{port: {port}}}]}}, \
         {{ports: [{{port: 1000, endPort: 1999}}, {{port: 1000, endPort: 1999, protocol: UDP}}]}}]}}\n"
    )
}

/// A pod that comes while something is away, or after.
fn another(number: usize) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: new{number}, labels: {{role: client{number}}}}}\n\
         spec: {{containers: [{{name: c, image: x}}]}}\n"
    )
}

#[test]
fn every_process_is_killed_under_traffic() {
    let arguments = ["--nodes", "2", "--operators", "2"];
    let Some(lab) = Lab::up_with("control", &arguments, PODS) else { return };
    lab.applied(&policy(80));
    let mut port = 1000;
    let mut traffic = Vec::new();
    for family in FAMILIES {
        port += 1;
        let at = SocketAddr::new(lab.address("server", family), port);
        let (client, server) = (lab.netns("near"), lab.netns("server"));
        traffic.push(Traffic::tcp(&client, &server, at));
        traffic.push(Traffic::udp(&client, &server, at));
    }
    for (number, program) in ["apiserver", "operator1", "operator2"].into_iter().enumerate() {
        lab.kill_program(program);
        let open = if number % 2 == 0 { 81 } else { 80 };
        lab.applied(&policy(open));
        lab.applied(&another(number));
        assert!(lab.reaches("near", "server", open, true), "after {program}");
        assert!(!lab.reaches("near", "server", 161 - open, false), "after {program}");
        traffic.iter().for_each(Traffic::flows);
    }
    for node in ["node1", "node2"] {
        let before = lab.kill_agent(node);
        lab.another_agent(node, before);
    }
    lab.applied(&policy(80));
    assert!(lab.reaches("near", "server", 80, true) && !lab.reaches("near", "server", 81, false));

    // Stopped, the API server takes requests and answers none: what is known stays in force.
    let stopped = lab.pid("apiserver");
    kill(stopped, "STOP");
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(lab.reaches("near", "server", 80, true) && !lab.reaches("near", "server", 81, false));
    let status = lab.json("status", &[]);
    assert!(status["apiProblem"].is_string(), "{status}");
    let agents = status["nodes"].as_array().unwrap();
    assert!(agents.iter().all(|node| node["agent"]["ready"] == true), "{status}");
    kill(stopped, "CONT");
    lab.applied(&policy(81));
    assert!(lab.reaches("near", "server", 81, true) && !lab.reaches("near", "server", 80, false));
    lab.applied(&another(9));

    // Without the lab's daemon the cluster goes on, and the next daemon takes it over.
    let daemon = lab.json("status", &[])["daemon"].as_i64().unwrap();
    kill(u32::try_from(daemon).unwrap(), "KILL");
    traffic.iter().for_each(Traffic::flows);
    assert!(lab.run("resume", &[]).status.success());
    lab.applied(&policy(80));
    lab.applied(&another(10));
    assert!(lab.reaches("near", "server", 80, true) && !lab.reaches("near", "server", 81, false));
    traffic.into_iter().for_each(Traffic::finish);
    let log = std::fs::read_to_string(Paths::new(&lab.name.parse().unwrap()).daemon_log()).unwrap();
    eventually("the lab says what happened", || log.contains("apiserver").then_some(()));
}
