//! Objects as rows of a table, which `kubectl get` prints.

mod cells;

use serde_json::{Value, json};

use super::show::{self, Include};
use crate::meta;
use crate::resource::Resource;

/// A column's head.
pub(super) struct Head {
    name: &'static str,
    /// 0 is always shown, others with `-o wide`.
    priority: i64,
}

/// Heads that are always shown, and those of wide tables.
fn heads(narrow: &[&'static str], wide: &[&'static str]) -> Vec<Head> {
    let narrow = narrow.iter().map(|name| Head { name, priority: 0 });
    narrow.chain(wide.iter().map(|name| Head { name, priority: 1 })).collect()
}

/// A table of objects.
pub(super) fn table(
    resource: &Resource,
    objects: &[Value],
    metadata: &Value,
    include: Include,
    with_columns: bool,
) -> Value {
    let definitions: Vec<Value> =
        if resource.custom { custom_heads(resource) } else { builtin_heads(resource) };
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells =
                if resource.custom { custom_cells(resource, object) } else { cells::of(resource, object) };
            let mut row = json!({"cells": cells});
            match include {
                Include::Nothing => {}
                Include::Metadata => row["object"] = show::partial(object),
                Include::Object => row["object"] = object.clone(),
            }
            row
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": if with_columns { Value::Array(definitions) } else { Value::Null },
        "rows": rows,
    })
}

fn definition(name: &str, of: &str, format: &str, description: &str, priority: i64) -> Value {
    json!({"name": name, "type": of, "format": format, "description": description, "priority": priority})
}

fn builtin_heads(resource: &Resource) -> Vec<Value> {
    let heads = cells::heads_of(resource).into_iter();
    heads
        .map(|head| {
            let format = if head.name == "Name" { "name" } else { "" };
            definition(head.name, "string", format, head.name, head.priority)
        })
        .collect()
}

fn custom_heads(resource: &Resource) -> Vec<Value> {
    let mut heads = vec![definition("Name", "string", "name", "Name of the object", 0)];
    if resource.columns.is_empty() {
        heads.push(definition("Age", "date", "", "When the object was created", 0));
    }
    let own = resource.columns.iter();
    heads.extend(own.map(|c| definition(&c.name, &c.of, &c.format, &c.description, c.priority)));
    heads
}

fn custom_cells(resource: &Resource, object: &Value) -> Vec<Value> {
    let mut cells = vec![Value::from(meta::name(object))];
    if resource.columns.is_empty() {
        cells.push(age(meta::meta(object, "creationTimestamp")).into());
    }
    for column in &resource.columns {
        let found = path::find(object, &column.path);
        cells.push(match (column.of.as_str(), found.as_slice()) {
            (_, []) => Value::Null,
            ("date", [first, ..]) => first.as_str().map_or(Value::Null, |time| age(time).into()),
            ("integer", [first, ..]) => first.as_i64().map_or(Value::Null, Value::from),
            ("number" | "boolean", [first, ..]) => (*first).clone(),
            (_, [Value::String(text)]) => Value::from(text.as_str()),
            (_, [one]) => Value::from(one.to_string()),
            (_, many) => {
                let texts =
                    many.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                Value::from(texts.collect::<Vec<_>>().join(","))
            }
        });
    }
    cells
}

/// How long ago a time was, as `5m` or `3d4h`.
fn age(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(then) => duration(jiff::Timestamp::now().as_second() - then.as_second()),
        Err(_) => "<unknown>".into(),
    }
}

/// A length of time for people: two units at most.
fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let two = |large: i64, unit: &str, small: i64, rest: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{rest}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10800 => format!("{minutes}m"),
        10800..28800 => two(hours, "h", minutes % 60, "m"),
        28800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// The part of JSONPath that printer columns use.
mod path {
    use serde_json::Value;

