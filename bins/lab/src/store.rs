//! The store of manifests: what the lab writes and agents watch.
//!
//! A directory with a file for each object, `<kind>_<namespace>_<name>.yaml` in lower case (the namespace is
//! empty for cluster-scoped kinds), and `.revision`, a decimal number that is raised after each change. A
//! reader that reads `.revision` first and the objects then has seen that revision.
//!
//! Policies are kept as their users wrote them, behind a comment that says where they come from, so that
//! rules can be named by file and line. Pods, Namespaces and Nodes, which the lab completes as an API server
//! would, are kept as JSON (which is YAML).

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use policy::manifest::ObjectKey;
use serde_json::Value;

use crate::state::{files, replace};

/// The store of a lab.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
}

/// An object in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Its file.
    pub path: PathBuf,
    /// Its text, with the comment about its origin.
    pub text: String,
}

impl Stored {
    /// The object as JSON.
    ///
    /// # Errors
    /// When the text is no YAML.
    pub fn value(&self) -> Result<Value> {
        serde_saphyr::from_str(&self.text)
            .with_context(|| format!("cannot understand {}", self.path.display()))
    }
}

/// A change of the store, under its lock.
#[derive(Debug)]
pub struct Change<'a> {
    store: &'a Store,
    changed: bool,
}

impl Store {
    /// The store in this directory.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The store's directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The revision; zero where nothing was written yet.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn revision(&self) -> Result<u64> {
        let path = self.directory.join(".revision");
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            text => {
                let text = text.with_context(|| format!("cannot read {}", path.display()))?;
                text.trim().parse().with_context(|| format!("no revision in {}", path.display()))
            }
        }
    }

    /// All objects of a kind, in their files' order.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn of_kind(&self, kind: &str) -> Result<Vec<Stored>> {
        let prefix = format!("{}_", kind.to_lowercase());
        let mut found = self.all()?;
        found.retain(|stored| file_name(&stored.path).starts_with(&prefix));
        Ok(found)
    }

    /// All objects, in their files' order.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn all(&self) -> Result<Vec<Stored>> {
        let mut found = Vec::new();
        for path in files(&self.directory)? {
            match fs::read_to_string(&path) {
                Ok(text) => found.push(Stored { path, text }),
                // Deleted meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
            }
        }
        Ok(found)
    }

    /// An object.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn get(&self, key: &ObjectKey) -> Result<Option<Stored>> {
        let path = self.path(key)?;
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Stored { path, text })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Changes the store; nobody else does meanwhile. The revision is raised when something changed, and
    /// returned.
    ///
    /// # Errors
    /// When the store cannot be locked or written, or `change` fails. What it wrote before stays.
    pub fn change<T>(&self, change: impl FnOnce(&mut Change<'_>) -> Result<T>) -> Result<(T, u64)> {
        let path = self.directory.join(".lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let lock = lock.with_context(|| format!("cannot open {}", path.display()))?;
        let _lock: Flock<File> = Flock::lock(lock, FlockArg::LockExclusive)
            .map_err(|(_, errno)| errno)
            .with_context(|| format!("cannot lock {}", path.display()))?;
        let mut under_way = Change { store: self, changed: false };
        let done = change(&mut under_way);
        let mut revision = self.revision()?;
        if under_way.changed {
            revision += 1;
            replace(&self.directory.join(".revision"), format!("{revision}\n").as_bytes())?;
        }
        done.map(|done| (done, revision))
    }

    fn path(&self, key: &ObjectKey) -> Result<PathBuf> {
        let namespace = key.namespace.as_deref().unwrap_or_default();
        for part in [key.kind.as_str(), namespace, &key.name] {
            if part.contains(['/', '_', '\0']) || part.starts_with('.') {
                bail!("{key}: {part:?} is no name of an object");
            }
        }
        let name = format!("{}_{namespace}_{}.yaml", key.kind.to_lowercase(), key.name);
        Ok(self.directory.join(name))
    }
}

impl Change<'_> {
    /// The store as it is now.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.store
    }

    /// Writes an object; an unchanged one is not written.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&mut self, key: &ObjectKey, text: &str) -> Result<()> {
        if self.store.get(key)?.is_some_and(|stored| stored.text == text) {
            return Ok(());
        }
        replace(&self.store.path(key)?, text.as_bytes())?;
        self.changed = true;
        Ok(())
    }

    /// Removes an object; says whether it was there.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&mut self, key: &ObjectKey) -> Result<bool> {
        let path = self.store.path(key)?;
        match fs::remove_file(&path) {
            Ok(()) => {
                self.changed = true;
                Ok(true)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot remove {}", path.display())),
        }
    }

    /// Removes all objects of a Kubernetes namespace; says which.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn remove_namespace(&mut self, namespace: &str) -> Result<usize> {
        let mut removed = 0;
        for stored in self.store.all()? {
            if file_name(&stored.path).split('_').nth(1) == Some(namespace) {
                fs::remove_file(&stored.path)
                    .with_context(|| format!("cannot remove {}", stored.path.display()))?;
                self.changed = true;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: &str, namespace: Option<&str>, name: &str) -> ObjectKey {
        ObjectKey { kind: kind.into(), namespace: namespace.map(Into::into), name: name.into() }
    }

    #[test]
    fn a_change_raises_the_revision_once_and_an_empty_one_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().into());
        let pod = key("Pod", Some("shop"), "web");
        let node = key("Node", None, "node1");
        let put = |text: &str| {
            let change = store.change(|change| {
                change.put(&pod, text)?;
                change.put(&node, "kind: Node\n")
            });
            change.unwrap().1
        };
        assert_eq!(put("kind: Pod\n"), 1);
        assert_eq!(put("kind: Pod\n"), 1);
        assert_eq!(put("kind: Pod\nx: 1\n"), 2);
        assert!(directory.path().join("pod_shop_web.yaml").exists());
        assert!(directory.path().join("node__node1.yaml").exists());
        assert_eq!(store.of_kind("Pod").unwrap().len(), 1);
        assert_eq!(store.get(&pod).unwrap().unwrap().value().unwrap()["x"], 1);

        let (removed, revision) = store.change(|change| change.remove_namespace("shop")).unwrap();
        assert_eq!((removed, revision), (1, 3));
        let (removed, revision) = store.change(|change| change.remove(&pod)).unwrap();
        assert_eq!((removed, revision), (false, 3));
    }

    #[test]
    fn names_stay_in_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().into());
        for name in ["../x", "a_b", "a/b"] {
            assert!(store.change(|change| change.put(&key("Pod", Some("n"), name), "")).is_err(), "{name}");
        }
    }
}
