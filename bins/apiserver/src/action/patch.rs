//! Patches.

use std::sync::Arc;

use serde_json::{Value, json};

use super::create::identify;
use super::update::{create_applied, replace};
use super::{Change, Unknown, Write, check_identity, take_in};
use crate::api::{Api, Refused};
use crate::convert;
use crate::error::ApiError;
use crate::meta;
use crate::patch::apply::{self, Apply, Conflict};
use crate::patch::fieldset::FieldSet;
use crate::patch::managed::{Author, Managers, Operation};
use crate::patch::{merge, strategic};
use crate::resource::Resource;
use crate::store::Stored;

/// How a patch is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    /// RFC 7386.
    Merge,
    /// By the merge keys of built-in kinds.
    Strategic,
    /// Server-side apply.
    Apply {
        /// Fields are taken from their owners.
        force: bool,
    },
}

/// Patches an object. The flag says whether it was created.
pub(crate) fn patch(
    api: &Api,
    resource: &Resource,
    write: &mut Write,
    kind: PatchKind,
    body: Value,
) -> Result<(Arc<Stored>, bool), ApiError> {
    match kind {
        PatchKind::Apply { force } => apply_body(api, resource, write, body, force),
        _ => {
            let stored = change(api, resource, write, |object| match kind {
                PatchKind::Strategic => strategic::merge(&resource.schema, object, body.clone())
                    .map_err(|why| ApiError::bad_request(format!("cannot apply the patch: {why}"))),
                _ => {
                    merge::merge(object, body.clone());
                    Ok(())
                }
            })?;
            Ok((stored, false))
        }
    }
}

/// Reads, changes and writes an object until nobody is in between.
fn change(
    api: &Api,
    resource: &Resource,
    write: &mut Write,
    edit: impl Fn(&mut Value) -> Result<(), ApiError>,
) -> Result<Arc<Stored>, ApiError> {
    loop {
        let Some(current) = api.store.get(&resource.table, &write.key) else {
            return Err(ApiError::not_found(resource, &write.key.name));
        };
        let mut object = convert::from_storage(resource, current.value());
        edit(&mut object)?;
        check_identity(resource, &mut object)?;
        let mut warnings = Vec::new();
        take_in(resource, &mut object, write.unknown, &mut warnings)?;
        if meta::name(&object) != &*write.key.name {
            return Err(ApiError::bad_request("the name of an object can't be changed by a patch"));
        }
        match replace(api, resource, write, &current, Change { object, managers: None }) {
            Err(Refused::Changed) => {}
            Err(Refused::Error(error)) => return Err(error),
            Ok(stored) => {
                write.warnings.append(&mut warnings);
                return Ok(stored);
            }
        }
    }
}

fn apply_body(
    api: &Api,
    resource: &Resource,
    write: &mut Write,
    mut wanted: Value,
    force: bool,
) -> Result<(Arc<Stored>, bool), ApiError> {
    check_wanted(resource, write, &mut wanted)?;
    take_in_wanted(resource, write, &mut wanted)?;
    let (ignored, author_version) = (ignored(resource, write), resource.api_version());
    let author = Author {
        manager: &write.manager.clone(),
        operation: Operation::Apply,
        api_version: &author_version,
        subresource: &write.subresource.clone(),
    };
    drop_ignored(resource, write, &mut wanted);
    loop {
        let current = api.store.get(&resource.table, &write.key);
        let mut live = match &current {
            Some(current) => convert::from_storage(resource, current.value()),
            None => json!({"apiVersion": author_version, "kind": resource.kind, "metadata": {}}),
        };
        if current.is_none() && !write.subresource.is_empty() {
            return Err(ApiError::not_found(resource, &write.key.name));
        }
        let mut managers = Managers::take(&mut live);
        let asked =
            Apply { schema: &resource.schema, author: &author, force, ignored: &ignored, now: &meta::now() };
        let mut object =
            apply::apply(&asked, &live, &wanted, &mut managers).map_err(|conflicts| refuse(&conflicts))?;
        let outcome = match &current {
            Some(current) => {
                // Only a version that the client names is a condition.
                if meta::meta(&wanted, "resourceVersion").is_empty() {
                    meta::metadata_mut(&mut object).remove("resourceVersion");
                }
                replace(api, resource, write, current, Change { object, managers: Some(managers) })
                    .map(|stored| (stored, false))
            }
            None => {
                if !meta::meta(&wanted, "uid").is_empty()
                    || !meta::meta(&wanted, "resourceVersion").is_empty()
                {
                    let why = "uid mismatch: the provided object specified uid or resourceVersion, and no existing object was found";
                    return Err(ApiError::conflict(resource, &write.key.name, why));
                }
                identify(resource, write, &mut object)?;
                match create_applied(api, resource, write, object, &managers) {
                    Err(error) if error.reason == "AlreadyExists" => Err(Refused::Changed),
                    other => other.map(|stored| (stored, true)).map_err(Refused::Error),
                }
            }
        };
        match outcome {
            Err(Refused::Changed) => {}
            Err(Refused::Error(error)) => return Err(error),
            Ok(done) => return Ok(done),
        }
    }
}

