//! One object as it is kept: its bytes, and what selectors ask for.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::meta;

/// Namespace (empty for those of the cluster) and name. Ordered as lists are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// Namespace, or nothing.
    pub(crate) namespace: Box<str>,
    /// Name.
    pub(crate) name: Box<str>,
}

impl Key {
    /// A key of both parts.
    pub(crate) fn new(namespace: &str, name: &str) -> Key {
        Key { namespace: namespace.into(), name: name.into() }
    }
}

/// Which kind of objects: API group and plural name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TableId {
    /// API group; the core group is empty.
    pub(crate) group: Arc<str>,
    /// Plural name.
    pub(crate) resource: Arc<str>,
}

impl TableId {
    /// A table's id of both parts.
    pub(crate) fn new(group: &str, resource: &str) -> TableId {
        TableId { group: group.into(), resource: resource.into() }
    }
}

/// One version of one object. The JSON is made once, for everybody who reads it.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Where it is.
    pub(crate) key: Key,
    /// Its resource version.
    pub(crate) version: u64,
    /// The object as JSON.
    pub(crate) json: Bytes,
    /// Its uid.
    pub(crate) uid: Box<str>,
    /// Whether its deletion has begun.
    pub(crate) terminating: bool,
    /// The uids of its owners.
    pub(crate) owners: Box<[Box<str>]>,
    labels: Box<[(Box<str>, Box<str>)]>,
    fields: Box<[Option<Box<str>>]>,
}

impl Stored {
    /// Puts the version into the object and serialises it. `selectable` are the fields that its table indexes.
    pub(crate) fn new(key: Key, version: u64, mut value: Value, selectable: &[String]) -> Stored {
        meta::set_meta(&mut value, "resourceVersion", version.to_string());
        Stored::of(key, version, &value, selectable)
    }

    /// Takes an object that has its version already.
    pub(crate) fn of(key: Key, version: u64, value: &Value, selectable: &[String]) -> Stored {
        let labels = meta::at(value, &["metadata", "labels"])
            .and_then(Value::as_object)
            .map(|labels| {
                labels.iter().filter_map(|(k, v)| Some((k.as_str().into(), v.as_str()?.into()))).collect()
            })
            .unwrap_or_default();
        let fields = selectable
            .iter()
            .map(|path| match meta::at_dotted(value, path)? {
                Value::String(text) => Some(text.as_str().into()),
                Value::Null => None,
                other => Some(other.to_string().into()),
            })
            .collect();
        let uid = meta::meta(value, "uid").into();
        let owners = meta::at(value, &["metadata", "ownerReferences"]).and_then(Value::as_array);
        let owners =
            owners.into_iter().flatten().filter_map(|owner| Some(owner.get("uid")?.as_str()?.into()));
        let owners = owners.collect();
        let terminating = meta::is_terminating(value);
        Stored { key, version, json: value.to_string().into(), uid, terminating, owners, labels, fields }
    }

    /// The object. (Parsed anew at each call.)
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or_default()
    }

    /// Value of a label.
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| &**k == key).map(|(_, v)| &**v)
    }

    /// Value of the table's n-th selectable field.
    pub(crate) fn field(&self, n: usize) -> &str {
        self.fields.get(n).and_then(Option::as_deref).unwrap_or_default()
    }
}
