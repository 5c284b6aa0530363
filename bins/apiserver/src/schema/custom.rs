//! Schemas of custom kinds, from the definition's `openAPIV3Schema`.

use std::sync::Arc;

use regex::Regex;
use serde_json::Value;

use super::{ListKind, Schema, Type, builtin};
use crate::error::FieldError;

/// The schema of a custom kind's objects. Complaints are added to `errors`, under `path`.
pub(crate) fn root(props: &Value, path: &str, errors: &mut Vec<FieldError>) -> Schema {
    let mut schema = read(props, path, errors);
    if schema.of != Type::Object {
        let of = props.get("type").cloned().unwrap_or_default();
        let why = "must be object at the root";
        errors.push(match of {
            Value::Null => FieldError::required(format!("{path}.type"), why),
            of => FieldError::invalid(format!("{path}.type"), &of, why),
        });
    }
    add_object_fields(&mut schema);
    schema
}

/// Gives a schema what every object has.
fn add_object_fields(schema: &mut Schema) {
    let described = |schema: &Schema, key: &str, otherwise: &str| {
        let said = schema.properties.get(key).and_then(|schema| schema.description.clone());
        Some(said.unwrap_or_else(|| otherwise.to_owned()))
    };
    for (key, otherwise) in
        [("apiVersion", "The group and version of the object's schema."), ("kind", "The kind of the object.")]
    {
        let description = described(schema, key, otherwise);
        let text = Schema { of: Type::String, description, ..Schema::default() };
        schema.properties.insert(key.into(), Arc::new(text));
    }
    let mut metadata = (**builtin::named("ObjectMeta")).clone();
    metadata.description =
        described(schema, "metadata", "What every object has: its name, labels and so on.");
    metadata.always = true;
    schema.properties.insert("metadata".into(), Arc::new(metadata));
}

fn read(props: &Value, path: &str, errors: &mut Vec<FieldError>) -> Schema {
    let flag = |key: &str| props.get(key).and_then(Value::as_bool).unwrap_or(false);
    let text = |key: &str| props.get(key).and_then(Value::as_str);
    let mut schema = Schema {
        of: match text("type") {
            Some("object") => Type::Object,
            Some("array") => Type::Array,
            Some("string") => Type::String,
            Some("integer") => Type::Integer,
            Some("number") => Type::Number,
            Some("boolean") => Type::Boolean,
            _ => Type::Any,
        },
        description: text("description").map(str::to_owned),
        nullable: flag("nullable"),
        preserve: flag("x-kubernetes-preserve-unknown-fields"),
        embedded: flag("x-kubernetes-embedded-resource"),
        default: props.get("default").filter(|value| !value.is_null()).cloned(),
        atomic: text("x-kubernetes-map-type") == Some("atomic"),
        required: texts(props.get("required")),
        ..Schema::default()
    };
    if flag("x-kubernetes-int-or-string") {
        schema.of = Type::IntOrString;
    }
    schema.list = match text("x-kubernetes-list-type") {
        Some("set") => ListKind::Set,
        Some("map") => {
            let keys = texts(props.get("x-kubernetes-list-map-keys"));
            if keys.is_empty() {
                errors.push(FieldError::required(
                    format!("{path}.x-kubernetes-list-map-keys"),
                    "must not be empty if x-kubernetes-list-type is map",
                ));
            }
            ListKind::Map(keys)
        }
        _ => ListKind::Atomic,
    };
    for (key, part) in props.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let part = read(part, &format!("{path}.properties[{key}]"), errors);
        schema.properties.insert(key.clone(), Arc::new(part));
    }
    match props.get("additionalProperties") {
        Some(Value::Bool(true)) => schema.preserve = true,
        Some(part @ Value::Object(_)) => {
            let part = read(part, &format!("{path}.additionalProperties"), errors);
            schema.additional = Some(Arc::new(part));
        }
        _ => {}
    }
    if let Some(part) = props.get("items").filter(|part| part.is_object()) {
        schema.items = Some(Arc::new(read(part, &format!("{path}.items"), errors)));
    }
    if schema.of == Type::Array && schema.items.is_none() {
        errors.push(FieldError::required(format!("{path}.items"), "must be specified"));
    }
    if schema.embedded {
        add_object_fields(&mut schema);
    }
    rules(props, path, &mut schema, errors);
    schema
}

fn rules(props: &Value, path: &str, schema: &mut Schema, errors: &mut Vec<FieldError>) {
    let number = |key: &str| props.get(key).and_then(Value::as_f64);
    let count = |key: &str| props.get(key).and_then(Value::as_u64);
    let flag = |key: &str| props.get(key).and_then(Value::as_bool).unwrap_or(false);
    let rules = &mut schema.rules;
    rules.among = props.get("enum").and_then(Value::as_array).cloned().unwrap_or_default();
    rules.format = props.get("format").and_then(Value::as_str).map(str::to_owned);
    if let Some(pattern) = props.get("pattern").and_then(Value::as_str) {
        match Regex::new(pattern) {
            Ok(regex) => rules.pattern = Some(regex),
            Err(error) => errors.push(FieldError::invalid(
                format!("{path}.pattern"),
                &Value::from(pattern),
                &format!("must be a valid regular expression, but isn't: {error}"),
            )),
        }
    }
    rules.minimum = number("minimum");
    rules.exclusive_minimum = flag("exclusiveMinimum");
    rules.maximum = number("maximum");
    rules.exclusive_maximum = flag("exclusiveMaximum");
    rules.multiple_of = number("multipleOf");
    rules.min_length = count("minLength");
    rules.max_length = count("maxLength");
    rules.min_items = count("minItems");
    rules.max_items = count("maxItems");
    rules.unique_items = flag("uniqueItems");
    rules.min_properties = count("minProperties");
    rules.max_properties = count("maxProperties");
    let mut parts = |key: &str| -> Vec<Schema> {
        let list = props.get(key).and_then(Value::as_array).into_iter().flatten().enumerate();
        list.map(|(n, part)| read(part, &format!("{path}.{key}[{n}]"), errors)).collect()
    };
    rules.all_of = parts("allOf");
    rules.any_of = parts("anyOf");
    rules.one_of = parts("oneOf");
    if let Some(part) = props.get("not").filter(|part| part.is_object()) {
        rules.not = Some(Box::new(read(part, &format!("{path}.not"), errors)));
    }
}

/// A list of texts; whatever else is in it is left out.
pub(crate) fn texts(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}
