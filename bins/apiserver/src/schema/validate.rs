//! Whether a value fulfils a schema.

use serde_json::Value;

use super::format;
use super::{ListKind, Schema, Type};
use crate::error::FieldError;

/// All that is wrong with a value.
pub(crate) fn validate(schema: &Schema, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if value.is_null() && schema.nullable {
        return;
    }
    if !has_type(schema.of, value) {
        errors.push(type_error(schema, value, path));
        return;
    }
    let rules = &schema.rules;
    if !rules.among.is_empty() && !rules.among.contains(value) {
        errors.push(FieldError::unsupported(path, value, &rules.among));
    }
    match value {
        Value::String(text) => string(schema, text, value, path, errors),
        Value::Number(number) => numeric(schema, number.as_f64().unwrap_or_default(), value, path, errors),
        Value::Array(items) => list(schema, items, value, path, errors),
        Value::Object(map) => object(schema, map, value, path, errors),
        _ => {}
    }
    combined(schema, value, path, errors);
}

/// Values whose type is not the schema's, and nothing else.
pub(crate) fn types(schema: &Schema, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if value.is_null() {
        return;
    }
    let format = schema.rules.format.as_deref().unwrap_or_default();
    // Of texts, Go's decoder reads times and bytes; of numbers, it knows the width.
    let read = match value {
        Value::String(text) if matches!(format, "date-time" | "byte") => format::holds(format, text),
        Value::Number(number) => number.as_f64().is_some_and(|number| format::holds_number(format, number)),
        _ => true,
    };
    if !has_type(schema.of, value) || !read {
        errors.push(type_error(schema, value, path));
        return;
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                types(schema.field(key), value, &join(path, key), errors);
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                types(schema.item(), item, &format!("{path}[{n}]"), errors);
            }
        }
        _ => {}
    }
}

