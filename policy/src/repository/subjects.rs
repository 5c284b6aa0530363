//! Subjects that were asked for, and the compiled policies that they share.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use abi::Direction;

use super::policies::{SpecKey, selects};
use crate::compile::Live;
use crate::label::LabelSet;
use crate::pod::NamedPort;
use crate::rule::Policy;
use crate::selector_cache::LiveId;

/// What tables depend on, as long as peers stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) direction: Direction,
    /// The specs that select the subject.
    pub(super) specs: BTreeSet<SpecKey>,
    /// The subject's own ports, where a rule names some.
    pub(super) ports: BTreeSet<NamedPort>,
    /// Whether the settings close the subject.
    pub(super) closed: bool,
}

/// A subject that was asked for.
#[derive(Clone, Debug)]
struct Subject {
    specs: BTreeSet<SpecKey>,
    lives: [Option<LiveId>; 2],
    /// When it was last asked for.
    asked: u64,
}

#[derive(Clone, Debug)]
struct Shared {
    question: Question,
    live: Live,
    /// How many subjects use it.
    users: usize,
}

/// Subjects that were asked for. Those that nobody asks for any more are forgotten in time.
#[derive(Clone, Debug, Default)]
pub(super) struct Subjects {
    subjects: HashMap<LabelSet, Subject>,
    by_namespace: HashMap<Option<String>, HashSet<LabelSet>>,
    lives: BTreeMap<LiveId, Shared>,
    questions: HashMap<Question, LiveId>,
    /// Those with rules about everyone that depend on the names of peers' ports.
    asking_everyone: BTreeSet<LiveId>,
    last: u32,
    /// Counts sweeps.
    now: u64,
    /// How many subjects there may be before the next sweep.
    limit: usize,
}

impl Subjects {
    /// The specs that select a subject which was asked for before.
    pub(super) fn specs(&self, labels: &LabelSet) -> Option<&BTreeSet<SpecKey>> {
        self.subjects.get(labels).map(|subject| &subject.specs)
    }

    /// The compiled policy of a subject, if there is one already.
    pub(super) fn find(&mut self, labels: &LabelSet, direction: Direction) -> Option<LiveId> {
        let subject = self.subjects.get_mut(labels)?;
        subject.asked = self.now;
        subject.lives[direction as usize]
    }

    /// Notes a subject with its specs. Returns the compiled policies that nobody uses any more.
    pub(super) fn insert(&mut self, labels: &LabelSet, specs: BTreeSet<SpecKey>) -> Vec<(LiveId, Live)> {
        let swept = if self.subjects.len() > self.limit { self.sweep() } else { Vec::new() };
        let namespace = labels.namespace().map(ToOwned::to_owned);
        self.by_namespace.entry(namespace).or_default().insert(labels.clone());
        self.subjects.insert(labels.clone(), Subject { specs, lives: [None; 2], asked: self.now });
        swept
    }

    /// The compiled policy that answers a question, if there is one.
    pub(super) fn answer(&self, question: &Question) -> Option<LiveId> {
        self.questions.get(question).copied()
    }

    /// Adds a compiled policy.
    pub(super) fn add(&mut self, question: Question, live: Live) -> LiveId {
        self.last += 1;
        let id = LiveId(self.last);
        self.questions.insert(question.clone(), id);
        if live.asks_everyone {
            self.asking_everyone.insert(id);
        }
        self.lives.insert(id, Shared { question, live, users: 0 });
        id
    }

    /// Lets a subject use a compiled policy.
    pub(super) fn assign(&mut self, labels: &LabelSet, direction: Direction, id: LiveId) {
        if let (Some(subject), Some(shared)) = (self.subjects.get_mut(labels), self.lives.get_mut(&id)) {
            subject.lives[direction as usize] = Some(id);
            shared.users += 1;
        }
    }

    pub(super) fn live(&self, id: LiveId) -> Option<&Live> {
        self.lives.get(&id).map(|shared| &shared.live)
    }

    pub(super) fn live_mut(&mut self, id: LiveId) -> Option<&mut Live> {
        self.lives.get_mut(&id).map(|shared| &mut shared.live)
    }

    /// The compiled policies with rules about everyone that depend on the names of peers' ports.
    pub(super) fn asking_everyone(&self) -> Vec<LiveId> {
        self.asking_everyone.iter().copied().collect()
    }

    pub(super) fn question(&self, id: LiveId) -> Option<&Question> {
        self.lives.get(&id).map(|shared| &shared.question)
    }

    /// Forgets the subjects that a policy selects. Returns the compiled policies that nobody uses any more.
    pub(super) fn forget(&mut self, policy: &Policy) -> Vec<(LiveId, Live)> {
        let affected = |labels: &&LabelSet| policy.specs.iter().any(|spec| selects(spec, labels));
        let of_namespace;
        let known: Vec<LabelSet> = match &policy.key.namespace {
            None => self.subjects.keys().filter(affected).cloned().collect(),
            Some(namespace) => {
                of_namespace = self.by_namespace.get(&Some(namespace.clone()));
                of_namespace.into_iter().flatten().filter(affected).cloned().collect()
            }
        };
        known.iter().flat_map(|labels| self.remove(labels)).collect()
    }

    /// Forgets all subjects and compiled policies.
    pub(super) fn clear(&mut self) {
        let last = self.last;
        *self = Self { last, ..Self::default() };
    }

    fn remove(&mut self, labels: &LabelSet) -> Vec<(LiveId, Live)> {
        let Some(subject) = self.subjects.remove(labels) else { return Vec::new() };
        let namespace = labels.namespace().map(ToOwned::to_owned);
        if let Some(known) = self.by_namespace.get_mut(&namespace) {
            known.remove(labels);
            if known.is_empty() {
                self.by_namespace.remove(&namespace);
            }
        }
        subject.lives.into_iter().flatten().filter_map(|id| self.release(id)).collect()
    }

    fn release(&mut self, id: LiveId) -> Option<(LiveId, Live)> {
        let shared = self.lives.get_mut(&id)?;
        shared.users -= 1;
        if shared.users > 0 {
            return None;
        }
        let shared = self.lives.remove(&id)?;
        self.questions.remove(&shared.question);
        self.asking_everyone.remove(&id);
        Some((id, shared.live))
    }

    /// Forgets subjects that nobody asked for since the last time.
    fn sweep(&mut self) -> Vec<(LiveId, Live)> {
        let idle = self.subjects.iter().filter(|(_, subject)| subject.asked < self.now);
        let idle: Vec<LabelSet> = idle.map(|(labels, _)| labels.clone()).collect();
        let gone = idle.iter().flat_map(|labels| self.remove(labels)).collect();
        self.now += 1;
        self.limit = 2 * self.subjects.len() + 1024;
        gone
    }
}
