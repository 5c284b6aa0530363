//! Lets pods come to nodes whose network is there, and collects what nodes that are gone left behind.

use std::collections::HashMap;
use std::time::Duration;

use crds::CiliumNode;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kubernetes::watch::Key;
use serde_json::json;

use super::{Context, QUIET, is_gone};
use crate::garbage;
use crate::metrics::Outcome;
use crate::pulse::Pulse;
use crate::readiness::{Network, decide};
use crate::rounds::Rounds;
use crate::view::NodeView;
use crate::writer::{Written, as_of, exactly, merge, merge_status};

/// Removes or sets the taint, and sets the condition. A node is ready when its agent says so; where an agent's pod runs on it,
/// that must be ready as well.
pub(super) async fn ready(context: Context) {
    let options = &context.options;
    let mut pulse = Pulse::new("nodes", &context.watchdog, QUIET, Duration::from_secs(60))
        .on(&context.nodes)
        .on(&context.cilium_nodes)
        .on(&context.pods);
    context.nodes.synced().await;
    context.cilium_nodes.synced().await;
    context.pods.synced().await;
    loop {
        let nodes: Vec<_> =
            context.nodes.read().iter().map(|(key, node)| (key.clone(), node.clone())).collect();
        let agents = pulse.look(|| agents(&context));
        for (key, node) in nodes {
            let name = key.name();
            if !pulse.may(name) {
                continue;
            }
            let said = context.cilium_nodes.get(&key).is_some_and(|said| said.is_ready(&node));
            let network = match agents.get(name) {
                Some(false) => Network::AgentNotReady,
                _ if said => Network::Up,
                _ => Network::Unknown,
            };
            let changes = decide(&node, network, options.nodes, Timestamp::now());
            if let Some(conditions) = changes.conditions {
                let patch = as_of(&node.version, json!({ "status": { "conditions": conditions } }));
                let written = merge_status::<Node>(&context.writer.all(), name, &patch).await;
                pulse.note(name, written);
                if written != Written::Done {
                    continue;
                }
            }
            if let Some(taints) = changes.taints {
                // The condition may have made it another version: whoever changed the taints would have to be told.
                let version = match context.writer.all::<Node>().get(name).await {
                    Ok(fresh) => {
                        let fresh = NodeView::from(fresh);
                        if fresh.taints != node.taints {
                            continue;
                        }
                        fresh.version
                    }
                    Err(error) => {
                        tracing::warn!(node = name, %error, "node not read");
                        pulse.fail();
                        continue;
                    }
                };
                let patch = as_of(&version, json!({ "spec": { "taints": taints } }));
                let written = merge::<Node>(&context.writer.all(), name, &patch).await;
                if written == Written::Done && network == Network::Up {
                    tracing::info!(node = name, "network is up: taint removed");
                } else if written == Written::Done {
                    tracing::info!(node = name, "the agent's pod is not ready: taint set");
                }
                pulse.note(name, written);
            }
        }
        pulse.next().await;
    }
}

/// The nodes where agents' pods are, and whether one of them is ready.
fn agents(context: &Context) -> HashMap<String, bool> {
    let mut agents: HashMap<String, bool> = HashMap::new();
    for (key, pod) in context.pods.read().iter() {
        if pod.live && !pod.node.is_empty() && context.options.is_agent(key.namespace(), pod) {
            // One that is being deleted is down shortly.
            *agents.entry(pod.node.clone()).or_default() |= pod.ready && !pod.deleted;
        }
    }
    agents
}

/// Deletes CiliumNodes whose Node is gone.
pub(super) async fn collect(context: Context) {
    context.nodes.synced().await;
    context.cilium_nodes.synced().await;
    let mut garbage = garbage::Nodes::default();
    let mut rounds = Rounds::new("CiliumNodes", &context.watchdog, context.options.nodes_gc_interval);
    loop {
        rounds.next().await;
        let names: Vec<String> =
            context.cilium_nodes.read().keys().map(|key| key.name().to_owned()).collect();
        let exists = |name: &str| context.nodes.get(&Key::new("", name)).is_some();
        for name in garbage.collect(names.iter().map(String::as_str), exists) {
            rounds.moved();
            let Some(node) = context.cilium_nodes.get(&Key::new("", name)) else { continue };
            if is_gone::<Node>(&context.writer.all(), name, None).await != Some(true) {
                continue;
            }
            let api = context.writer.all::<CiliumNode>();
            let written = Written::from(
                api.delete(name, &exactly(&node.version)).await,
                &format_args!("CiliumNode {name}"),
            );
            if written == Written::Done {
                tracing::info!(node = name, "CiliumNode deleted: its Node is gone");
            }
            let outcome = if written == Written::Done { "success" } else { "fail" };
            context.metrics.nodes_collected.get_or_create(&Outcome { outcome }).inc();
        }
    }
}