    /// Values at a path like `.status.conditions[?(@.type=="Ready")].status`.
    pub(super) fn find<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
        let mut found = vec![object];
        let mut rest = path;
        while !rest.is_empty() {
            let (step, after) = match rest.strip_prefix('[') {
                Some(inner) => {
                    let Some(end) = closing(inner) else { return Vec::new() };
                    (Step::Bracket(&inner[..end]), &inner[end + 1..])
                }
                None => {
                    let inner = rest.trim_start_matches('.');
                    let end = field_end(inner);
                    (Step::Field(inner[..end].replace('\\', "")), &inner[end..])
                }
            };
            found = found.into_iter().flat_map(|value| step.of(value)).collect();
            rest = after;
        }
        found
    }

    enum Step<'p> {
        Field(String),
        Bracket(&'p str),
    }

    impl Step<'_> {
        fn of<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
            match self {
                Step::Field(key) if key.is_empty() => vec![value],
                Step::Field(key) => value.get(key).into_iter().collect(),
                Step::Bracket("*") => match value {
                    Value::Array(items) => items.iter().collect(),
                    Value::Object(map) => map.values().collect(),
                    _ => Vec::new(),
                },
                Step::Bracket(inner) => {
                    if let Some(test) = inner.strip_prefix("?(").and_then(|test| test.strip_suffix(')')) {
                        let items = value.as_array().into_iter().flatten();
                        return items.filter(|item| holds(test, item)).collect();
                    }
                    if let Some(key) = inner.strip_prefix('\'').and_then(|key| key.strip_suffix('\'')) {
                        return value.get(key).into_iter().collect();
                    }
                    let Ok(at) = inner.parse::<i64>() else { return Vec::new() };
                    let Some(items) = value.as_array() else { return Vec::new() };
                    let at = if at < 0 { at + i64::try_from(items.len()).unwrap_or(0) } else { at };
                    usize::try_from(at).ok().and_then(|at| items.get(at)).into_iter().collect()
                }
            }
        }
    }

    fn holds(test: &str, item: &Value) -> bool {
        let (path, operator, wanted) = match (test.split_once("=="), test.split_once("!=")) {
            (Some((path, wanted)), _) => (path, true, wanted),
            (None, Some((path, wanted))) => (path, false, wanted),
            (None, None) => return !find(item, test.trim().trim_start_matches('@')).is_empty(),
        };
        let wanted = wanted.trim().trim_matches(['"', '\'']);
        let found = find(item, path.trim().trim_start_matches('@'));
        let equal = found.first().is_some_and(|value| match value {
            Value::String(text) => text == wanted,
            other => {
                let text = other.to_string();
                text == wanted
            }
        });
        equal == operator
    }

    /// Where a field's name ends: at a dot or bracket that no backslash escapes.
    fn field_end(text: &str) -> usize {
        let mut escaped = false;
        for (at, c) in text.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '.' | '[' => return at,
                _ => {}
            }
        }
        text.len()
    }

    /// Where a bracket closes.
    fn closing(text: &str) -> Option<usize> {
        let mut depth = 0;
        text.char_indices().find_map(|(at, c)| {
            match c {
                '[' => depth += 1,
                ']' if depth == 0 => return Some(at),
                ']' => depth -= 1,
                _ => {}
            }
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        for (seconds, text) in [
            (5, "5s"),
            (119, "119s"),
            (120, "2m"),
            (150, "2m30s"),
            (700, "11m"),
            (10800, "3h"),
            (11000, "3h3m"),
            (30000, "8h"),
            (180_000, "2d2h"),
            (800_000, "9d"),
            (70_000_000, "2y80d"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn paths() {
        let object = json!({"metadata": {"annotations": {"a.b/c": "x"}}, "spec": {"ips": ["1", "2"]},
            "status": {"conditions": [{"type": "A", "status": "False"}, {"type": "Ready", "status": "True"}]}});
        let find = |path: &str| path::find(&object, path).into_iter().cloned().collect::<Vec<_>>();
        assert_eq!(find(".spec.ips[0]"), [json!("1")]);
        assert_eq!(find(".spec.ips[-1]"), [json!("2")]);
        assert_eq!(find(".spec.ips[*]"), [json!("1"), json!("2")]);
        assert_eq!(find(".status.conditions[?(@.type==\"Ready\")].status"), [json!("True")]);
        assert_eq!(find(".status.conditions[?(@.type=='Ready')].status"), [json!("True")]);
        assert_eq!(find(".metadata.annotations.a\\.b/c"), [json!("x")]);
        assert_eq!(find(".metadata.annotations['a.b/c']"), [json!("x")]);
        assert!(find(".nothing.here").is_empty());
    }
}