fn has_type(of: Type, value: &Value) -> bool {
    match of {
        Type::Any => true,
        Type::Object => value.is_object(),
        Type::Array => value.is_array(),
        Type::String => value.is_string(),
        Type::Boolean => value.is_boolean(),
        Type::Number => value.is_number(),
        Type::Integer => is_integer(value),
        Type::IntOrString => value.is_string() || value.is_number(),
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn type_error(schema: &Schema, value: &Value, path: &str) -> FieldError {
    let wanted = match schema.of {
        Type::Any => "any",
        Type::Object => "object",
        Type::Array => "array",
        Type::String => "string",
        Type::Integer => "integer",
        Type::Number => "number",
        Type::Boolean => "boolean",
        Type::IntOrString => "integer,string",
    };
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let why = format!("{} in body must be of type {wanted}: \"{found}\"", shown(path));
    FieldError::wrong_type(path, &Value::from(found), &why)
}

fn string(schema: &Schema, text: &str, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let rules = &schema.rules;
    let length = text.chars().count() as u64;
    let at = shown(path);
    if rules.max_length.is_some_and(|most| length > most) {
        let most = rules.max_length.unwrap_or_default();
        errors.push(FieldError {
            reason: "FieldValueTooLong",
            field: path.to_owned(),
            message: format!("Too long: may not be more than {most} bytes"),
        });
    }
    if let Some(least) = rules.min_length.filter(|least| length < *least) {
        errors.push(FieldError::invalid(
            path,
            value,
            &format!("{at} in body should be at least {least} chars long"),
        ));
    }
    if let Some(pattern) = rules.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
        errors.push(FieldError::invalid(path, value, &format!("{at} in body should match '{pattern}'")));
    }
    if let Some(format) = rules.format.as_deref().filter(|format| !format::holds(format, text)) {
        errors.push(FieldError::invalid(
            path,
            value,
            &format!("{at} in body must be of type {format}: {value}"),
        ));
    }
}

fn numeric(schema: &Schema, number: f64, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let rules = &schema.rules;
    let at = shown(path);
    let mut wrong = |why: String| errors.push(FieldError::invalid(path, value, &why));
    if let Some(least) = rules.minimum {
        if rules.exclusive_minimum && number <= least {
            wrong(format!("{at} in body should be greater than {least}"));
        } else if number < least {
            wrong(format!("{at} in body should be greater than or equal to {least}"));
        }
    }
    if let Some(most) = rules.maximum {
        if rules.exclusive_maximum && number >= most {
            wrong(format!("{at} in body should be less than {most}"));
        } else if number > most {
            wrong(format!("{at} in body should be less than or equal to {most}"));
        }
    }
    if let Some(factor) =
        rules.multiple_of.filter(|factor| *factor != 0.0 && (number / factor).fract() != 0.0)
    {
        wrong(format!("{at} in body should be a multiple of {factor}"));
    }
    if let Some(format) = rules.format.as_deref().filter(|format| !format::holds_number(format, number)) {
        wrong(format!("{at} in body must be of type {format}: \"{number}\""));
    }
}

fn list(schema: &Schema, items: &[Value], value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let rules = &schema.rules;
    let count = items.len() as u64;
    if let Some(most) = rules.max_items.filter(|most| count > *most) {
        errors.push(FieldError {
            reason: "FieldValueTooMany",
            field: path.to_owned(),
            message: format!("Too many: {count}: must have at most {most} items"),
        });
    }
    if let Some(least) = rules.min_items.filter(|least| count < *least) {
        let why = format!("{} in body should have at least {least} items", shown(path));
        errors.push(FieldError::invalid(path, value, &why));
    }
    for (n, item) in items.iter().enumerate() {
        let earlier = &items[..n];
        let twice = match &schema.list {
            ListKind::Map(keys) => {
                earlier.iter().any(|other| keys.iter().all(|key| other.get(key) == item.get(key)))
            }
            ListKind::Set => earlier.contains(item),
            ListKind::Atomic => rules.unique_items && earlier.contains(item),
        };
        if twice {
            errors.push(FieldError::duplicate(format!("{path}[{n}]"), item));
        }
        validate(schema.item(), item, &format!("{path}[{n}]"), errors);
    }
}

fn object(
    schema: &Schema,
    map: &serde_json::Map<String, Value>,
    value: &Value,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let rules = &schema.rules;
    let count = map.len() as u64;
    if let Some(most) = rules.max_properties.filter(|most| count > *most) {
        errors.push(FieldError {
            reason: "FieldValueTooMany",
            field: path.to_owned(),
            message: format!("Too many: {count}: must have at most {most} items"),
        });
    }
    if let Some(least) = rules.min_properties.filter(|least| count < *least) {
        let why = format!("{} in body should have at least {least} properties", shown(path));
        errors.push(FieldError::invalid(path, value, &why));
    }
    for key in schema.required.iter().filter(|key| !map.contains_key(*key)) {
        errors.push(FieldError::required(join(path, key), ""));
    }
    for (key, value) in map {
        if let Some(part) = schema.properties.get(key).or(schema.additional.as_ref()) {
            validate(part, value, &join(path, key), errors);
        }
    }
}

/// `allOf`, `anyOf`, `oneOf` and `not`.
fn combined(schema: &Schema, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let rules = &schema.rules;
    let fulfils = |part: &Schema| {
        let mut wrong = Vec::new();
        validate(part, value, path, &mut wrong);
        wrong.is_empty()
    };
    for part in &rules.all_of {
        validate(part, value, path, errors);
    }
    let at = shown(path);
    let mut wrong = |why: String| errors.push(FieldError::invalid(path, value, &why));
    if !rules.any_of.is_empty() && !rules.any_of.iter().any(fulfils) {
        wrong(format!("{at} in body must validate at least one schema (anyOf)"));
    }
    if !rules.one_of.is_empty() {
        match rules.one_of.iter().filter(|part| fulfils(part)).count() {
            1 => {}
            0 => wrong(format!("{at} must validate one and only one schema (oneOf). Found none valid")),
            n => {
                wrong(format!(
                    "{at} must validate one and only one schema (oneOf). Found {n} valid alternatives"
                ));
            }
        }
    }
    if rules.not.as_ref().is_some_and(|part| fulfils(part)) {
        wrong(format!("{at} must not validate the schema (not)"));
    }
}

fn shown(path: &str) -> &str {
    if path.is_empty() { "\"\"" } else { path }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::custom;
    use super::*;

    fn errors(schema: &Value, value: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        let schema = custom::root(&json!({"type": "object", "properties": {"v": schema}}), "", &mut wrong);
        assert_eq!(wrong, []);
        validate(&schema, &json!({"v": value}), "", &mut wrong);
        wrong.iter().map(|error| format!("{}: {}", error.field, error.message)).collect()
    }

    #[test]
    fn rules() {
        for (schema, good, bad, why) in [
            (json!({"type": "string"}), json!("a"), json!(1), "must be of type string: \"integer\""),
            (json!({"type": "integer"}), json!(1), json!(1.5), "must be of type integer: \"number\""),
            (
                json!({"type": "string", "enum": ["a", "b"]}),
                json!("a"),
                json!("c"),
                "supported values: \"a\", \"b\"",
            ),
            (json!({"type": "integer", "minimum": 1}), json!(1), json!(0), "greater than or equal to 1"),
            (
                json!({"type": "integer", "maximum": 1, "exclusiveMaximum": true}),
                json!(0),
                json!(1),
                "less than 1",
            ),
            (json!({"type": "string", "minLength": 2}), json!("ab"), json!("a"), "at least 2 chars long"),
            (json!({"type": "string", "maxLength": 2}), json!("ab"), json!("abc"), "Too long"),
            (json!({"type": "string", "pattern": "^a+$"}), json!("aa"), json!("b"), "should match '^a+$'"),
            (
                json!({"type": "string", "format": "cidr"}),
                json!("10.0.0.0/8"),
                json!("x"),
                "must be of type cidr",
            ),
            (
                json!({"type": "array", "items": {"type": "string"}, "maxItems": 1}),
                json!(["a"]),
                json!(["a", "b"]),
                "Too many: 2: must have at most 1 items",
            ),
            (json!({"type": "array", "items": {"type": "string"}}), json!(["a"]), json!([1]), "v[0] in body"),
            (
                json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}),
                json!({"a": "b"}),
                json!({}),
                "v.a: Required value",
            ),
            (
                json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
                json!("80%"),
                json!(true),
                "integer,string",
            ),
            (
                json!({"type": "object", "preserve": true, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
                json!({"a": 1}),
                json!({"a": 1, "b": 2}),
                "Found 2 valid",
            ),
            (
                json!({"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}),
                json!({"a": 1}),
                json!({}),
                "(anyOf)",
            ),
            (json!({"type": "object", "not": {"required": ["a"]}}), json!({}), json!({"a": 1}), "(not)"),
            (json!({"type": "string", "nullable": true}), json!(null), json!(1), "must be of type string"),
            (
                json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}),
                json!(["a"]),
                json!(["a", "a"]),
                "Duplicate value: \"a\"",
            ),
        ] {
            assert_eq!(errors(&schema, &good), Vec::<String>::new(), "{schema} {good}");
            let found = errors(&schema, &bad);
            assert!(found.iter().any(|text| text.contains(why)), "{schema} {bad}: {found:?}");
        }
    }
}
