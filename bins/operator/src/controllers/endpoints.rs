//! Collects CiliumEndpoints that their agents left behind.

use crds::CiliumEndpoint;
use k8s_openapi::api::core::v1::Pod;

use super::{Context, is_gone};
use crate::garbage;
use crate::metrics::Outcome;
use crate::rounds::Rounds;
use crate::writer::{Written, exactly};

pub(super) async fn collect(context: Context) {
    context.pods.synced().await;
    context.endpoints.synced().await;
    let mut rounds = Rounds::new("CiliumEndpoints", &context.watchdog, context.options.endpoint_gc_interval);
    loop {
        rounds.next().await;
        let dead = garbage::endpoints(&context.endpoints.read(), &context.pods.read());
        for (key, version) in dead {
            rounds.moved();
            // The watch of pods may be behind that of endpoints: another pod of that name that ended says nothing.
            let owner = context.endpoints.get(&key).and_then(|endpoint| endpoint.pod_uid.clone());
            let pod = context.pods.get(&key);
            let ended = pod.is_some_and(|pod| garbage::has_ended(&pod, owner.as_deref()));
            let pods = context.writer.namespaced::<Pod>(key.namespace());
            if !ended && is_gone(&pods, key.name(), owner.as_deref()).await != Some(true) {
                continue;
            }
            let api = context.writer.namespaced::<CiliumEndpoint>(key.namespace());
            let result = api.delete(key.name(), &exactly(&version)).await;
            let written = Written::from(result, &format_args!("CiliumEndpoint {key}"));
            let outcome = if written == Written::Done { "success" } else { "fail" };
            context.metrics.endpoints_collected.get_or_create(&Outcome { outcome }).inc();
        }
    }
}
