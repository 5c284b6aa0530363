//! What operators and agents are told by one ConfigMap.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::cluster::{Cluster, Kind, Target};
use policy::manifest::ObjectKey;
use serde_json::{Value, json};

use crate::rights;
use crate::support::{Lab, eventually};

/// A kind that the lab itself has nothing to do with.
const fn kind(api_version: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind { api_version, kind, plural, short: &[], namespaced: true }
}

const SLICES: Kind = kind("cilium.io/v2alpha1", "CiliumEndpointSlice", "ciliumendpointslices");
const EVENTS: Kind = kind("v1", "Event", "events");
const IDENTITIES: Kind =
    Kind { namespaced: false, ..kind("cilium.io/v2", "CiliumIdentity", "ciliumidentities") };

fn cluster(lab: &Lab) -> Cluster {
    Cluster::of(&lab.name.parse().unwrap()).unwrap()
}

fn all(cluster: &Cluster, kind: &Kind) -> Vec<Value> {
    cluster.all(kind).unwrap().into_iter().map(|object| serde_json::to_value(object).unwrap()).collect()
}

fn target(api_version: &str, kind: &str, name: &str) -> Target {
    let key = ObjectKey { kind: kind.into(), namespace: None, name: name.into() };
    Target { api_version: api_version.to_owned(), key }
}

fn pod(name: &str, node: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{role: {name}}}}}\n\
         spec: {{nodeName: {node}, containers: [{{name: c, image: x, ports: [{{containerPort: 80}}]}}]}}\n---\n"
    )
}

/// Who may reach the server: by labels, and by a group of peers.
fn policy(name: &str, peers: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: {name}}}\n\
         spec: {{endpointSelector: {{matchLabels: {{role: server}}}}, ingress: [{{{peers}}}]}}\n---\n"
    )
}

const FRIENDS: &str = "fromEndpoints: [{matchLabels: {role: friend}}]";

#[test]
fn slices_and_numbers_of_the_operator_in_a_cluster_with_a_name() {
    let config = [
        "enable-cilium-endpoint-slice=true",
        "identity-management-mode=operator",
        "cluster-name=blue",
        "labels=!team",
    ];
    let arguments =
        ["--nodes", "2", "--audit"].into_iter().chain(config.into_iter().flat_map(|one| ["--config", one]));
    let arguments: Vec<&str> = arguments.collect();
    let pods = pod("friend", "node1") + &pod("stranger", "node1") + &pod("server", "node2");
    let Some(lab) = Lab::up_with("config", &arguments, &(pods + &policy("p", FRIENDS))) else { return };
    assert!(lab.reaches("friend", "server", 80, true), "a pod of another node is known by a slice");
    assert!(!lab.reaches("stranger", "server", 80, false));

    // Every pod is in a slice, with the operator's number for labels that name the cluster.
    let cluster = cluster(&lab);
    eventually("slices have all pods", || {
        let endpoints: Vec<Value> = all(&cluster, &SLICES)
            .into_iter()
            .flat_map(|mut slice| slice["endpoints"].take().as_array().cloned())
            .flatten()
            .collect();
        (endpoints.len() == 3 && endpoints.iter().all(|one| one["id"].as_u64() >= Some(256))).then_some(())
    });
    let named = "k8s:io.cilium.k8s.policy.cluster";
    let identities = all(&cluster, &IDENTITIES);
    assert_eq!(identities.len(), 3, "one for each: {identities:#?}");
    assert!(identities.iter().all(|one| one["security-labels"][named] == "blue"), "{identities:#?}");
    for endpoint in lab.agent("node2").endpoints {
        assert!(endpoint.labels.contains(&format!("{named}=blue")), "{endpoint:?}");
    }
    let log = std::fs::read_to_string(lab.log("operator1")).unwrap();
    assert_eq!(log.matches("identity made").count(), 3, "{log}");

    // "cluster" is this cluster, and a policy that names another one lets nobody in.
    lab.applied(&policy("p", "fromEntities: [cluster]"));
    assert!(lab.reaches("stranger", "server", 80, true));
    let other = "fromEndpoints: [{matchLabels: {\"k8s:io.cilium.k8s.policy.cluster\": default}}]";
    lab.applied(&policy("p", other));
    assert!(!lab.reaches("friend", "server", 80, false));

    // What comes and goes is in the slices, too, and none of it needs a right that the roles do not give.
    lab.applied(&policy("p", FRIENDS));
    lab.deleted(&pod("friend", "node1"));
    lab.applied(&pod("friend", "node2"));
    assert!(lab.reaches("friend", "server", 80, true));
    let before = lab.kill_agent("node1");
    lab.another_agent("node1", before);
    assert!(!lab.reaches("stranger", "server", 80, false));
    rights::nothing_forbidden(&lab);
}

/// The condition of a Node that says that it has no pod CIDR.
fn unavailable(cluster: &Cluster, node: &str) -> Value {
    let object = cluster.get(&target("v1", "Node", node)).unwrap();
    let conditions = object.map(|node| node.data["status"]["conditions"].clone()).unwrap_or_default();
    let mut conditions = conditions.as_array().cloned().unwrap_or_default().into_iter();
    conditions.find(|one| one["type"] == "netloom.io/PodCIDRUnavailable").unwrap_or_default()
}

