//! Types of the built-in kinds, read from a table.
//!
//! The table was made from the OpenAPI v3 documents of a Kubernetes 1.36 server (fields, types, attributes) and from the
//! tags of the Go types in `k8s.io/api` (numbers, pointers). The suite compares it with a newer server's documents.
//!
//! `builtin.types` has a type a paragraph: its name (and `atomic`), then a field a line: its number in protobuf, name, type,
//! attributes. `!` after a name says required, `*` that the field is a struct that is always there, `?` that nothing is
//! something else than an empty value (in Go, a pointer). The name `~` says that the fields of the type stand here, as if
//! they were the paragraph's own. Types: `[T]` lists, `{T}` maps by text. Attributes: `map=KEYS` and `set` (lists under server-side apply), `atomic`, `merge=KEY` and `retain` (strategic
//! merge), `enum=VALUES`, `default=VALUE`.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use super::{ListKind, Schema, Type, Wire};

/// The table.
const TABLE: &str = include_str!("builtin.types");

static TYPES: LazyLock<BTreeMap<&'static str, Arc<Schema>>> = LazyLock::new(|| {
    let mut reader = Reader { paragraphs: paragraphs(), done: BTreeMap::new() };
    let names: Vec<&'static str> = reader.paragraphs.keys().copied().collect();
    for name in names {
        reader.named(name);
    }
    reader.done
});

/// A built-in type, as `Pod` or `apps.Deployment`.
pub(crate) fn named(name: &str) -> &'static Arc<Schema> {
    TYPES.get(name).unwrap_or_else(|| Schema::deduced())
}

type Paragraph = (bool, Vec<&'static str>);

fn paragraphs() -> BTreeMap<&'static str, Paragraph> {
    let mut paragraphs: BTreeMap<&'static str, Paragraph> = BTreeMap::new();
    let mut current = "";
    for line in TABLE.lines().filter(|line| !line.is_empty()) {
        if line.starts_with(' ') {
            if let Some((_, fields)) = paragraphs.get_mut(current) {
                fields.push(line.trim());
            }
        } else {
            let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
            current = name;
            paragraphs.insert(name, (rest == "atomic", Vec::new()));
        }
    }
    paragraphs
}

struct Reader {
    paragraphs: BTreeMap<&'static str, Paragraph>,
    done: BTreeMap<&'static str, Arc<Schema>>,
}

impl Reader {
    fn named(&mut self, name: &'static str) -> Arc<Schema> {
        if let Some(done) = self.done.get(name) {
            return done.clone();
        }
        let Some((atomic, fields)) = self.paragraphs.get(name).cloned() else {
            return Schema::deduced().clone();
        };
        let mut schema = Schema { name: Some(name.into()), of: Type::Object, atomic, ..Schema::default() };
        for line in fields {
            let mut words = line.split(' ');
            let (Some(number), Some(field), Some(of)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let number = number.parse().unwrap_or(0);
            if field == "~" {
                let inner = self.named(of);
                schema
                    .properties
                    .extend(inner.properties.iter().map(|(key, part)| (key.clone(), part.clone())));
                schema.required.extend(inner.required.iter().cloned());
                schema.wire.insert(number, Wire::Inline(inner));
                continue;
            }
            let (name, flags) = field.split_at(field.find(['!', '*', '?']).unwrap_or(field.len()));
            let (field, required) = (name, flags.contains('!'));
            let mut part = self.typed(of);
            part.always = flags.contains('*') || required;
            part.pointer = flags.contains('?');
            if number > 0 {
                schema.wire.insert(number, Wire::Field(field.to_owned()));
            }
            words.for_each(|word| attribute(&mut part, word));
            if required {
                schema.required.push(field.to_owned());
            }
            schema.properties.insert(field.to_owned(), Arc::new(part));
        }
        let schema = Arc::new(schema);
        self.done.insert(name, schema.clone());
        schema
    }

    fn typed(&mut self, of: &'static str) -> Schema {
        if let Some(inner) = of.strip_prefix('[').and_then(|of| of.strip_suffix(']')) {
            return Schema { items: Some(Arc::new(self.typed(inner))), ..simple(Type::Array, None) };
        }
        if let Some(inner) = of.strip_prefix('{').and_then(|of| of.strip_suffix('}')) {
            return Schema { additional: Some(Arc::new(self.typed(inner))), ..simple(Type::Object, None) };
        }
        match of {
            "any" => Schema { preserve: true, ..Schema::default() },
            "object" => Schema { preserve: true, ..simple(Type::Object, None) },
            "string" => simple(Type::String, None),
            "bytes" => simple(Type::String, Some("byte")),
            "time" | "microtime" => simple(Type::String, Some("date-time")),
            "int32" => simple(Type::Integer, Some("int32")),
            "int64" => simple(Type::Integer, Some("int64")),
            "number" => simple(Type::Number, None),
            "boolean" => simple(Type::Boolean, None),
            "int-or-string" => simple(Type::IntOrString, Some("int-or-string")),
            "quantity" => simple(Type::IntOrString, Some("quantity")),
            named => (*self.named(named)).clone(),
        }
    }
}

fn simple(of: Type, format: Option<&str>) -> Schema {
    let mut schema = Schema { of, ..Schema::default() };
    schema.rules.format = format.map(str::to_owned);
    schema
}

fn attribute(schema: &mut Schema, word: &str) {
    match word.split_once('=') {
        None if word == "set" => schema.list = ListKind::Set,
        None if word == "atomic" => schema.atomic = true,
        None if word == "retain" => schema.strategy.retain_keys = true,
        Some(("map", keys)) => {
            schema.list = ListKind::Map(keys.split(',').map(str::to_owned).collect());
        }
        Some(("merge", key)) => {
            schema.strategy.merge = true;
            schema.strategy.key = Some(key.to_owned()).filter(|key| !key.is_empty());
        }
        Some(("enum", values)) => {
            schema.rules.among = values
                .split(',')
                .map(|value| Value::from(if value == "\"\"" { "" } else { value }))
                .collect();
        }
        Some(("default", value)) => schema.default = Some(Value::from(value)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        let known =
            ["any", "object", "string", "bytes", "time", "microtime", "int32", "int64", "number", "boolean"];
        let table = paragraphs();
        for (name, (_, fields)) in &table {
            for line in fields {
                let words: Vec<&str> = line.split(' ').collect();
                assert!(words[0].parse::<u32>().is_ok(), "{name}: {line}");
                let of = words[2].trim_matches(|c| "[]{}".contains(c));
                let found = known.contains(&of)
                    || of == "quantity"
                    || of == "int-or-string"
                    || table.contains_key(of);
                assert!(found, "{name}: {line}");
                for word in &words[3..] {
                    let known = ["set", "atomic", "retain"].contains(word)
                        || ["map=", "merge=", "enum=", "default="].iter().any(|p| word.starts_with(p));
                    assert!(known, "{name}: {line}: {word}");
                }
            }
        }
    }

    #[test]
    fn attributes_arrive() {
        let pod = named("Pod");
        let containers = pod.field("spec").field("containers");
        assert_eq!(containers.list, ListKind::Map(vec!["name".into()]));
        assert_eq!(containers.strategy.key.as_deref(), Some("name"));
        assert!(containers.item().required.contains(&"name".to_owned()));
        assert!(named("Service").field("spec").field("selector").atomic);
        assert_eq!(named("ObjectMeta").field("finalizers").list, ListKind::Set);
    }
}
