//! Sets of fields, as `managedFields` writes them (FieldsV1).
//!
//! A path element is kept as its text: `f:<field>`, `k:<keys of an item as JSON>`, `v:<value as JSON>`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::schema::{ListKind, Schema};

/// A tree of path elements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    /// The path that leads here belongs to the set.
    pub(crate) here: bool,
    /// What is below.
    pub(crate) below: BTreeMap<String, FieldSet>,
}

/// What differs between two objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// New, or of another value.
    pub(crate) changed: FieldSet,
    /// Gone.
    pub(crate) removed: FieldSet,
}

impl FieldSet {
    fn leaf() -> FieldSet {
        FieldSet { here: true, below: BTreeMap::new() }
    }

    /// Whether no path belongs to it.
    pub(crate) fn is_empty(&self) -> bool {
        !self.here && self.below.values().all(FieldSet::is_empty)
    }

    fn put(&mut self, element: String, part: FieldSet) {
        if !part.is_empty() {
            self.below.insert(element, part);
        }
    }

    /// Reads `fieldsV1`.
    pub(crate) fn read(json: &Value) -> FieldSet {
        let mut set = FieldSet::default();
        let Value::Object(map) = json else { return set };
        set.here = map.is_empty() || map.contains_key(".");
        for (element, part) in map.iter().filter(|(element, _)| *element != ".") {
            set.below.insert(canonical(element), FieldSet::read(part));
        }
        set
    }

    /// Writes `fieldsV1`.
    pub(crate) fn write(&self) -> Value {
        let mut map = Map::new();
        if self.here && !self.below.is_empty() {
            map.insert(".".into(), Value::Object(Map::new()));
        }
        for (element, part) in &self.below {
            map.insert(element.clone(), part.write());
        }
        Value::Object(map)
    }

    /// All paths of a value that somebody applies.
    pub(crate) fn of(schema: &Schema, value: &Value) -> FieldSet {
        let mut set = FieldSet::default();
        match value {
            Value::Object(_) if schema.atomic => set.here = true,
            Value::Object(map) => {
                for (key, value) in map {
                    let part = schema.field(key);
                    let mut below = FieldSet::of(part, value);
                    let empty = value.as_object().is_some_and(Map::is_empty);
                    if value.is_null() || empty || (!schema.properties.contains_key(key) && is_map(schema)) {
                        below.here = true;
                    }
                    set.put(format!("f:{key}"), below);
                }
            }
            Value::Array(_) if schema.list == ListKind::Atomic => set.here = true,
            Value::Array(items) => {
                for item in items {
                    let mut below = FieldSet::of(schema.item(), item);
                    below.here = true;
                    set.put(element(schema, item), below);
                }
            }
            _ => set.here = true,
        }
        set
    }

    /// Paths of both.
    pub(crate) fn union(&mut self, other: &FieldSet) {
        self.here |= other.here;
        for (element, part) in &other.below {
            self.below.entry(element.clone()).or_default().union(part);
        }
    }

    /// Takes paths out.
    pub(crate) fn subtract(&mut self, other: &FieldSet) {
        if other.here {
            self.here = false;
        }
        self.below.retain(|element, part| {
            if let Some(other) = other.below.get(element) {
                part.subtract(other);
            }
            !part.is_empty()
        });
    }

    /// Takes paths out, and all that is below them.
    pub(crate) fn subtract_deep(&mut self, other: &FieldSet) {
        self.below.retain(|element, part| {
            match other.below.get(element) {
                Some(other) if other.here => return false,
                Some(other) => part.subtract_deep(other),
                None => {}
            }
            !part.is_empty()
        });
    }

    /// Paths that are in both.
    pub(crate) fn intersection(&self, other: &FieldSet) -> FieldSet {
        let mut set = FieldSet { here: self.here && other.here, below: BTreeMap::new() };
        for (element, part) in &self.below {
            if let Some(other) = other.below.get(element) {
                set.put(element.clone(), part.intersection(other));
            }
        }
        set
    }

    /// Paths as messages show them, as `.spec.containers[name="a"].image`.
    pub(crate) fn paths(&self) -> Vec<String> {
        fn collect(set: &FieldSet, path: &str, paths: &mut Vec<String>) {
            if set.here {
                paths.push(path.to_owned());
            }
            for (element, part) in &set.below {
                collect(part, &format!("{path}{}", shown(element)), paths);
            }
        }
        let mut paths = Vec::new();
        collect(self, "", &mut paths);
        paths
    }
}

fn is_map(schema: &Schema) -> bool {
    schema.additional.is_some() || schema.preserve || schema.properties.is_empty()
}

/// The path element of a list's item.
pub(crate) fn element(schema: &Schema, item: &Value) -> String {
    match &schema.list {
        ListKind::Map(keys) => {
            let mut map = Map::new();
            let mut sorted: Vec<&String> = keys.iter().collect();
            sorted.sort();
            for key in sorted {
                let default = || schema.item().field(key).default.clone();
                if let Some(value) = item.get(key).cloned().or_else(default) {
                    map.insert(key.clone(), value);
                }
            }
            format!("k:{}", Value::Object(map))
        }
        _ => format!("v:{item}"),
    }
}

/// Keys in their order, whoever wrote them.
fn canonical(element: &str) -> String {
    let Some(json) = element.strip_prefix("k:") else { return element.to_owned() };
    match serde_json::from_str::<BTreeMap<String, Value>>(json) {
        Ok(map) => format!("k:{}", Value::Object(map.into_iter().collect())),
        Err(_) => element.to_owned(),
    }
}

