//! Registers the lab's nodes, as their kubelets would.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kubernetes::refusal::is_conflict;
use serde_json::{Value, json};

use super::Context;
use super::stores::Stores;
use crate::state::Ipam;
use crate::{cloud, plan};

/// The taint that keeps pods away from a node until its agent can connect them. The operator removes it.
const TAINT: &str = "node.cilium.io/agent-not-ready";
/// The taint that kube-apiserver gives to new nodes.
const NEW: &str = "node.kubernetes.io/not-ready";

/// Keeps the Node objects and their status as the lab has it.
pub(super) async fn control(context: Arc<Context>, stores: Stores) {
    stores.control("nodes", async || sync(&context, &stores).await).await;
}

/// Makes the Node objects that are missing, and brings the others' status up to date.
pub(super) async fn sync(context: &Context, stores: &Stores) -> Result<()> {
    let api = Api::<core::Node>::all(context.client.clone());
    for planned in &context.state.nodes {
        let known = stores.nodes.find(|node| node.metadata.name.as_deref() == Some(&planned.name));
        let node = match known {
            Some(node) => (*node).clone(),
            None => match api.create(&PostParams::default(), &object(context, planned)?).await {
                Err(error) if is_conflict(&error) => continue,
                made => made.with_context(|| format!("registering {}", planned.name))?,
            },
        };
        if let Some(patch) = open(&node) {
            let patched = api.patch(&planned.name, &PatchParams::default(), &Patch::Merge(&patch)).await;
            match patched {
                Err(error) if is_conflict(&error) => {}
                patched => drop(patched.with_context(|| format!("taints of {}", planned.name))?),
            }
            continue;
        }
        if let Some(patch) = status(context, planned, &node) {
            let patched =
                api.patch_status(&planned.name, &PatchParams::default(), &Patch::Merge(&patch)).await;
            match patched {
                // Somebody else has written: the watch tells what.
                Err(error) if is_conflict(&error) => {}
                patched => drop(patched.with_context(|| format!("status of {}", planned.name))?),
            }
        }
    }
    Ok(())
}

fn object(context: &Context, planned: &plan::Node) -> Result<core::Node> {
    let mut manifest = planned.manifest();
    let labels = json!({
        "kubernetes.io/hostname": planned.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture(),
    });
    manifest["metadata"]["labels"] = labels;
    if let (Some(zone), Some(cloud)) = (&planned.zone, &context.state.cloud) {
        // What a cloud's controller knows of an instance.
        let labels = &mut manifest["metadata"]["labels"];
        labels["topology.kubernetes.io/region"] = json!(cloud::plan::REGION);
        labels["topology.kubernetes.io/zone"] = json!(zone);
        labels["node.kubernetes.io/instance-type"] = json!(cloud.instance_type);
    }
    manifest["spec"] = match context.state.ipam {
        Ipam::ClusterPool | Ipam::Eni => json!({}),
        Ipam::Kubernetes => manifest["spec"].take(),
    };
    manifest["spec"]["taints"] = json!([{"key": TAINT, "value": "true", "effect": "NoExecute"}]);
    manifest["status"] = json!({});
    serde_json::from_value(manifest).context("a Node")
}

/// Without the taint that a new Node gets from the API server, where the node is ready: in other clusters a controller
/// removes it.
fn open(node: &core::Node) -> Option<Value> {
    let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut taints = node.spec.clone()?.taints?;
    let before = taints.len();
    taints.retain(|taint| taint.key != NEW);
    let ready = conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True");
    (ready && taints.len() < before).then(|| {
        // Others remove taints too: theirs must not come back.
        json!({"metadata": {"resourceVersion": node.metadata.resource_version}, "spec": {"taints": taints}})
    })
}

/// What is to be changed of a node's status, if anything.
fn status(context: &Context, planned: &plan::Node, node: &core::Node) -> Option<Value> {
    let connected = context.paths.node(&planned.name).has_config();
    let (ready, reason, message) = if connected {
        ("True", "KubeletReady", "the lab runs this node's pods")
    } else {
        ("False", "KubeletNotReady", "no network configuration yet")
    };
    let current = node.status.clone().unwrap_or_default();
    let is_ready = |condition: &core::NodeCondition| {
        condition.type_ == "Ready" && condition.status == ready && condition.reason.as_deref() == Some(reason)
    };
    let mut conditions = current.conditions.unwrap_or_default();
    let has_all = current.capacity.as_ref().is_some_and(|capacity| capacity.contains_key("pods"))
        && current.addresses.as_ref().is_some_and(|addresses| !addresses.is_empty());
    if has_all && conditions.iter().any(is_ready) {
        return None;
    }
    conditions.retain(|condition| condition.type_ != "Ready");
    let now = super::now();
    conditions.push(core::NodeCondition {
        type_: "Ready".into(),
        status: ready.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_heartbeat_time: Some(now.clone()),
        last_transition_time: Some(now),
    });
    let capacity = capacity(context.state.max_pods);
    Some(json!({
        // Others write conditions too: theirs must not be lost.
        "metadata": {"resourceVersion": node.metadata.resource_version},
        "status": {
            "addresses": planned.manifest()["status"]["addresses"],
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": conditions,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
            "nodeInfo": {
                "architecture": architecture(),
                "bootID": "", "machineID": "", "systemUUID": "",
                "containerRuntimeVersion": concat!("netloom-lab://", env!("CARGO_PKG_VERSION")),
                "kernelVersion": kernel(),
                "kubeProxyVersion": "",
                "kubeletVersion": concat!("v", env!("CARGO_PKG_VERSION"), "-lab"),
                "operatingSystem": "linux",
                "osImage": "network namespace",
            },
        },
    }))
}

fn capacity(pods: u32) -> BTreeMap<String, Quantity> {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    [("cpu", cpus.to_string()), ("memory", "4Gi".to_owned()), ("pods", pods.to_string())]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Quantity(value)))
        .collect()
}

fn kernel() -> String {
    let uname = nix::sys::utsname::uname().ok();
    uname.map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default()
}

/// The architecture in Kubernetes' words.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
