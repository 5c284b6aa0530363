//! Labels as Cilium's selectors see them: each with the source that says so.

use std::collections::BTreeMap;

use crate::label::Source;
use crate::manifest::{Expression, LabelSelector, Operator};

/// The labels of a pod, a node or something else that may be a peer.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels(Vec<(Source, String, String)>);

impl Labels {
    /// Adds a label.
    pub(super) fn add(&mut self, source: Source, key: impl Into<String>, value: impl Into<String>) {
        self.0.push((source, key.into(), value.into()));
    }

    /// Adds all labels of an object.
    pub(super) fn add_all(&mut self, source: Source, labels: &BTreeMap<String, String>) {
        for (key, value) in labels {
            self.add(source, key, value);
        }
    }

    /// Adds the label of a fixed identity.
    pub(super) fn add_reserved(&mut self, name: &str) {
        self.add(Source::Reserved, name, "");
    }

    /// Whether there is the label of a fixed identity.
    pub(super) fn is_reserved(&self, name: &str) -> bool {
        self.values(&format!("reserved:{name}")).next().is_some()
    }

    /// The values of a key of a selector, of which several sources may each have one.
    fn values(&self, text: &str) -> impl Iterator<Item = &String> {
        let (source, key) = split(text);
        let asked = move |(of, name, _): &&(Source, String, String)| {
            name == key && source.is_none_or(|source| source == *of)
        };
        self.0.iter().filter(asked).map(|(_, _, value)| value)
    }

    /// Whether a selector matches, the keys of which may begin with a source.
    pub(super) fn matched_by(&self, selector: &LabelSelector) -> bool {
        fits(selector, |key, wanted| self.values(key).any(wanted))
    }
}

/// Whether a selector matches an object's own labels, whatever sources its keys begin with.
pub(super) fn matches_object(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    fits(selector, |key, wanted| labels.get(split(key).1).is_some_and(wanted))
}

/// Whether all that a selector asks for holds. `some` tells whether a key has a value like the wanted one.
fn fits(selector: &LabelSelector, some: impl Fn(&str, &dyn Fn(&String) -> bool) -> bool) -> bool {
    selector.match_labels.iter().all(|(key, wanted)| some(key, &|value| value == wanted))
        && selector.match_expressions.iter().all(|Expression { key, operator, values }| match operator {
            Operator::In => some(key, &|value| values.contains(value)),
            Operator::NotIn => !some(key, &|value| values.contains(value)),
            Operator::Exists => some(key, &|_| true),
            Operator::DoesNotExist => !some(key, &|_| true),
        })
}

/// Splits a selector's key into its source and the rest. No source, or `any:`, stands for all of them.
pub(super) fn split(text: &str) -> (Option<Source>, &str) {
    match text.split_once(':') {
        Some(("any", key)) => (None, key),
        Some((source, key)) => match Source::from_name(source) {
            Some(source) => (Some(source), key),
            None => (None, text),
        },
        None => (None, text),
    }
}
