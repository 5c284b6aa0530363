//! Deletion: at once, after a grace period, or after finalizers.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Api, Refused};
use crate::collect::Chore;
use crate::error::ApiError;
use crate::meta;
use crate::resource::{CRDS, NAMESPACES, Resource};
use crate::store::{Expect, Key, Stored};

/// Finalizer of an object whose dependents go first.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of an object whose dependents stay.
pub(crate) const ORPHAN: &str = "orphan";
/// Finalizer of a definition whose objects go first.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Namespaces that nobody may delete.
const STAYING: &[&str] = &["default", "kube-public", "kube-system"];

/// How a client wants a deletion.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DeleteOptions {
    pub(crate) grace_period_seconds: Option<i64>,
    pub(crate) propagation_policy: Option<String>,
    pub(crate) orphan_dependents: Option<bool>,
    pub(crate) preconditions: Option<Preconditions>,
    pub(crate) dry_run: Option<Vec<String>>,
}

/// What has to be so.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Preconditions {
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
}

/// What came of a deletion.
pub(crate) enum Deleted {
    /// It is gone; this was its last state.
    Gone(Arc<Stored>),
    /// It is on its way.
    Pending(Arc<Stored>),
}

/// Deletes an object.
pub(crate) fn delete(
    api: &Api,
    resource: &Resource,
    key: &Key,
    options: &DeleteOptions,
) -> Result<Deleted, ApiError> {
    if resource.is("", NAMESPACES) && STAYING.contains(&&*key.name) {
        return Err(ApiError::forbidden(resource, &key.name, "this namespace may not be deleted"));
    }
    loop {
        let Some(current) = api.store.get(&resource.table, key) else {
            return Err(ApiError::not_found(resource, &key.name));
        };
        check(resource, &current, options)?;
        match step(api, resource, &current, options) {
            Err(Refused::Changed) => {}
            Err(Refused::Error(error)) => return Err(error),
            Ok(deleted) => return Ok(deleted),
        }
    }
}

fn check(resource: &Resource, current: &Stored, options: &DeleteOptions) -> Result<(), ApiError> {
    let Some(wanted) = &options.preconditions else { return Ok(()) };
    let conflict = |what: &str, wanted: &str, found: &str| {
        let why =
            format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}");
        ApiError::conflict(resource, &current.key.name, &why)
    };
    if let Some(uid) = wanted.uid.as_deref().filter(|uid| **uid != *current.uid) {
        return Err(conflict("UID", uid, &current.uid));
    }
    let version = current.version.to_string();
    if let Some(wanted) = wanted.resource_version.as_deref().filter(|wanted| *wanted != version) {
        return Err(conflict("ResourceVersion", wanted, &version));
    }
    Ok(())
}

fn step(
    api: &Api,
    resource: &Resource,
    current: &Stored,
    options: &DeleteOptions,
) -> Result<Deleted, Refused> {
    let expect = Expect::Version(current.version);
    let old = current.value();
    let mut object = old.clone();
    let grace = grace(resource, &old, options);
    add_finalizers(api, resource, &mut object, options);
    let waits = grace > 0 || meta::has_finalizers(&object) || resource.is("", NAMESPACES);
    if options.dry_run.as_ref().is_some_and(|list| !list.is_empty()) {
        return Ok(Deleted::Gone(Arc::new(Stored::of(current.key.clone(), current.version, &old, &[]))));
    }
    if !waits {
        return Ok(Deleted::Gone(api.commit(resource, &current.key, expect, None)?));
    }
    let begun = meta::is_terminating(&old);
    let before = meta::at(&old, &["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_i64);
    if !begun || before.is_some_and(|before| grace < before) {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(grace);
        meta::set_meta(&mut object, "deletionTimestamp", meta::time(at));
        meta::set_meta(&mut object, "deletionGracePeriodSeconds", grace);
        if resource.generation && !begun {
            let generation = meta::at(&old, &["metadata", "generation"]).and_then(Value::as_i64).unwrap_or(1);
            meta::set_meta(&mut object, "generation", generation + 1);
        }
    }
    if resource.is("", NAMESPACES) {
        meta::object_at(&mut object, "status").insert("phase".into(), "Terminating".into());
    }
    let stored = if object == old {
        Arc::new(Stored::of(current.key.clone(), current.version, &old, &[]))
    } else {
        api.commit(resource, &current.key, expect, Some(object))?
    };
    follow(api, resource, &stored);
    Ok(Deleted::Pending(stored))
}

/// What has to be done before the object can go.
fn follow(api: &Api, resource: &Resource, stored: &Stored) {
    let name = stored.key.name.to_string();
    if resource.is("", NAMESPACES) {
        api.chore(Chore::Namespace(name));
    } else if resource.is("apiextensions.k8s.io", CRDS) {
        api.chore(Chore::Definition(name));
    } else {
        api.chore(Chore::Terminating { table: resource.table.clone(), key: stored.key.clone() });
    }
}

/// How long the object may take to go. Only pods that run somewhere take any time.
fn grace(resource: &Resource, object: &Value, options: &DeleteOptions) -> i64 {
    if !resource.is("", "pods") {
        return 0;
    }
    let unbound = meta::text(object, &["spec", "nodeName"]).unwrap_or_default().is_empty();
    let phase = meta::text(object, &["status", "phase"]).unwrap_or_default();
    if unbound || matches!(phase, "Succeeded" | "Failed") {
        return 0;
    }
    let own = meta::at(object, &["spec", "terminationGracePeriodSeconds"]).and_then(Value::as_i64);
    options.grace_period_seconds.or(own).unwrap_or(30).max(0)
}

fn add_finalizers(api: &Api, resource: &Resource, object: &mut Value, options: &DeleteOptions) {
    let policy = options.propagation_policy.as_deref();
    let wanted = match policy {
        Some("Foreground") => Some(FOREGROUND),
        Some("Orphan") => Some(ORPHAN),
        _ if options.orphan_dependents == Some(true) => Some(ORPHAN),
        _ if resource.is("apiextensions.k8s.io", CRDS) => {
            let table = crate::resource::custom::table(object);
            let any = !api.store.list(&table, None).objects.is_empty();
            any.then_some(CLEANUP)
        }
        _ => None,
    };
    let metadata = meta::metadata_mut(object);
    let mut list = metadata.get("finalizers").and_then(Value::as_array).cloned().unwrap_or_default();
    if policy.is_some() {
        list.retain(|finalizer| finalizer != FOREGROUND && finalizer != ORPHAN);
    }
    if let Some(wanted) = wanted
        && !list.iter().any(|finalizer| finalizer == wanted)
    {
        list.push(wanted.into());
    }
    if list.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".into(), json!(list));
    }
}
