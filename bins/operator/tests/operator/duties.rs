//! What the leader does for identities, endpoints, nodes and policies.

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::cluster::Cluster;

pub(crate) async fn of_the_leader(cluster: &mut Cluster) -> Result<()> {
    let mut operator = cluster.start(&[
        "--identity-gc-interval=500ms",
        "--identity-heartbeat-timeout=6s",
        "--cilium-endpoint-gc-interval=500ms",
        "--nodes-gc-interval=500ms",
        "--unmanaged-pod-watcher-interval=500ms",
        "--enable-cilium-endpoint-slice",
        "--set-cilium-node-taints",
        "--cilium-pod-labels=k8s-app in (cilium, netloom),!other",
    ])?;
    operator.said("leading").await?;
    identities(cluster).await.context("identities")?;
    readiness(cluster).await.context("readiness")?;
    policies(cluster).await.context("policies")?;
    unmanaged(cluster).await.context("unmanaged pods")?;
    nodes(cluster).await.context("nodes")?;
    operator.signal(Signal::SIGTERM)?;
    ensure!(operator.ended().await?, "{}", operator.log());
    Ok(())
}

const MARK: &str = "io.cilium.heartbeat";

async fn identities(cluster: &Cluster) -> Result<()> {
    let web = cluster.pod("web", json!({"app": "web"})).await?;
    cluster.identity(1000, "unused").await?;
    cluster.identity(1001, "web").await?;
    cluster.identity(1002, "back").await?;
    cluster.endpoint("web", &web, 1001).await?;
    let marked = |identity: &Value| identity["metadata"]["annotations"][MARK].is_string();
    // An agent takes a marked one into use: it takes the mark away, and publishes its pod.
    cluster.until("CiliumIdentity", None, "1002", marked).await?;
    let back = cluster.pod("back", json!({"app": "back"})).await?;
    cluster.endpoint("back", &back, 1002).await?;
    cluster.patch("CiliumIdentity", None, "1002", json!({"metadata": {"annotations": {MARK: null}}})).await?;
    // One without a pod is collected, and so its identity is unused.
    cluster.identity(1003, "gone").await?;
    cluster.endpoint("gone", "0", 1003).await?;
    cluster.until("CiliumEndpoint", Some("default"), "gone", Value::is_null).await?;
    cluster.until("CiliumIdentity", None, "1000", Value::is_null).await?;
    cluster.until("CiliumIdentity", None, "1003", Value::is_null).await?;
    for used in ["1001", "1002"] {
        let identity = cluster.get("CiliumIdentity", None, used).await?;
        ensure!(!identity.is_null() && !marked(&identity), "{used}: {identity}");
    }
    // Both pods are in one slice.
    let slices = cluster
        .until_all("CiliumEndpointSlice", |slices| {
            let names = |slice: &Value| slice["endpoints"].as_array().map_or(0, Vec::len);
            slices.iter().map(names).sum::<usize>() == 2
        })
        .await?;
    ensure!(slices.len() == 1 && slices[0]["namespace"] == "default", "{slices:#?}");
    // One that somebody deletes is there again.
    let name = slices[0]["metadata"]["name"].as_str().context("a name")?.to_owned();
    cluster.delete("CiliumEndpointSlice", None, &name).await?;
    let names = |slice: &Value| slice["endpoints"].as_array().map_or(0, Vec::len);
    cluster.until_all("CiliumEndpointSlice", |slices| slices.iter().map(names).sum::<usize>() == 2).await?;
    cluster.delete("Pod", Some("default"), "back").await?;
    cluster.until("CiliumEndpoint", Some("default"), "back", Value::is_null).await?;
    cluster
        .until_all("CiliumEndpointSlice", |slices| slices.iter().all(|slice| slice["endpoints"][1].is_null()))
        .await?;
    Ok(())
}

const TAINT: &str = "node.cilium.io/agent-not-ready";

