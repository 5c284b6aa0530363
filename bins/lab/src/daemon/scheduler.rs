//! Binds pods to nodes: to the node with the fewest pods of those that their spec, the nodes' taints and the number of
//! pods that a node takes allow.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kubernetes::refusal::{is_conflict, is_missing};
use serde_json::{Value, json};

use super::Context;
use super::events::{Kind, tell};
use super::stores::Stores;
use crate::pod::Pod;

/// The scheduler that pods name which name none.
const NAME: &str = "default-scheduler";

/// Binds pods as they come.
pub(super) async fn control(context: Arc<Context>, stores: Stores) {
    stores.control("scheduler", async || sync(&context, &stores).await).await;
}

async fn sync(context: &Context, stores: &Stores) -> Result<()> {
    let pods = stores.pods.state();
    let nodes = stores.nodes.state();
    let mut load: BTreeMap<String, usize> = BTreeMap::new();
    for pod in pods.iter().map(|pod| Pod::of(pod)).filter(|pod| !pod.is_finished()) {
        *load.entry(pod.node.unwrap_or_default()).or_default() += 1;
    }
    for object in &pods {
        let pod = Pod::of(object);
        let spec = object.spec.clone().unwrap_or_default();
        let ours = spec.scheduler_name.as_deref().is_none_or(|name| name == NAME);
        if pod.node.is_some() || pod.terminating || pod.is_finished() || !ours {
            continue;
        }
        let mut refusals: BTreeMap<&'static str, usize> = BTreeMap::new();
        let mut fit: Vec<&str> = Vec::new();
        for node in &nodes {
            let runs =
                node.metadata.name.as_ref().and_then(|name| load.get(name)).copied().unwrap_or_default();
            match refusal(&spec, node).or_else(|| crowded(node, runs)) {
                Some(why) => *refusals.entry(why).or_default() += 1,
                None => fit.extend(node.metadata.name.as_deref()),
            }
        }
        let order = |name: &&str| (load.get(*name).copied().unwrap_or_default(), (*name).to_owned());
        match fit.into_iter().min_by_key(order) {
            Some(node) => {
                bind(context, &pod, node).await?;
                let message = format!("Successfully assigned {} to {node}", pod.name);
                tell(context, object, Kind::Normal, "Scheduled", &message).await;
                *load.entry(node.to_owned()).or_default() += 1;
            }
            None => refuse(context, object, &pod, nodes.len(), &refusals).await?,
        }
    }
    Ok(())
}

/// Why a pod cannot run on a node.
fn refusal(spec: &core::PodSpec, node: &core::Node) -> Option<&'static str> {
    let labels = node.metadata.labels.clone().unwrap_or_default();
    let selects = |(key, value): (&String, &String)| labels.get(key) == Some(value);
    if !spec.node_selector.iter().flatten().all(selects) {
        return Some("didn't match the pod's node selector");
    }
    let node = node.spec.clone().unwrap_or_default();
    if node.unschedulable == Some(true) {
        return Some("were unschedulable");
    }
    let tolerated = |taint: &core::Taint| {
        spec.tolerations.iter().flatten().any(|toleration| tolerates(toleration, taint))
    };
    let keeps_away = |taint: &&core::Taint| taint.effect != "PreferNoSchedule" && !tolerated(taint);
    node.taints.iter().flatten().find(keeps_away).map(|_| "had a taint that the pod doesn't tolerate")
}

/// Whether a node with this many pods takes no more.
fn crowded(node: &core::Node, pods: usize) -> Option<&'static str> {
    let allocatable = node.status.as_ref()?.allocatable.as_ref()?;
    let most: usize = allocatable.get("pods")?.0.parse().ok()?;
    (pods >= most).then_some("had too many pods")
}

fn tolerates(toleration: &core::Toleration, taint: &core::Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    let exists = toleration.operator.as_deref() == Some("Exists");
    (effect.is_empty() || effect == taint.effect)
        && (if key.is_empty() { exists } else { key == taint.key })
        && (exists
            || toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default())
}

async fn bind(context: &Context, pod: &Pod, node: &str) -> Result<()> {
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": pod.name.name, "namespace": pod.name.namespace, "uid": pod.uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    let api = Api::<core::Pod>::namespaced(context.client.clone(), &pod.name.namespace);
    let bound: kube::Result<Value> =
        api.create_subresource("binding", &pod.name.name, &PostParams::default(), &binding).await;
    match bound {
        // It is gone, or bound already.
        Err(error) if is_missing(&error) || is_conflict(&error) => Ok(()),
        bound => bound.map(drop).with_context(|| format!("binding {} to {node}", pod.name)),
    }
}

/// Says why a pod is on no node.
async fn refuse(
    context: &Context,
    object: &core::Pod,
    pod: &Pod,
    nodes: usize,
    refusals: &BTreeMap<&'static str, usize>,
) -> Result<()> {
    let reasons: Vec<_> = refusals.iter().map(|(why, count)| format!("{count} node(s) {why}")).collect();
    let message = format!("0/{nodes} nodes are available: {}.", reasons.join(", "));
    let known = object.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut known = known.filter(|condition| condition.type_ == "PodScheduled");
    if known.any(|condition| condition.message.as_deref() == Some(&message)) {
        return Ok(());
    }
    let condition = json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        "lastTransitionTime": super::now(),
    });
    let patch =
        json!({"metadata": {"uid": pod.uid}, "status": {"phase": "Pending", "conditions": [condition]}});
    let api = Api::<core::Pod>::namespaced(context.client.clone(), &pod.name.namespace);
    match api.patch_status(&pod.name.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
        Err(error) if is_missing(&error) || is_conflict(&error) => return Ok(()),
        patched => patched.map(drop).with_context(|| format!("status of {}", pod.name))?,
    }
    tell(context, object, Kind::Warning, "FailedScheduling", &message).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_node_takes_as_many_pods_as_it_says() {
        let node: core::Node = from(json!({"status": {"allocatable": {"pods": "3"}}}));
        assert_eq!((crowded(&node, 2), crowded(&node, 3)), (None, Some("had too many pods")));
        assert_eq!(crowded(&from(json!({})), 1000), None, "a node that says nothing");
    }

    #[test]
    fn taints_and_selectors_keep_pods_away() {
        let taint = json!({"key": "k", "value": "v", "effect": "NoSchedule"});
        let node: core::Node =
            from(json!({"metadata": {"labels": {"zone": "a"}}, "spec": {"taints": [taint]}}));
        let fits = |spec: Value| refusal(&from(spec), &node).is_none();
        assert!(!fits(json!({"containers": []})));
        for toleration in [
            json!({"operator": "Exists"}),
            json!({"key": "k", "operator": "Exists", "effect": "NoSchedule"}),
            json!({"key": "k", "value": "v"}),
        ] {
            assert!(fits(json!({"containers": [], "tolerations": [toleration]})), "{toleration}");
            let selecting =
                json!({"containers": [], "tolerations": [toleration], "nodeSelector": {"zone": "b"}});
            assert!(!fits(selecting));
        }
        for toleration in [
            json!({"key": "k", "value": "w"}),
            json!({"key": "k", "operator": "Exists", "effect": "NoExecute"}),
            json!({"key": "other", "operator": "Exists"}),
        ] {
            assert!(!fits(json!({"containers": [], "tolerations": [toleration]})), "{toleration}");
        }
    }
}
