//! Restarts pods that another network connected before this one came.

use crds::CiliumEndpoint;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::{Context, is_gone};
use crate::garbage::Unmanaged;
use crate::rounds::Rounds;
use crate::writer::{Written, only};

pub(super) async fn restart(context: Context) {
    context.pods.synced().await;
    context.endpoints.synced().await;
    let mut unmanaged = Unmanaged::default();
    let mut rounds =
        Rounds::new("unmanaged pods", &context.watchdog, context.options.unmanaged_pods_interval);
    loop {
        rounds.next().await;
        let found = unmanaged.collect(
            &context.pods.read(),
            |pod| context.options.is_restarted(pod),
            |key| context.endpoints.read().contains_key(key),
            Timestamp::now(),
        );
        context.metrics.unmanaged_pods.set(i64::try_from(found.len()).unwrap_or(i64::MAX));
        // One at a time: of a service's pods, the others answer meanwhile.
        for (key, uid) in found {
            rounds.moved();
            let endpoints = context.writer.namespaced::<CiliumEndpoint>(key.namespace());
            if is_gone(&endpoints, key.name(), None).await != Some(true) {
                continue;
            }
            let api = context.writer.namespaced::<Pod>(key.namespace());
            let written =
                Written::from(api.delete(key.name(), &only(&uid)).await, &format_args!("Pod {key}"));
            if written == Written::Done {
                tracing::info!(pod = %key, "pod restarted: no agent has connected it");
                unmanaged.restarted(key, Timestamp::now());
                break;
            }
        }
    }
}
