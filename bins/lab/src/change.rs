//! Changes of a lab's objects: apply and delete.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use policy::manifest::ObjectKey;

use crate::batch::Batch;
use crate::cluster::{Cluster, Target, meant};
use crate::name::LabName;
use crate::state::State;
use crate::wait::{self, Wanted};

/// Sends a batch to the API; with `patience`, waits until it is enforced.
///
/// # Errors
/// When there is no such lab, the batch is refused, or it takes too long.
pub fn apply(name: &LabName, batch: &Batch, patience: Option<Duration>) -> Result<()> {
    let state = State::running(name)?;
    let deadline = patience.map(|patience| Instant::now() + patience);
    let cluster = Cluster::of(name)?;
    let applied = batch.apply(&cluster)?;
    match deadline {
        Some(deadline) => wait::until(&state, &cluster, &Wanted { applied, ..Wanted::default() }, deadline),
        None => Ok(()),
    }
}

/// Deletes objects; with `patience`, waits until they are gone. Says which were there.
///
/// # Errors
/// When there is no such lab, an object is the lab's own, or it takes too long.
pub fn delete(name: &LabName, targets: &[Target], patience: Option<Duration>) -> Result<Vec<ObjectKey>> {
    let state = State::running(name)?;
    for Target { key, .. } in targets {
        let own = key.kind == "Node"
            || (key.kind == "Namespace" && matches!(key.name.as_str(), "default" | "kube-system"));
        ensure!(!own, "{key} belongs to the lab");
    }
    let deadline = patience.map(|patience| Instant::now() + patience);
    let cluster = Cluster::of(name)?;
    let left = wait::addresses(&cluster)?;
    let mut removed = Vec::new();
    for target in targets {
        if cluster.delete(target).with_context(|| format!("deleting {}", target.key))? {
            removed.push(target.key.clone());
        }
    }
    if let Some(deadline) = deadline {
        let wanted = Wanted { applied: Vec::new(), gone: targets.to_vec(), left };
        wait::until(&state, &cluster, &wanted, deadline)?;
    }
    Ok(removed)
}

/// The object that a user means by `KIND` and `[NAMESPACE/]NAME`.
///
/// # Errors
/// When the kind is not known.
pub fn target(kind: &str, name: &str) -> Result<Target> {
    let Some(kind) = meant(kind) else { bail!("unknown kind {kind:?}: delete with -f takes any") };
    let (namespace, name) = match name.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, name),
    };
    ensure!(kind.namespaced || namespace.is_none(), "a {} has no namespace", kind.kind);
    let namespace = kind.namespaced.then(|| namespace.unwrap_or("default").to_owned());
    ensure!(!name.is_empty() && namespace.as_deref() != Some(""), "an object has a name");
    Target::of(ObjectKey { kind: kind.kind.into(), namespace, name: name.into() })
}

/// Reads manifests and says which objects they name.
///
/// # Errors
/// When a manifest cannot be read.
pub fn targets_of(paths: &[PathBuf]) -> Result<Vec<Target>> {
    let batch = Batch::read(paths).context("cannot tell what to delete")?;
    Ok(batch.items.into_iter().map(|item| item.target).collect())
}
