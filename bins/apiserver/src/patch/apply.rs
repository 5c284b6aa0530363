//! Server-side apply: what somebody wants is merged into what is there, and who owns what decides.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::fieldset::{FieldSet, difference, element};
use super::managed::{Author, Managers, strip};
use crate::schema::{ListKind, Schema};

/// Fields that others own and that would be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// The owner, as messages name it.
    pub(crate) owner: String,
    /// Paths.
    pub(crate) fields: Vec<String>,
}

/// An apply.
pub(crate) struct Apply<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) author: &'a Author<'a>,
    /// Fields are taken from their owners.
    pub(crate) force: bool,
    /// Fields that this resource does not take from an apply (its status, or all but its status).
    pub(crate) ignored: &'a FieldSet,
    pub(crate) now: &'a str,
}

/// Applies what an author wants. `live` has no managed fields in it; `managers` are changed only if this succeeds.
pub(crate) fn apply(
    apply: &Apply<'_>,
    live: &Value,
    wanted: &Value,
    managers: &mut Managers,
) -> Result<Value, Vec<Conflict>> {
    let Apply { schema, author, force, ignored, now } = *apply;
    let mut fields = FieldSet::of(schema, wanted);
    strip(&mut fields);
    fields.subtract_deep(ignored);
    let mut result = merged(schema, live, wanted);
    if let Some(before) = managers.fields(author) {
        remove_left(schema, &mut result, before, Some(&fields), Some(&managers.others(author)));
    }
    let mut change = difference(schema, live, &result);
    strip(&mut change.changed);
    strip(&mut change.removed);
    change.changed.subtract_deep(ignored);
    let mut after = managers.clone();
    let mut conflicts = Vec::new();
    for entry in after.entries.iter_mut().filter(|entry| !entry.is(author)) {
        let taken = entry.fields.intersection(&change.changed);
        if !taken.is_empty() {
            conflicts.push(Conflict { owner: entry.shown(), fields: taken.paths() });
        }
        entry.fields.subtract(&taken);
        entry.fields.subtract(&change.removed);
    }
    if !conflicts.is_empty() && !force {
        return Err(conflicts);
    }
    after.set(author, fields, now);
    *managers = after;
    Ok(result)
}

/// One value merged into another as the schema says.
fn merged(schema: &Schema, live: &Value, wanted: &Value) -> Value {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) if !schema.atomic => {
            let mut map = live.clone();
            for (key, value) in wanted {
                let value = match live.get(key) {
                    Some(old) => merged(schema.field(key), old, value),
                    None => value.clone(),
                };
                map.insert(key.clone(), value);
            }
            Value::Object(map)
        }
        (Value::Array(live), Value::Array(wanted)) if schema.list != ListKind::Atomic => {
            Value::Array(merged_list(schema, live, wanted))
        }
        _ => wanted.clone(),
    }
}

/// Items keep the order of what is wanted; what only the live list has stays behind the item that it stood behind.
fn merged_list(schema: &Schema, live: &[Value], wanted: &[Value]) -> Vec<Value> {
    let names: BTreeMap<String, usize> =
        wanted.iter().enumerate().map(|(n, item)| (element(schema, item), n)).collect();
    let mut olds: BTreeMap<usize, &Value> = BTreeMap::new();
    let mut before: Vec<Value> = Vec::new();
    let mut behind: BTreeMap<usize, Vec<Value>> = BTreeMap::new();
    let mut last = None;
    for item in live {
        match (names.get(&element(schema, item)), last) {
            (Some(n), _) => {
                olds.insert(*n, item);
                last = Some(*n);
            }
            (None, Some(n)) => behind.entry(n).or_default().push(item.clone()),
            (None, None) => before.push(item.clone()),
        }
    }
    let mut list = before;
    for (n, item) in wanted.iter().enumerate() {
        list.push(match olds.get(&n) {
            Some(old) => merged(schema.item(), old, item),
            None => item.clone(),
        });
        list.extend(behind.remove(&n).into_iter().flatten());
    }
    list
}

/// Removes what the author owned before, wants no longer, and nobody else owns.
fn remove_left(
    schema: &Schema,
    value: &mut Value,
    before: &FieldSet,
    wanted: Option<&FieldSet>,
    others: Option<&FieldSet>,
) {
    for (name, part) in &before.below {
        let wanted = wanted.and_then(|set| set.below.get(name));
        let others = others.and_then(|set| set.below.get(name));
        let keep = wanted.is_some() || others.is_some_and(|others| !others.is_empty());
        match value {
            Value::Object(map) => {
                let Some(key) = name.strip_prefix("f:") else { continue };
                if keep {
                    if let Some(inner) = map.get_mut(key) {
                        remove_left(schema.field(key), inner, part, wanted, others);
                    }
                } else {
                    map.remove(key);
                }
            }
            Value::Array(items) => {
                let Some(at) = items.iter().position(|item| element(schema, item) == *name) else { continue };
                if keep {
                    remove_left(schema.item(), &mut items[at], part, wanted, others);
                } else {
                    items.remove(at);
                }
            }
            _ => {}
        }
    }
}

