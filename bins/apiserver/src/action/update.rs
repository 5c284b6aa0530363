//! Changes of objects that are there.

use std::sync::Arc;

use serde_json::Value;

use super::create::{give_address, put_new};
use super::intake::finish;
use super::{Write, create, take_in};
use crate::api::{Api, Refused};
use crate::convert;
use crate::error::{ApiError, FieldError};
use crate::meta;
use crate::patch::fieldset;
use crate::patch::managed::{Author, Managers, Operation};
use crate::resource::{CRDS, Resource, custom};
use crate::store::{Expect, Stored};

/// A changed object on its way to the store.
pub(crate) struct Change {
    /// The object, as the client's version shows it, without its managed fields.
    pub(crate) object: Value,
    /// The owners of its fields, where they are known already (server-side apply).
    pub(crate) managers: Option<Managers>,
}

/// Replaces an object by what a client sent.
pub(crate) fn update(
    api: &Api,
    resource: &Resource,
    write: &mut Write,
    mut object: Value,
) -> Result<Arc<Stored>, ApiError> {
    super::check_identity(resource, &mut object)?;
    take_in(resource, &mut object, write.unknown, &mut write.warnings)?;
    let name = meta::name(&object);
    if name != &*write.key.name {
        let why = format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            write.key.name
        );
        return Err(ApiError::bad_request(why));
    }
    let namespace = meta::meta(&object, "namespace");
    if resource.namespaced && !namespace.is_empty() && namespace != &*write.key.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if resource.namespaced {
        let namespace = write.key.namespace.to_string();
        meta::set_meta(&mut object, "namespace", namespace);
    }
    let conditional = !matches!(meta::meta(&object, "resourceVersion"), "" | "0");
    if !conditional && !may_overwrite(resource) {
        let why =
            FieldError::invalid("metadata.resourceVersion", &0.into(), "must be specified for an update");
        return Err(ApiError::invalid(resource, &write.key.name, &[why]));
    }
    loop {
        let Some(current) = api.store.get(&resource.table, &write.key) else {
            if may_create(resource) && write.subresource.is_empty() && !conditional {
                return create(api, resource, write, object);
            }
            return Err(ApiError::not_found(resource, &write.key.name));
        };
        let change = Change { object: object.clone(), managers: None };
        match replace(api, resource, write, &current, change) {
            Err(Refused::Changed) => {}
            Err(Refused::Error(error)) => return Err(error),
            Ok(stored) => return Ok(stored),
        }
    }
}

/// Whether the kind takes updates that name no version.
fn may_overwrite(resource: &Resource) -> bool {
    !resource.custom && !matches!(&*resource.group, "coordination.k8s.io" | "apiextensions.k8s.io")
}

/// Whether the kind's objects can be created by an update.
fn may_create(resource: &Resource) -> bool {
    matches!(
        (&*resource.group, &*resource.plural),
        ("coordination.k8s.io", _) | ("rbac.authorization.k8s.io", _) | ("", "events" | "endpoints")
    )
}

/// Writes a change that the server itself made to what it read, for a client.
pub(crate) fn rewrite(
    api: &Api,
    resource: &Resource,
    write: &Write,
    current: &Stored,
    object: Value,
) -> Result<Arc<Stored>, ApiError> {
    replace(api, resource, write, current, Change { object, managers: None }).map_err(|refused| match refused
    {
        Refused::Changed => ApiError::conflict(
            resource,
            &write.key.name,
            "the object has been modified; please apply your changes to the latest version and try again",
        ),
        Refused::Error(error) => error,
    })
}

