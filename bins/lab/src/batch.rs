//! A batch of manifests: read, checked as a whole, and sent to the API.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use policy::manifest::{Object, ObjectKey, Origin, documents, parse};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Target, named};
use crate::locations::{self, RULES};
use crate::state::files;

/// The annotation that tells where the manifest of an object is: `FILE:LINE`.
pub const MANIFEST: &str = "netloom.io/manifest";

/// One object of a batch.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its name among all objects, and the API version of its kind.
    pub target: Target,
    /// The document as its user wrote it.
    pub text: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Objects that are applied or deleted together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The objects, in the order of the files.
    pub items: Vec<Item>,
}

impl Batch {
    /// Reads a file, the `.yaml`, `.yml` and `.json` files of a directory, or standard input (`-`).
    ///
    /// # Errors
    /// When something cannot be read, or any document is invalid: then the error has every diagnostic.
    pub fn read(paths: &[impl AsRef<Path>]) -> Result<Self> {
        let mut texts = Vec::new();
        for path in paths {
            let path = path.as_ref();
            if path == Path::new("-") {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
                texts.push(("<stdin>".to_owned(), text));
            } else if path.is_dir() {
                let manifests = |file: &&std::path::PathBuf| {
                    file.extension().is_some_and(|ext| ext == "yaml" || ext == "yml" || ext == "json")
                };
                let all = files(path)?;
                ensure!(all.iter().any(|file| manifests(&file)), "no manifests in {}", path.display());
                for file in all.iter().filter(manifests) {
                    texts.push((file.display().to_string(), read(file)?));
                }
            } else {
                texts.push((path.display().to_string(), read(path)?));
            }
        }
        Self::parse(&texts)
    }

    /// Reads manifests from texts with their files' names.
    ///
    /// # Errors
    /// When any document is invalid: then the error has every diagnostic.
    pub fn parse(texts: &[(String, String)]) -> Result<Self> {
        let mut batch = Self::default();
        let mut seen = BTreeSet::new();
        let mut wrong = Vec::new();
        for (file, text) in texts {
            for document in documents(text) {
                for (target, text) in objects(document.text, file, document.line, &mut wrong) {
                    if !seen.insert(target.clone()) {
                        wrong.push(format!("{file}:{}: {} is there twice", document.line, target.key));
                    }
                    let origin = Origin { file: file.clone(), line: document.line };
                    batch.items.push(Item { target, text, origin });
                }
            }
        }
        if wrong.is_empty() {
            Ok(batch)
        } else {
            bail!("nothing was changed, because of mistakes in the manifests:\n{}", wrong.join("\n"))
        }
    }

    /// Sends the batch to the API: namespaces first, then the others in their order. Namespaces that objects name
    /// and nobody made are made. Says the objects and the versions that they have now.
    ///
    /// # Errors
    /// When the API refuses one. Those before it are changed.
    pub fn apply(&self, cluster: &Cluster) -> Result<Vec<(ObjectKey, String)>> {
        let own = |item: &&Item| item.target.key.kind == "Node";
        if let Some(item) = self.items.iter().find(own) {
            bail!("{}: a lab's nodes are made by netloom lab up --nodes", item.place());
        }
        let is_namespace = |item: &&Item| item.target.key.kind == "Namespace";
        let (first, then): (Vec<_>, Vec<_>) = self.items.iter().partition(is_namespace);
        let mut made: BTreeSet<&str> = BTreeSet::from(["default", "kube-system"]);
        made.extend(first.iter().map(|item| item.target.key.name.as_str()));
        let mut applied = Vec::with_capacity(self.items.len());
        for item in first.into_iter().chain(then) {
            if let Some(namespace) = item.target.key.namespace.as_deref()
                && made.insert(namespace)
            {
                cluster.make_namespace(namespace)?;
            }
            let object = cluster
                .apply(&item.target, &item.value()?)
                .with_context(|| format!("{}: {}", item.place(), item.target.key))?;
            applied.push((item.target.key.clone(), object.metadata.resource_version.unwrap_or_default()));
        }
        Ok(applied)
    }
}

impl Item {
    /// Where its document is.
    fn place(&self) -> String {
        format!("{}:{}", self.origin.file, self.origin.line)
    }

