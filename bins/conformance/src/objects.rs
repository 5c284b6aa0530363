//! The objects of a cluster as they are now, and how cases change them.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use lab::plan;
use policy::manifest::{self, Node, Object, ObjectKey, Pod};
use serde_json::{Value, json};

use crate::error::Mistake;
use crate::placeholder;
use crate::suite::{Cluster, Family, Step};

/// An object.
#[derive(Clone, Debug)]
pub struct Thing {
    /// The manifest.
    pub value: Value,
    /// What policy makes of it.
    pub object: Object,
}

/// The objects of a cluster, by name.
#[derive(Clone, Debug, Default)]
pub struct Objects(BTreeMap<ObjectKey, Thing>);

impl Objects {
    /// The objects of a case's cluster. Paths of manifests are relative to `directory`.
    ///
    /// # Errors
    /// When an object makes no sense.
    pub fn of_cluster(cluster: &Cluster, directory: &Path) -> Result<Self, Mistake> {
        let mut objects = Self::default();
        let mut values = Vec::new();
        for item in &cluster.objects {
            values.extend(manifests(item, directory)?);
        }
        for (name, labels) in &cluster.nodes {
            values.push(
                json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}),
            );
        }
        if !values.iter().any(|value| value["kind"] == "Node") {
            values.extend([1, 2].map(|number| plan::Node::numbered(number, false).manifest()));
        }
        for (name, labels) in &cluster.namespaces {
            values.push(
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}),
            );
        }
        for (name, pod) in &cluster.pods {
            let Some((namespace, name)) = name.split_once('/') else {
                return Err(Mistake::PodName(name.clone()));
            };
            let ports: Vec<Value> = pod
                .ports
                .as_ref()
                .unwrap_or(&cluster.ports)
                .iter()
                .map(crate::port::Port::manifest)
                .collect();
            let mut spec = json!({"containers": [{"name": "main", "image": "none", "ports": ports}]});
            if let Some(node) = &pod.node {
                spec["nodeName"] = node.as_str().into();
            }
            values.push(json!({
                "apiVersion": "v1", "kind": "Pod", "spec": spec,
                "metadata": {"name": name, "namespace": namespace, "labels": pod.labels},
            }));
        }
        // Nodes first: pods are dealt out to them.
        values.sort_by_key(|value| value["kind"] != "Node");
        for value in values {
            objects.put(value)?;
        }
        Ok(objects)
    }

    /// Does what a step says.
    ///
    /// # Errors
    /// When that makes no sense.
    pub fn change(&mut self, step: &Step, directory: &Path) -> Result<(), Mistake> {
        for item in &step.apply {
            for value in manifests(item, directory)? {
                self.put(value)?;
            }
        }
        for text in &step.delete {
            if text == "policies" {
                self.0.retain(|_, thing| thing.object.policy().is_none());
                continue;
            }
            let key = key(text)?;
            if self.0.remove(&key).is_none() {
                return Err(Mistake::NotThere(key));
            }
            if key.kind == "Namespace" {
                self.0.retain(|other, _| other.namespace.as_ref() != Some(&key.name));
            }
        }
        for (text, labels) in &step.label {
            let key = key(text)?;
            let Some(thing) = self.0.get(&key) else { return Err(Mistake::NotThere(key)) };
            let mut value = thing.value.clone();
            for (label, text) in labels {
                match (text, value["metadata"]["labels"].as_object_mut()) {
                    (None, Some(all)) => drop(all.remove(label)),
                    (None, None) => {}
                    (Some(text), _) => value["metadata"]["labels"][label] = text.as_str().into(),
                }
            }
            self.put(value)?;
        }
        Ok(())
    }

    /// Adds an object, or replaces the one of its name.
    fn put(&mut self, mut value: Value) -> Result<(), Mistake> {
        placeholder::resolve(&mut value, self)?;
        self.complete(&mut value)?;
        let object = parse(&value)?;
        let key = object.key();
        if key.kind == "Pod"
            && let Some(namespace) = &key.namespace
        {
            let of = ObjectKey { kind: "Namespace".into(), namespace: None, name: namespace.clone() };
            if !self.0.contains_key(&of) {
                self.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}))?;
            }
        }
        self.0.insert(key, Thing { value, object });
        Ok(())
    }

    /// Fills in what an API server and a scheduler would.
    fn complete(&self, value: &mut Value) -> Result<(), Mistake> {
        match value["kind"].as_str() {
            Some("Namespace") => {
                let name = value["metadata"]["name"].clone();
                if !value["metadata"]["labels"].is_object() {
                    value["metadata"]["labels"] = json!({});
                }
                value["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
            }
            Some("Node") if value["status"]["addresses"].is_null() => {
                let known = self.nodes().position(|node| Some(node) == value["metadata"]["name"].as_str());
                let number = known.unwrap_or_else(|| self.nodes().count()) + 1;
                let planned = plan::Node::numbered(u8::try_from(number).unwrap_or(u8::MAX), false).manifest();
                for part in ["spec", "status"] {
                    value[part] = planned[part].clone();
                }
            }
            Some("Pod") => {
                let nodes: Vec<&str> = self.nodes().collect();
                let name = value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                let known = self.pods().find(|pod| {
                    pod.meta.name == name && value["metadata"]["namespace"] == pod.meta.namespace()
                });
                match (value["spec"]["nodeName"].as_str(), known) {
                    (Some(node), _) if !nodes.contains(&node) => {
                        return Err(Mistake::NoNode { pod: name, node: node.to_owned() });
                    }
                    (Some(_), _) => {}
                    (None, Some(known)) => value["spec"]["nodeName"] = known.node_name.as_deref().into(),
                    (None, None) if nodes.is_empty() => {}
                    (None, None) => {
                        value["spec"]["nodeName"] = nodes[self.pods().count() % nodes.len()].into();
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Gives addresses to pods that have none, as the lab would: of their node's range, in turn.
    ///
    /// # Errors
    /// When an object makes no sense with them.
    pub fn place_pods(&mut self) -> Result<(), Mistake> {
        let waiting: Vec<ObjectKey> = self
            .0
            .iter()
            .filter(|(_, thing)| matches!(&thing.object, Object::Pod(pod) if pod.ips.is_empty() && !pod.host_network))
            .map(|(key, _)| key.clone())
            .collect();
        for key in waiting {
            let addresses =
                self.0.get(&key).map(|thing| self.free_addresses(&thing.value)).unwrap_or_default();
            self.set_addresses(&key, &addresses)?;
        }
        Ok(())
    }

    /// Says which addresses a pod has.
    ///
    /// # Errors
    /// When the object makes no sense with them.
    pub fn set_addresses(&mut self, key: &ObjectKey, addresses: &[IpAddr]) -> Result<(), Mistake> {
        let Some(thing) = self.0.get_mut(key) else { return Err(Mistake::NotThere(key.clone())) };
        let ips: Vec<Value> = addresses.iter().map(|address| json!({"ip": address})).collect();
        thing.value["status"] = json!({"phase": "Running", "podIP": addresses.first(), "podIPs": ips});
        thing.object = parse(&thing.value)?;
        Ok(())
    }

    /// The first address of each range of the pod's node that nobody has.
    fn free_addresses(&self, pod: &Value) -> Vec<IpAddr> {
        let node = pod["spec"]["nodeName"].as_str().and_then(|name| self.node(name));
        let taken = |address: &IpAddr| self.pods().any(|pod| pod.ips.contains(address));
        let ranges = node.map(|node| node.pod_cidrs.as_slice()).unwrap_or_default();
        ranges.iter().filter_map(|range| range.iter().skip(1).find(|address| !taken(address))).collect()
    }

    /// The objects.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Thing)> {
        self.0.iter()
    }

    /// An object.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Thing> {
        self.0.get(key)
    }

    /// The pods.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.0.values().filter_map(|thing| match &thing.object {
            Object::Pod(pod) => Some(pod),
            _ => None,
        })
    }

    /// The pod `namespace/name`.
    #[must_use]
    pub fn pod(&self, name: &str) -> Option<&Pod> {
        let (namespace, name) = name.split_once('/')?;
        let namespace = Some(namespace.to_owned());
        let key = ObjectKey { kind: "Pod".into(), namespace, name: name.to_owned() };
        match &self.0.get(&key)?.object {
            Object::Pod(pod) => Some(pod),
            _ => None,
        }
    }

    /// The nodes' names, in order.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.0.keys().filter(|key| key.kind == "Node").map(|key| key.name.as_str())
    }

    /// The node of this name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        let key = ObjectKey { kind: "Node".into(), namespace: None, name: name.to_owned() };
        match &self.0.get(&key)?.object {
            Object::Node(node) => Some(node),
            _ => None,
        }
    }

    /// The addresses of a node.
    #[must_use]
    pub fn node_addresses(&self, name: &str) -> &[IpAddr] {
        self.node(name).map(|node| node.addresses.as_slice()).unwrap_or_default()
    }

    /// What has to be changed to get from `before` to these: objects that go, and objects that come or change.
    #[must_use]
    pub fn since(&self, before: &Self) -> (Vec<ObjectKey>, Vec<&Thing>) {
        let gone = before.0.keys().filter(|key| !self.0.contains_key(key)).cloned().collect();
        let changed = self
            .0
            .iter()
            .filter(|(key, thing)| before.0.get(key).is_none_or(|old| old.value != thing.value))
            .map(|(_, thing)| thing)
            .collect();
        (gone, changed)
    }
}

