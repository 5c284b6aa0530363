//! `get` and `list`.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::accept::Shape;
use super::show::{self, Include};
use super::{Call, reply, table};
use crate::error::ApiError;
use crate::selector::{FieldSelector, Selection};
use crate::store::{Key, PastError, Snapshot, Stored};

/// Chunks of a list that is sent.
const CHUNK: usize = 64 * 1024;

impl Call {
    /// The object that the path names.
    pub(super) fn key(&self) -> Key {
        let name = self.place.name.as_deref().unwrap_or_default();
        Key::new(self.place.namespace.as_deref().unwrap_or_default(), name)
    }

    /// The stored object that the path names.
    pub(super) fn stored(&self) -> Result<Arc<Stored>, ApiError> {
        let key = self.key();
        let found = self.api.store.get(&self.resource.table, &key);
        found.ok_or_else(|| ApiError::not_found(&self.resource, &key.name))
    }

    /// What a list or watch is narrowed down by.
    pub(super) fn selection(&self) -> Result<Selection, ApiError> {
        let labels = self.query.get("labelSelector").unwrap_or_default();
        let labels = labels
            .parse()
            .map_err(|why| ApiError::bad_request(format!("unable to parse requirement: {why}")))?;
        let fields = self.query.get("fieldSelector").unwrap_or_default();
        let mut fields =
            FieldSelector::parse(fields, &self.resource.selectable).map_err(ApiError::bad_request)?;
        if let Some(name) = &self.place.name {
            fields.require_name(name);
        }
        Ok(Selection { namespace: self.place.namespace.clone(), labels, fields })
    }
}

/// One object.
pub(super) fn get(call: &Call) -> Result<Response, ApiError> {
    if let Some(version) = call.query.number("resourceVersion")? {
        not_too_new(call, version)?;
    }
    let stored = call.stored()?;
    Ok(object(call, 200, &stored))
}

/// An object as an answer.
pub(super) fn object(call: &Call, code: u16, stored: &Stored) -> Response {
    if call.accept.yaml {
        return reply::json(code, &show::value(&call.resource, stored), &call.accept);
    }
    reply::bytes(code, show::one(call, stored, true))
}

/// Where the next page begins.
#[derive(Debug, Serialize, Deserialize)]
struct Continue {
    /// The moment of the whole list.
    v: u64,
    /// The last object before.
    ns: String,
    name: String,
}

fn not_too_new(call: &Call, version: u64) -> Result<(), ApiError> {
    let now = call.api.store.version();
    if version <= now {
        return Ok(());
    }
    Err(ApiError {
        details: Some(json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        })),
        ..ApiError::new(504, "Timeout", format!("Too large resource version: {version}, current: {now}"))
    })
}