/// An object with nothing but what names it: what an apply creates from.
pub(crate) fn empty() -> Value {
    Value::Object(Map::new())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::managed::Operation;
    use super::*;
    use crate::schema::builtin;

    struct Live {
        object: Value,
        managers: Managers,
    }

    impl Live {
        fn apply(
            &mut self,
            manager: &str,
            wanted: impl Into<Value>,
            force: bool,
        ) -> Result<(), Vec<Conflict>> {
            let author = Author { manager, operation: Operation::Apply, api_version: "v1", subresource: "" };
            let schema = builtin::named("Pod");
            let asked = Apply { schema, author: &author, force, ignored: &FieldSet::default(), now: "now" };
            self.object = apply(&asked, &self.object, &wanted.into(), &mut self.managers)?;
            Ok(())
        }
    }

    fn new() -> Live {
        Live { object: empty(), managers: Managers::default() }
    }

    #[test]
    fn owners_and_conflicts() {
        let mut live = new();
        live.apply("a", json!({"metadata": {"labels": {"x": "1", "y": "1"}}}), false).expect("new");
        live.apply("b", json!({"metadata": {"labels": {"x": "1"}}}), false)
            .expect("the same value is shared");
        let conflicts =
            live.apply("b", json!({"metadata": {"labels": {"x": "2"}}}), false).expect_err("conflict");
        assert_eq!(
            conflicts,
            [Conflict { owner: "\"a\"".into(), fields: vec![".metadata.labels.x".into()] }]
        );
        live.apply("b", json!({"metadata": {"labels": {"x": "2"}}}), true).expect("forced");
        live.apply("a", json!({"metadata": {"labels": {"y": "1"}}}), false).expect("x is b's now");
        assert_eq!(live.object, json!({"metadata": {"labels": {"x": "2", "y": "1"}}}));
        live.apply("b", json!({}), false).expect("gives up x");
        assert_eq!(live.object, json!({"metadata": {"labels": {"y": "1"}}}));
    }

    #[test]
    fn items_of_lists() {
        let mut live = new();
        let containers = |list: Value| json!({"spec": {"containers": list}});
        live.apply("a", containers(json!([{"name": "x", "image": "1"}, {"name": "y"}])), false).expect("new");
        live.apply("b", containers(json!([{"name": "z"}, {"name": "x", "workingDir": "/"}])), false)
            .expect("added");
        live.apply("a", containers(json!([{"name": "x"}])), false).expect("less");
        assert_eq!(live.object, containers(json!([{"name": "z"}, {"name": "x", "workingDir": "/"}])));
        live.apply("b", json!({"spec": {}}), false).expect("nothing");
        assert_eq!(live.object, containers(json!([{"name": "x"}])));
    }

    fn labels() -> impl proptest::strategy::Strategy<Value = BTreeMap<String, String>> {
        prop::collection::btree_map("[abc]", "[12]", 0..3)
    }

    proptest! {
        /// After a forced apply, what was wanted is there; what was wanted before and by nobody else is not;
        /// and the same apply again changes nothing.
        #[test]
        fn what_is_there_is_what_somebody_wants(steps in prop::collection::vec((0..3usize, labels()), 1..8)) {
            let mut live = new();
            let mut wanted: BTreeMap<usize, BTreeMap<String, String>> = BTreeMap::new();
            let mut model: BTreeMap<String, String> = BTreeMap::new();
            for (who, labels) in steps {
                let manager = ["a", "b", "c"][who];
                let object = if labels.is_empty() { json!({}) } else { json!({"metadata": {"labels": labels}}) };
                live.apply(manager, object.clone(), true).expect("forced");
                // Others lose what was changed under them.
                for (key, value) in &labels {
                    if model.get(key) != Some(value) {
                        for (other, theirs) in &mut wanted {
                            if *other != who {
                                theirs.remove(key);
                            }
                        }
                    }
                    model.insert(key.clone(), value.clone());
                }
                wanted.insert(who, labels);
                model.retain(|key, _| wanted.values().any(|labels| labels.contains_key(key)));
                let found = live.object.pointer("/metadata/labels").cloned().unwrap_or(json!({}));
                prop_assert_eq!(found, json!(model));
                let (object_before, managers_before) = (live.object.clone(), live.managers.clone());
                live.apply(manager, object, false).expect("no conflict with what is so already");
                prop_assert_eq!(&live.object, &object_before);
                prop_assert_eq!(&live.managers, &managers_before);
            }
        }
    }
}
