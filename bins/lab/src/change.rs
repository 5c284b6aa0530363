//! Changes of a lab's objects: apply and delete.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use api::PodRef;
use policy::manifest::ObjectKey;

use crate::batch::Batch;
use crate::name::LabName;
use crate::paths::Paths;
use crate::state::State;
use crate::store::Store;
use crate::wait;

/// Kinds without a namespace that a lab's user may delete.
const CLUSTER_SCOPED: [&str; 4] =
    ["Namespace", "CiliumClusterwideNetworkPolicy", "ClusterNetworkPolicy", "CiliumCIDRGroup"];

/// Writes a batch to the store; with `patience`, waits until it is enforced. Says the revision.
///
/// # Errors
/// When there is no such lab, the batch is refused (then nothing was changed), or it takes too long.
pub fn apply(name: &LabName, batch: &Batch, patience: Option<Duration>) -> Result<u64> {
    let state = State::load(name)?;
    let revision = batch.apply(&Store::new(Paths::new(name).store()))?;
    match patience {
        Some(patience) => wait::until_enforced(&state, patience),
        None => Ok(revision),
    }
}

/// Removes objects from the store; with `patience`, waits until they are gone. Says which were there.
///
/// # Errors
/// When there is no such lab, an object is the lab's own, or it takes too long.
pub fn delete(name: &LabName, keys: &[ObjectKey], patience: Option<Duration>) -> Result<Vec<ObjectKey>> {
    let state = State::load(name)?;
    let store = Store::new(Paths::new(name).store());
    for key in keys {
        let own = key.kind == "Node"
            || (key.kind == "Namespace" && matches!(key.name.as_str(), "default" | "kube-system"));
        ensure!(!own, "{key} belongs to the lab");
    }
    let pods_before = crate::pod::Pod::all(&store)?;
    let (removed, _) = store.change(|change| {
        let mut removed = Vec::new();
        for key in keys {
            if key.kind == "Namespace" {
                change.remove_namespace(&key.name)?;
            }
            if change.remove(key)? {
                removed.push(key.clone());
            }
        }
        Ok(removed)
    })?;
    if let Some(patience) = patience {
        let gone = |pod: &PodRef| Ok::<_, anyhow::Error>(store.get(&crate::pod::key(pod))?.is_none());
        let mut pods = Vec::new();
        for pod in pods_before {
            if gone(&pod.name)? {
                pods.push(pod.name);
            }
        }
        wait::until_gone(&state, &pods, patience)?;
        wait::until_enforced(&state, patience)?;
    }
    Ok(removed)
}

/// The object that a user means by `KIND` and `[NAMESPACE/]NAME`.
///
/// # Errors
/// When the kind is not known.
pub fn key(kind: &str, name: &str) -> Result<ObjectKey> {
    const KINDS: [(&str, &str); 18] = [
        ("pod", "Pod"),
        ("pods", "Pod"),
        ("po", "Pod"),
        ("namespace", "Namespace"),
        ("ns", "Namespace"),
        ("networkpolicy", "NetworkPolicy"),
        ("netpol", "NetworkPolicy"),
        ("ciliumnetworkpolicy", "CiliumNetworkPolicy"),
        ("cnp", "CiliumNetworkPolicy"),
        ("ciliumclusterwidenetworkpolicy", "CiliumClusterwideNetworkPolicy"),
        ("ccnp", "CiliumClusterwideNetworkPolicy"),
        ("clusternetworkpolicy", "ClusterNetworkPolicy"),
        ("ciliumcidrgroup", "CiliumCIDRGroup"),
        ("ccg", "CiliumCIDRGroup"),
        ("endpointslice", "EndpointSlice"),
        ("service", "Service"),
        ("svc", "Service"),
        ("node", "Node"),
    ];
    let lower = kind.to_lowercase();
    let Some((_, kind)) = KINDS.iter().find(|(alias, _)| *alias == lower) else {
        bail!("unknown kind {kind:?}: delete with -f takes any");
    };
    let (namespace, name) = match name.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, name),
    };
    if CLUSTER_SCOPED.contains(kind) || *kind == "Node" {
        ensure!(namespace.is_none(), "a {kind} has no namespace");
        return Ok(ObjectKey { kind: (*kind).into(), namespace: None, name: name.into() });
    }
    let namespace = namespace.unwrap_or("default");
    ensure!(!name.is_empty() && !namespace.is_empty(), "an object has a name");
    Ok(ObjectKey { kind: (*kind).into(), namespace: Some(namespace.into()), name: name.into() })
}

/// Reads manifests and says which objects they name.
///
/// # Errors
/// When a manifest cannot be read.
pub fn keys_of(paths: &[std::path::PathBuf]) -> Result<Vec<ObjectKey>> {
    let batch = Batch::read(paths).context("cannot tell what to delete")?;
    Ok(batch.items.into_iter().map(|item| item.key).collect())
}
