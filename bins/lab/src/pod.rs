//! Pods as the lab sees them in the store.

use std::net::IpAddr;

use anyhow::{Context, Result};
use api::PodRef;
use policy::manifest::ObjectKey;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::store::Store;

/// A port that a pod declares.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its number.
    #[serde(rename = "containerPort")]
    pub number: u16,
    /// `TCP`, `UDP` or `SCTP`.
    #[serde(default = "tcp")]
    pub protocol: String,
}

fn tcp() -> String {
    "TCP".into()
}

/// A pod in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: PodRef,
    /// Told from an earlier pod of the same name by this.
    pub uid: String,
    /// Where it is to run.
    pub node: Option<String>,
    /// Whether it has the node's addresses.
    pub host_network: bool,
    /// The ports that it declares.
    pub ports: Vec<Port>,
    /// How far it has come.
    pub status: Status,
}

/// How far a pod has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// `Pending` or `Running`; empty where the daemon has not seen it.
    pub phase: String,
    /// Why it does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its first address.
    #[serde(rename = "podIP", skip_serializing_if = "Option::is_none")]
    pub pod_ip: Option<IpAddr>,
    /// Its addresses.
    #[serde(rename = "podIPs", skip_serializing_if = "Vec::is_empty")]
    pub pod_ips: Vec<PodIp>,
    /// The node's first address.
    #[serde(rename = "hostIP", skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<IpAddr>,
}

/// One of a pod's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodIp {
    /// The address.
    pub ip: IpAddr,
}

impl Status {
    /// A pod that runs and has these addresses.
    #[must_use]
    pub fn running(addresses: &[IpAddr], host: Option<IpAddr>) -> Self {
        Self {
            phase: "Running".into(),
            message: None,
            pod_ip: addresses.first().copied(),
            pod_ips: addresses.iter().map(|ip| PodIp { ip: *ip }).collect(),
            host_ip: host,
        }
    }

    /// A pod that does not run yet.
    #[must_use]
    pub fn pending(message: String) -> Self {
        Self { phase: "Pending".into(), message: Some(message), ..Self::default() }
    }

    /// Its addresses.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.pod_ips.iter().map(|pod| pod.ip).collect()
    }
}

/// The part of a Pod that the lab reads.
#[derive(Deserialize)]
struct Form {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    uid: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: Option<String>,
    host_network: bool,
    containers: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    ports: Vec<Port>,
}

impl Pod {
    /// Reads a Pod object.
    ///
    /// # Errors
    /// When it has not the form of one.
    pub fn of(value: &Value) -> Result<Self> {
        let form = Form::deserialize(value).context("cannot understand a Pod")?;
        let namespace = form.metadata.namespace.unwrap_or_else(|| "default".into());
        let mut ports: Vec<Port> = form.spec.containers.into_iter().flat_map(|c| c.ports).collect();
        ports.sort_by(|a, b| (a.number, &a.protocol).cmp(&(b.number, &b.protocol)));
        ports.dedup_by(|a, b| (a.number, &a.protocol) == (b.number, &b.protocol));
        Ok(Self {
            name: PodRef { namespace, name: form.metadata.name },
            uid: form.metadata.uid,
            node: form.spec.node_name,
            host_network: form.spec.host_network,
            ports,
            status: form.status,
        })
    }

    /// All pods of the store.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn all(store: &Store) -> Result<Vec<Self>> {
        store.of_kind("Pod")?.iter().map(|stored| Self::of(&stored.value()?)).collect()
    }

    /// One pod of the store.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get(store: &Store, name: &PodRef) -> Result<Option<Self>> {
        store.get(&key(name))?.map(|stored| Self::of(&stored.value()?)).transpose()
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.status.phase == "Running"
    }
}

/// The pod's name among all objects.
#[must_use]
pub fn key(name: &PodRef) -> ObjectKey {
    ObjectKey { kind: "Pod".into(), namespace: Some(name.namespace.clone()), name: name.name.clone() }
}

/// Changes the pod with this uid in the store; a pod that is gone, or another of the same name, is left
/// alone.
///
/// # Errors
/// When the store cannot be read or written.
pub fn update(store: &Store, name: &PodRef, uid: &str, update: impl FnOnce(&mut Value)) -> Result<()> {
    let change = store.change(|change| {
        let Some(stored) = change.store().get(&key(name))? else { return Ok(()) };
        let mut value = stored.value()?;
        if value["metadata"]["uid"] == json!(uid) {
            update(&mut value);
            change.put(&key(name), &keep_origin(&stored.text, &value))?;
        }
        Ok(())
    });
    change.map(drop)
}

/// The object's text, behind the comment about its origin that `old` begins with.
#[must_use]
pub fn keep_origin(old: &str, value: &Value) -> String {
    let origin = policy::manifest::Origin::of(old).map(|origin| origin.comment()).unwrap_or_default();
    // Pretty, for whoever looks.
    format!("{origin}{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ports_and_addresses() {
        let text = "metadata: {name: web}\nspec:\n  containers:\n  - ports: [{containerPort: 80}, {containerPort: 53, protocol: UDP, name: dns}]\nstatus: {phase: Running, podIPs: [{ip: 10.0.0.1}]}\n";
        let pod = Pod::of(&serde_saphyr::from_str(text).unwrap()).unwrap();
        assert_eq!(pod.name.to_string(), "default/web");
        assert_eq!(pod.ports[1], Port { name: None, number: 80, protocol: "TCP".into() });
        assert_eq!(pod.ports[0].name.as_deref(), Some("dns"));
        assert!(pod.is_running() && pod.status.addresses() == ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn another_pod_of_the_same_name_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().into());
        let name = PodRef { namespace: "default".into(), name: "web".into() };
        let pod = json!({"metadata": {"name": "web", "namespace": "default", "uid": "new"}});
        store.change(|change| change.put(&key(&name), &pod.to_string())).unwrap();
        update(&store, &name, "old", |value| value["spec"]["nodeName"] = json!("node1")).unwrap();
        assert_eq!(Pod::get(&store, &name).unwrap().unwrap().node, None);
        update(&store, &name, "new", |value| value["spec"]["nodeName"] = json!("node1")).unwrap();
        assert_eq!(Pod::get(&store, &name).unwrap().unwrap().node.as_deref(), Some("node1"));
    }
}
