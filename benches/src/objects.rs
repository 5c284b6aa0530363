//! Objects of a cluster that does not exist, and writing them to an API server.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use futures_util::{TryStreamExt, stream};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams};
use kube::{Api, Client};
use policy::manifest::{Object, Pod, parse};
use policy::{LabelSet, pod_labels};
use serde_json::{Value, json};

use crate::Error;

/// Requests that are under way at a time.
pub(crate) const AT_ONCE: usize = 32;

/// A kind of `cilium.io/v2`.
pub(crate) fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("cilium.io", "v2", kind))
}

/// The objects of this one's kind and namespace.
pub(crate) fn api(client: &Client, object: &Value) -> Api<DynamicObject> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// Writes an object that is not there yet; says whether it was not.
pub(crate) async fn create(client: &Client, object: Value) -> Result<bool, Error> {
    let api = api(client, &object);
    let object: DynamicObject =
        serde_json::from_value(object).map_err(|source| Error::doing("making an object", source))?;
    match api.create(&PostParams::default(), &object).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        other => other.map(|_| true).map_err(|source| Error::doing("creating an object", source)),
    }
}

/// Writes objects, many at a time; those that are there stay.
pub(crate) async fn create_all(
    client: &Client,
    objects: impl Iterator<Item = Value> + Send,
) -> Result<(), Error> {
    let each = |object| async { create(client, object).await.map(drop) };
    stream::iter(objects.map(Ok)).try_for_each_concurrent(AT_ONCE, each).await
}

/// The labels of a pod's identity, as an agent makes them of the pod's object.
pub(crate) fn labels(pod: &Value) -> LabelSet {
    let pod: Option<Pod> = parse(&pod.to_string(), "bench", 1).into_iter().find_map(|object| match object {
        Ok(Object::Pod(pod)) => Some(pod),
        _ => None,
    });
    pod.map(|pod| pod_labels(&pod, &BTreeMap::new())).unwrap_or_default()
}

/// A CiliumIdentity.
pub(crate) fn identity(number: u32, namespace: &str, labels: &LabelSet) -> Value {
    let security: BTreeMap<String, &str> = labels
        .iter()
        .map(|label| (format!("{}:{}", label.source.as_str(), label.key), label.value.as_str()))
        .collect();
    json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumIdentity",
        "metadata": {
            "name": number.to_string(),
            "labels": {"io.kubernetes.pod.namespace": namespace},
        },
        "security-labels": security,
    })
}

/// A pod of another node, as that node's agent would report it.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint<'a> {
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) id: u32,
    pub(crate) identity: u32,
    pub(crate) labels: &'a LabelSet,
    pub(crate) address: Ipv4Addr,
    /// The node's address.
    pub(crate) node: Ipv4Addr,
}

impl Endpoint<'_> {
    /// The CiliumEndpoint.
    pub(crate) fn object(&self) -> Value {
        let labels: Vec<String> = self.labels.iter().map(ToString::to_string).collect();
        json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumEndpoint",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "status": {
                "id": self.id,
                "identity": {"id": self.identity, "labels": labels},
                "networking": {"addressing": [{"ipv4": self.address}], "node": self.node},
                "state": "ready",
            },
        })
    }
}
