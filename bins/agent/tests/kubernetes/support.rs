//! API servers with what a cluster has from the start, and the source by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use abi::Identity;
use api::{Attachment, PodRef};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt};
use kubernetes::client::{Connector, Settings};
use netloom_agent::metrics::Counts;
use netloom_agent::source::{
    Change, IdentityManagement, Ipam, Kubernetes, KubernetesOptions, Published, RemoteEndpoint, Report,
};
use policy::LabelSet;
use policy::manifest::Object;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// How long something may take that is to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A client without limits.
pub(crate) async fn client(url: &str) -> Client {
    let mut settings = Settings::new("test");
    settings.server = Some(url.to_owned());
    Connector::new(settings).await.unwrap().client().unwrap()
}

/// A client that waits for one second for answers, and for two for a word of a watch.
pub(crate) async fn impatient(url: &str) -> Client {
    let mut settings = Settings::new("test");
    settings.server = Some(url.to_owned());
    (settings.timeout, settings.silence) = (Duration::from_secs(1), Duration::from_secs(2));
    Connector::new(settings).await.unwrap().client().unwrap()
}

/// Where objects of this kind are.
pub(crate) fn resource(client: &Client, object: &Value) -> Api<DynamicObject> {
    let (kind, version) = (object["kind"].as_str().unwrap(), object["apiVersion"].as_str().unwrap());
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let plural = match kind {
        "NetworkPolicy" | "CiliumNetworkPolicy" => {
            format!("{}ies", kind.to_lowercase().trim_end_matches('y'))
        }
        _ => format!("{}s", kind.to_lowercase()),
    };
    let gvk = GroupVersionKind::gvk(group, version, kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &plural);
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// Makes an object; says its version.
pub(crate) async fn create(client: &Client, object: Value) -> String {
    let api = resource(client, &object);
    let made = api.create(&PostParams::default(), &serde_json::from_value(object.clone()).unwrap()).await;
    made.unwrap_or_else(|error| panic!("{error}: {object}")).resource_version().unwrap()
}

pub(crate) async fn patch(client: &Client, object: &Value, patch: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap();
    let patched = resource(client, object).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
    patched.unwrap_or_else(|error| panic!("{error}: {object}"));
}

pub(crate) async fn delete(client: &Client, object: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap();
    resource(client, object).delete(name, &Default::default()).await.unwrap();
}

/// An object as the API has it; none where it has none.
pub(crate) async fn get(client: &Client, kind: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
    let mut object = json!({"kind": kind, "apiVersion": "cilium.io/v2", "metadata": {}});
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = namespace.into();
    }
    let found = resource(client, &object).get_opt(name).await.unwrap()?;
    Some(serde_json::to_value(found).unwrap())
}

pub(crate) fn node(name: &str, address: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"zone": "a"}},
        "spec": {"podCIDRs": ["10.9.1.0/24"]},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    })
}

pub(crate) fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

pub(crate) fn pod(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
        "spec": {
            "nodeName": node,
            "containers": [{"name": "c", "image": "i", "ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}]}],
        },
    })
}

pub(crate) fn policy(name: &str) -> Value {
    json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"endpointSelector": {}, "ingress": [{"fromEntities": ["cluster"]}]},
    })
}

/// Makes definitions, two nodes and a namespace, where they are not there yet.
pub(crate) async fn furnish(client: &Client) {
    kubernetes::install::install(client, &crds::definitions()).await.unwrap();
    for object in [node("n1", "192.0.2.1"), node("n2", "192.0.2.2"), namespace("shop")] {
        create(client, object.clone()).await;
        // Real servers keep the status apart.
        if object["kind"] == "Node" {
            let name = object["metadata"]["name"].as_str().unwrap();
            let status = json!({"status": object["status"]});
            let api = resource(client, &object);
            api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        }
    }
}

/// The labels of a pod called so, in short.
pub(crate) fn labels(app: &str) -> LabelSet {
    let all = [format!("k8s:app={app}"), "k8s:io.kubernetes.pod.namespace=shop".to_owned()];
    all.iter().map(|label| label.parse().unwrap()).collect()
}

