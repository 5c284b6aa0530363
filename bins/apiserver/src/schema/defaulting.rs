//! Fills in defaults that a schema gives.

use serde_json::Value;

use super::Schema;

/// Sets missing fields that have a default, and those that are null and may not be.
pub(crate) fn default(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, part) in &schema.properties {
                if let Some(default) = &part.default {
                    let missing = map.get(key).is_none_or(|value| value.is_null() && !part.nullable);
                    if missing {
                        map.insert(key.clone(), default.clone());
                    }
                }
            }
            for (key, value) in map {
                default(schema.field(key), value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| default(schema.item(), item)),
        _ => {}
    }
}
