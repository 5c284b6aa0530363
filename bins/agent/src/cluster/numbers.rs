//! The numbers of label sets: given out by the node itself, or by the cluster.

use std::collections::{HashMap, HashSet};

use abi::Identity;
use policy::{IdentityAllocator, LabelSet, LocalIdentities, reserved_labels};

/// Who gives numbers to the label sets of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// The node itself.
    Own,
    /// The cluster; the source tells them.
    Given,
}

/// Where the numbers of pods' label sets come from.
#[derive(Clone, Debug)]
pub enum Numbers {
    /// The node gives them out; to be stored when [`super::Cluster::take_new_identities`] says so.
    Own(LocalIdentities),
    /// The cluster gives them out, and the source tells them.
    Given(Given),
}

impl Default for Numbers {
    fn default() -> Self {
        Self::Own(LocalIdentities::default())
    }
}

/// What a label set's number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbered {
    /// It has this one.
    Known(Identity),
    /// It has just got this one, which nobody had.
    New(Identity),
    /// It has none yet.
    Wanted,
}

impl Numbers {
    /// Numbers that the cluster gives out; none is known yet.
    #[must_use]
    pub fn given() -> Self {
        Self::Given(Given::default())
    }

    /// The number of the labels of a pod of this node, or of one that is known by its object.
    pub(super) fn number(&mut self, labels: &LabelSet) -> Numbered {
        match self {
            Self::Own(identities) => match identities.get(labels) {
                Some(known) => Numbered::Known(known),
                None => identities.allocate(labels).map_or_else(
                    |error| {
                        tracing::error!(%error, "a pod stays without an identity");
                        Numbered::Wanted
                    },
                    Numbered::New,
                ),
            },
            Self::Given(given) => given.number(labels).map_or(Numbered::Wanted, Numbered::Known),
        }
    }

    /// What a number stands for that somebody published of a pod. Of those that stand for the same everywhere a pod has
    /// but few: it is not the host, nor the API server, whatever its endpoint says.
    pub(super) fn labels(&self, number: Identity) -> Option<LabelSet> {
        match self {
            _ if matches!(number, Identity::HEALTH | Identity::INIT) => Some(reserved_labels(number)),
            Self::Given(given) => given.labels.get(&number).cloned(),
            Self::Own(_) => None,
        }
    }

    /// Notes that a pod of this node needs a number for these labels.
    pub(super) fn want(&mut self, labels: &LabelSet) {
        if let Self::Given(given) = self
            && !given.numbers.contains_key(labels)
            && given.wanted.insert(labels.clone())
        {
            given.asked.push(labels.clone());
        }
    }

    /// Notes that no pod of this node needs a number for these labels any more.
    pub(super) fn want_no_more(&mut self, labels: &LabelSet) {
        if let Self::Given(given) = self {
            given.wanted.remove(labels);
            given.asked.retain(|asked| asked != labels);
        }
    }
}

/// Numbers that the cluster gave out.
#[derive(Clone, Debug, Default)]
pub struct Given {
    labels: HashMap<Identity, LabelSet>,
    /// Of several numbers for the same labels, the one that was said last.
    numbers: HashMap<LabelSet, Identity>,
    /// What pods of this node wait for.
    wanted: HashSet<LabelSet>,
    /// Those of them that nobody was asked for yet.
    asked: Vec<LabelSet>,
}

impl Given {
    fn number(&self, labels: &LabelSet) -> Option<Identity> {
        self.numbers.get(labels).copied()
    }

    /// Notes what a number stands for. Returns what it stood for before.
    pub(super) fn tell(&mut self, number: Identity, labels: &LabelSet) -> Option<LabelSet> {
        let before = self.labels.get(&number).filter(|before| *before != labels).cloned();
        if before.is_some() {
            self.forget(number);
        }
        self.labels.insert(number, labels.clone());
        self.numbers.insert(labels.clone(), number);
        self.wanted.remove(labels);
        self.asked.retain(|asked| asked != labels);
        before
    }

    /// Notes that a number stands for nothing any more. Returns what it stood for.
    pub(super) fn forget(&mut self, number: Identity) -> Option<LabelSet> {
        let labels = self.labels.remove(&number)?;
        if self.numbers.get(&labels) == Some(&number) {
            // Only where there are duplicates there is another one to be found.
            let any_duplicate = self.labels.len() >= self.numbers.len();
            let same = self.labels.iter().filter(|(_, other)| any_duplicate && **other == labels);
            match same.map(|(number, _)| *number).min() {
                Some(other) => self.numbers.insert(labels.clone(), other),
                None => self.numbers.remove(&labels),
            };
        }
        Some(labels)
    }

    /// The label sets that need a number and were not asked for before.
    pub(super) fn take_asked(&mut self) -> Vec<LabelSet> {
        std::mem::take(&mut self.asked)
    }
}

#[cfg(test)]
mod tests {
    use policy::Label;

    use super::*;

    fn labels(app: &str) -> LabelSet {
        [Label::k8s("app", app)].into_iter().collect()
    }

    #[test]
    fn the_number_said_last_counts_and_the_other_takes_over() {
        let mut given = Given::default();
        given.tell(Identity(300), &labels("a"));
        given.tell(Identity(301), &labels("a"));
        given.tell(Identity(302), &labels("b"));
        assert_eq!(given.number(&labels("a")), Some(Identity(301)));
        assert_eq!(given.forget(Identity(301)), Some(labels("a")));
        assert_eq!(given.number(&labels("a")), Some(Identity(300)));
        // The number is used again for something else.
        assert_eq!(given.tell(Identity(300), &labels("c")), Some(labels("a")));
        assert_eq!(given.number(&labels("a")), None);
        assert_eq!(given.number(&labels("c")), Some(Identity(300)));
        assert_eq!(given.forget(Identity(301)), None);
    }

    #[test]
    fn what_is_wanted_is_asked_for_once() {
        let mut numbers = Numbers::given();
        numbers.want(&labels("a"));
        numbers.want(&labels("a"));
        numbers.want(&labels("b"));
        numbers.want_no_more(&labels("b"));
        let Numbers::Given(given) = &mut numbers else { unreachable!() };
        assert_eq!(given.take_asked(), [labels("a")]);
        given.tell(Identity(300), &labels("a"));
        given.forget(Identity(300));
        assert!(given.take_asked().is_empty());
        numbers.want(&labels("a"));
        let Numbers::Given(given) = &mut numbers else { unreachable!() };
        assert_eq!(given.take_asked(), [labels("a")]);
    }
}
