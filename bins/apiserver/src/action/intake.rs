//! How an object that a client sent becomes one of ours.

use serde_json::Value;

use crate::error::{ApiError, FieldError};
use crate::meta;
use crate::resource::{Resource, defaults, kind_of, rules};
use crate::schema;

/// What is done about unknown fields (`fieldValidation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Unknown {
    /// They are dropped.
    Ignore,
    /// They are dropped, and the client is warned.
    #[default]
    Warn,
    /// The request is refused.
    Strict,
}

/// Checks that an object is of the kind that the path says; what it leaves out is filled in.
pub(crate) fn check_identity(resource: &Resource, object: &mut Value) -> Result<(), ApiError> {
    if !object.is_object() {
        return Err(ApiError::bad_request("the body of the request is no object"));
    }
    let (wanted_version, wanted_kind) = (resource.api_version(), resource.kind.clone());
    let (version, kind) = kind_of(object);
    if version != wanted_version && (resource.custom || !version.is_empty()) {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({wanted_version})"
        )));
    }
    if kind != wanted_kind && (resource.custom || !kind.is_empty()) {
        return Err(ApiError::bad_request(format!(
            "the kind in the data ({kind}) does not match the expected kind ({wanted_kind})"
        )));
    }
    let map = meta::as_object(object);
    map.insert("apiVersion".into(), wanted_version.into());
    map.insert("kind".into(), wanted_kind.into());
    Ok(())
}

/// Drops unknown fields, or refuses the object because of them; checks types of built-in kinds.
pub(crate) fn take_in(
    resource: &Resource,
    object: &mut Value,
    unknown: Unknown,
    warnings: &mut Vec<String>,
) -> Result<(), ApiError> {
    let cannot = |why: String| {
        ApiError::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: {why}",
            resource.kind, resource.version, resource.kind
        ))
    };
    if !resource.custom {
        schema::strip_nulls(&resource.schema, object);
        let mut wrong = Vec::new();
        schema::types(&resource.schema, object, "", &mut wrong);
        if let Some(first) = wrong.first() {
            return Err(cannot(format!("json: cannot unmarshal: {}: {}", first.field, first.message)));
        }
    } else if let Some(metadata) = object.get_mut("metadata") {
        let part = resource.schema.field("metadata");
        schema::strip_nulls(part, metadata);
        let mut wrong = Vec::new();
        schema::types(part, metadata, "metadata", &mut wrong);
        if let Some(first) = wrong.first() {
            return Err(ApiError::bad_request(format!("{}: {}", first.field, first.message)));
        }
    }
    let mut found = Vec::new();
    schema::prune(&resource.schema, object, "", &mut found);
    let texts = found.iter().map(|field| format!("unknown field \"{field}\""));
    match unknown {
        _ if found.is_empty() => {}
        Unknown::Ignore => {}
        Unknown::Warn => warnings.extend(texts),
        Unknown::Strict => {
            let texts: Vec<String> = texts.collect();
            return Err(cannot(format!("strict decoding error: {}", texts.join(", "))));
        }
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Fills in defaults and checks an object as it would be stored.
pub(super) fn finish(resource: &Resource, old: Option<&Value>, object: &mut Value) -> Result<(), ApiError> {
    let mut errors: Vec<FieldError> = Vec::new();
    if resource.custom {
        schema::default(&resource.schema, object);
        schema::strip_nulls(&resource.schema, object);
    } else {
        defaults::fill(resource, object);
    }
    // As in Go, where an empty field of the metadata is none.
    meta::metadata_mut(object).retain(|_, value| !is_empty(value));
    rules::metadata(resource, object, &mut errors);
    if resource.custom {
        schema::validate(&resource.schema, object, "", &mut errors);
    } else {
        rules::object(resource, object, &mut errors);
    }
    if let Some(old) = old {
        rules::update(resource, old, object, &mut errors);
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(resource, meta::name(object), &errors)) }
}
