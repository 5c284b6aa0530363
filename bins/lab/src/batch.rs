//! A batch of manifests: read, checked as a whole, and written to the store as an API server would.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use policy::manifest::{Object, ObjectKey, Origin, documents, parse};
use serde_json::{Value, json};

use crate::pod::Pod;
use crate::state::files;
use crate::store::{Change, Store};

/// One object of a batch.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its name among all objects.
    pub key: ObjectKey,
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
                for (key, text) in objects(document.text, file, document.line, &mut wrong) {
                    if !seen.insert(key.clone()) {
                        wrong.push(format!("{file}:{}: {key} is there twice", document.line));
                    }
                    let origin = Origin { file: file.clone(), line: document.line };
                    batch.items.push(Item { key, text, origin });
                }
            }
        }
        if wrong.is_empty() {
            Ok(batch)
        } else {
            bail!("nothing was changed, because of mistakes in the manifests:\n{}", wrong.join("\n"))
        }
    }

    /// Writes the batch to the store, all of it or nothing; says the store's revision.
    ///
    /// # Errors
    /// When the cluster's own objects or a pod's specification would be changed.
    pub fn apply(&self, store: &Store) -> Result<u64> {
        let change = store.change(|change| {
            let mut texts = Vec::new();
            for item in &self.items {
                let old = change.store().get(&item.key)?;
                let text = item
                    .complete(old.map(|old| old.value()).transpose()?)
                    .with_context(|| format!("{}:{}: {}", item.origin.file, item.origin.line, item.key))?;
                texts.push((&item.key, text));
            }
            for (key, text) in texts {
                change.put(key, &text)?;
                make_namespace(change, key)?;
            }
            Ok(())
        });
        change.map(|((), revision)| revision)
    }
}

impl Item {
    /// The text for the store. What an API server fills in is filled in, `old` being what is there.
    fn complete(&self, old: Option<Value>) -> Result<String> {
        let comment = self.origin.comment();
        let value = || -> Result<Value> { Ok(serde_saphyr::from_str(&self.text)?) };
        match self.key.kind.as_str() {
            "Node" => bail!("a lab's nodes are made by netloom lab up --nodes"),
            "Pod" => Ok(format!("{comment}{:#}\n", complete_pod(value()?, old)?)),
            "Namespace" => Ok(format!("{comment}{:#}\n", with_name_label(value()?))),
            _ => Ok(format!("{comment}{}", self.text)),
        }
    }
}

/// The objects of a document: itself, or those of the list that it is.
fn objects(text: &str, file: &str, line: u32, wrong: &mut Vec<String>) -> Vec<(ObjectKey, String)> {
    let before = wrong.len();
    let keys: Vec<_> = parse(text, file, line)
        .into_iter()
        .filter_map(|parsed| match parsed {
            Ok(object) => Some(key(&object)),
            Err(rejected) => {
                wrong.push(rejected.to_string());
                None
            }
        })
        .collect();
    if wrong.len() > before {
        return Vec::new();
    }
    let list = || -> Option<Vec<Value>> {
        let value: Value = serde_saphyr::from_str(text).ok()?;
        value["kind"].as_str()?.ends_with("List").then(|| value["items"].as_array().cloned()).flatten()
    };
    match list() {
        // On one line each, so that every rule is reported at the line where the list begins.
        Some(items) => keys.into_iter().zip(items.iter().map(|item| format!("{item}\n"))).collect(),
        None => keys.into_iter().map(|key| (key, text.to_owned())).collect(),
    }
}

/// The object's name; namespaced kinds without a namespace are in `default`.
fn key(object: &Object) -> ObjectKey {
    object.key()
}

fn complete_pod(mut pod: Value, old: Option<Value>) -> Result<Value> {
    let namespace = Pod::of(&pod)?.name.namespace;
    pod["metadata"]["namespace"] = namespace.into();
    let Some(old) = old else {
        pod["metadata"]["uid"] = uid()?.into();
        pod["status"] = json!({"phase": "Pending"});
        return Ok(pod);
    };
    if pod["spec"].get("nodeName").is_none()
        && let Some(node) = old["spec"].get("nodeName")
    {
        pod["spec"]["nodeName"] = node.clone();
    }
    ensure!(pod["spec"] == old["spec"], "a pod's spec cannot be changed: delete the pod first");
    pod["metadata"]["uid"] = old["metadata"]["uid"].clone();
    pod["status"] = old["status"].clone();
    Ok(pod)
}