/// The objects that a list is made of, and where they go on.
fn snapshot(call: &Call) -> Result<(Snapshot, Option<Continue>), ApiError> {
    let version = call.query.get("resourceVersion");
    let matching = call.query.get("resourceVersionMatch");
    let store = &call.api.store;
    let (table, namespace) = (&call.resource.table, call.place.namespace.as_deref());
    if let Some(token) = call.query.get("continue") {
        if version.is_some_and(|version| version != "0") {
            return Err(ApiError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let read = URL_SAFE_NO_PAD.decode(token).ok().and_then(|json| serde_json::from_slice(&json).ok());
        let token: Continue = read.ok_or_else(|| ApiError::bad_request("continue key is not valid"))?;
        let snapshot = store.list_at(table, namespace, token.v).map_err(|error| match error {
            PastError::NoTable => ApiError::no_such_path(),
            _ => ApiError::expired(
                "The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.",
            ),
        })?;
        return Ok((snapshot, Some(token)));
    }
    match (matching, version) {
        (Some("Exact"), Some(version)) if version != "0" => {
            let version = parse(version)?;
            let snapshot = store.list_at(table, namespace, version).map_err(|error| match error {
                PastError::NoTable => ApiError::no_such_path(),
                PastError::TooOld(_) => {
                    ApiError::expired("The resourceVersion for the provided list is too old.")
                }
                PastError::TooNew(_) => {
                    not_too_new(call, version).err().unwrap_or_else(ApiError::no_such_path)
                }
            })?;
            Ok((snapshot, None))
        }
        (None | Some("NotOlderThan"), version) if matching.is_none() || version.is_some() => {
            if let Some(version) = version {
                not_too_new(call, parse(version)?)?;
            }
            Ok((store.list(table, namespace), None))
        }
        (Some(other), version) => Err(ApiError::bad_request(format!(
            "resourceVersionMatch {other:?} does not go with resourceVersion {:?}",
            version.unwrap_or_default()
        ))),
        (None, _) => Ok((store.list(table, namespace), None)),
    }
}

/// A resource version of a query.
pub(super) fn parse(version: &str) -> Result<u64, ApiError> {
    version.parse().map_err(|_| ApiError::bad_request(format!("invalid resource version: {version:?}")))
}

/// Objects of a kind.
pub(super) fn list(call: &Call) -> Result<Response, ApiError> {
    let selection = call.selection()?;
    let limit = call.query.number("limit")?.filter(|limit| *limit > 0);
    let (snapshot, from) = snapshot(call)?;
    let mut selected = snapshot.objects.into_iter().filter(|object| {
        let after = from.as_ref().is_none_or(|from| {
            (&*object.key.namespace, &*object.key.name) > (from.ns.as_str(), from.name.as_str())
        });
        after && selection.matches(object)
    });
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".into(), snapshot.version.to_string().into());
    let objects: Vec<Arc<Stored>> = match limit {
        None => selected.collect(),
        Some(limit) => {
            let page: Vec<Arc<Stored>> =
                selected.by_ref().take(usize::try_from(limit).unwrap_or(usize::MAX)).collect();
            let left = selected.count();
            if let (true, Some(last)) = (left > 0, page.last()) {
                let next = Continue {
                    v: snapshot.version,
                    ns: last.key.namespace.to_string(),
                    name: last.key.name.to_string(),
                };
                let token = serde_json::to_vec(&next).unwrap_or_default();
                metadata.insert("continue".into(), URL_SAFE_NO_PAD.encode(token).into());
                if !selection.is_narrow() {
                    metadata.insert("remainingItemCount".into(), left.into());
                }
            }
            page
        }
    };
    Ok(page(call, objects, &Value::Object(metadata)))
}

/// A list as an answer.
fn page(call: &Call, objects: Vec<Arc<Stored>>, metadata: &Value) -> Response {
    let resource = &call.resource;
    if call.accept.shape == Shape::Table {
        let values: Vec<Value> = objects.iter().map(|object| show::value(resource, object)).collect();
        let table = table::table(resource, &values, metadata, Include::of(call), true);
        return reply::json(200, &table, &call.accept);
    }
    let partial = call.accept.shape == Shape::Partial;
    let (kind, version) = match partial {
        true => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
        false => (resource.list_kind.clone(), resource.api_version()),
    };
    if call.accept.yaml {
        let items: Vec<Value> = objects.iter().map(|object| show::value(resource, object)).collect();
        let list = json!({"kind": kind, "apiVersion": version, "metadata": metadata, "items": items});
        return reply::json(200, &list, &call.accept);
    }
    let head = format!(
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{metadata},\"items\":[",
        Value::from(kind),
        Value::from(version)
    );
    let resource = resource.clone();
    let mut objects = objects.into_iter();
    let mut next = Some(BytesMut::from(head.as_bytes()));
    let mut first = true;
    // Chunk by chunk, so that a long list is not in memory twice.
    let chunks = std::iter::from_fn(move || {
        let mut chunk = next.take()?;
        loop {
            let Some(object) = objects.next() else {
                chunk.extend_from_slice(b"]}\n");
                return Some(chunk.freeze());
            };
            if !std::mem::take(&mut first) {
                chunk.extend_from_slice(b",");
            }
            if partial {
                chunk.extend_from_slice(
                    show::partial(&show::value(&resource, &object)).to_string().as_bytes(),
                );
            } else {
                chunk.extend_from_slice(&show::whole(&resource, &object));
            }
            if chunk.len() >= CHUNK {
                next = Some(BytesMut::new());
                return Some(chunk.freeze());
            }
        }
    });
    let stream = futures_util::stream::iter(chunks.map(Ok::<Bytes, std::convert::Infallible>));
    reply::raw(200, "application/json", Body::from_stream(stream))
}
