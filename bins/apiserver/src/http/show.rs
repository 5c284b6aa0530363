//! Objects in the shape that a client wants.

use bytes::Bytes;
use serde_json::{Value, json};

use super::Call;
use super::accept::Shape;
use super::table;
use crate::convert;
use crate::meta;
use crate::resource::Resource;
use crate::store::Stored;

/// An object as the client's version of the kind shows it.
pub(super) fn value(resource: &Resource, stored: &Stored) -> Value {
    convert::from_storage(resource, stored.value())
}

/// An object as JSON: as it is kept, if the client's version is the stored one.
pub(super) fn whole(resource: &Resource, stored: &Stored) -> Bytes {
    if convert::is_stored_as_shown(resource) {
        return stored.json.clone();
    }
    value(resource, stored).to_string().into()
}

/// An object's metadata alone.
pub(super) fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.get("metadata").cloned().unwrap_or_default(),
    })
}

/// An object in the shape that a call asks for.
pub(super) fn one(call: &Call, stored: &Stored, with_columns: bool) -> Bytes {
    match call.accept.shape {
        Shape::Whole => whole(&call.resource, stored),
        Shape::Partial => partial(&value(&call.resource, stored)).to_string().into(),
        Shape::Table => {
            let object = value(&call.resource, stored);
            let version = meta::meta(&object, "resourceVersion").to_owned();
            let include = Include::of(call);
            table::table(
                &call.resource,
                &[object],
                &json!({"resourceVersion": version}),
                include,
                with_columns,
            )
            .to_string()
            .into()
        }
    }
}

/// What of its object a table's row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Include {
    /// Nothing.
    Nothing,
    /// Its metadata.
    Metadata,
    /// All of it.
    Object,
}

impl Include {
    pub(super) fn of(call: &Call) -> Include {
        match call.query.get("includeObject") {
            Some("None") => Include::Nothing,
            Some("Object") => Include::Object,
            _ => Include::Metadata,
        }
    }
}
