//! Deployments and ReplicaSets, as far as it takes to have their pods: a changed template replaces all pods.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use kubernetes::refusal::{is_conflict, is_missing};
use serde_json::{Value, json};

use super::Context;
use super::stores::Stores;
use crate::pod::Pod;

/// The label that tells the pods of one template from those of the next.
const HASH: &str = "pod-template-hash";

/// Makes and removes replica sets and pods.
pub(super) async fn control(context: Arc<Context>, stores: Stores) {
    stores.control("workloads", async || sync(&context, &stores).await).await;
}

async fn sync(context: &Context, stores: &Stores) -> Result<()> {
    for deployment in stores.deployments.state() {
        if deployment.metadata.deletion_timestamp.is_none() {
            let name = deployment.name_any();
            deploy(context, stores, &deployment).await.with_context(|| format!("deployment {name}"))?;
        }
    }
    for set in stores.replica_sets.state() {
        let name = set.name_any();
        let of = |deployment: &Deployment| is_owner(deployment, set.owner_references());
        if owner(set.owner_references(), "Deployment").is_some() && stores.deployments.find(of).is_none() {
            let api =
                Api::<ReplicaSet>::namespaced(context.client.clone(), &set.namespace().unwrap_or_default());
            passed(api.delete(&name, &DeleteParams::background()).await)?;
        } else if set.metadata.deletion_timestamp.is_none() {
            replicate(context, stores, &set).await.with_context(|| format!("replica set {name}"))?;
        }
    }
    for pod in stores.pods.state() {
        let of = |set: &ReplicaSet| is_owner(set, pod.owner_references());
        if owner(pod.owner_references(), "ReplicaSet").is_some()
            && pod.metadata.deletion_timestamp.is_none()
            && stores.replica_sets.find(of).is_none()
        {
            delete_pod(context, &pod).await?;
        }
    }
    Ok(())
}

fn owner<'a>(owners: &'a [OwnerReference], kind: &str) -> Option<&'a OwnerReference> {
    owners.iter().find(|owner| owner.controller == Some(true) && owner.kind == kind)
}

fn is_owner<K: Resource>(object: &K, owners: &[OwnerReference]) -> bool {
    owners.iter().any(|owner| Some(&owner.uid) == object.meta().uid.as_ref())
}

/// What is gone, or has changed meanwhile, is looked at again when the watch tells.
fn passed<T>(result: kube::Result<T>) -> Result<()> {
    match result {
        Err(error) if is_missing(&error) || is_conflict(&error) => Ok(()),
        result => result.map(drop).map_err(Into::into),
    }
}

/// Brings a deployment's replica sets in line with its template.
async fn deploy(context: &Context, stores: &Stores, deployment: &Deployment) -> Result<()> {
    let Some(spec) = &deployment.spec else { return Ok(()) };
    let namespace = deployment.namespace().unwrap_or_default();
    let api = Api::<ReplicaSet>::namespaced(context.client.clone(), &namespace);
    let replicas = spec.replicas.unwrap_or(1);
    let hash = hash(&spec.template);
    let name = format!("{}-{hash}", deployment.name_any());
    let sets = stores.replica_sets.state();
    let sets: Vec<_> = sets.iter().filter(|set| is_owner(deployment, set.owner_references())).collect();
    for set in &sets {
        let wanted = if set.name_any() == name { replicas } else { 0 };
        if set.spec.as_ref().and_then(|spec| spec.replicas) != Some(wanted) {
            let patch = json!({"spec": {"replicas": wanted}});
            passed(api.patch(&set.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await)?;
        }
    }
    let current = sets.iter().find(|set| set.name_any() == name);
    if current.is_none() {
        let mut template = serde_json::to_value(&spec.template)?;
        template["metadata"]["labels"][HASH] = json!(hash);
        let mut selector = serde_json::to_value(&spec.selector)?;
        selector["matchLabels"][HASH] = json!(hash);
        let set: ReplicaSet = serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": name, "namespace": namespace, "labels": template["metadata"]["labels"],
                "ownerReferences": [deployment.controller_owner_ref(&())],
            },
            "spec": {"replicas": replicas, "selector": selector, "template": template},
        }))
        .map_err(|error| anyhow::anyhow!("its replica set: {error}"))?;
        passed(api.create(&PostParams::default(), &set).await)?;
    }
    let ready = |set: &ReplicaSet| set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    let present = |set: &ReplicaSet| set.status.as_ref().map_or(0, |status| status.replicas);
    let all: i32 = sets.iter().map(|set| present(set)).sum();
    let all_ready: i32 = sets.iter().map(|set| ready(set)).sum();
    let updated = current.map_or(0, |set| present(set));
    let available = all_ready >= replicas;
    let status = json!({
        "observedGeneration": deployment.metadata.generation,
        "replicas": all, "updatedReplicas": updated, "readyReplicas": all_ready, "availableReplicas": all_ready,
        "unavailableReplicas": (replicas - all_ready).max(0),
    });
    let known = deployment.status.as_ref().map(serde_json::to_value).transpose()?.unwrap_or_default();
    if differs(&status, &known) {
        let mut status = status;
        let truth = if available { "True" } else { "False" };
        let now = super::now();
        status["conditions"] = json!([{
            "type": "Available", "status": truth, "reason": "MinimumReplicas", "message": "",
            "lastTransitionTime": now, "lastUpdateTime": now,
        }]);
        let api = Api::<Deployment>::namespaced(context.client.clone(), &namespace);
        let patch = json!({"status": status});
        let name = deployment.name_any();
        passed(api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&patch)).await)?;
    }
    Ok(())
}

