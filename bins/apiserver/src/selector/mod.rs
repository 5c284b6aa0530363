//! What lists, watches and collections are narrowed down by.

mod field;

pub(crate) use field::FieldSelector;

use selector::LabelSelector;

use crate::store::Stored;

/// Labels and fields together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// Namespace; all if there is none.
    pub(crate) namespace: Option<String>,
    /// Labels.
    pub(crate) labels: LabelSelector,
    /// Fields.
    pub(crate) fields: FieldSelector,
}

impl Selection {
    /// Whether an object is selected.
    pub(crate) fn matches(&self, object: &Stored) -> bool {
        self.namespace.as_deref().is_none_or(|namespace| namespace == &*object.key.namespace)
            && self.labels.matches(|key| object.label(key))
            && self.fields.matches(object)
    }

    /// Whether labels or fields narrow it down.
    pub(crate) fn is_narrow(&self) -> bool {
        !self.labels.is_empty() || !self.fields.is_empty()
    }
}