    /// The object, with a note of where its manifest is.
    fn value(&self) -> Result<Value> {
        let mut value: Value =
            serde_saphyr::from_str(&self.text).with_context(|| format!("{}: not read", self.place()))?;
        value["metadata"]["annotations"][MANIFEST] = self.place().into();
        let lines = locations::lines(&self.text, &self.origin.file, self.origin.line);
        if !lines.is_empty() {
            value["metadata"]["annotations"][RULES] = json!(lines).to_string().into();
        }
        if let Some(namespace) = &self.target.key.namespace {
            value["metadata"]["namespace"] = json!(namespace);
        }
        // What the server and others write is not for a manifest to say.
        if let Value::Object(fields) = &mut value {
            fields.remove("status");
        }
        if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
            for field in ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"] {
                metadata.remove(field);
            }
        }
        Ok(value)
    }
}

/// The objects of a document: itself, or those of the list that it is.
fn objects(text: &str, file: &str, line: u32, wrong: &mut Vec<String>) -> Vec<(Target, String)> {
    let before = wrong.len();
    let objects: Vec<_> = parse(text, file, line)
        .into_iter()
        .filter_map(|parsed| match parsed {
            Ok(object) => Some(object),
            Err(rejected) => {
                wrong.push(rejected.to_string());
                None
            }
        })
        .collect();
    if wrong.len() > before {
        return Vec::new();
    }
    let value = || serde_saphyr::from_str::<Value>(text).ok();
    let list = || -> Option<(Value, Vec<Value>)> {
        let value = value()?;
        let items = value["items"].as_array()?.clone();
        value["kind"].as_str()?.ends_with("List").then_some((value, items))
    };
    match list() {
        // On one line each, so that every rule is reported at the line where the list begins.
        Some((list, items)) => {
            let target = |(object, item): (&Object, Value)| {
                let item = complete(item, &list, object);
                (target(object, item["apiVersion"].as_str()), format!("{item}\n"))
            };
            objects.iter().zip(items).map(target).collect()
        }
        None => {
            let version = value().and_then(|value| value["apiVersion"].as_str().map(str::to_owned));
            let target = |object: &Object| (target(object, version.as_deref()), text.to_owned());
            objects.iter().map(target).collect()
        }
    }
}

/// Items of a list of one kind may leave out what the list says.
fn complete(mut item: Value, list: &Value, object: &Object) -> Value {
    if item["apiVersion"].is_null() {
        item["apiVersion"] = list["apiVersion"].clone();
    }
    if item["kind"].is_null() {
        item["kind"] = object.kind().into();
    }
    item
}

/// The object's name and API version. Objects of kinds that need a namespace and name none are in `default`.
fn target(object: &Object, api_version: Option<&str>) -> Target {
    let mut key = object.key();
    let known = named(&key.kind);
    if known.is_some_and(|known| known.namespaced) && key.namespace.is_none() {
        key.namespace = Some("default".into());
    }
    let api_version = api_version.or(known.map(|known| known.api_version)).unwrap_or_default();
    Target { api_version: api_version.to_owned(), key }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec:\n  containers: [{name: c, image: i}]\n";

    fn batch(text: &str) -> Result<Batch> {
        Batch::parse(&[("a.yaml".to_owned(), text.to_owned())])
    }

    #[test]
    fn an_object_knows_its_manifest_and_nothing_of_the_servers() {
        let status = "status: {phase: Running}\n";
        let pod = &batch(&format!("# who\n---\n{POD}{status}")).unwrap().items[0];
        let value = pod.value().unwrap();
        assert_eq!(value["metadata"]["annotations"][MANIFEST], "a.yaml:3");
        assert!(value.get("status").is_none() && value["spec"]["containers"][0]["image"] == "i");
        assert_eq!(
            (pod.target.api_version.as_str(), pod.target.key.to_string().as_str()),
            ("v1", "Pod shop/web")
        );
    }

    #[test]
    fn one_mistake_refuses_the_batch_and_is_named_by_line() {
        let bad = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n  podSelector: {}\n  ingres: []\n";
        let error = batch(&format!("{POD}---\n{bad}")).unwrap_err().to_string();
        assert!(error.contains("a.yaml:12:3") && error.contains("ingres"), "{error}");
        assert!(batch(&format!("{POD}---\n{POD}")).unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn lists_are_taken_apart() {
        let list = "apiVersion: v1\nkind: NamespaceList\nitems:\n- {metadata: {name: a}}\n- {apiVersion: v1, kind: Namespace, metadata: {name: b}}\n";
        let items = batch(list).unwrap().items;
        assert_eq!(items.len(), 2);
        let value = items[0].value().unwrap();
        assert_eq!((&value["apiVersion"], &value["kind"]), (&json!("v1"), &json!("Namespace")));
    }
}
