//! The programs of the control plane, killed and stopped under traffic.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use lab::cluster::{Cluster, Target, named};
use lab::paths::Paths;
use policy::manifest::ObjectKey;

use crate::support::{FAMILIES, Lab, eventually, kill};
use crate::traffic::{Denied, Traffic};

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

/// Leases that expire soon, so that the test need not wait.
const ELECTION: [&str; 6] = [
    "--config",
    "leader-election-lease-duration=5s",
    "--config",
    "leader-election-renew-deadline=3s",
    "--config",
    "leader-election-retry-period=1s",
];

/// Whoever leads, of the operators.
fn leader(cluster: &Cluster) -> Option<String> {
    let key = ObjectKey {
        kind: "Lease".into(),
        namespace: Some("kube-system".into()),
        name: "cilium-operator-resource-lock".into(),
    };
    let lease = cluster.get(&Target { api_version: "coordination.k8s.io/v1".to_owned(), key }).ok()??;
    lease.data["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty()).map(str::to_owned)
}

/// Nobody has what another has: no pod an address, and no node a range.
fn nothing_is_given_twice(cluster: &Cluster) {
    let pods = cluster.pods().unwrap();
    let addresses =
        pods.iter().flat_map(|pod| pod.status.iter().flat_map(|status| &status.pod_ips)).flatten();
    let addresses: Vec<&str> = addresses.map(|address| address.ip.as_str()).collect();
    assert_eq!(addresses.iter().collect::<BTreeSet<_>>().len(), addresses.len(), "{addresses:?}");
    let kind = named("CiliumNode").unwrap();
    let nodes = cluster.all(kind).unwrap();
    let ranges: Vec<String> = nodes
        .iter()
        .flat_map(|node| node.data["spec"]["ipam"]["podCIDRs"].as_array().cloned().unwrap_or_default())
        .map(|range| range.to_string())
        .collect();
    assert_eq!(ranges.iter().collect::<BTreeSet<_>>().len(), ranges.len(), "{ranges:?}");
    assert_eq!(ranges.len(), 4, "two nodes with two families: {ranges:?}");
}

#[test]
fn every_process_is_killed_under_traffic() {
    let arguments = [&["--nodes", "2", "--operators", "2"], &ELECTION[..]].concat();
    let Some(lab) = Lab::up_with("control", &arguments, PODS) else { return };
    lab.applied(&policy(80));
    let cluster = Cluster::of(&lab.name.parse().unwrap()).unwrap();
    let mut traffic = Vec::new();
    let mut denied = Vec::new();
    for (family, port) in FAMILIES.into_iter().zip(1001..) {
        let server = lab.address("server", family);
        let (from, to) = (lab.netns("near"), lab.netns("server"));
        traffic.push(Traffic::tcp(&from, &to, SocketAddr::new(server, port)));
        traffic.push(Traffic::udp(&from, &to, SocketAddr::new(server, port)));
        denied.push(Denied::begin(&from, SocketAddr::new(server, 82)));
    }
    // Everything goes on, a change is enforced, and a pod that comes is connected.
    let mut open = 80;
    let mut step = 0;
    let mut all_is_well = |after: &str| {
        traffic.iter().for_each(Traffic::flows);
        open = 161 - open;
        step += 1;
        lab.applied(&policy(open));
        lab.applied(&another(step));
        assert!(lab.reaches("near", "server", open, true), "after {after}");
        assert!(lab.reaches(&format!("new{step}"), "server", open, true), "after {after}");
        assert!(!lab.reaches("near", "server", 161 - open, false), "after {after}");
        nothing_is_given_twice(&cluster);
    };
    lab.kill_program("apiserver");
    all_is_well("the API server");

    // The one that leads is killed, and then the one that leads after it.
    let mut holder = eventually("an operator leads", || leader(&cluster));
    for _ in 0..2 {
        let operator = ["operator1", "operator2"]
            .into_iter()
            .find(|operator| std::fs::read_to_string(lab.log(operator)).unwrap().contains(&holder))
            .expect("the leader has said who it is");
        lab.kill_program(operator);
        let next = eventually("another operator leads", || leader(&cluster).filter(|next| *next != holder));
        holder = next;
        all_is_well(operator);
    }
    for node in ["node1", "node2"] {
        let before = lab.kill_agent(node);
        traffic.iter().for_each(Traffic::flows);
        lab.another_agent(node, before);
        all_is_well(node);
    }

    // Stopped, the API server takes requests and answers none: what is known stays in force.
    let stopped = lab.pid("apiserver");
    kill(stopped, "STOP");
    std::thread::sleep(Duration::from_secs(3));
    traffic.iter().for_each(Traffic::flows);
    let status = lab.json("status", &[]);
    assert!(status["apiProblem"].is_string(), "{status}");
    let agents = status["nodes"].as_array().unwrap();
    assert!(agents.iter().all(|node| node["agent"]["ready"] == true), "{status}");
    kill(stopped, "CONT");
    all_is_well("a pause of the API server");

    // Without the lab's daemon the cluster goes on, and the next daemon takes it over.
    let daemon = lab.json("status", &[])["daemon"].as_i64().unwrap();
    kill(u32::try_from(daemon).unwrap(), "KILL");
    traffic.iter().for_each(Traffic::flows);
    let resumed = lab.run("resume", &[]);
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    all_is_well("the lab's daemon");
    traffic.into_iter().for_each(Traffic::finish);
    denied.into_iter().for_each(Denied::finish);
    let log = std::fs::read_to_string(Paths::new(&lab.name.parse().unwrap()).daemon_log()).unwrap();
    eventually("the lab says what happened", || log.contains("apiserver").then_some(()));
}
