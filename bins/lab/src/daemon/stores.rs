//! What the daemon's controllers know of the cluster: a copy of its objects, kept up to date by watches.

use std::fmt::Debug;
use std::future::ready;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::StreamExt;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::reflector::Store;
use kube::{Client, Resource};
use kubernetes::watch::{Options, copy};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::cluster::{named, resource};

/// A controller looks at this often even if nothing seems to have changed.
const RESYNC: Duration = Duration::from_secs(5);
/// Before a controller that failed looks again.
const PAUSE: Duration = Duration::from_millis(300);
/// Between two attempts to list or watch.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Copies of the cluster's objects.
#[derive(Clone)]
pub(super) struct Stores {
    pub(super) namespaces: Store<Namespace>,
    pub(super) nodes: Store<Node>,
    pub(super) pods: Store<Pod>,
    pub(super) services: Store<Service>,
    pub(super) slices: Store<EndpointSlice>,
    pub(super) cilium_nodes: Store<DynamicObject>,
    pub(super) deployments: Store<Deployment>,
    pub(super) replica_sets: Store<ReplicaSet>,
    changed: watch::Receiver<()>,
}

/// The watches, which end when this is dropped.
pub(super) struct Watches {
    tasks: JoinSet<()>,
    client: Client,
    changed: Arc<watch::Sender<()>>,
}

impl Stores {
    /// Starts all watches. The copies are empty at first.
    pub(super) fn watch(client: &Client) -> Result<(Self, Watches)> {
        let (changed, receiver) = watch::channel(());
        let mut watches =
            Watches { tasks: JoinSet::new(), client: client.clone(), changed: Arc::new(changed) };
        let cilium_node = resource(named("CiliumNode").context("no kind CiliumNode")?);
        let stores = Self {
            namespaces: watches.all(),
            nodes: watches.all(),
            pods: watches.all(),
            services: watches.all(),
            slices: watches.all(),
            cilium_nodes: watches.dynamic(&cilium_node),
            deployments: watches.all(),
            replica_sets: watches.all(),
            changed: receiver,
        };
        Ok((stores, watches))
    }

    /// Waits until the copies are whole: but for custom resources, whose definitions may not be there yet.
    pub(super) async fn ready(&self) -> Result<()> {
        self.namespaces.wait_until_ready().await.context("watching namespaces")?;
        self.nodes.wait_until_ready().await.context("watching nodes")?;
        self.pods.wait_until_ready().await.context("watching pods")?;
        self.services.wait_until_ready().await.context("watching services")?;
        self.slices.wait_until_ready().await.context("watching endpoint slices")?;
        self.deployments.wait_until_ready().await.context("watching deployments")?;
        self.replica_sets.wait_until_ready().await.context("watching replica sets")
    }

    /// Calls `sync` whenever something has changed, for ever. One that fails is called again soon.
    pub(super) async fn control(&self, name: &str, sync: impl AsyncFnMut() -> Result<()>) {
        self.control_or(name, &Notify::new(), sync).await;
    }

    /// As [`control`](Self::control), and also whenever it is notified.
    pub(super) async fn control_or(
        &self,
        name: &str,
        notified: &Notify,
        mut sync: impl AsyncFnMut() -> Result<()>,
    ) {
        let mut changed = self.changed.clone();
        let mut told = String::new();
        loop {
            changed.mark_unchanged();
            let wait = match sync().await {
                Ok(()) => {
                    told.clear();
                    RESYNC
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    if error != told {
                        eprintln!("{name}: {error}");
                        told = error;
                    }
                    sleep(PAUSE).await;
                    PAUSE
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = notified.notified() => {}
                // The sender lives as long as the watches.
                _ = changed.changed() => {}
            }
        }
    }
}

impl Watches {
    fn all<K>(&mut self) -> Store<K>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        self.follow(Api::all(self.client.clone()), ())
    }

    fn dynamic(&mut self, resource: &ApiResource) -> Store<DynamicObject> {
        self.follow(Api::all_with(self.client.clone(), resource), resource.clone())
    }

    fn follow<K>(&mut self, api: Api<K>, kind: K::DynamicType) -> Store<K>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        K::DynamicType: Eq + Hash + Clone + Send + Sync,
    {
        // A kind that is not there yet is asked for again and again, and nobody else shares a lab's API server.
        let options = Options { longest_pause: LONGEST_PAUSE, ..Options::default() };
        let (store, changes) = copy(kubernetes::watch::watch(api, options), kind);
        let changed = Arc::clone(&self.changed);
        self.tasks.spawn(changes.for_each(move |()| {
            changed.send_replace(());
            ready(())
        }));
        store
    }
}
