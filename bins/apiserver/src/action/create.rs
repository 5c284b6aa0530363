//! Creation.

use std::sync::Arc;

use serde_json::{Value, json};

use super::intake::finish;
use super::{Write, check_identity, take_in};
use crate::api::{Api, Refused};
use crate::convert;
use crate::error::ApiError;
use crate::meta;
use crate::patch::apply;
use crate::patch::fieldset;
use crate::patch::managed::{Author, Managers, Operation};
use crate::resource::{CRDS, Resource, custom, names};
use crate::store::{Expect, Key, Stored};

/// Creates an object from what a client sent. The stored object is in the stored version.
pub(crate) fn create(
    api: &Api,
    resource: &Resource,
    write: &mut Write,
    mut object: Value,
) -> Result<Arc<Stored>, ApiError> {
    check_identity(resource, &mut object)?;
    take_in(resource, &mut object, write.unknown, &mut write.warnings)?;
    if !matches!(meta::meta(&object, "resourceVersion"), "" | "0") {
        return Err(ApiError::bad_request("resourceVersion should not be set on objects to be created"));
    }
    if !resource.custom || resource.status {
        drop_status(resource, &mut object);
    }
    identify(resource, write, &mut object)?;
    let author = Author {
        manager: &write.manager,
        operation: Operation::Update,
        api_version: &resource.api_version(),
        subresource: &write.subresource,
    };
    Managers::take(&mut object);
    let prefix = meta::meta(&object, "generateName").to_owned();
    let generated = meta::name(&object).is_empty() && !prefix.is_empty();
    for attempt in 0.. {
        let mut fresh = object.clone();
        if generated {
            let name = names::generated(&prefix);
            meta::set_meta(&mut fresh, "name", name);
        }
        prepare(api, resource, &mut fresh)?;
        let mut managers = Managers::default();
        let bare = bare(&fresh);
        managers.updated(&author, fieldset::difference(&resource.schema, &bare, &fresh), &meta::now());
        managers.put(&mut fresh);
        match put_new(api, resource, write, fresh) {
            Err(error) if error.reason == "AlreadyExists" && generated && attempt < 8 => {}
            other => return other,
        }
    }
    unreachable!("the loop ends by returning")
}

/// An object of the same name with nothing in it: what a creation is compared with.
fn bare(object: &Value) -> Value {
    let mut bare = apply::empty();
    for key in ["metadata", "spec", "status"] {
        if object.get(key).is_some() {
            bare[key] = json!({});
        }
    }
    bare
}

/// Stores an object that is ready.
pub(super) fn put_new(
    api: &Api,
    resource: &Resource,
    write: &Write,
    object: Value,
) -> Result<Arc<Stored>, ApiError> {
    let name = meta::name(&object).to_owned();
    let key = Key::new(&write.key.namespace, &name);
    let object = convert::to_storage(resource, object);
    if write.dry_run {
        return match api.store.get(&resource.table, &key) {
            Some(_) => Err(ApiError::already_exists(resource, &name)),
            None => Ok(Arc::new(Stored::of(key, 0, &object, &[]))),
        };
    }
    api.commit(resource, &key, Expect::Absent, Some(object)).map_err(|refused| match refused {
        Refused::Changed => ApiError::already_exists(resource, &name),
        Refused::Error(error) => error,
    })
}

/// Gives a new object its identity.
pub(super) fn identify(resource: &Resource, write: &Write, object: &mut Value) -> Result<(), ApiError> {
    let namespace = &*write.key.namespace;
    let given = meta::meta(object, "namespace");
    if resource.namespaced {
        if !given.is_empty() && given != namespace {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        meta::set_meta(object, "namespace", namespace);
    } else {
        meta::metadata_mut(object).remove("namespace");
    }
    let metadata = meta::metadata_mut(object);
    for key in ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        metadata.remove(key);
    }
    metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".into(), meta::now().into());
    if resource.generation {
        metadata.insert("generation".into(), 1.into());
    } else {
        metadata.remove("generation");
    }
    Ok(())
}

/// A status is written by those who report it; nodes alone bring theirs along.
pub(super) fn drop_status(resource: &Resource, object: &mut Value) {
    if resource.status && !resource.is("", "nodes") {
        meta::as_object(object).remove("status");
    }
}

/// Fills in and checks a new object, with what depends on other objects.
pub(super) fn prepare(api: &Api, resource: &Resource, object: &mut Value) -> Result<(), ApiError> {
    if resource.namespaced {
        let namespace = meta::meta(object, "namespace").to_owned();
        api.admit_to(resource, meta::name(object), &namespace)?;
    }
    finish(resource, None, object)?;
    if resource.is("", "services") {
        give_address(api, object)?;
    }
    if resource.is("apiextensions.k8s.io", CRDS) {
        refuse_taken(api, resource, object)?;
        custom::accept(object, &meta::now());
    }
    Ok(())
}

/// Gives a service its address, unless it has one or wants none.
pub(super) fn give_address(api: &Api, service: &mut Value) -> Result<(), ApiError> {
    if meta::text(service, &["spec", "type"]) == Some("ExternalName") {
        return Ok(());
    }
    let spec = meta::object_at(service, "spec");
    let given = spec.get("clusterIP").and_then(Value::as_str).unwrap_or_default();
    if given.is_empty() {
        let address = api
            .service_address()
            .ok_or_else(|| ApiError::internal("failed to allocate a serviceIP: range is full"))?;
        spec.insert("clusterIP".into(), address.to_string().into());
    }
    let address = spec.get("clusterIP").cloned().unwrap_or_default();
    let family = if address.as_str().is_some_and(|address| address.contains(':')) { "IPv6" } else { "IPv4" };
    spec.insert("clusterIPs".into(), json!([address]));
    spec.entry("ipFamilies").or_insert_with(|| json!([family]));
    spec.entry("ipFamilyPolicy").or_insert("SingleStack".into());
    meta::object_at(service, "status").entry("loadBalancer").or_insert_with(|| json!({}));
    Ok(())
}

/// A built-in kind can't be defined anew.
fn refuse_taken(api: &Api, resource: &Resource, definition: &Value) -> Result<(), ApiError> {
    let table = custom::table(definition);
    let kinds = api.registry.kinds();
    let taken = kinds.all().any(|kind| !kind.custom && kind.is(&table.group, &table.resource));
    if taken {
        let name = meta::name(definition);
        return Err(ApiError::already_exists(resource, name));
    }
    Ok(())
}
