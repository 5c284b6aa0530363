//! What the leader does: one task for each duty, fed by shared stores.

mod endpoints;
mod identities;
mod nodes;
mod pod_addresses;
mod pod_cidrs;
mod policies;
mod slices;
pub(crate) mod trouble;
mod unmanaged;

use std::sync::Arc;
use std::time::Duration;

use crds::{CiliumEndpoint, CiliumEndpointSlice, CiliumIdentity, CiliumNode};
use daemon::health::Health;
use daemon::watchdog::Watchdog;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::{Api, Client};
use kubernetes::lease::Leadership;
use kubernetes::watch::Options as WatchOptions;
use tokio::task::JoinSet;

use crate::eni;
use crate::metrics::Metrics;
use crate::options::{IdentityManagement, IpamMode, Options};
use crate::slices::Slice;
use crate::store::Store;
use crate::view::{CiliumNodeView, EndpointView, IdentityView, NamespaceView, NodeView, PodView};
use crate::writer::Writer;

/// Changes that come so close together are looked at once.
const QUIET: Duration = Duration::from_millis(50);

/// What all controllers share in one term.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) options: Arc<Options>,
    /// With `ipam: eni`.
    pub(crate) ec2: Option<eni::Client>,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) writer: Writer,
    pub(crate) watchdog: Watchdog,
    pub(crate) leadership: Leadership,
    pub(crate) nodes: Arc<Store<NodeView>>,
    pub(crate) cilium_nodes: Arc<Store<CiliumNodeView>>,
    pub(crate) pods: Arc<Store<PodView>>,
    namespaces: Arc<Store<NamespaceView>>,
    endpoints: Arc<Store<EndpointView>>,
    identities: Arc<Store<IdentityView>>,
    slices: Arc<Store<Slice>>,
}

/// Starts all duties; they end with the set. Everything is listed anew: what an earlier leader wrote last is in it.
pub(crate) fn start(
    client: Client,
    leadership: Leadership,
    options: &Arc<Options>,
    ec2: Option<eni::Client>,
    (metrics, health): (&Metrics, &Health),
    watchdog: &Watchdog,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let context = Context {
        options: Arc::clone(options),
        ec2,
        metrics: metrics.clone(),
        health: health.clone(),
        writer: Writer::new(client),
        watchdog: watchdog.clone(),
        leadership,
        nodes: Store::new(),
        cilium_nodes: Store::new(),
        pods: Store::new(),
        namespaces: Store::new(),
        endpoints: Store::new(),
        identities: Store::new(),
        slices: Store::new(),
    };
    context.follow(&mut tasks);
    let manages = options.identity_management != IdentityManagement::Agent;
    match options.ipam {
        IpamMode::ClusterPool => tasks.spawn(pod_cidrs::cluster_pool(context.clone())),
        IpamMode::Kubernetes => tasks.spawn(pod_cidrs::kubernetes(context.clone())),
        IpamMode::Eni => {
            tasks.spawn(pod_addresses::starved(context.clone()));
            tasks.spawn(eni::keep(context.clone()))
        }
    };
    tasks.spawn(nodes::ready(context.clone()));
    if !options.nodes_gc_interval.is_zero() {
        tasks.spawn(nodes::collect(context.clone()));
    }
    if !options.identity_gc_interval.is_zero() {
        tasks.spawn(identities::collect(context.clone()));
    }
    if manages {
        tasks.spawn(identities::create(context.clone()));
    }
    if !options.endpoint_gc_interval.is_zero() {
        tasks.spawn(endpoints::collect(context.clone()));
    }
    if options.endpoint_slices {
        tasks.spawn(slices::keep(context.clone()));
    }
    if !options.unmanaged_pods_interval.is_zero() {
        tasks.spawn(unmanaged::restart(context.clone()));
    }
    policies::start(&context, &mut tasks);
    tasks
}

impl Context {
    /// One watch for each kind.
    fn follow(&self, tasks: &mut JoinSet<()>) {
        let client = &self.writer.client;
        let all = WatchOptions::default;
        tasks.spawn(Arc::clone(&self.nodes).follow(Api::<Node>::all(client.clone()), all(), NodeView::from));
        let api = Api::<CiliumNode>::all(client.clone());
        let enis = self.options.eni.is_some();
        tasks.spawn(
            Arc::clone(&self.cilium_nodes).follow(api, all(), move |node| CiliumNodeView::of(node, enis)),
        );
        let options = Arc::clone(&self.options);
        let manages = options.identity_management != IdentityManagement::Agent;
        let view = move |pod| PodView::of(pod, manages, |key| options.asks_for_pod_label(key));
        tasks.spawn(Arc::clone(&self.pods).follow(Api::<Pod>::all(client.clone()), all(), view));
        if manages {
            let api = Api::<Namespace>::all(client.clone());
            tasks.spawn(Arc::clone(&self.namespaces).follow(api, all(), NamespaceView::from));
        }
        let slices = self.options.endpoint_slices;
        let api = Api::<CiliumEndpoint>::all(client.clone());
        tasks.spawn(Arc::clone(&self.endpoints).follow(api, all(), move |one| EndpointView::of(one, slices)));
        if slices {
            let api = Api::<CiliumEndpointSlice>::all(client.clone());
            tasks.spawn(Arc::clone(&self.slices).follow(api, all(), Slice::from));
        }
        let api = Api::<CiliumIdentity>::all(client.clone());
        tasks.spawn(Arc::clone(&self.identities).follow(api, all(), IdentityView::from));
    }
}

/// Whether an object is surely gone: asked of the server, since a watch may be late.
async fn is_gone<K>(api: &Api<K>, name: &str, uid: Option<&str>) -> Option<bool>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    match api.get_metadata_opt(name).await {
        Ok(None) => Some(true),
        Ok(Some(object)) => Some(uid.is_some_and(|uid| object.metadata.uid.as_deref() != Some(uid))),
        Err(error) => {
            tracing::warn!(name, %error, "not known whether it is gone");
            None
        }
    }
}
