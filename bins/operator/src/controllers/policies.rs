//! Tells the status of policies.

use std::sync::Arc;
use std::time::Duration;

use crds::{CiliumClusterwideNetworkPolicy, CiliumNetworkPolicy};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kubernetes::watch::{Key, Options};
use serde_json::json;
use tokio::task::JoinSet;

use super::{Context, QUIET};
use crate::store::{Pulse, Store};
use crate::validity::PolicyView;
use crate::writer::{MANAGER, Written, as_of};

/// Follows both kinds of policies, each for itself.
pub(super) fn start(context: &Context, tasks: &mut JoinSet<()>) {
    let (namespaced, clusterwide) = (Store::new(), Store::new());
    let stores = [Arc::clone(&namespaced), Arc::clone(&clusterwide)];
    follow::<CiliumNetworkPolicy>(context, tasks, namespaced, &stores);
    follow::<CiliumClusterwideNetworkPolicy>(context, tasks, clusterwide, &stores);
}

fn follow<K: Resource<DynamicType = ()>>(
    context: &Context,
    tasks: &mut JoinSet<()>,
    store: Arc<Store<PolicyView>>,
    stores: &[Arc<Store<PolicyView>>; 2],
) {
    let resource = ApiResource::erase::<K>(&());
    let api = Api::<DynamicObject>::all_with(context.writer.client.clone(), &resource);
    // A policy is read as JSON: fields that nobody here knows are what has to be found.
    tasks.spawn(Arc::clone(&store).follow(api, Options::default(), PolicyView::from));
    tasks.spawn(tell(context.clone(), resource, store, stores.clone()));
}

async fn tell(
    context: Context,
    resource: ApiResource,
    store: Arc<Store<PolicyView>>,
    all: [Arc<Store<PolicyView>>; 2],
) {
    let mut pulse = Pulse::new(QUIET, Duration::from_secs(300)).on(&store);
    store.synced().await;
    loop {
        let mut failed = false;
        let policies: Vec<_> =
            store.read().iter().map(|(key, policy)| (key.clone(), Arc::clone(policy))).collect();
        for (key, policy) in policies {
            let Some(conditions) = policy.conditions(Timestamp::now()) else { continue };
            let patch = as_of(&policy.version, json!({ "status": { "conditions": conditions } }));
            let client = context.writer.client.clone();
            let api: Api<DynamicObject> = match key.namespace() {
                "" => Api::all_with(client, &resource),
                namespace => Api::namespaced_with(client, namespace, &resource),
            };
            let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
            let result = api.patch_status(key.name(), &params, &Patch::Merge(&patch)).await;
            let written = Written::from(result, &format_args!("status of {} {key}", resource.kind));
            failed |= written.failed();
            if let (Written::Done, Some(error)) = (written, &policy.error) {
                tracing::warn!(kind = resource.kind, policy = %key, error, "policy is invalid");
                context.writer.warn(regarding(&resource, &key, &policy), "InvalidPolicy", error).await;
            }
        }
        let invalid: usize = all
            .iter()
            .map(|store| store.read().values().filter(|policy| policy.error.is_some()).count())
            .sum();
        context.metrics.invalid_policies.set(i64::try_from(invalid).unwrap_or(i64::MAX));
        pulse.next(failed).await;
    }
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