/// Checks what an apply has to name.
fn check_wanted(resource: &Resource, write: &Write, wanted: &mut Value) -> Result<(), ApiError> {
    if !wanted.is_object() {
        return Err(ApiError::bad_request("the body of an apply is no object"));
    }
    let (version, kind) = crate::resource::kind_of(wanted);
    if version.is_empty() || kind.is_empty() {
        return Err(ApiError::bad_request("error decoding YAML: apiVersion and kind must be set"));
    }
    check_identity(resource, wanted)?;
    if meta::at(wanted, &["metadata", "managedFields"]).is_some_and(|list| !list.is_null()) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    meta::metadata_mut(wanted).remove("managedFields");
    let name = meta::name(wanted).to_owned();
    if name.is_empty() {
        meta::set_meta(wanted, "name", &*write.key.name);
    } else if name != *write.key.name {
        let why = format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            write.key.name
        );
        return Err(ApiError::bad_request(why));
    }
    let namespace = meta::meta(wanted, "namespace");
    if resource.namespaced && !namespace.is_empty() && namespace != &*write.key.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// Unknown fields of an apply have no type to merge them by.
fn take_in_wanted(resource: &Resource, write: &mut Write, wanted: &mut Value) -> Result<(), ApiError> {
    let mut unknown = Vec::new();
    take_in(resource, wanted, Unknown::Warn, &mut unknown)?;
    let Some(first) = unknown.first() else { return Ok(()) };
    if resource.custom && write.unknown != Unknown::Strict {
        if write.unknown == Unknown::Warn {
            write.warnings.append(&mut unknown);
        }
        return Ok(());
    }
    if write.unknown == Unknown::Strict {
        let why = format!(
            "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
            resource.kind,
            &*resource.version,
            resource.kind,
            unknown.join(", ")
        );
        return Err(ApiError::bad_request(why));
    }
    let field = first.trim_start_matches("unknown field ").trim_matches('"');
    Err(ApiError::internal(format!(
        "failed to create typed patch object ({}/{}; {}, Kind={}): .{field}: field not declared in schema",
        write.key.namespace,
        write.key.name,
        resource.api_version(),
        resource.kind
    )))
}

/// Fields that do not come through this resource.
fn ignored(resource: &Resource, write: &Write) -> FieldSet {
    match write.subresource.as_str() {
        "status" if resource.custom => FieldSet::read(&json!({"f:spec": {}, "f:metadata": {}})),
        "status" => FieldSet::read(&json!({"f:spec": {}})),
        _ if resource.status => FieldSet::read(&json!({"f:status": {}})),
        _ => FieldSet::default(),
    }
}

fn drop_ignored(resource: &Resource, write: &Write, wanted: &mut Value) {
    let map = meta::as_object(wanted);
    match write.subresource.as_str() {
        "status" => {
            map.remove("spec");
            if resource.custom {
                map.retain(|key, _| matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
                if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
                    metadata.retain(|key, _| {
                        matches!(key.as_str(), "name" | "namespace" | "uid" | "resourceVersion")
                    });
                }
            }
        }
        _ if resource.status => {
            map.remove("status");
        }
        _ => {}
    }
}

fn refuse(conflicts: &[Conflict]) -> ApiError {
    let mut causes = Vec::new();
    let mut texts = Vec::new();
    for Conflict { owner, fields } in conflicts {
        for field in fields {
            let message = format!("conflict with {owner}");
            causes.push(json!({"reason": "FieldManagerConflict", "message": message, "field": field}));
        }
        texts.push(match fields.as_slice() {
            [one] => format!("conflict with {owner}: {one}"),
            many => format!("conflicts with {owner}:\n- {}", many.join("\n- ")),
        });
    }
    let (count, noun) = (causes.len(), if causes.len() == 1 { "conflict" } else { "conflicts" });
    ApiError {
        details: Some(json!({"causes": causes})),
        ..ApiError::new(409, "Conflict", format!("Apply failed with {count} {noun}: {}", texts.join("\n")))
    }
}
