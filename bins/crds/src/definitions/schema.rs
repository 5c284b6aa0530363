//! OpenAPI schemas, put together from small pieces.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use serde_json::Value;

/// A schema while it is being built.
#[derive(Clone, Debug, Default)]
pub(super) struct Schema(JSONSchemaProps);

fn of_type(name: &str) -> Schema {
    Schema(JSONSchemaProps { type_: Some(name.to_owned()), ..JSONSchemaProps::default() })
}

pub(super) fn string() -> Schema {
    of_type("string")
}

pub(super) fn boolean() -> Schema {
    of_type("boolean")
}

pub(super) fn integer() -> Schema {
    of_type("integer")
}

/// An integer of 64 bits, as the API calls those that Go declares so.
pub(super) fn int64() -> Schema {
    integer().format("int64")
}

/// A string that is one of these.
pub(super) fn one_of(names: &[&str]) -> Schema {
    let mut schema = string();
    schema.0.enum_ = Some(names.iter().map(|name| JSON(Value::from(*name))).collect());
    schema
}

/// A prefix of either family.
pub(super) fn cidr() -> Schema {
    string().format("cidr")
}

pub(super) fn list(items: Schema) -> Schema {
    let mut schema = of_type("array");
    schema.0.items = Some(JSONSchemaPropsOrArray::Schema(Box::new(items.0)));
    schema
}

/// An object with any keys.
pub(super) fn map(values: Schema) -> Schema {
    let mut schema = of_type("object");
    schema.0.additional_properties = Some(JSONSchemaPropsOrBool::Schema(Box::new(values.0)));
    schema
}

/// Names and values.
pub(super) fn strings() -> Schema {
    map(string())
}

/// The metadata of an object; the server knows what is in it.
pub(super) fn of_metadata() -> Schema {
    of_type("object")
}

/// An object with these fields.
pub(super) fn object<const N: usize>(fields: [(&str, Schema); N]) -> Schema {
    of_type("object").with(fields)
}

/// An object whose fields nobody here knows, kept as they are.
pub(super) fn anything() -> Schema {
    let mut schema = of_type("object");
    schema.0.x_kubernetes_preserve_unknown_fields = Some(true);
    schema
}

/// An integer or a string.
pub(super) fn int_or_string() -> Schema {
    let mut schema = Schema::default();
    schema.0.any_of = Some(vec![integer().0, string().0]);
    schema.0.x_kubernetes_int_or_string = Some(true);
    schema
}

impl Schema {
    pub(super) fn done(self) -> JSONSchemaProps {
        self.0
    }

    /// What it is for, in a few words: `kubectl explain` shows it.
    pub(super) fn about(mut self, text: &str) -> Self {
        self.0.description = Some(text.to_owned());
        self
    }

    pub(super) fn with<const N: usize>(mut self, fields: [(&str, Schema); N]) -> Self {
        let properties = self.0.properties.get_or_insert_default();
        properties.extend(fields.map(|(name, schema)| (name.to_owned(), schema.0)));
        self
    }

    pub(super) fn required(mut self, names: &[&str]) -> Self {
        self.0.required = Some(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    pub(super) fn by_default(mut self, value: impl Into<Value>) -> Self {
        self.0.default = Some(JSON(value.into()));
        self
    }

    pub(super) fn format(mut self, name: &str) -> Self {
        self.0.format = Some(name.to_owned());
        self
    }

    /// One of these formats.
    pub(super) fn any_format(mut self, names: &[&str]) -> Self {
        self.0.any_of = Some(names.iter().map(|name| Self::default().format(name).0).collect());
        self
    }

    pub(super) fn pattern(mut self, regex: impl Into<String>) -> Self {
        self.0.pattern = Some(regex.into());
        self
    }

    pub(super) fn min_length(mut self, count: i64) -> Self {
        self.0.min_length = Some(count);
        self
    }

    pub(super) fn max_length(mut self, count: i64) -> Self {
        self.0.max_length = Some(count);
        self
    }

    pub(super) fn min_items(mut self, count: i64) -> Self {
        self.0.min_items = Some(count);
        self
    }

    pub(super) fn max_items(mut self, count: i64) -> Self {
        self.0.max_items = Some(count);
        self
    }

    pub(super) fn min(mut self, least: i32) -> Self {
        self.0.minimum = Some(least.into());
        self
    }

    pub(super) fn max(mut self, greatest: i32) -> Self {
        self.0.maximum = Some(greatest.into());
        self
    }

    /// Server-side apply replaces the list as a whole.
    pub(super) fn atomic(mut self) -> Self {
        self.0.x_kubernetes_list_type = Some("atomic".to_owned());
        self
    }

    /// No item comes twice, and server-side apply merges the lists of several appliers.
    pub(super) fn set(mut self) -> Self {
        self.0.x_kubernetes_list_type = Some("set".to_owned());
        self
    }

    /// Server-side apply merges the list's items by this field.
    pub(super) fn keyed(mut self, field: &str) -> Self {
        self.0.x_kubernetes_list_type = Some("map".to_owned());
        self.0.x_kubernetes_list_map_keys = Some(vec![field.to_owned()]);
        self
    }

    /// Server-side apply replaces the object as a whole.
    pub(super) fn atomic_object(mut self) -> Self {
        self.0.x_kubernetes_map_type = Some("atomic".to_owned());
        self
    }

    /// Exactly one of these fields is set.
    pub(super) fn exactly_one(mut self, names: &[&str]) -> Self {
        self.0.one_of = Some(names.iter().map(|name| having(name)).collect());
        self
    }

    /// At least one of these fields is set.
    pub(super) fn at_least_one(mut self, names: &[&str]) -> Self {
        self.0.any_of = Some(names.iter().map(|name| having(name)).collect());
        self
    }

    /// A rule in CEL. Servers that know none of it drop the rule.
    pub(super) fn rule(mut self, rule: &str, message: &str) -> Self {
        self.0.x_kubernetes_validations.get_or_insert_default().push(ValidationRule {
            rule: rule.to_owned(),
            message: Some(message.to_owned()),
            ..ValidationRule::default()
        });
        self
    }

    /// Once set, it stays.
    pub(super) fn immutable(self, name: &str) -> Self {
        let message = format!("{name} is immutable");
        self.rule("self == oldSelf", &message)
    }
}

fn having(name: &str) -> JSONSchemaProps {
    // Structural schemas want what a branch speaks of to be named in it.
    Schema::default().with([(name, Schema::default())]).required(&[name]).0
}
