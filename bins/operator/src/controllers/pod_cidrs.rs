//! Gives nodes their pod CIDRs, or says that nobody did.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crds::CiliumNode;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kubernetes::watch::Key;
use serde_json::json;

use super::trouble::{self, node_views, set_condition};
use super::{Context, QUIET};
use crate::metrics::OfFamily;
use crate::pod_cidrs::{Act, Decision, Facts, PodAddresses, PodCidrs};
use crate::problem::{PATIENCE, POD_CIDRS, Problem};
use crate::pulse::Pulse;
use crate::view::{CiliumNodeView, EndpointView, NodeView, Version};
use crate::writer::{Written, as_of, merge, merge_status, reference};

pub(super) async fn cluster_pool(context: Context) {
    let mut pulse = Pulse::new("pod CIDRs", &context.watchdog, QUIET, Duration::from_secs(60))
        .on(&context.nodes)
        .on(&context.cilium_nodes);
    context.nodes.synced().await;
    context.cilium_nodes.synced().await;
    context.endpoints.synced().await;
    let delay = context.options.release_delay;
    let mut cidrs = PodCidrs::new(context.options.pools.clone(), delay);
    loop {
        let decision = pulse.look(|| decide(&context, &mut cidrs));
        if cidrs.keeps() {
            pulse.again_in(delay.clamp(Duration::from_secs(1), Duration::from_secs(60)));
        }
        for (family, all, free) in cidrs.counts() {
            let label = OfFamily { family: family.to_string() };
            let gauge = |number: u128| i64::try_from(number).unwrap_or(i64::MAX);
            context.metrics.pod_cidrs.get_or_create(&label).set(gauge(all));
            context.metrics.pod_cidrs_free.get_or_create(&label).set(gauge(free));
        }
        for act in decision.acts {
            match act {
                Act::Assign { node, .. } | Act::Report { node, .. } if !pulse.may(&node) => {}
                Act::Assign { node, version, cidrs } => {
                    let patch = as_of(&version, json!({ "spec": { "ipam": { "podCIDRs": cidrs } } }));
                    let written = merge::<CiliumNode>(&context.writer.all(), &node, &patch).await;
                    if written == Written::Done {
                        tracing::info!(node, ?cidrs, "pod CIDRs given");
                    }
                    pulse.note(&node, written);
                }
                Act::Report { node, version, problem } => {
                    pulse.note(&node, report(&context, &node, &version, problem.as_ref()).await);
                }
            }
        }
        for (name, node) in node_views(&context) {
            set_condition(&context, &mut pulse, POD_CIDRS, (&name, &node), decision.problems.get(&name))
                .await;
        }
        note_errors(&context);
        pulse.next().await;
    }
}

fn decide(context: &Context, cidrs: &mut PodCidrs) -> Decision {
    // Made only where a block is given or freed: there may be many pods.
    let pods = OnceCell::new();
    let addresses = || {
        let endpoints = context.endpoints.read();
        let of =
            |one: &Arc<EndpointView>| one.addresses.iter().map(|pod| (*pod, one.node)).collect::<Vec<_>>();
        endpoints.values().flat_map(of).collect::<PodAddresses>()
    };
    cidrs.decide(&Facts {
        nodes: &nodes(context),
        exists: &|name| context.nodes.get(&Key::new("", name)).is_some(),
        pods: &|| pods.get_or_init(addresses),
        now: Timestamp::now(),
    })
}

/// Nobody but Kubernetes gives CIDRs here. A node without is told to people.
pub(super) async fn kubernetes(context: Context) {
    let mut pulse = Pulse::new("pod CIDRs", &context.watchdog, QUIET, PATIENCE.unsigned_abs())
        .on(&context.nodes)
        .on(&context.cilium_nodes);
    context.nodes.synced().await;
    context.cilium_nodes.synced().await;
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    loop {
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
            set_condition(&context, &mut pulse, POD_CIDRS, (&name, &node), problem.as_ref()).await;
            let Some(cilium_node) = context.cilium_nodes.get(&Key::new("", &name)) else { continue };
            let told = problem.as_ref().map(|problem| &problem.message) == cilium_node.error.as_ref();
            if !told && pulse.may(&name) {
                pulse.note(&name, report(&context, &name, &cilium_node.version, problem.as_ref()).await);
            }
        }
        note_errors(&context);
        pulse.next().await;
    }
}

fn nodes(context: &Context) -> BTreeMap<String, Arc<CiliumNodeView>> {
    context.cilium_nodes.read().iter().map(|(key, node)| (key.name().to_owned(), Arc::clone(node))).collect()
}

fn note_errors(context: &Context) {
    let errors = context.cilium_nodes.read().values().filter(|node| node.error.is_some()).count();
    context.metrics.ipam_errors.set(i64::try_from(errors).unwrap_or(i64::MAX));
}

/// Says in the status and with events what hinders a node's CIDRs, or that nothing does any more.
async fn report(context: &Context, node: &str, version: &Version, problem: Option<&Problem>) -> Written {
    let error = problem.map(|problem| problem.message.as_str());
    // A CIDR was just assigned with this version: then the status is written at the next look.
    let patch = as_of(version, json!({ "status": { "ipam": { "operator-status": { "error": error } } } }));
    let written = merge_status::<CiliumNode>(&context.writer.all(), node, &patch).await;
    if let (Written::Done, Some(error)) = (written, error) {
        tracing::warn!(node, error, "pod CIDRs");
        trouble::warn(&context.writer, &context.nodes, node, version, "PodCIDRAllocationFailed", error).await;
    }
    written
}
