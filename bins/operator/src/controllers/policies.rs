//! Tells whether policies are valid.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crds::{CiliumClusterwideNetworkPolicy, CiliumNetworkPolicy};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kubernetes::watch::{Key, Options};
use serde_json::json;
use tokio::task::JoinSet;

use super::{Context, QUIET};
use crate::pulse::Pulse;
use crate::store::Store;
use crate::validity::PolicyView;
use crate::writer::{MANAGER, Written, as_of};

/// A kind of policies.
#[derive(Clone)]
struct Kind {
    duty: &'static str,
    resource: ApiResource,
    /// Whether there is a status that has conditions.
    has_status: bool,
}

fn kinds() -> [Kind; 4] {
    let cluster = GroupVersionKind::gvk("policy.networking.k8s.io", "v1alpha2", "ClusterNetworkPolicy");
    [
        ("CiliumNetworkPolicies", ApiResource::erase::<CiliumNetworkPolicy>(&()), true),
        ("CiliumClusterwideNetworkPolicies", ApiResource::erase::<CiliumClusterwideNetworkPolicy>(&()), true),
        ("NetworkPolicies", ApiResource::erase::<NetworkPolicy>(&()), false),
        (
            "ClusterNetworkPolicies",
            ApiResource::from_gvk_with_plural(&cluster, "clusternetworkpolicies"),
            true,
        ),
    ]
    .map(|(duty, resource, has_status)| Kind { duty, resource, has_status })
}

/// Follows all kinds of policies, each for itself: a cluster may not have all of them.
pub(super) fn start(context: &Context, tasks: &mut JoinSet<()>) {
    let all = kinds().map(|kind| (kind, Store::new()));
    let stores: Arc<[_]> = all.iter().map(|(_, store)| Arc::clone(store)).collect();
    for (kind, store) in all {
        let api = Api::<DynamicObject>::all_with(context.writer.client.clone(), &kind.resource);
        // A policy is read as JSON: fields that nobody here knows are what has to be found.
        tasks.spawn(Arc::clone(&store).follow(api, Options::default(), PolicyView::from));
        tasks.spawn(tell(context.clone(), kind, store, Arc::clone(&stores)));
    }
}

async fn tell(
    context: Context,
    kind: Kind,
    store: Arc<Store<PolicyView>>,
    all: Arc<[Arc<Store<PolicyView>>]>,
) {
    let mut pulse = Pulse::new(kind.duty, &context.watchdog, QUIET, Duration::from_secs(300)).on(&store);
    store.synced().await;
    // What people were told of policies whose status says nothing.
    let mut told: BTreeMap<Key, (String, String)> = BTreeMap::new();
    loop {
        let policies: Vec<_> =
            store.read().iter().map(|(key, policy)| (key.clone(), Arc::clone(policy))).collect();
        for (key, policy) in &policies {
            let in_status = kind.has_status
                && tell_in_status(&context, &mut pulse, &kind.resource, key, policy).await
                    != Written::Refused;
            match &policy.error {
                Some(_) if in_status => {}
                // An event is all that is left.
                Some(error) => {
                    let news = (policy.version.uid.clone(), error.clone());
                    if told.get(key) != Some(&news) {
                        warn(&context, &kind.resource, key, policy, error).await;
                        told.insert(key.clone(), news);
                    }
                }
                None => _ = told.remove(key),
            }
        }
        told.retain(|key, _| store.get(key).is_some());
        let invalid: usize = all
            .iter()
            .map(|store| store.read().values().filter(|policy| policy.error.is_some()).count())
            .sum();
        context.metrics.invalid_policies.set(i64::try_from(invalid).unwrap_or(i64::MAX));
        pulse.next().await;
    }
}

/// Says it in the condition, and as that changes in an event.
async fn tell_in_status(
    context: &Context,
    pulse: &mut Pulse,
    resource: &ApiResource,
    key: &Key,
    policy: &PolicyView,
) -> Written {
    let Some(conditions) = policy.conditions(Timestamp::now()) else { return Written::Done };
    let object = key.to_string();
    if !pulse.may(&object) {
        return Written::Refused;
    }
    let patch = as_of(&policy.version, json!({ "status": { "conditions": conditions } }));
    let client = context.writer.client.clone();
    let api: Api<DynamicObject> = match key.namespace() {
        "" => Api::all_with(client, resource),
        namespace => Api::namespaced_with(client, namespace, resource),
    };
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let result = api.patch_status(key.name(), &params, &Patch::Merge(&patch)).await;
    let written = Written::from(result, &format_args!("status of {} {key}", resource.kind));
    pulse.note(&object, written);
    if let (Written::Done, Some(error)) = (written, &policy.error) {
        warn(context, resource, key, policy, error).await;
    }
    written
}

async fn warn(context: &Context, resource: &ApiResource, key: &Key, policy: &PolicyView, error: &str) {
    tracing::warn!(kind = resource.kind, policy = %key, error, "policy is invalid");
    context.writer.warn(regarding(resource, key, policy), "InvalidPolicy", error).await;
}

fn regarding(resource: &ApiResource, key: &Key, policy: &PolicyView) -> ObjectReference {
    ObjectReference {
        api_version: Some(resource.api_version.clone()),
        kind: Some(resource.kind.clone()),
        name: Some(key.name().to_owned()),
        namespace: Some(key.namespace().to_owned()).filter(|namespace| !namespace.is_empty()),
        uid: Some(policy.version.uid.clone()),
        ..ObjectReference::default()
    }
}