async fn readiness(cluster: &Cluster) -> Result<()> {
    let tainted = |node: &Value| {
        let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        taints.iter().any(|taint| taint["key"] == TAINT)
    };
    for name in ["t1", "t2"] {
        cluster.node(name).await?;
        let taints = json!({"spec": {"taints": [{"key": TAINT, "effect": "NoSchedule"}]}});
        cluster.patch("Node", None, name, taints).await?;
    }
    // An agent's pod that is not ready, on one of them.
    cluster
        .create(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "agent", "namespace": "default", "labels": {"k8s-app": "cilium"}},
            "spec": {"nodeName": "t2", "hostNetwork": true, "containers": [{"name": "c", "image": "none"}]},
        }))
        .await?;
    for name in ["t1", "t2"] {
        let node = cluster.get("Node", None, name).await?;
        ensure!(tainted(&node), "taken away before the node was ready: {node}");
        let ready = json!({"metadata": {"annotations": {"netloom.io/cni-ready": "true"}}});
        cluster.patch("CiliumNode", None, name, ready).await?;
    }
    let node = cluster.until("Node", None, "t1", |node| !tainted(node)).await?;
    let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let network = conditions.iter().find(|one| one["type"] == "NetworkUnavailable");
    ensure!(network.is_some_and(|one| one["status"] == "False" && one["reason"] == "CiliumIsUp"), "{node}");
    ensure!(tainted(&cluster.get("Node", None, "t2").await?), "its agent is not ready");
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    cluster.patch_status("Pod", Some("default"), "agent", ready.clone()).await?;
    cluster.until("Node", None, "t2", |node| !tainted(node)).await?;
    // It ends: new pods are kept away until it is back.
    let unready = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    cluster.patch_status("Pod", Some("default"), "agent", unready).await?;
    cluster.until("Node", None, "t2", tainted).await?;
    ensure!(!tainted(&cluster.get("Node", None, "t1").await?), "no agent's pod is there");
    cluster.patch_status("Pod", Some("default"), "agent", ready).await?;
    cluster.until("Node", None, "t2", |node| !tainted(node)).await?;
    Ok(())
}

async fn policies(cluster: &Cluster) -> Result<()> {
    let policy = |ingress: Value| {
        json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
            "metadata": {"name": "rules", "namespace": "default"},
            "spec": {"endpointSelector": {}, "ingress": [ingress]},
        })
    };
    let valid = |policy: &Value| {
        let conditions = policy["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|one| one["type"] == "Valid").unwrap_or_default()
    };
    // Two ways to name peers in one rule: the schema lets it pass.
    cluster.create(policy(json!({"fromCIDR": ["192.0.2.0/24"], "fromEntities": ["world"]}))).await?;
    let is = |status: &'static str| move |policy: &Value| valid(policy)["status"] == status;
    let object = cluster.until("CiliumNetworkPolicy", Some("default"), "rules", is("False")).await?;
    let message = valid(&object)["message"].as_str().unwrap_or_default().to_owned();
    ensure!(message.contains("spec.ingress[0]"), "{message}");
    cluster
        .until_all("Event", |events| {
            events
                .iter()
                .any(|one| one["reason"] == "InvalidPolicy" && one["involvedObject"]["name"] == "rules")
        })
        .await?;
    let fixed = json!({"spec": {"ingress": [{"fromEntities": ["world"]}]}});
    cluster.patch("CiliumNetworkPolicy", Some("default"), "rules", fixed).await?;
    cluster.until("CiliumNetworkPolicy", Some("default"), "rules", is("True")).await?;
    cluster_policies(cluster).await
}