pub(crate) fn published(name: &str, identity: Identity) -> Published {
    Published {
        pod: PodRef { namespace: "shop".into(), name: name.into() },
        attachment: Attachment { container_id: format!("c-{name}"), ifname: "eth0".into() },
        id: 7,
        identity,
        labels: labels(name),
        addresses: vec!["10.9.1.7".parse().unwrap(), "fd00::7".parse().unwrap()],
        ingress_enforced: true,
        egress_enforced: false,
    }
}

/// The source of one node, and what it has told so far.
pub(crate) struct Told {
    changes: mpsc::Receiver<Change>,
    reports: mpsc::UnboundedSender<Report>,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
    pub(crate) observed: u64,
    pub(crate) objects: BTreeMap<String, Object>,
    pub(crate) rejected: Vec<String>,
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) endpoints: BTreeMap<String, RemoteEndpoint>,
    /// Those that the list that is being told has not had yet.
    unlisted: BTreeSet<String>,
    /// Of each label set, the number said last.
    pub(crate) numbers: BTreeMap<LabelSet, Identity>,
    _state: tempfile::TempDir,
}

impl Told {
    pub(crate) fn start(client: Client, node: &str, identities: IdentityManagement) -> Self {
        let state = tempfile::tempdir().unwrap();
        let options = KubernetesOptions {
            node: node.into(),
            ipam: Ipam::Kubernetes,
            identities,
            slices: false,
            last_valid: state.path().join("policies"),
            ranges: state.path().join("ranges.json"),
            counts: Counts::default(),
        };
        let (send, changes) = mpsc::channel(16);
        let (reports, reported) = mpsc::unbounded_channel();
        let task = tokio::spawn(Kubernetes::new(client, options).unwrap().run(send, reported));
        Self {
            changes,
            reports,
            task,
            observed: 0,
            objects: BTreeMap::new(),
            rejected: Vec::new(),
            versions: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            unlisted: BTreeSet::new(),
            numbers: BTreeMap::new(),
            _state: state,
        }
    }

    pub(crate) fn report(&self, report: Report) {
        self.reports.send(report).unwrap();
    }

    /// Takes what is told until this holds.
    pub(crate) async fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let all = async {
            while !holds(self) {
                let change = self.changes.recv().await.expect("the source goes on");
                self.take(change);
            }
        };
        let waited = tokio::time::timeout(PATIENCE, all).await;
        assert!(waited.is_ok(), "not told: {what}; {:?} {:?}", self.objects.keys(), self.endpoints);
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::Set(object) => drop(self.objects.insert(object.key().to_string(), *object)),
            Change::Rejected(rejected) => self.rejected.push(rejected.to_string()),
            Change::Removed(key) => drop(self.objects.remove(&key.to_string())),
            Change::Version(key, version) => drop(self.versions.insert(key.to_string(), version)),
            Change::Endpoint(endpoint) => {
                self.unlisted.remove(&endpoint.pod.to_string());
                self.endpoints.insert(endpoint.pod.to_string(), endpoint);
            }
            Change::EndpointGone(pod) => drop(self.endpoints.remove(&pod.to_string())),
            Change::EndpointsBegin => self.unlisted = self.endpoints.keys().cloned().collect(),
            Change::EndpointsEnd => {
                let gone = std::mem::take(&mut self.unlisted);
                self.endpoints.retain(|pod, _| !gone.contains(pod));
            }
            Change::Identity(identity, labels) => drop(self.numbers.insert(labels, identity)),
            Change::IdentityGone(identity) => self.numbers.retain(|_, known| *known != identity),
            Change::Interfaces(_) => {}
            Change::Observed(revision) => {
                assert!(revision > self.observed);
                self.observed = revision;
            }
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks until the answer is the right one.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < end, "it did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) fn addresses(of: &[&str]) -> Vec<IpAddr> {
    of.iter().map(|address| address.parse().unwrap()).collect()
}