/// Whether an event tells this of an object of this name.
fn told(cluster: &Cluster, name: &str, reason: &str) -> bool {
    let about = |event: &Value| event["involvedObject"]["name"] == name && event["reason"] == reason;
    all(cluster, &EVENTS).iter().any(about)
}

#[test]
fn ranges_and_addresses_run_out_and_come_back() {
    // Three ranges of 8 addresses, which are free again soon after their node is gone.
    let config = [
        "cluster-pool-ipv4-cidr=10.9.0.0/28,10.9.0.32/29",
        "cluster-pool-ipv4-mask-size=29",
        "cluster-pool-release-delay=1s",
    ];
    let arguments = ["--nodes", "2", "--ipv4-only"]
        .into_iter()
        .chain(config.into_iter().flat_map(|one| ["--config", one]));
    let arguments: Vec<&str> = arguments.collect();
    let Some(lab) = Lab::up_with("full", &arguments, "") else { return };
    let cluster = cluster(&lab);
    // Machines that join: the first gets what is left, the second nothing.
    for node in ["more1", "more2"] {
        let taints = json!([{"key": "example.com/elsewhere", "effect": "NoSchedule"}]);
        for (api_version, kind, spec) in
            [("v1", "Node", json!({"taints": taints})), ("cilium.io/v2", "CiliumNode", json!({}))]
        {
            let value = json!({
                "apiVersion": api_version, "kind": kind, "metadata": {"name": node}, "spec": spec,
            });
            cluster.apply(&target(api_version, kind, node), &value).unwrap();
        }
        if node == "more1" {
            eventually("the first has a range", || {
                let object = cluster.get(&target("cilium.io/v2", "CiliumNode", node)).unwrap()?;
                object.data["spec"]["ipam"]["podCIDRs"][0].as_str().map(drop)
            });
        }
    }
    eventually("the second is told to have none", || {
        let condition = unavailable(&cluster, "more2");
        (condition["status"] == "True" && condition["reason"] == "PodCIDRExhausted").then_some(())
    });
    eventually("an event tells it", || told(&cluster, "more2", "PodCIDRAllocationFailed").then_some(()));
    assert!(unavailable(&cluster, "more1").is_null() && unavailable(&cluster, "node1").is_null());
    for (api_version, kind) in [("cilium.io/v2", "CiliumNode"), ("v1", "Node")] {
        assert!(cluster.delete(&target(api_version, kind, "more1")).unwrap());
    }
    eventually("the second has what the first had", || {
        let condition = unavailable(&cluster, "more2");
        (condition["status"] == "False" && condition["reason"] == "PodCIDRAvailable").then_some(())
    });

    // More pods than a node has addresses: those without wait, and get those of others that go.
    let names: Vec<String> = (0..9).map(|number| format!("p{number}")).collect();
    lab.announce(&names.iter().map(|name| pod(name, "node1")).collect::<String>());
    let running = || {
        let pods = cluster.pods().unwrap();
        let running = pods
            .into_iter()
            .filter(|pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running"));
        running.filter_map(|pod| Some((pod.metadata.name?, pod.status?.pod_ip?))).collect::<Vec<_>>()
    };
    let waiting = eventually("some pods run and one is told to have no address", || {
        let running = running();
        let waiting: Vec<&String> =
            names.iter().filter(|name| running.iter().all(|(other, _)| other != *name)).collect();
        let all_told = waiting.iter().all(|name| told(&cluster, name, "FailedCreatePodSandBox"));
        (running.len() >= 4 && !waiting.is_empty() && all_told).then_some(waiting.len())
    });
    let gone: Vec<String> = running().into_iter().take(waiting).map(|(name, _)| name).collect();
    for name in gone.clone() {
        let key = ObjectKey { kind: "Pod".into(), namespace: Some("default".into()), name };
        assert!(cluster.delete(&Target { api_version: "v1".to_owned(), key }).unwrap());
    }
    let all_run = || {
        let running = running();
        let addresses: BTreeSet<&String> = running.iter().map(|(_, ip)| ip).collect();
        assert_eq!(addresses.len(), running.len(), "one each: {running:?}");
        (running.len() == names.len() - waiting && running.iter().all(|(name, _)| !gone.contains(name)))
            .then_some(())
    };
    // An address is left alone for half a minute before somebody else gets it.
    let start = Instant::now();
    while all_run().is_none() {
        assert!(start.elapsed() < Duration::from_secs(90), "{:?}", running());
        sleep(Duration::from_millis(200));
    }
}

#[test]
fn settings_that_the_lab_cannot_take_are_refused() {
    let Some(lab) = Lab::named("refused") else { return };
    for (setting, why) in [
        ("socket=/x", "the lab itself sets socket"),
        ("ipam=crd", "--mode"),
        ("cluster-name=Blue", "cluster-name"),
    ] {
        let output = lab.run("up", &["--config", setting]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{setting}: {said}");
    }
}
