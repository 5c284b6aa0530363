//! Structural schemas: what fields an object has, what they may hold, and how lists and maps are merged.
//!
//! Built-in kinds and custom ones share this. Those of built-in kinds come from a table ([`builtin`]), those of custom
//! kinds from their definition ([`custom`]).

pub(crate) mod builtin;
pub(crate) mod custom;
mod defaulting;
mod format;
pub(crate) mod openapi;
mod protobuf;
mod prune;
mod validate;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use regex::Regex;
use serde_json::Value;

pub(crate) use defaulting::default;
pub(crate) use protobuf::{decode, document};
pub(crate) use prune::{prune, strip_nulls};
pub(crate) use validate::{types, validate};

/// JSON type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Type {
    /// Anything.
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    /// `x-kubernetes-int-or-string`; quantities too.
    IntOrString,
}

/// How apply and patches merge a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum ListKind {
    /// Replaced as a whole.
    #[default]
    Atomic,
    /// Each value has an owner.
    Set,
    /// Each item has an owner; these keys tell items apart.
    Map(Vec<String>),
}

/// How a strategic merge patch treats a field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Strategy {
    /// Lists are merged rather than replaced.
    pub(crate) merge: bool,
    /// Items with the same value here are the same; without it, items are values.
    pub(crate) key: Option<String>,
    /// Only the keys that the patch names stay (with `$retainKeys`).
    pub(crate) retain_keys: bool,
}

/// A schema, or a part of one.
#[derive(Debug, Default, Clone)]
pub(crate) struct Schema {
    /// Name of a built-in type.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) of: Type,
    pub(crate) description: Option<String>,
    pub(crate) nullable: bool,
    pub(crate) properties: BTreeMap<String, Arc<Schema>>,
    /// Schema of the values of other keys.
    pub(crate) additional: Option<Arc<Schema>>,
    pub(crate) items: Option<Arc<Schema>>,
    pub(crate) required: Vec<String>,
    /// Unknown fields are kept.
    pub(crate) preserve: bool,
    /// The value is a whole object with metadata.
    pub(crate) embedded: bool,
    pub(crate) default: Option<Value>,
    pub(crate) list: ListKind,
    /// A map or object that is replaced as a whole.
    pub(crate) atomic: bool,
    pub(crate) strategy: Strategy,
    /// In Go, this is a struct that is always there, so nobody owns that it is.
    pub(crate) always: bool,
    /// In Go, this is a pointer: nothing is not the same as an empty value.
    pub(crate) pointer: bool,
    /// What the numbers of protobuf stand for.
    pub(crate) wire: BTreeMap<u32, Wire>,
    pub(crate) rules: Rules,
}

/// What a number of protobuf stands for.
#[derive(Debug, Clone)]
pub(crate) enum Wire {
    /// A field.
    Field(String),
    /// Fields of the same object, under numbers of their own.
    Inline(Arc<Schema>),
}

/// What a value has to fulfil besides its type.
#[derive(Debug, Default, Clone)]
pub(crate) struct Rules {
    pub(crate) among: Vec<Value>,
    pub(crate) format: Option<String>,
    pub(crate) pattern: Option<Regex>,
    pub(crate) minimum: Option<f64>,
    pub(crate) exclusive_minimum: bool,
    pub(crate) maximum: Option<f64>,
    pub(crate) exclusive_maximum: bool,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) min_length: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) min_items: Option<u64>,
    pub(crate) max_items: Option<u64>,
    pub(crate) unique_items: bool,
    pub(crate) min_properties: Option<u64>,
    pub(crate) max_properties: Option<u64>,
    pub(crate) all_of: Vec<Schema>,
    pub(crate) any_of: Vec<Schema>,
    pub(crate) one_of: Vec<Schema>,
    pub(crate) not: Option<Box<Schema>>,
}

static DEDUCED: LazyLock<Arc<Schema>> =
    LazyLock::new(|| Arc::new(Schema { preserve: true, ..Schema::default() }));

impl Schema {
    /// What is known of values that no schema describes: maps are merged, lists are replaced.
    pub(crate) fn deduced() -> &'static Arc<Schema> {
        &DEDUCED
    }

    /// Schema of the value at a key.
    pub(crate) fn field(&self, key: &str) -> &Arc<Schema> {
        self.properties.get(key).or(self.additional.as_ref()).unwrap_or(&DEDUCED)
    }

    /// Schema of a list's items.
    pub(crate) fn item(&self) -> &Arc<Schema> {
        self.items.as_ref().unwrap_or(&DEDUCED)
    }
}
