//! What keeps a node's pods from addresses is told to people: in a condition of the Node, and by events.

use std::sync::Arc;

use crds::CiliumNode;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kubernetes::watch::Key;
use serde_json::json;

use super::Context;
use crate::problem::{About, Problem, conditions};
use crate::pulse::Pulse;
use crate::store::Store;
use crate::view::{NodeView, Version};
use crate::writer::{Writer, as_of, merge_status, reference};

/// All Nodes.
pub(super) fn node_views(context: &Context) -> Vec<(String, Arc<NodeView>)> {
    context.nodes.read().iter().map(|(key, node)| (key.name().to_owned(), Arc::clone(node))).collect()
}

/// Says in the condition of the Node what is the matter, or that nothing is any more.
pub(super) async fn set_condition(
    context: &Context,
    pulse: &mut Pulse,
    about: About,
    (name, node): (&str, &NodeView),
    problem: Option<&Problem>,
) {
    let Some(conditions) = conditions(about, &node.conditions, problem, Timestamp::now()) else { return };
    // The Node is another object than the CiliumNode.
    let object = format!("Node {name}");
    if pulse.may(&object) {
        let patch = as_of(&node.version, json!({ "status": { "conditions": conditions } }));
        pulse.note(&object, merge_status::<Node>(&context.writer.all(), name, &patch).await);
    }
}

/// Events on a CiliumNode, whose version this is, and on its Node.
pub(crate) async fn warn(
    writer: &Writer,
    nodes: &Store<NodeView>,
    name: &str,
    version: &Version,
    reason: &str,
    message: &str,
) {
    writer.warn(reference::<CiliumNode>(None, name, version), reason, message).await;
    if let Some(node) = nodes.get(&Key::new("", name)) {
        writer.warn(reference::<Node>(None, name, &node.version), reason, message).await;
    }
}
