//! Strategic merge patch: a merge patch that knows which lists are merged by which key.
//!
//! Directives: `$patch: delete|replace|merge`, `$deleteFromPrimitiveList/<field>`, `$setElementOrder/<field>`,
//! `$retainKeys`.

use serde_json::{Map, Value};

use crate::schema::{Schema, Strategy};

const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// Applies a patch.
pub(crate) fn merge(schema: &Schema, target: &mut Value, patch: Value) -> Result<(), String> {
    let Value::Object(mut patch) = patch else {
        return Err("a strategic merge patch is an object".into());
    };
    match directive(&patch)? {
        Some("replace") => {
            patch.remove("$patch");
            *target = Value::Object(patch);
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return Ok(());
        }
        _ => {
            patch.remove("$patch");
        }
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return Ok(()) };
    if let Some(Value::Array(keep)) = patch.remove("$retainKeys") {
        target.retain(|key, _| keep.iter().any(|kept| kept == key));
    }
    let (special, plain): (Map<String, Value>, Map<String, Value>) =
        patch.into_iter().partition(|(key, _)| key.starts_with('$'));
    for (key, gone) in &special {
        if let (Some(field), Value::Array(gone)) = (key.strip_prefix(DELETE_FROM), gone)
            && let Some(Value::Array(list)) = target.get_mut(field)
        {
            list.retain(|item| !gone.contains(item));
        }
    }
    for (key, value) in plain {
        let part = schema.field(&key);
        match value {
            Value::Null => {
                target.remove(&key);
            }
            Value::Object(map) if directive(&map)? == Some("delete") => {
                target.remove(&key);
            }
            Value::Object(map) if target.get(&key).is_some_and(Value::is_object) => {
                if let Some(old) = target.get_mut(&key) {
                    merge(part, old, Value::Object(map))?;
                }
            }
            Value::Object(map) => {
                let mut fresh = Value::Object(Map::new());
                merge(part, &mut fresh, Value::Object(map))?;
                target.insert(key, fresh);
            }
            Value::Array(items) if part.strategy.merge => {
                let old = match target.remove(&key) {
                    Some(Value::Array(old)) => old,
                    _ => Vec::new(),
                };
                let merged = merge_list(part, old, items)?;
                target.insert(key, Value::Array(merged));
            }
            other => {
                target.insert(key, other);
            }
        }
    }
    for (key, order) in special {
        if let (Some(field), Value::Array(order)) = (key.strip_prefix(ORDER), order)
            && let Some(Value::Array(list)) = target.get_mut(field)
        {
            let strategy = &schema.field(field).strategy;
            reorder(strategy, list, &order);
        }
    }
    Ok(())
}

fn directive(patch: &Map<String, Value>) -> Result<Option<&str>, String> {
    match patch.get("$patch") {
        None => Ok(None),
        Some(Value::String(text)) if matches!(text.as_str(), "delete" | "replace" | "merge") => {
            Ok(Some(text))
        }
        Some(other) => Err(format!("unknown patch directive: {other}")),
    }
}

fn merge_list(schema: &Schema, old: Vec<Value>, items: Vec<Value>) -> Result<Vec<Value>, String> {
    let Some(key) = &schema.strategy.key else {
        let mut list = old;
        for item in items {
            if !list.contains(&item) {
                list.push(item);
            }
        }
        return Ok(list);
    };
    let mut list = old;
    // `$patch: replace` in an item of its own: the other items are the whole list.
    let replaces = |item: &Value| item.get("$patch").and_then(Value::as_str) == Some("replace");
    if items.iter().any(replaces) {
        return Ok(items.into_iter().filter(|item| !replaces(item)).collect());
    }
    for item in items {
        let Value::Object(mut map) = item else {
            return Err(format!("an item of a list that is merged by {key} is no object: {item}"));
        };
        let Some(id) = map.get(key).cloned() else {
            return Err(format!("map: {} does not contain declared merge key: {key}", Value::Object(map)));
        };
        let at = list.iter().position(|old| old.get(key) == Some(&id));
        match (directive(&map)?, at) {
            (Some("delete"), Some(at)) => {
                list.remove(at);
            }
            (Some("delete"), None) => {}
            (_, Some(at)) => merge(schema.item(), &mut list[at], Value::Object(map))?,
            (_, None) => {
                map.remove("$patch");
                let mut fresh = Value::Object(Map::new());
                merge(schema.item(), &mut fresh, Value::Object(map))?;
                list.push(fresh);
            }
        }
    }
    Ok(list)
}

/// Puts items in the order that is given. What it does not name stays behind the item that it stood behind.
fn reorder(strategy: &Strategy, list: &mut Vec<Value>, order: &[Value]) {
    let rank = |item: &Value| match &strategy.key {
        Some(key) => order.iter().position(|wanted| wanted.get(key) == item.get(key)),
        None => order.iter().position(|wanted| wanted == item),
    };
    let mut groups: Vec<(Option<usize>, Vec<Value>)> = vec![(None, Vec::new())];
    for item in list.drain(..) {
        match rank(&item) {
            Some(rank) => groups.push((Some(rank), vec![item])),
            None => {
                if let Some((_, group)) = groups.last_mut() {
                    group.push(item);
                }
            }
        }
    }
    groups.sort_by_key(|(rank, _)| *rank);
    list.extend(groups.into_iter().flat_map(|(_, group)| group));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::builtin;

    fn patched(target: Value, patch: Value) -> Value {
        let mut target = target;
        merge(builtin::named("Pod"), &mut target, patch).expect("patch");
        target
    }

    #[test]
    fn lists_are_merged_by_their_key() {
        let pod = json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}],
            "tolerations": [{"key": "x"}]}});
        let patch = json!({"spec": {"containers": [{"name": "b", "image": "2"}, {"name": "c"}], "tolerations": [{"key": "y"}]}});
        let result = json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c"}],
            "tolerations": [{"key": "y"}]}});
        assert_eq!(patched(pod, patch), result);
    }

    #[test]
    fn directives() {
        let pod = json!({"metadata": {"finalizers": ["a", "b"], "labels": {"x": "y"}},
            "spec": {"containers": [{"name": "a"}, {"name": "b"}], "volumes": [{"name": "v", "emptyDir": {}}]}});
        let patch = json!({
            "metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"], "labels": {"$patch": "replace", "z": "1"}},
            "spec": {
                "containers": [{"name": "a", "$patch": "delete"}, {"name": "c"}],
                "$setElementOrder/containers": [{"name": "c"}, {"name": "b"}],
                "volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]}});
        let result = json!({"metadata": {"finalizers": ["b", "c"], "labels": {"z": "1"}},
            "spec": {"containers": [{"name": "c"}, {"name": "b"}], "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}});
        assert_eq!(patched(pod, patch), result);
    }

    #[test]
    fn a_directive_is_kept_nowhere() {
        let result =
            patched(json!({}), json!({"spec": {"$patch": "merge", "nodeName": "n", "hostname": null}}));
        assert_eq!(result, json!({"spec": {"nodeName": "n"}}));
        let mut pod = json!({});
        assert!(
            merge(builtin::named("Pod"), &mut pod, json!({"spec": {"containers": [{"image": "x"}]}}))
                .is_err()
        );
        assert!(merge(builtin::named("Pod"), &mut pod, json!({"$patch": "shred"})).is_err());
    }
}
