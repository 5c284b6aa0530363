//! Who owns which fields: `metadata.managedFields`.

use serde_json::{Value, json};

use super::fieldset::{Difference, FieldSet};
use crate::meta;

/// How an owner came by its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// By server-side apply.
    Apply,
    /// By anything else.
    Update,
}

impl Operation {
    fn text(self) -> &'static str {
        match self {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        }
    }
}

/// Who writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Author<'a> {
    pub(crate) manager: &'a str,
    pub(crate) operation: Operation,
    pub(crate) api_version: &'a str,
    /// `status`, `scale` or empty.
    pub(crate) subresource: &'a str,
}

/// An owner and its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) manager: String,
    pub(crate) operation: Operation,
    api_version: String,
    subresource: String,
    time: String,
    pub(crate) fields: FieldSet,
}

impl Entry {
    pub(crate) fn is(&self, author: &Author<'_>) -> bool {
        self.manager == author.manager
            && self.operation == author.operation
            && self.subresource == author.subresource
            && (self.operation == Operation::Apply || self.api_version == author.api_version)
    }

    /// The owner, as conflicts name it.
    pub(crate) fn shown(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }
}

/// All owners of an object's fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Managers {
    pub(crate) entries: Vec<Entry>,
}

impl Managers {
    /// Takes `metadata.managedFields` out of an object.
    pub(crate) fn take(object: &mut Value) -> Managers {
        let Some(list) = meta::metadata_mut(object).remove("managedFields") else {
            return Managers::default();
        };
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let entries = list.iter().map(|entry| {
            let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            Entry {
                manager: text("manager"),
                operation: if text("operation") == "Apply" { Operation::Apply } else { Operation::Update },
                api_version: text("apiVersion"),
                subresource: text("subresource"),
                time: text("time"),
                fields: FieldSet::read(entry.get("fieldsV1").unwrap_or(&Value::Null)),
            }
        });
        Managers { entries: entries.collect() }
    }

    /// Takes `metadata.managedFields` out of an object, as it is.
    pub(crate) fn take_list(object: &mut Value) -> Option<Vec<Value>> {
        match meta::metadata_mut(object).remove("managedFields") {
            Some(Value::Array(list)) => Some(list),
            _ => None,
        }
    }

    /// Keeps the list from growing with every version of every client: beyond ten, the oldest updates become one.
    pub(crate) fn trim(&mut self) {
        while self.entries.iter().filter(|entry| entry.operation == Operation::Update).count() > 10 {
            let Some(at) = self.oldest_update(None) else { return };
            let oldest = self.entries.remove(at);
            match self.oldest_update(Some("ancient-changes")) {
                Some(at) => self.entries[at].fields.union(&oldest.fields),
                None => self.entries.push(Entry { manager: "ancient-changes".into(), ..oldest }),
            }
        }
    }

    /// The oldest update, of a manager or of all but the one that collects them.
    fn oldest_update(&self, manager: Option<&str>) -> Option<usize> {
        let updates = self.entries.iter().enumerate().filter(|(_, entry)| {
            entry.operation == Operation::Update
                && manager.map_or(entry.manager != "ancient-changes", |manager| entry.manager == manager)
        });
        updates.min_by(|(_, a), (_, b)| a.time.cmp(&b.time)).map(|(at, _)| at)
    }

    /// Puts them into an object.
    pub(crate) fn put(&self, object: &mut Value) {
        let list: Vec<Value> = self
            .entries
            .iter()
            .map(|entry| {
                let mut json = json!({
                    "manager": entry.manager,
                    "operation": entry.operation.text(),
                    "apiVersion": entry.api_version,
                    "time": entry.time,
                    "fieldsType": "FieldsV1",
                    "fieldsV1": entry.fields.write(),
                });
                if !entry.subresource.is_empty() {
                    json["subresource"] = Value::from(entry.subresource.as_str());
                }
                json
            })
            .collect();
        if !list.is_empty() {
            meta::set_meta(object, "managedFields", list);
        }
    }

    /// The author's fields.
    pub(crate) fn fields(&self, author: &Author<'_>) -> Option<&FieldSet> {
        self.entries.iter().find(|entry| entry.is(author)).map(|entry| &entry.fields)
    }

    /// Fields of everybody else.
    pub(crate) fn others(&self, author: &Author<'_>) -> FieldSet {
        let mut set = FieldSet::default();
        self.entries.iter().filter(|entry| !entry.is(author)).for_each(|entry| set.union(&entry.fields));
        set
    }

    /// Gives the author these fields. Its time is changed only if its fields do.
    pub(crate) fn set(&mut self, author: &Author<'_>, fields: FieldSet, now: &str) {
        match self.entries.iter_mut().find(|entry| entry.is(author)) {
            Some(entry) if entry.fields == fields && entry.api_version == author.api_version => {}
            Some(entry) => {
                entry.fields = fields;
                now.clone_into(&mut entry.time);
                author.api_version.clone_into(&mut entry.api_version);
            }
            None => self.entries.push(Entry {
                manager: author.manager.to_owned(),
                operation: author.operation,
                api_version: author.api_version.to_owned(),
                subresource: author.subresource.to_owned(),
                time: now.to_owned(),
                fields,
            }),
        }
        self.entries.retain(|entry| {
            !entry.fields.is_empty() || entry.is(author) && author.operation == Operation::Apply
        });
        self.entries.sort_by_key(|entry| entry.operation != Operation::Apply);
    }

    /// Takes fields from everybody but the author.
    pub(crate) fn take_from_others(&mut self, author: &Author<'_>, fields: &FieldSet) {
        for entry in self.entries.iter_mut().filter(|entry| !entry.is(author)) {
            entry.fields.subtract(fields);
        }
        self.entries.retain(|entry| {
            entry.is(author) || entry.operation == Operation::Apply || !entry.fields.is_empty()
        });
    }

    /// Notes a write that was no apply: the author owns what it changed.
    pub(crate) fn updated(&mut self, author: &Author<'_>, mut difference: Difference, now: &str) {
        strip(&mut difference.changed);
        strip(&mut difference.removed);
        if difference.changed.is_empty() && difference.removed.is_empty() {
            return;
        }
        let mut taken = difference.changed.clone();
        taken.union(&difference.removed);
        self.take_from_others(author, &taken);
        let mut own = self.fields(author).cloned().unwrap_or_default();
        own.subtract(&difference.removed);
        own.union(&difference.changed);
        if !own.is_empty() || self.fields(author).is_some() {
            self.set(author, own, now);
        }
    }
}

/// Takes out fields that nobody owns.
pub(crate) fn strip(set: &mut FieldSet) {
    for key in ["f:apiVersion", "f:kind"] {
        set.below.remove(key);
    }
    set.here = false;
    if let Some(metadata) = set.below.get_mut("f:metadata") {
        metadata.here = false;
        for key in [
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "generation",
            "managedFields",
            "resourceVersion",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ] {
            metadata.below.remove(&format!("f:{key}"));
        }
        if metadata.is_empty() {
            set.below.remove("f:metadata");
        }
    }
}
