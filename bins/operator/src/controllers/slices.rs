//! Keeps CiliumEndpointSlices.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crds::CiliumEndpointSlice;
use jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};

use super::Context;
use crate::metrics::Action;
use crate::pulse::Pulse;
use crate::slices::{Act, Endpoints, Pending, Slice, decide};
use crate::view::Version;
use crate::writer::{Written, exactly};

pub(super) async fn keep(context: Context) {
    // More endpoints in one write, at the price of being told later.
    let mut pulse =
        Pulse::new("slices", &context.watchdog, Duration::from_millis(200), Duration::from_secs(60))
            .on(&context.endpoints)
            .on(&context.slices);
    context.endpoints.synced().await;
    context.slices.synced().await;
    let mut pending = Pending::default();
    loop {
        for act in pulse.look(|| wanted(&context, &mut pending)) {
            let object = match &act {
                Act::Create { namespace, .. } => format!("namespace {namespace}"),
                Act::Replace { name, .. } | Act::Delete { name, .. } => name.clone(),
            };
            if pulse.may(&object) {
                let written = perform(&context, &mut pending, act).await;
                if written != Written::Done {
                    // Somebody else writes them, or a reply was lost.
                    pending.forget(&object);
                }
                pulse.note(&object, written);
            }
        }
        if pending.waits() {
            pulse.again_in(Duration::from_secs(10));
        }
        pulse.next().await;
    }
}

fn wanted(context: &Context, pending: &mut Pending) -> Vec<Act> {
    let slices = context.slices.read();
    let mut slices: BTreeMap<_, _> =
        slices.iter().map(|(key, slice)| (key.name().to_owned(), Arc::clone(slice))).collect();
    pending.complete(&mut slices, Timestamp::now());
    let endpoints = context.endpoints.read();
    let known = endpoints.iter().filter_map(|(key, endpoint)| Some((key, endpoint.core.as_ref()?)));
    let ready = known.filter(|(_, core)| core.id != 0 && core.networking.is_some());
    let ready: Endpoints<'_> = ready.map(|(key, core)| ((key.namespace(), key.name()), core)).collect();
    decide(&slices, &ready, context.options.endpoints_per_slice)
}

async fn perform(context: &Context, pending: &mut Pending, act: Act) -> Written {
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
                pending.deleted(name, Timestamp::now());
            }
            return written;
        }
    };
    context.metrics.slice_writes.get_or_create(&Action { action }).inc();
    match result {
        Ok(mut slice) => {
            let name = slice.metadata.name.take().unwrap_or_default();
            pending.wrote(name, Slice::from(slice), Timestamp::now());
            Written::Done
        }
        Err(error) => Written::from::<()>(Err(error), &"CiliumEndpointSlice"),
    }
}
