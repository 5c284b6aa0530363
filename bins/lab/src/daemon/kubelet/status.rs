//! What a kubelet writes of a pod.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ipnetwork::IpNetwork;
use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kubernetes::refusal::{is_conflict, is_missing};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::daemon::{Context, now};
use crate::plan::Node;
use crate::pod::Pod;

/// Before a status is written again that could not be.
const PAUSE: Duration = Duration::from_millis(500);

/// Writes that a pod runs, until the API has taken it.
pub(super) async fn run(
    context: &Context,
    node: &Node,
    pod: &Pod,
    addresses: &[IpAddr],
    problems: &[String],
) {
    let status = running(node, pod, addresses, problems);
    let mut told = false;
    while let Err(error) = write(context, pod, &status).await {
        if !told {
            eprintln!("{error:#}");
            told = true;
        }
        sleep(PAUSE).await;
    }
}

/// Writes that a pod does not run yet, and why.
pub(super) async fn pending(context: &Context, pod: &Pod, why: &str) -> Result<()> {
    let waiting = json!({"waiting": {"reason": "ContainerCreating"}});
    let status = json!({
        "phase": "Pending",
        "message": why,
        "conditions": conditions("False"),
        "containerStatuses": containers(pod, &waiting, false),
    });
    write(context, pod, &status).await
}

/// Writes that a node has refused a pod.
pub(super) async fn refused(context: &Context, pod: &Pod, reason: &str, why: &str) -> Result<()> {
    write(context, pod, &json!({"phase": "Failed", "reason": reason, "message": why})).await
}

fn running(node: &Node, pod: &Pod, addresses: &[IpAddr], problems: &[String]) -> Value {
    let hosts: Vec<IpAddr> = node.addresses.iter().map(IpNetwork::ip).collect();
    let list = |addresses: &[IpAddr]| -> Value { addresses.iter().map(|ip| json!({"ip": ip})).collect() };
    let started = now();
    json!({
        "phase": "Running",
        "message": problems.first(),
        "reason": null,
        "hostIP": hosts.first(),
        "hostIPs": list(&hosts),
        "podIP": addresses.first(),
        "podIPs": list(addresses),
        "startTime": started,
        "conditions": conditions("True"),
        "containerStatuses": containers(pod, &json!({"running": {"startedAt": started}}), true),
    })
}

fn conditions(ready: &str) -> Value {
    let now = now();
    [("PodScheduled", "True"), ("Initialized", "True"), ("ContainersReady", ready), ("Ready", ready)]
        .map(|(name, status)| {
            json!({"type": name, "status": status, "lastProbeTime": null, "lastTransitionTime": now})
        })
        .into_iter()
        .collect()
}

fn containers(pod: &Pod, state: &Value, ready: bool) -> Value {
    pod.containers
        .iter()
        .map(|(name, image)| {
            json!({
                "name": name, "image": image, "imageID": "", "containerID": format!("netloom://{}/{name}", pod.uid),
                "ready": ready, "started": ready, "restartCount": 0, "state": state, "lastState": {},
            })
        })
        .collect()
}

/// Writes the status of this pod; one that is gone, or another of the same name, is left alone.
async fn write(context: &Context, pod: &Pod, status: &Value) -> Result<()> {
    let api = Api::<core::Pod>::namespaced(context.client.clone(), &pod.name.namespace);
    let patch = json!({"metadata": {"uid": pod.uid}, "status": status});
    match api.patch_status(&pod.name.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
        Err(error) if is_missing(&error) || is_conflict(&error) => Ok(()),
        written => written.map(drop).with_context(|| format!("status of {}", pod.name)),
    }
}

/// Removes the object of a pod that does not run any more.
pub(super) async fn finish(context: &Context, pod: &Pod) -> Result<()> {
    let api = Api::<core::Pod>::namespaced(context.client.clone(), &pod.name.namespace);
    let this = Preconditions { uid: Some(pod.uid.clone()), resource_version: None };
    let now = DeleteParams::default().grace_period(0).preconditions(this);
    match api.delete(&pod.name.name, &now).await {
        Err(error) if is_missing(&error) || is_conflict(&error) => Ok(()),
        deleted => deleted.map(drop).with_context(|| format!("deleting {}", pod.name)),
    }
}
