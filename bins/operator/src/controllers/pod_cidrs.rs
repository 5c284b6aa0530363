//! Gives nodes their pod CIDRs, or says that nobody did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crds::CiliumNode;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kubernetes::watch::Key;
use serde_json::json;

use super::{Context, QUIET};
use crate::metrics::OfFamily;
use crate::pod_cidrs::{Act, PodCidrs};
use crate::problem::{self, PATIENCE, Problem};
use crate::store::Pulse;
use crate::view::{CiliumNodeView, NodeView, Version};
use crate::writer::{Written, as_of, merge, merge_status, reference};

pub(super) async fn cluster_pool(context: Context) {
    let mut pulse = Pulse::new(QUIET, Duration::from_secs(60)).on(&context.nodes).on(&context.cilium_nodes);
    context.nodes.synced().await;
    context.cilium_nodes.synced().await;
    let mut pods = PodCidrs::new(context.options.pools.clone());
    loop {
        let known = nodes(&context);
        let exists = |name: &str| context.nodes.get(&Key::new("", name)).is_some();
        let mut failed = false;
        let decision = pods.decide(&known, exists);
        for (family, all, free) in pods.counts() {
            let label = OfFamily { family: family.to_string() };
            let gauge = |number: u128| i64::try_from(number).unwrap_or(i64::MAX);
            context.metrics.pod_cidrs.get_or_create(&label).set(gauge(all));
            context.metrics.pod_cidrs_free.get_or_create(&label).set(gauge(free));
        }
        for act in decision.acts {
            match act {
                Act::Assign { node, version, cidrs } => {
                    let patch = as_of(&version, json!({ "spec": { "ipam": { "podCIDRs": cidrs } } }));
                    let written = merge::<CiliumNode>(&context.writer.all(), &node, &patch).await;
                    if written == Written::Done {
                        tracing::info!(node, ?cidrs, "pod CIDRs given");
                    }
                    failed |= written.failed();
                }
                Act::Report { node, version, problem } => {
                    failed |= report(&context, &node, &version, problem.as_ref()).await.failed();
                }
            }
        }
        for (name, node) in node_views(&context) {
            failed |= set_condition(&context, &name, &node, decision.problems.get(&name)).await;
        }
        note_errors(&context);
        pulse.next(failed).await;
    }
}

/// Nobody but Kubernetes gives CIDRs here. A node without is told to people.
pub(super) async fn kubernetes(context: Context) {
    let mut pulse = Pulse::new(QUIET, PATIENCE.unsigned_abs()).on(&context.nodes).on(&context.cilium_nodes);
    context.nodes.synced().await;
    context.cilium_nodes.synced().await;
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let mut failed = false;
        let items: BTreeMap<String, Arc<NodeView>> = node_views(&context).into_iter().collect();
        told.retain(|name, uid| items.get(name).is_some_and(|node| node.version.uid == *uid));
        for (name, node) in items {
            let problem = Problem::without_pod_cidrs(&node, Timestamp::now());
            if let Some(problem) = &problem
                && told.insert(name.clone(), node.version.uid.clone()).is_none()
            {
                let regarding = reference::<Node>(None, &name, &node.version);
                context.writer.warn(regarding, problem.reason.name(), &problem.message).await;
            }
            // While they may still come, nothing is known to be solved.
            if problem.is_none() && node.pod_cidrs.is_empty() {
                continue;
            }
            failed |= set_condition(&context, &name, &node, problem.as_ref()).await;
            let Some(cilium_node) = context.cilium_nodes.get(&Key::new("", &name)) else { continue };
            if problem.as_ref().map(|problem| &problem.message) != cilium_node.error.as_ref() {
                failed |= report(&context, &name, &cilium_node.version, problem.as_ref()).await.failed();
            }
        }
        note_errors(&context);
        pulse.next(failed).await;
    }
}

fn node_views(context: &Context) -> Vec<(String, Arc<NodeView>)> {
    context.nodes.read().iter().map(|(key, node)| (key.name().to_owned(), Arc::clone(node))).collect()
}

fn nodes(context: &Context) -> BTreeMap<String, Arc<CiliumNodeView>> {
    context.cilium_nodes.read().iter().map(|(key, node)| (key.name().to_owned(), Arc::clone(node))).collect()
}

fn note_errors(context: &Context) {
    let errors = context.cilium_nodes.read().values().filter(|node| node.error.is_some()).count();
    context.metrics.ipam_errors.set(i64::try_from(errors).unwrap_or(i64::MAX));
}

/// Says in the condition of the Node what hinders its CIDRs, or that nothing does any more; true if that failed.
async fn set_condition(context: &Context, name: &str, node: &NodeView, problem: Option<&Problem>) -> bool {
    let Some(conditions) = problem::conditions(&node.conditions, problem, Timestamp::now()) else {
        return false;
    };
    let patch = as_of(&node.version, json!({ "status": { "conditions": conditions } }));
    merge_status::<Node>(&context.writer.all(), name, &patch).await.failed()
}

/// Says in the status and with events what hinders a node's CIDRs, or that nothing does any more.
async fn report(context: &Context, node: &str, version: &Version, problem: Option<&Problem>) -> Written {
    let error = problem.map(|problem| problem.message.as_str());
    // A CIDR was just assigned with this version: then the status is written at the next look.
    let patch = as_of(version, json!({ "status": { "ipam": { "operator-status": { "error": error } } } }));
    let written = merge_status::<CiliumNode>(&context.writer.all(), node, &patch).await;
    if let (Written::Done, Some(error)) = (written, error) {
        tracing::warn!(node, error, "pod CIDRs");
        let regarding = reference::<CiliumNode>(None, node, version);
        context.writer.warn(regarding, "PodCIDRAllocationFailed", error).await;
        if let Some(object) = context.nodes.get(&Key::new("", node)) {
            let regarding = reference::<Node>(None, node, &object.version);
            context.writer.warn(regarding, "PodCIDRAllocationFailed", error).await;
        }
    }
    written
}
