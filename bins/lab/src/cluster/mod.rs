//! The lab's Kubernetes API, as its commands use it: one request at a time.

mod kinds;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    PostParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use kubernetes::refusal::{is_conflict, is_missing};
use policy::manifest::ObjectKey;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Runtime;

pub use kinds::{KINDS, Kind, Target, WATCHED, meant, named};

use crate::name::LabName;
use crate::paths::Paths;

/// Who changes objects for `netloom lab apply`.
const MANAGER: &str = "netloom-lab";
/// How long a request may take, and for how long it is made again.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before a request is made again.
const PAUSE: Duration = Duration::from_millis(100);

/// A client of a lab's API.
pub struct Cluster {
    runtime: Runtime,
    client: Client,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// A client of this lab's API.
    ///
    /// # Errors
    /// When its kubeconfig cannot be read.
    pub fn of(name: &LabName) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(client(&Paths::new(name).kubeconfig()))?;
        Ok(Self { runtime, client })
    }

    /// Whether the API answers that it is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.runtime.block_on(is_ready(&self.client))
    }

    /// An object; none where it is not there.
    ///
    /// # Errors
    /// When the API does not answer or knows no such kind.
    pub fn get(&self, target: &Target) -> Result<Option<DynamicObject>> {
        self.runtime.block_on(async {
            let api = self.api(target).await?;
            patiently(async || api.get_opt(&target.key.name).await).await.map_err(said)
        })
    }

    /// Creates or changes an object to what `value` says, whoever said otherwise before.
    ///
    /// # Errors
    /// When the API refuses.
    pub fn apply(&self, target: &Target, value: &Value) -> Result<DynamicObject> {
        self.runtime.block_on(async {
            let api = self.api(target).await?;
            let how = PatchParams::apply(MANAGER).force();
            let apply = async || api.patch(&target.key.name, &how, &Patch::Apply(value)).await;
            patiently(apply).await.map_err(said)
        })
    }

    /// Makes a namespace unless it is there.
    ///
    /// # Errors
    /// When the API refuses.
    pub fn make_namespace(&self, name: &str) -> Result<()> {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        let api = Api::<Namespace>::all(self.client.clone());
        let how = PostParams::default();
        match self.runtime.block_on(patiently(async || api.create(&how, &namespace).await)) {
            Err(error) if !is_conflict(&error) => {
                Err(said(error)).with_context(|| format!("namespace {name}"))
            }
            _ => Ok(()),
        }
    }

    /// Deletes an object; says whether it was there.
    ///
    /// # Errors
    /// When the API refuses.
    pub fn delete(&self, target: &Target) -> Result<bool> {
        self.runtime.block_on(async {
            let api = self.api(target).await?;
            let how = DeleteParams::background();
            match patiently(async || api.delete(&target.key.name, &how).await).await {
                Ok(_) => Ok(true),
                Err(error) if is_missing(&error) => Ok(false),
                Err(error) => Err(said(error)),
            }
        })
    }

    /// All objects of a kind of the lab's; none where the API does not know the kind.
    ///
    /// # Errors
    /// When the API does not answer.
    pub fn all(&self, kind: &Kind) -> Result<Vec<DynamicObject>> {
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &resource(kind));
        self.list(&api).with_context(|| format!("listing {}", kind.plural))
    }

    /// All pods.
    ///
    /// # Errors
    /// When the API does not answer.
    pub fn pods(&self) -> Result<Vec<Pod>> {
        self.list(&Api::all(self.client.clone())).context("listing pods")
    }

    /// All nodes.
    ///
    /// # Errors
    /// When the API does not answer.
    pub fn nodes(&self) -> Result<Vec<Node>> {
        self.list(&Api::all(self.client.clone())).context("listing nodes")
    }

    /// All namespaces.
    ///
    /// # Errors
    /// When the API does not answer.
    pub fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.list(&Api::all(self.client.clone())).context("listing namespaces")
    }

    /// A Lease; none where it is not there.
    ///
    /// # Errors
    /// When the API does not answer.
    pub fn lease(&self, namespace: &str, name: &str) -> Result<Option<Lease>> {
        let api = Api::<Lease>::namespaced(self.client.clone(), namespace);
        let asked = self.runtime.block_on(patiently(async || api.get_opt(name).await));
        asked.map_err(said).with_context(|| format!("the Lease {namespace}/{name}"))
    }

    fn list<K: Clone + DeserializeOwned + std::fmt::Debug>(&self, api: &Api<K>) -> Result<Vec<K>> {
        let how = ListParams::default();
        match self.runtime.block_on(patiently(async || api.list(&how).await)) {
            Ok(list) => Ok(list.items),
            Err(error) if is_missing(&error) => Ok(Vec::new()),
            Err(error) => Err(said(error)),
        }
    }

    async fn api(&self, target: &Target) -> Result<Api<DynamicObject>> {
        let ObjectKey { kind, namespace, .. } = &target.key;
        let known = named(kind).filter(|known| known.api_version == target.api_version);
        let (resource, namespaced) = match known {
            Some(known) => (resource(known), known.namespaced),
            None => {
                let gvk = gvk(&target.api_version, kind);
                let found = kube::discovery::pinned_kind(&self.client, &gvk).await.map_err(said);
                let (resource, capabilities) =
                    found.with_context(|| format!("the API has no {kind} of {}", target.api_version))?;
                (resource, capabilities.scope == kube::discovery::Scope::Namespaced)
            }
        };
        let client = self.client.clone();
        Ok(if namespaced {
            Api::namespaced_with(client, namespace.as_deref().unwrap_or("default"), &resource)
        } else {
            Api::all_with(client, &resource)
        })
    }
}

/// Asks again for a while when nobody answers: a server that ended is started again.
async fn patiently<T>(mut ask: impl AsyncFnMut() -> kube::Result<T>) -> kube::Result<T> {
    let start = Instant::now();
    loop {
        match ask().await {
            Err(error) if !matches!(error, kube::Error::Api(_)) && start.elapsed() < PATIENCE => {
                tokio::time::sleep(PAUSE).await;
            }
            answered => return answered,
        }
    }
}

/// A client for the API that a kubeconfig names. Its requests end in time.
async fn client(kubeconfig: &Path) -> Result<Client> {
    let failed = || format!("cannot use {}", kubeconfig.display());
    let file = Kubeconfig::read_from(kubeconfig).with_context(failed)?;
    let mut config =
        Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.with_context(failed)?;
    config.connect_timeout = Some(PATIENCE);
    config.read_timeout = Some(PATIENCE);
    config.write_timeout = Some(PATIENCE);
    Client::try_from(config).with_context(failed)
}

/// Whether the API server says that it is ready.
pub(crate) async fn is_ready(client: &Client) -> bool {
    match http::Request::get("/readyz").body(Vec::new()) {
        Ok(request) => client.request_text(request).await.is_ok(),
        Err(_) => false,
    }
}

/// The kind as kube's clients name it.
#[must_use]
pub fn resource(kind: &Kind) -> ApiResource {
    ApiResource::from_gvk_with_plural(&gvk(kind.api_version, kind.kind), kind.plural)
}

fn gvk(api_version: &str, kind: &str) -> GroupVersionKind {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    GroupVersionKind::gvk(group, version, kind)
}

/// The error in the API server's own words, without what surrounds them.
fn said(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => anyhow::anyhow!("{}", status.message),
        error => anyhow::Error::new(error).context("the API does not answer"),
    }
}
