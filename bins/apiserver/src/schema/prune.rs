//! Removes what a schema does not know, and names it.

use serde_json::Value;

use super::Schema;

/// Removes unknown fields. Their paths are added to `unknown`.
pub(crate) fn prune(schema: &Schema, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if schema.additional.is_none() && !schema.preserve {
                map.retain(|key, _| {
                    let known = schema.properties.contains_key(key);
                    if !known {
                        unknown.push(join(path, key));
                    }
                    known
                });
            }
            for (key, value) in map {
                if let Some(part) = schema.properties.get(key).or(schema.additional.as_ref()) {
                    prune(part, value, &join(path, key), unknown);
                }
            }
        }
        Value::Array(items) => {
            if let Some(part) = &schema.items {
                for (n, item) in items.iter_mut().enumerate() {
                    prune(part, item, &format!("{path}[{n}]"), unknown);
                }
            }
        }
        _ => {}
    }
}

/// Removes fields that are null where null is no value. (For Go, null is as if it were not there.)
pub(crate) fn strip_nulls(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, value| !value.is_null() || keeps_null(schema, key));
            for (key, value) in map {
                strip_nulls(schema.field(key), value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| strip_nulls(schema.item(), item)),
        _ => {}
    }
}

fn keeps_null(schema: &Schema, key: &str) -> bool {
    match schema.properties.get(key).or(schema.additional.as_ref()) {
        Some(part) => part.nullable,
        None => schema.preserve,
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::builtin;
    use super::*;

    #[test]
    fn unknown_fields_are_named_and_removed() {
        let mut pod = json!({"kind": "Pod", "metadata": {"name": "a", "labels": {"x": "y"}, "color": 1},
            "spec": {"containers": [{"name": "c", "imag": "x"}], "nodeSelector": {"any": "thing"}}});
        let mut unknown = Vec::new();
        prune(builtin::named("Pod"), &mut pod, "", &mut unknown);
        assert_eq!(unknown, ["metadata.color", "spec.containers[0].imag"]);
        assert_eq!(pod["spec"]["containers"][0], json!({"name": "c"}));
        assert_eq!(pod["metadata"]["labels"], json!({"x": "y"}));
    }
}
