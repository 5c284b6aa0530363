//! Schemas as OpenAPI writes them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{ListKind, Schema, Type, builtin};
use crate::resource::Resource;

/// Name of a kind's schema in a document.
pub(crate) fn name(resource: &Resource) -> String {
    match &resource.schema.name {
        Some(name) => full(name),
        None => {
            let reversed: Vec<&str> = resource.group.rsplit('.').collect();
            format!("{}.{}.{}", reversed.join("."), resource.version, resource.kind)
        }
    }
}

/// Name of a built-in type in a document.
fn full(name: &str) -> String {
    const META: &[&str] = &[
        "ObjectMeta",
        "OwnerReference",
        "ManagedFieldsEntry",
        "LabelSelector",
        "LabelSelectorRequirement",
        "Condition",
    ];
    match name.split_once('.') {
        Some(("apiextensions", name)) => {
            format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.{name}")
        }
        Some((group, name)) => format!("io.k8s.api.{group}.v1.{name}"),
        None if META.contains(&name) => format!("io.k8s.apimachinery.pkg.apis.meta.v1.{name}"),
        None => format!("io.k8s.api.core.v1.{name}"),
    }
}

/// Adds the schemas of a kind, of lists of it, and of all that they refer to.
pub(crate) fn add(resource: &Resource, schemas: &mut BTreeMap<String, Value>) {
    let own = name(resource);
    let mut json = body(&resource.schema, schemas);
    json["x-kubernetes-group-version-kind"] =
        json!([{"group": resource.group, "version": resource.version, "kind": resource.kind}]);
    schemas.insert(own.clone(), json);
    let list = json!({
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "items": {"type": "array", "items": {"$ref": format!("#/components/schemas/{own}")}},
        },
        "x-kubernetes-group-version-kind":
            [{"group": resource.group, "version": resource.version, "kind": resource.list_kind}],
    });
    schemas.insert(format!("{own}List"), list);
}

/// A schema, or a reference to a named one.
fn part(schema: &Schema, schemas: &mut BTreeMap<String, Value>) -> Value {
    let Some(name) = &schema.name else { return body(schema, schemas) };
    let full = full(name);
    if !schemas.contains_key(&full) {
        // Held for it, so that it is not made twice.
        schemas.insert(full.clone(), Value::Null);
        let json = body(builtin::named(name), schemas);
        schemas.insert(full.clone(), json);
    }
    let mut json = json!({"allOf": [{"$ref": format!("#/components/schemas/{full}")}]});
    if let Some(text) = &schema.description {
        json["description"] = text.as_str().into();
    }
    strategy(schema, &mut |key, value| json[key] = value);
    json
}

fn body(schema: &Schema, schemas: &mut BTreeMap<String, Value>) -> Value {
    let mut json = Map::new();
    let mut put = |key: &str, value: Value| {
        json.insert(key.to_owned(), value);
    };
    let of = match schema.of {
        Type::Any => None,
        Type::Object => Some("object"),
        Type::Array => Some("array"),
        Type::String => Some("string"),
        Type::Integer => Some("integer"),
        Type::Number => Some("number"),
        Type::Boolean => Some("boolean"),
        Type::IntOrString => {
            put("x-kubernetes-int-or-string", true.into());
            None
        }
    };
    if let Some(of) = of {
        put("type", of.into());
    }
    if let Some(text) = &schema.description {
        put("description", text.as_str().into());
    }
    if schema.nullable {
        put("nullable", true.into());
    }
    if let Some(default) = &schema.default {
        put("default", default.clone());
    }
    if !schema.required.is_empty() {
        put("required", json!(schema.required));
    }
    if schema.preserve && !schema.properties.is_empty() {
        put("x-kubernetes-preserve-unknown-fields", true.into());
    }
    if schema.atomic {
        put("x-kubernetes-map-type", "atomic".into());
    }
    match &schema.list {
        ListKind::Atomic => {}
        ListKind::Set => put("x-kubernetes-list-type", "set".into()),
        ListKind::Map(keys) => {
            put("x-kubernetes-list-type", "map".into());
            put("x-kubernetes-list-map-keys", json!(keys));
        }
    }
    strategy(schema, &mut put);
    rules(schema, &mut put);
    let mut nested = Map::new();
    if !schema.properties.is_empty() {
        let properties: Map<String, Value> =
            schema.properties.iter().map(|(key, value)| (key.clone(), part(value, schemas))).collect();
        nested.insert("properties".into(), properties.into());
    }
    if let Some(additional) = &schema.additional {
        nested.insert("additionalProperties".into(), part(additional, schemas));
    }
    if let Some(items) = &schema.items {
        nested.insert("items".into(), part(items, schemas));
    }
    json.append(&mut nested);
    Value::Object(json)
}

fn strategy(schema: &Schema, put: &mut impl FnMut(&str, Value)) {
    match (schema.strategy.merge, schema.strategy.retain_keys) {
        (false, false) => {}
        (true, false) => put("x-kubernetes-patch-strategy", "merge".into()),
        (false, true) => put("x-kubernetes-patch-strategy", "retainKeys".into()),
        (true, true) => put("x-kubernetes-patch-strategy", "merge,retainKeys".into()),
    }
    if let Some(key) = &schema.strategy.key {
        put("x-kubernetes-patch-merge-key", key.as_str().into());
    }
}

fn rules(schema: &Schema, put: &mut impl FnMut(&str, Value)) {
    let rules = &schema.rules;
    if !rules.among.is_empty() {
        put("enum", json!(rules.among));
    }
    if let Some(format) = &rules.format {
        put("format", format.as_str().into());
    }
    if let Some(pattern) = &rules.pattern {
        put("pattern", pattern.as_str().into());
    }
    for (key, value) in
        [("minimum", rules.minimum), ("maximum", rules.maximum), ("multipleOf", rules.multiple_of)]
    {
        if let Some(value) = value {
            put(key, value.into());
        }
    }
    for (key, value) in [
        ("minLength", rules.min_length),
        ("maxLength", rules.max_length),
        ("minItems", rules.min_items),
        ("maxItems", rules.max_items),
        ("minProperties", rules.min_properties),
        ("maxProperties", rules.max_properties),
    ] {
        if let Some(value) = value {
            put(key, value.into());
        }
    }
}