fn shown(element: &str) -> String {
    if let Some(field) = element.strip_prefix("f:") {
        return format!(".{field}");
    }
    if let Some(Ok(keys)) = element.strip_prefix("k:").map(serde_json::from_str::<BTreeMap<String, Value>>) {
        let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
        return format!("[{}]", keys.join(","));
    }
    format!("[={}]", element.strip_prefix("v:").unwrap_or(element))
}

/// What changed from one value to another.
pub(crate) fn difference(schema: &Schema, old: &Value, new: &Value) -> Difference {
    let mut difference = Difference::default();
    match (old, new) {
        _ if old == new => {}
        (Value::Object(old), Value::Object(new)) if !(schema.atomic || old.is_empty() && new.is_empty()) => {
            for (key, value) in new {
                let part = schema.field(key);
                let below = match old.get(key) {
                    Some(old) => self::difference(part, old, value),
                    None => Difference { changed: added(part, value), removed: FieldSet::default() },
                };
                let name = format!("f:{key}");
                difference.changed.put(name.clone(), below.changed);
                difference.removed.put(name, below.removed);
            }
            for (key, value) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
                difference.removed.put(format!("f:{key}"), removed(schema.field(key), value));
            }
        }
        (Value::Array(old), Value::Array(new)) if schema.list != ListKind::Atomic => {
            let olds: BTreeMap<String, &Value> =
                old.iter().map(|item| (element(schema, item), item)).collect();
            let news: BTreeMap<String, &Value> =
                new.iter().map(|item| (element(schema, item), item)).collect();
            for (name, item) in &news {
                let below = match olds.get(name) {
                    Some(old) => self::difference(schema.item(), old, item),
                    None => {
                        let mut changed = added(schema.item(), item);
                        changed.here = true;
                        Difference { changed, removed: FieldSet::default() }
                    }
                };
                difference.changed.put(name.clone(), below.changed);
                difference.removed.put(name.clone(), below.removed);
            }
            for (name, item) in olds.iter().filter(|(name, _)| !news.contains_key(*name)) {
                let mut gone = removed(schema.item(), item);
                gone.here = true;
                difference.removed.put(name.clone(), gone);
            }
        }
        _ => {
            difference.changed = match new {
                Value::Object(_) | Value::Array(_) => added(schema, new),
                _ => FieldSet::leaf(),
            };
            if old.is_object() || old.is_array() {
                difference.removed = removed(schema, old);
                difference.removed.subtract(&difference.changed);
            }
        }
    }
    difference
}

/// Paths of something that was not there before. Containers belong to it too, if there was none.
fn added(schema: &Schema, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    match value {
        Value::Object(_) if schema.atomic => set.here = true,
        Value::Object(map) => {
            set.here = !schema.always || map.is_empty();
            for (key, value) in map {
                set.put(format!("f:{key}"), added(schema.field(key), value));
            }
        }
        Value::Array(_) if schema.list == ListKind::Atomic => set.here = true,
        Value::Array(items) => {
            set.here = !schema.always;
            for item in items {
                let mut below = added(schema.item(), item);
                below.here = true;
                set.put(element(schema, item), below);
            }
        }
        _ => set.here = true,
    }
    set
}

/// Paths of something that is gone, containers included.
fn removed(schema: &Schema, value: &Value) -> FieldSet {
    let mut set = added(schema, value);
    set.here = true;
    set
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::builtin;

    #[test]
    fn fields_of_an_applied_pod() {
        let pod = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [
            {"name": "c", "image": "i", "ports": [{"containerPort": 80}], "command": ["x"]}], "securityContext": {}}});
        let set = FieldSet::of(builtin::named("Pod"), &pod);
        let json = json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {
            "f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:command": {}, "f:image": {}, "f:name": {},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}},
            "f:securityContext": {}}});
        assert_eq!(set.write(), json);
        assert_eq!(FieldSet::read(&json), set);
    }

    #[test]
    fn differences() {
        let schema = builtin::named("Pod");
        let old = json!({"metadata": {"labels": {"a": "1", "b": "1"}}, "spec": {"containers": [{"name": "x", "image": "1"}]}});
        let new = json!({"metadata": {"labels": {"a": "2"}}, "spec": {"containers": [{"name": "x", "image": "1"}, {"name": "y"}]}});
        let found = difference(schema, &old, &new);
        assert_eq!(
            found.changed.paths(),
            [".metadata.labels.a", ".spec.containers[name=\"y\"]", ".spec.containers[name=\"y\"].name"]
        );
        assert_eq!(found.removed.paths(), [".metadata.labels.b"]);
    }

    #[test]
    fn arithmetic() {
        let one = FieldSet::read(&json!({"f:a": {}, "f:b": {".": {}, "f:c": {}}}));
        let two = FieldSet::read(&json!({"f:b": {"f:c": {}}, "f:d": {}}));
        assert_eq!(one.intersection(&two).write(), json!({"f:b": {"f:c": {}}}));
        let mut rest = one.clone();
        rest.subtract(&two);
        assert_eq!(rest.write(), json!({"f:a": {}, "f:b": {}}));
        let mut both = one;
        both.union(&two);
        assert_eq!(both.write(), json!({"f:a": {}, "f:b": {".": {}, "f:c": {}}, "f:d": {}}));
    }
}