/// Replaces the object that was read by a changed one.
pub(super) fn replace(
    api: &Api,
    resource: &Resource,
    write: &Write,
    current: &Stored,
    change: Change,
) -> Result<Arc<Stored>, Refused> {
    let name = &*write.key.name;
    let Change { mut object, managers } = change;
    let mut old = convert::from_storage(resource, current.value());
    let conflict = |why: &str| ApiError::conflict(resource, name, why);
    let version = meta::meta(&object, "resourceVersion");
    if !matches!(version, "" | "0") && version != current.version.to_string() {
        return Err(conflict(
            "the object has been modified; please apply your changes to the latest version and try again",
        )
        .into());
    }
    let uid = meta::meta(&object, "uid").to_owned();
    if !uid.is_empty() && *uid != *current.uid {
        return Err(conflict(&format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            current.uid
        ))
        .into());
    }
    let complete_old = old.clone();
    let mut before = Managers::take(&mut old);
    let sent = Managers::take_list(&mut object);
    if sent.is_some_and(|list| list == [serde_json::json!({})]) {
        // Asked for by the client: forget who owns what.
        before = Managers::default();
    }
    keep_identity(&old, &mut object);
    keep_other_parts(resource, write, &old, &mut object);
    if resource.is("", "services") {
        keep_address(&old, &mut object);
    }
    // A binding sets what nobody may change afterwards.
    let fixed = if write.subresource == "binding" { None } else { Some(&old) };
    finish(resource, fixed, &mut object)?;
    if resource.is("", "services") {
        give_address(api, &mut object)?;
    }
    if resource.is("apiextensions.k8s.io", CRDS) {
        custom::accept(&mut object, &meta::now());
    }
    count_generation(resource, &old, &mut object);
    let mut managers = managers.unwrap_or_else(|| {
        let author = Author {
            manager: &write.manager,
            operation: Operation::Update,
            api_version: &resource.api_version(),
            subresource: &write.subresource,
        };
        let mut managers = before;
        managers.updated(&author, fieldset::difference(&resource.schema, &old, &object), &meta::now());
        managers
    });
    managers.trim();
    managers.put(&mut object);
    let version: Value = current.version.to_string().into();
    meta::set_meta(&mut object, "resourceVersion", version);
    if object == complete_old {
        return Ok(Arc::new(Stored::of(current.key.clone(), current.version, &current.value(), &[])));
    }
    let object = convert::to_storage(resource, object);
    if write.dry_run {
        return Ok(Arc::new(Stored::of(current.key.clone(), current.version, &object, &[])));
    }
    let expect = Expect::Version(current.version);
    if is_finished(&object) {
        // The last finalizer is gone. The client sees what it wrote.
        let stored = api.commit(resource, &current.key, expect, Some(object))?;
        return api.commit(resource, &current.key, Expect::Version(stored.version), None);
    }
    api.commit(resource, &current.key, expect, Some(object))
}

/// Whether nothing stands in the way of a deletion that has begun.
fn is_finished(object: &Value) -> bool {
    let grace = meta::at(object, &["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_i64);
    let namespace_content = object.pointer("/spec/finalizers").and_then(Value::as_array);
    let is_namespace = crate::resource::kind_of(object) == ("v1", "Namespace");
    meta::is_terminating(object)
        && !meta::has_finalizers(object)
        && grace.unwrap_or(0) == 0
        && !(is_namespace && namespace_content.is_some_and(|list| !list.is_empty()))
}

/// What a client can't change.
fn keep_identity(old: &Value, object: &mut Value) {
    let old = old.get("metadata").and_then(Value::as_object);
    let metadata = meta::metadata_mut(object);
    for key in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "generation",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "generateName",
    ] {
        match old.and_then(|old| old.get(key)) {
            Some(value) => metadata.insert(key.to_owned(), value.clone()),
            None => metadata.remove(key),
        };
    }
}

/// A service whose address is left out keeps the one that it has.
fn keep_address(old: &Value, service: &mut Value) {
    let addressed = |service: &Value| meta::text(service, &["spec", "type"]) != Some("ExternalName");
    let given = meta::text(service, &["spec", "clusterIP"]).unwrap_or_default();
    if given.is_empty()
        && addressed(old)
        && addressed(service)
        && let Some(address) = meta::at(old, &["spec", "clusterIP"])
    {
        meta::object_at(service, "spec").insert("clusterIP".into(), address.clone());
    }
}

/// A status is changed through its subresource only, and the rest not through that.
fn keep_other_parts(resource: &Resource, write: &Write, old: &Value, object: &mut Value) {
    let restore = |object: &mut Value, key: &str| {
        match old.get(key) {
            Some(value) => meta::as_object(object).insert(key.to_owned(), value.clone()),
            None => meta::as_object(object).remove(key),
        };
    };
    match write.subresource.as_str() {
        "status" if resource.custom => {
            let status = object.get("status").cloned();
            *object = old.clone();
            match status {
                Some(status) => meta::as_object(object).insert("status".into(), status),
                None => meta::as_object(object).remove("status"),
            };
        }
        "status" => restore(object, "spec"),
        // Whoever is entitled to what these do.
        "finalize" | "binding" | "scale" => {}
        _ => {
            if resource.status {
                restore(object, "status");
            }
            if resource.is("", "namespaces") {
                restore(object, "spec");
            }
        }
    }
}

/// Counts changes of what is wanted.
fn count_generation(resource: &Resource, old: &Value, object: &mut Value) {
    if !resource.generation {
        return;
    }
    let wanted = |object: &Value| {
        let mut object = object.clone();
        let map = meta::as_object(&mut object);
        map.remove("metadata");
        if resource.status {
            map.remove("status");
        }
        object
    };
    if wanted(old) != wanted(object) {
        let generation = meta::at(old, &["metadata", "generation"]).and_then(Value::as_i64).unwrap_or(1);
        meta::set_meta(object, "generation", generation + 1);
    }
}

/// Creates what an apply found missing.
pub(super) fn create_applied(
    api: &Api,
    resource: &Resource,
    write: &Write,
    mut object: Value,
    managers: &Managers,
) -> Result<Arc<Stored>, ApiError> {
    super::create::prepare(api, resource, &mut object)?;
    managers.put(&mut object);
    put_new(api, resource, write, object)
}