/// Namespaces carry their name as a label, which policies select them by.
fn with_name_label(mut namespace: Value) -> Value {
    let name = namespace["metadata"]["name"].clone();
    if !namespace["metadata"]["labels"].is_object() {
        namespace["metadata"]["labels"] = json!({});
    }
    namespace["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
    namespace
}

/// Makes the namespace of an object, if nobody has: a lab is not strict about that.
fn make_namespace(change: &mut Change<'_>, key: &ObjectKey) -> Result<()> {
    let Some(name) = &key.namespace else { return Ok(()) };
    let namespace = ObjectKey { kind: "Namespace".into(), namespace: None, name: name.clone() };
    if change.store().get(&namespace)?.is_some() {
        return Ok(());
    }
    let value = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    change.put(&namespace, &format!("{:#}\n", with_name_label(value)))
}

/// Makes the namespaces that every cluster has.
///
/// # Errors
/// When the store cannot be written.
pub fn make_default_namespaces(change: &mut Change<'_>) -> Result<()> {
    for name in ["default", "kube-system"] {
        let of = ObjectKey { kind: String::new(), namespace: Some(name.into()), name: String::new() };
        make_namespace(change, &of)?;
    }
    Ok(())
}

/// A random uid, in the form that Kubernetes has.
fn uid() -> Result<String> {
    let bytes = crate::random::bytes::<16>()?;
    let hex = crate::random::hex(&bytes);
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
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

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().into());
        (directory, store)
    }

    #[test]
    fn a_policy_is_kept_as_it_was_written() {
        let policy = "# who may\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec:\n  podSelector: {} # all\n";
        let (_directory, store) = store();
        batch(&format!("{POD}---\n{policy}")).unwrap().apply(&store).unwrap();
        let kept = &store.of_kind("NetworkPolicy").unwrap()[0];
        assert_eq!(kept.text, format!("# netloom-source: a.yaml:7\n{policy}"));
        let namespace = store.of_kind("Namespace").unwrap()[0].value().unwrap();
        assert_eq!(namespace["metadata"]["labels"]["kubernetes.io/metadata.name"], "shop");
    }

    #[test]
    fn one_mistake_refuses_the_batch_and_is_named_by_line() {
        let bad = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n  podSelector: {}\n  ingres: []\n";
        let error = batch(&format!("{POD}---\n{bad}")).unwrap_err().to_string();
        assert!(error.contains("a.yaml:12:3") && error.contains("ingres"), "{error}");
        assert!(batch(&format!("{POD}---\n{POD}")).unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn a_pods_labels_may_change_but_not_its_spec() {
        let (_directory, store) = store();
        batch(POD).unwrap().apply(&store).unwrap();
        let pod = || store.of_kind("Pod").unwrap()[0].value().unwrap();
        let uid = pod()["metadata"]["uid"].clone();
        assert_eq!(uid.as_str().unwrap().len(), 36);
        let labelled = POD.replace("namespace: shop", "namespace: shop, labels: {a: b}");
        batch(&labelled).unwrap().apply(&store).unwrap();
        assert_eq!((&pod()["metadata"]["uid"], &pod()["metadata"]["labels"]["a"]), (&uid, &json!("b")));
        let error = batch(&POD.replace("image: i", "image: j")).unwrap().apply(&store).unwrap_err();
        assert!(format!("{error:#}").contains("cannot be changed"), "{error:#}");
    }

    #[test]
    fn lists_are_taken_apart() {
        let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n- {apiVersion: v1, kind: Namespace, metadata: {name: b}}\n";
        let (_directory, store) = store();
        batch(list).unwrap().apply(&store).unwrap();
        assert_eq!(store.of_kind("Namespace").unwrap().len(), 2);
    }

    #[test]
    fn nodes_are_not_the_users() {
        let (_directory, store) = store();
        let node = "apiVersion: v1\nkind: Node\nmetadata: {name: node1}\nspec: {podCIDRs: [10.0.0.0/24]}\n";
        assert!(batch(node).and_then(|batch| batch.apply(&store)).is_err());
    }
}