/// `namespace/name`.
#[must_use]
pub fn pod_name(pod: &Pod) -> String {
    format!("{}/{}", pod.meta.namespace(), pod.meta.name)
}

/// The first address of a family.
#[must_use]
pub fn of_family(addresses: &[IpAddr], family: Family) -> Option<IpAddr> {
    addresses.iter().copied().find(|address| address.is_ipv4() == (family == Family::V4))
}

/// The manifests that an item of a list stands for.
fn manifests(item: &Value, directory: &Path) -> Result<Vec<Value>, Mistake> {
    let Some(file) = item.as_str() else { return Ok(vec![item.clone()]) };
    let path = directory.join(file);
    let text = fs::read_to_string(&path).map_err(|source| Mistake::File { path: path.clone(), source })?;
    let mut values = Vec::new();
    for document in manifest::documents(&text) {
        let value: Value = serde_saphyr::from_str(document.text)
            .map_err(|source| Mistake::Yaml { path: path.clone(), source: Box::new(source) })?;
        match (value["kind"].as_str().is_some_and(|kind| kind.ends_with("List")), value["items"].as_array()) {
            (true, Some(items)) => values.extend(items.iter().cloned()),
            _ if value.is_null() => {}
            _ => values.push(value),
        }
    }
    Ok(values)
}