/// A kind that comes to the cluster when the operator is long there.
async fn cluster_policies(cluster: &Cluster) -> Result<()> {
    let (group, plural) = ("policy.networking.k8s.io", "clusternetworkpolicies");
    cluster
        .create(json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{plural}.{group}"),
                "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
            },
            "spec": {
                "group": group, "scope": "Cluster",
                "names": {"kind": "ClusterNetworkPolicy", "plural": plural},
                "versions": [{
                    "name": "v1alpha2", "served": true, "storage": true, "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {
                        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    }},
                }],
            },
        }))
        .await?;
    cluster
        .until("CustomResourceDefinition", None, &format!("{plural}.{group}"), |definition| {
            let conditions = definition["status"]["conditions"].as_array();
            conditions
                .into_iter()
                .flatten()
                .any(|one| one["type"] == "Established" && one["status"] == "True")
        })
        .await?;
    cluster
        .create(json!({
            "apiVersion": format!("{group}/v1alpha2"), "kind": "ClusterNetworkPolicy",
            "metadata": {"name": "admin"},
            "spec": {
                "tier": "Admin", "priority": 1, "subject": {"namespaces": {}},
                "ingress": [{"action": "Perhaps", "from": [{"namespaces": {}}]}],
            },
        }))
        .await?;
    let is_invalid = |policy: &Value| {
        let conditions = policy["status"]["conditions"].as_array();
        let says = |one: &Value| one["message"].as_str().is_some_and(|text| text.contains("Perhaps"));
        conditions.into_iter().flatten().any(|one| one["status"] == "False" && says(one))
    };
    cluster.until("ClusterNetworkPolicy", None, "admin", is_invalid).await?;
    let is_told = |event: &Value| {
        event["reason"] == "InvalidPolicy" && event["involvedObject"]["kind"] == "ClusterNetworkPolicy"
    };
    cluster.until_all("Event", |events| events.iter().any(is_told)).await?;
    Ok(())
}

async fn unmanaged(cluster: &Cluster) -> Result<()> {
    let long_ago = Timestamp::UNIX_EPOCH.to_string();
    let running = json!({"status": {"phase": "Running", "startTime": long_ago}});
    cluster.pod("dns", json!({"k8s-app": "kube-dns"})).await?;
    let connected = cluster.pod("dns-connected", json!({"k8s-app": "kube-dns"})).await?;
    cluster.endpoint("dns-connected", &connected, 1001).await?;
    for name in ["dns-connected", "dns", "web"] {
        cluster.patch_status("Pod", Some("default"), name, running.clone()).await?;
    }
    let restarted = |pod: &Value| pod.is_null() || !pod["metadata"]["deletionTimestamp"].is_null();
    cluster.until("Pod", Some("default"), "dns", restarted).await?;
    for name in ["dns-connected", "web"] {
        let pod = cluster.get("Pod", Some("default"), name).await?;
        ensure!(!restarted(&pod), "{name} was restarted");
    }
    Ok(())
}

async fn nodes(cluster: &Cluster) -> Result<()> {
    cluster.delete("Node", None, "t1").await?;
    cluster.until("CiliumNode", None, "t1", Value::is_null).await?;
    ensure!(!cluster.get("CiliumNode", None, "t2").await?.is_null());
    Ok(())
}

/// Where the operator makes identities: for the labels of pods, one each.
pub(crate) async fn identities_of_pods(cluster: &mut Cluster) -> Result<()> {
    let operator = cluster.start(&["--identity-management-mode=operator"])?;
    operator.said("leading").await?;
    for name in ["one", "two"] {
        cluster.pod(&format!("managed-{name}"), json!({"app": "managed"})).await?;
    }
    let managed = |identity: &Value| {
        let labels = &identity["security-labels"];
        labels["k8s:app"] == "managed" && labels["k8s:io.kubernetes.pod.namespace"] == "default"
    };
    let count = move |all: &[Value]| all.iter().filter(|one| managed(one)).count();
    let all = cluster.until_all("CiliumIdentity", |all| count(all) > 0).await?;
    ensure!(count(&all) == 1, "{all:#?}");
    cluster.pod("managed-three", json!({"app": "managed", "more": "yes"})).await?;
    cluster.until_all("CiliumIdentity", |all| count(all) == 2).await?;
    Ok(())
}
