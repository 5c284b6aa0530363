//! Keeps CiliumEndpointSlices.

use std::collections::BTreeMap;
use std::time::Duration;

use crds::CiliumEndpointSlice;
use kube::api::{ListParams, ObjectMeta, PostParams};
use tokio::time::Instant;

use super::Context;
use crate::metrics::Action;
use crate::slices::{Act, Slice, decide};
use crate::store::Pulse;
use crate::view::Version;
use crate::writer::{Written, exactly};

/// Slices are what the operator last wrote; now and then it looks whether they still are.
const LOOK: Duration = Duration::from_secs(600);

pub(super) async fn keep(context: Context) {
    // More endpoints in one write, at the price of being told later.
    let mut pulse = Pulse::new(Duration::from_millis(200), Duration::from_secs(60)).on(&context.endpoints);
    context.endpoints.synced().await;
    let mut slices: Option<(BTreeMap<String, Slice>, Instant)> = None;
    loop {
        let mut failed = false;
        if slices.as_ref().is_none_or(|(_, read)| read.elapsed() > LOOK) {
            slices = match list(&context).await {
                Ok(slices) => Some((slices, Instant::now())),
                Err(error) => {
                    tracing::warn!(%error, "CiliumEndpointSlices not listed");
                    failed = true;
                    None
                }
            };
        }
        if let Some((known, _)) = &mut slices {
            let endpoints = wanted(&context);
            let mut stale = false;
            for act in decide(known, &endpoints, context.options.endpoints_per_slice) {
                let written = perform(&context, known, act).await;
                stale |= written != Written::Done;
            }
            if stale {
                // Somebody else writes them, or a reply was lost: they are read again.
                slices = None;
                failed = true;
            }
        }
        pulse.next(failed).await;
    }
}

fn wanted(context: &Context) -> BTreeMap<(String, String), crds::types::CoreEndpoint> {
    let endpoints = context.endpoints.read();
    let ready = endpoints.iter().filter_map(|(key, endpoint)| Some((key, endpoint.core.as_ref()?)));
    ready
        .filter(|(_, core)| core.id != 0 && core.networking.is_some())
        .map(|(key, core)| ((key.namespace().to_owned(), key.name().to_owned()), core.clone()))
        .collect()
}

async fn list(context: &Context) -> Result<BTreeMap<String, Slice>, kube::Error> {
    let api = context.writer.all::<CiliumEndpointSlice>();
    let mut all = BTreeMap::new();
    let mut params = ListParams::default().limit(500);
    loop {
        let page = api.list(&params).await?;
        for slice in page.items {
            let view = Slice {
                namespace: slice.namespace,
                version: slice.metadata.resource_version.unwrap_or_default(),
                endpoints: slice.endpoints,
            };
            all.insert(slice.metadata.name.unwrap_or_default(), view);
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(all),
        }
    }
}

async fn perform(context: &Context, known: &mut BTreeMap<String, Slice>, act: Act) -> Written {
    let api = context.writer.all::<CiliumEndpointSlice>();
    let params = PostParams::default();
    let (action, result) = match act {
        Act::Create { namespace, endpoints } => {
            let metadata = ObjectMeta { generate_name: Some("ces-".to_owned()), ..ObjectMeta::default() };
            ("create", api.create(&params, &CiliumEndpointSlice { metadata, namespace, endpoints }).await)
        }
        Act::Replace { name, namespace, version, endpoints } => {
            let metadata = ObjectMeta {
                name: Some(name.clone()),
                resource_version: Some(version),
                ..ObjectMeta::default()
            };
            (
                "update",
                api.replace(&name, &params, &CiliumEndpointSlice { metadata, namespace, endpoints }).await,
            )
        }
        Act::Delete { name, version } => {
            let mut conditions = exactly(&Version { uid: String::new(), resource: version });
            if let Some(conditions) = &mut conditions.preconditions {
                conditions.uid = None;
            }
            context.metrics.slice_writes.get_or_create(&Action { action: "delete" }).inc();
            let written = Written::from(api.delete(&name, &conditions).await, &format_args!("slice {name}"));
            if written == Written::Done {
                known.remove(&name);
            }
            return written;
        }
    };
    context.metrics.slice_writes.get_or_create(&Action { action }).inc();
    match result {
        Ok(slice) => {
            let view = Slice {
                namespace: slice.namespace,
                version: slice.metadata.resource_version.unwrap_or_default(),
                endpoints: slice.endpoints,
            };
            known.insert(slice.metadata.name.unwrap_or_default(), view);
            Written::Done
        }
        Err(error) => Written::from::<()>(Err(error), &"CiliumEndpointSlice"),
    }
}