/// Whether a number of a status is another; one that is missing is zero.
fn differs(status: &Value, known: &Value) -> bool {
    let number = |value: &Value| value.as_i64().unwrap_or_default();
    status.as_object().into_iter().flatten().any(|(key, value)| number(value) != number(&known[key]))
}

/// Makes or removes pods until there are as many as a set wants.
async fn replicate(context: &Context, stores: &Stores, set: &ReplicaSet) -> Result<()> {
    let Some(spec) = &set.spec else { return Ok(()) };
    let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or_default();
    let namespace = set.namespace().unwrap_or_default();
    let pods = stores.pods.state();
    let mut pods: Vec<_> = pods
        .iter()
        .filter(|pod| is_owner(set, pod.owner_references()) && pod.metadata.deletion_timestamp.is_none())
        .filter(|pod| !Pod::of(pod).is_finished())
        .collect();
    // Those that do not run are the first to go.
    pods.sort_by_key(|pod| (!Pod::of(pod).is_running(), pod.name_any()));
    for pod in pods.iter().skip(wanted) {
        delete_pod(context, pod).await?;
    }
    let template = spec.template.as_ref().map(serde_json::to_value).transpose()?.unwrap_or_default();
    let names: BTreeMap<String, ()> = pods.iter().map(|pod| (pod.name_any(), ())).collect();
    let free = (0..).map(|number| format!("{}-{number}", set.name_any()));
    // Numbered names: one that the watch has not told of yet is not made twice.
    for name in free.filter(|name| !names.contains_key(name)).take(wanted.saturating_sub(pods.len())) {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]});
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["namespace"] = json!(namespace);
        pod["metadata"]["ownerReferences"] = json!([set.controller_owner_ref(&())]);
        let pod: core::Pod = serde_json::from_value(pod)?;
        let api = Api::<core::Pod>::namespaced(context.client.clone(), &namespace);
        passed(api.create(&PostParams::default(), &pod).await)?;
    }
    let count = |running: bool| pods.iter().filter(|pod| !running || Pod::of(pod).is_running()).count();
    let status = json!({
        "observedGeneration": set.metadata.generation,
        "replicas": count(false), "readyReplicas": count(true), "availableReplicas": count(true),
        "fullyLabeledReplicas": count(false),
    });
    let known = set.status.as_ref().map(serde_json::to_value).transpose()?.unwrap_or_default();
    if differs(&status, &known) {
        let api = Api::<ReplicaSet>::namespaced(context.client.clone(), &namespace);
        let patch = json!({"status": status});
        passed(api.patch_status(&set.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await)?;
    }
    Ok(())
}

async fn delete_pod(context: &Context, pod: &core::Pod) -> Result<()> {
    let api = Api::<core::Pod>::namespaced(context.client.clone(), &pod.namespace().unwrap_or_default());
    passed(api.delete(&pod.name_any(), &DeleteParams::default()).await)
}

/// A number for a template, as part of names.
fn hash(template: &core::PodTemplateSpec) -> String {
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(template).unwrap_or_default().hash(&mut hasher);
    format!("{:08x}", hasher.finish() as u32)
}
