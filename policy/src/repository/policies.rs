//! Policies, and which of their specs select a subject.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::label::{LabelSet, Source};
use crate::pod::NAMESPACE;
use crate::policy_key::PolicyKey;
use crate::rule::{Policy, Spec, Subject};
use crate::selector::{Requirement, Selector, Test};

/// A spec by its policy and its index in it.
pub(super) type SpecKey = (PolicyKey, usize);

/// Policies by name, with an index of their subjects: a policy costs nothing to pods of other namespaces, and little
/// to those that its selector cannot mean.
#[derive(Clone, Debug, Default)]
pub(super) struct Policies {
    all: BTreeMap<PolicyKey, Arc<Policy>>,
    /// By namespace; cluster-wide ones under none.
    subjects: HashMap<Option<String>, Subjects>,
}

/// Specs by one thing that their subjects' selectors ask for.
#[derive(Clone, Debug, Default)]
struct Subjects {
    by_value: HashMap<String, HashMap<String, BTreeSet<SpecKey>>>,
    /// Those that ask for no value.
    always: BTreeSet<SpecKey>,
}

impl Policies {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.all.values().map(AsRef::as_ref)
    }

    pub(super) fn get(&self, key: &PolicyKey) -> Option<&Arc<Policy>> {
        self.all.get(key)
    }

    /// Adds a policy. The one that it replaces.
    pub(super) fn insert(&mut self, policy: Arc<Policy>) -> Option<Arc<Policy>> {
        let old = self.remove(&policy.key);
        let subjects = self.subjects.entry(policy.key.namespace.clone()).or_default();
        for (index, spec) in policy.specs.iter().enumerate() {
            subjects.insert((policy.key.clone(), index), selector(spec));
        }
        self.all.insert(policy.key.clone(), policy);
        old
    }

    pub(super) fn remove(&mut self, key: &PolicyKey) -> Option<Arc<Policy>> {
        let old = self.all.remove(key)?;
        if let Some(subjects) = self.subjects.get_mut(&key.namespace) {
            for (index, spec) in old.specs.iter().enumerate() {
                subjects.remove(&(key.clone(), index), selector(spec));
            }
            if subjects.by_value.is_empty() && subjects.always.is_empty() {
                self.subjects.remove(&key.namespace);
            }
        }
        Some(old)
    }

    /// The specs that select a subject, in the order of their policies.
    pub(super) fn selecting(&self, subject: &LabelSet) -> Vec<(&SpecKey, &Spec)> {
        let namespace = subject.namespace().map(ToOwned::to_owned);
        let own = if namespace.is_some() { self.subjects.get(&namespace) } else { None };
        let mut found = Vec::new();
        for subjects in self.subjects.get(&None).into_iter().chain(own) {
            let by_value = subject
                .iter()
                .filter_map(|label| subjects.by_value.get(&label.key)?.get(&label.value))
                .flatten();
            let specs = by_value.chain(&subjects.always).filter_map(|key| Some((key, self.spec(key)?)));
            found.extend(specs.filter(|(_, spec)| selects(spec, subject)));
        }
        found.sort_unstable_by_key(|(key, _)| *key);
        // Labels of the same key and value but another source lead to the same specs.
        found.dedup_by_key(|(key, _)| *key);
        found
    }

    pub(super) fn spec(&self, (policy, index): &SpecKey) -> Option<&Spec> {
        self.all.get(policy)?.specs.get(*index)
    }
}

fn selector(spec: &Spec) -> &Selector {
    match &spec.subject {
        Subject::Endpoints(selector) | Subject::Nodes(selector) => selector,
    }
}

/// Whether a spec is about a subject.
pub(super) fn selects(spec: &Spec, labels: &LabelSet) -> bool {
    match &spec.subject {
        Subject::Endpoints(selector) => !is_node(labels) && selector.matches(labels),
        Subject::Nodes(selector) => is_node(labels) && selector.matches(labels),
    }
}

/// Whether these are the labels of a node as a subject.
pub(super) fn is_node(labels: &LabelSet) -> bool {
    labels.get(Source::Reserved, "host").is_some()
}

/// The values of which a subject must have one; the namespace only where nothing else is asked for.
fn anchor(selector: &Selector) -> Option<(&str, &BTreeSet<String>)> {
    let values = |requirement: &'_ Requirement| match &requirement.test {
        Test::In(_) => true,
        Test::NotIn(_) | Test::Exists | Test::DoesNotExist => false,
    };
    let asked = selector.requirements().iter().filter(|requirement| values(requirement));
    let best = asked.min_by_key(|requirement| requirement.key == NAMESPACE)?;
    match &best.test {
        Test::In(values) => Some((&best.key, values)),
        Test::NotIn(_) | Test::Exists | Test::DoesNotExist => None,
    }
}

impl Subjects {
    fn insert(&mut self, spec: SpecKey, selector: &Selector) {
        let Some((key, values)) = anchor(selector) else {
            self.always.insert(spec);
            return;
        };
        let by_value = self.by_value.entry(key.to_owned()).or_default();
        for value in values {
            by_value.entry(value.clone()).or_default().insert(spec.clone());
        }
    }

    fn remove(&mut self, spec: &SpecKey, selector: &Selector) {
        let Some((key, values)) = anchor(selector) else {
            self.always.remove(spec);
            return;
        };
        let Some(by_value) = self.by_value.get_mut(key) else { return };
        for value in values {
            if let Some(specs) = by_value.get_mut(value) {
                specs.remove(spec);
                if specs.is_empty() {
                    by_value.remove(value);
                }
            }
        }
        if by_value.is_empty() {
            self.by_value.remove(key);
        }
    }
}
