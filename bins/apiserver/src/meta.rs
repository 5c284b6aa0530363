//! Metadata of objects that are kept as JSON.

use serde_json::{Map, Value};

/// Text at a path of keys.
pub(crate) fn text<'a>(object: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(object, path)?.as_str()
}

/// Value at a path of keys.
pub(crate) fn at<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, key| value.get(key))
}

/// Value at a dotted path, as field selectors and printer columns name it.
pub(crate) fn at_dotted<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |value, key| value.get(key))
}

/// The metadata, made if it is missing.
pub(crate) fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    object_at(object, "metadata")
}

/// The object at a key, made if it is missing or something else.
pub(crate) fn object_at<'a>(object: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    let map = as_object(object);
    as_object(map.entry(key).or_insert_with(|| Value::Object(Map::new())))
}

/// The value as an object; whatever else it was is replaced.
pub(crate) fn as_object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was just made one"),
    }
}

/// `metadata.<key>`, or the empty text.
pub(crate) fn meta<'a>(object: &'a Value, key: &str) -> &'a str {
    text(object, &["metadata", key]).unwrap_or_default()
}

/// Name of an object.
pub(crate) fn name(object: &Value) -> &str {
    meta(object, "name")
}

/// Whether deletion has begun.
pub(crate) fn is_terminating(object: &Value) -> bool {
    !meta(object, "deletionTimestamp").is_empty()
}

/// Whether something still has to finish before the object may go.
pub(crate) fn has_finalizers(object: &Value) -> bool {
    at(object, &["metadata", "finalizers"]).and_then(Value::as_array).is_some_and(|list| !list.is_empty())
}

/// Sets `metadata.<key>`.
pub(crate) fn set_meta(object: &mut Value, key: &str, value: impl Into<Value>) {
    metadata_mut(object).insert(key.to_owned(), value.into());
}

/// The present second, as Kubernetes writes times.
pub(crate) fn now() -> String {
    time(jiff::Timestamp::now())
}

/// A time, as Kubernetes writes it.
pub(crate) fn time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