/// Reads one manifest as policy does.
fn parse(value: &Value) -> Result<Object, Mistake> {
    let kind = value["kind"].as_str().unwrap_or("an object without a kind");
    let name = value["metadata"]["name"].as_str().unwrap_or("without a name");
    // Lines of what we print here are nobody's.
    let mut parsed = manifest::parse(&value.to_string(), "", 1);
    match parsed.pop() {
        // Other objects mean nothing to a pod network, which is well; that a policy does would go unnoticed.
        Some(Ok(Object::Other(other))) if kind.ends_with("Policy") => Err(Mistake::Rejected(format!(
            "{kind} {name}: {} {kind} is no policy that is known",
            other.api_version
        ))),
        Some(Ok(object)) if parsed.is_empty() => Ok(object),
        Some(Err(rejected)) => {
            let lines: Vec<String> = rejected
                .diagnostics
                .iter()
                .map(|one| {
                    let help = one.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
                    format!("{}: {}{help}", one.path, one.message)
                })
                .collect();
            Err(Mistake::Rejected(format!("{kind} {name}: {}", lines.join("; "))))
        }
        _ => Err(Mistake::Rejected(format!("{kind} {name} is not one object"))),
    }
}

/// `KIND NAME` or `KIND NAMESPACE/NAME`.
fn key(text: &str) -> Result<ObjectKey, Mistake> {
    let (kind, name) = text.split_once(' ').ok_or_else(|| Mistake::Key(text.to_owned()))?;
    let (namespace, name) = match name.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name),
        None => (None, name),
    };
    Ok(ObjectKey { kind: kind.to_owned(), namespace, name: name.to_owned() })
}
