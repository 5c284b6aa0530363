//! Events: what `kubectl describe` tells of a pod.

use k8s_openapi::api::core::v1 as core;
use kube::Resource;
use kube::api::{Api, PostParams};

use super::Context;

/// Who tells.
const COMPONENT: &str = "netloom-lab";

/// What kind of event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As it should be.
    Normal,
    /// Something is wrong.
    Warning,
}

/// Tells something of a pod. An event that cannot be told is only logged: nothing depends on it.
pub(super) async fn tell(context: &Context, pod: &core::Pod, kind: Kind, reason: &str, message: &str) {
    let namespace = pod.metadata.namespace.clone().unwrap_or_else(|| "default".into());
    let now = super::now();
    let name = pod.metadata.name.clone().unwrap_or_default();
    let mut event = core::Event {
        involved_object: pod.object_ref(&()),
        type_: Some(format!("{kind:?}")),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        first_timestamp: Some(now.clone()),
        last_timestamp: Some(now),
        count: Some(1),
        source: Some(core::EventSource { component: Some(COMPONENT.into()), host: None }),
        ..core::Event::default()
    };
    event.metadata.generate_name = Some(format!("{name}."));
    event.metadata.namespace = Some(namespace.clone());
    let api = Api::<core::Event>::namespaced(context.client.clone(), &namespace);
    if let Err(error) = api.create(&PostParams::default(), &event).await {
        eprintln!("event of {namespace}/{name}: {error}");
    }
}
