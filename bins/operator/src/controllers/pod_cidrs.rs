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
use crate::store::Pulse;
use crate::view::{CiliumNodeView, NodeView, Version};
use crate::writer::{Written, as_of, merge, merge_status, reference};

/// How long a Node may be without pod CIDRs before somebody is told: whoever gives them takes a moment.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn cluster_pool(context: Context) {
    let mut pulse = Pulse::new(QUIET, Duration::from_secs(60)).on(&context.nodes).on(&context.cilium_nodes);
    context.nodes.synced().await;
    context.cilium_nodes.synced().await;
    let mut pods = PodCidrs::new(context.options.pools.clone());
    loop {
        let known = nodes(&context);
        let exists = |name: &str| context.nodes.get(&Key::new("", name)).is_some();
        let mut failed = false;
        let acts = pods.decide(&known, exists);
        for (family, all, free) in pods.counts() {
            let label = OfFamily { family: family.to_string() };
            let gauge = |number: u128| i64::try_from(number).unwrap_or(i64::MAX);
            context.metrics.pod_cidrs.get_or_create(&label).set(gauge(all));
            context.metrics.pod_cidrs_free.get_or_create(&label).set(gauge(free));
        }
        for act in acts {
            match act {
                Act::Assign { node, version, cidrs } => {
                    let patch = as_of(&version, json!({ "spec": { "ipam": { "podCIDRs": cidrs } } }));
                    let written = merge::<CiliumNode>(&context.writer.all(), &node, &patch).await;
                    if written == Written::Done {
                        tracing::info!(node, ?cidrs, "pod CIDRs given");
                    }
                    failed |= written.failed();
                }
                Act::Report { node, version, error } => {
                    failed |= report(&context, &node, &version, error.as_deref()).await.failed();
                }
            }
        }
        note_errors(&context);
        pulse.next(failed).await;
    }
}

/// Nobody but Kubernetes gives CIDRs here. A node without is told to people.
pub(super) async fn kubernetes(context: Context) {
    let mut pulse = Pulse::new(QUIET, PATIENCE).on(&context.nodes).on(&context.cilium_nodes);
    context.nodes.synced().await;
    context.cilium_nodes.synced().await;
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let mut failed = false;
        let items: BTreeMap<String, Arc<NodeView>> = context
            .nodes
            .read()
            .iter()
            .map(|(key, node)| (key.name().to_owned(), Arc::clone(node)))
            .collect();
        told.retain(|name, uid| items.get(name).is_some_and(|node| node.version.uid == *uid));
        for (name, node) in items {
            let age = Duration::try_from(Timestamp::now().duration_since(node.created)).unwrap_or_default();
            let missing = node.pod_cidrs.is_empty() && age >= PATIENCE;
            let message =
                "the Node has no spec.podCIDRs: does kube-controller-manager run with --allocate-node-cidrs?";
            if missing && told.insert(name.clone(), node.version.uid.clone()).is_none() {
                let regarding = reference::<Node>(None, &name, &node.version);
                context.writer.warn(regarding, "NoPodCIDR", message).await;
            }
            let Some(cilium_node) = context.cilium_nodes.get(&Key::new("", &name)) else { continue };
            let error = missing.then(|| message.to_owned());
            if error != cilium_node.error && (missing || !node.pod_cidrs.is_empty()) {
                failed |= report(&context, &name, &cilium_node.version, error.as_deref()).await.failed();
            }
        }
        note_errors(&context);
        pulse.next(failed).await;
    }
}

fn nodes(context: &Context) -> BTreeMap<String, Arc<CiliumNodeView>> {
    context.cilium_nodes.read().iter().map(|(key, node)| (key.name().to_owned(), Arc::clone(node))).collect()
}

fn note_errors(context: &Context) {
    let errors = context.cilium_nodes.read().values().filter(|node| node.error.is_some()).count();
    context.metrics.ipam_errors.set(i64::try_from(errors).unwrap_or(i64::MAX));
}

/// Says in the status and with an event what hinders a node's CIDRs, or that nothing does any more.
async fn report(context: &Context, node: &str, version: &Version, error: Option<&str>) -> Written {
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
