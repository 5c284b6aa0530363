//! Between the version that a client speaks and the one that is stored.
//!
//! Versions of custom kinds differ by their name alone (conversion `None`). Events have two groups that show the same
//! objects with other names of fields.

use serde_json::{Map, Value, json};

use crate::meta;
use crate::resource::{Resource, api_version};

/// Fields of an event: in `events.k8s.io`, and as stored.
const EVENT: &[(&str, &str)] = &[
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
    ("reportingController", "reportingComponent"),
];

fn is_other_event(resource: &Resource) -> bool {
    &*resource.group == "events.k8s.io"
}

/// Whether objects are shown as they are stored.
pub(crate) fn is_stored_as_shown(resource: &Resource) -> bool {
    resource.version == resource.storage && !is_other_event(resource)
}

/// The object as it is stored.
pub(crate) fn to_storage(resource: &Resource, mut object: Value) -> Value {
    if is_stored_as_shown(resource) {
        return object;
    }
    if is_other_event(resource) {
        rename(&mut object, |(from, to)| (from, to));
        object["apiVersion"] = "v1".into();
        let map = meta::as_object(&mut object);
        map.entry("involvedObject").or_insert_with(|| json!({}));
    } else {
        object["apiVersion"] = api_version(&resource.group, &resource.storage).into();
    }
    object
}

/// The object as a client of this version sees it.
pub(crate) fn from_storage(resource: &Resource, mut object: Value) -> Value {
    if is_stored_as_shown(resource) {
        return object;
    }
    if is_other_event(resource) {
        rename(&mut object, |(to, from)| (from, to));
    } else {
        crate::schema::prune(&resource.schema, &mut object, "", &mut Vec::new());
        crate::schema::default(&resource.schema, &mut object);
    }
    object["apiVersion"] = resource.api_version().into();
    object
}

fn rename(
    object: &mut Value,
    direction: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) {
    let Value::Object(map) = object else { return };
    let old: Map<String, Value> = std::mem::take(map);
    for (key, value) in old {
        let found = EVENT.iter().map(|pair| direction(*pair)).find(|(from, _)| *from == key);
        map.insert(found.map_or(key, |(_, to)| to.to_owned()), value);
    }
}
