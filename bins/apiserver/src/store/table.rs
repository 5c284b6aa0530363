//! The objects of one kind, and what happened to them lately.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use tokio::sync::watch;

use super::{Key, Stored};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happened {
    /// It was not there before.
    Added,
    /// It was there, and changed.
    Modified,
    /// It is gone; the event's object is its last state, with the version of the deletion.
    Deleted,
}

/// A change, kept for watchers.
#[derive(Debug)]
pub(crate) struct Event {
    /// What happened.
    pub(crate) happened: Happened,
    /// The object after it. For a deletion: its last state.
    pub(crate) object: Arc<Stored>,
    /// The object before it.
    pub(crate) before: Option<Arc<Stored>>,
}

impl Event {
    /// Version at which it happened.
    pub(crate) fn version(&self) -> u64 {
        self.object.version
    }
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) objects: BTreeMap<Key, Arc<Stored>>,
    pub(super) selectable: Arc<[String]>,
    history: VecDeque<Arc<Event>>,
    /// Events after this version are all in the history.
    pub(super) complete_after: u64,
    pub(super) changed: watch::Sender<u64>,
}

impl Table {
    pub(super) fn new(selectable: Arc<[String]>, version: u64) -> Table {
        Table {
            objects: BTreeMap::new(),
            selectable,
            history: VecDeque::new(),
            complete_after: version,
            changed: watch::Sender::new(version),
        }
    }

    /// Carries out a change and keeps it for watchers.
    pub(super) fn record(&mut self, event: Event, keep: usize) {
        let object = &event.object;
        match event.happened {
            Happened::Added | Happened::Modified => {
                self.objects.insert(object.key.clone(), object.clone());
            }
            Happened::Deleted => {
                self.objects.remove(&object.key);
            }
        }
        let version = event.version();
        self.history.push_back(Arc::new(event));
        while self.history.len() > keep {
            if let Some(forgotten) = self.history.pop_front() {
                self.complete_after = forgotten.version();
            }
        }
        self.changed.send_replace(version);
    }

    /// Forgets what happened, as a compaction does.
    pub(super) fn forget(&mut self, version: u64) {
        self.history.clear();
        self.complete_after = version;
    }

    /// Events after a version, oldest first.
    pub(super) fn after(&self, version: u64) -> impl DoubleEndedIterator<Item = &Arc<Event>> {
        let start = self.history.partition_point(|event| event.version() <= version);
        self.history.range(start..)
    }

    /// Objects of a namespace, or of all, in order.
    pub(super) fn objects(&self, namespace: Option<&str>) -> Vec<Arc<Stored>> {
        match namespace {
            None => self.objects.values().cloned().collect(),
            Some(namespace) => self
                .objects
                .range((Bound::Included(Key::new(namespace, "")), Bound::Unbounded))
                .take_while(|(key, _)| &*key.namespace == namespace)
                .map(|(_, object)| object.clone())
                .collect(),
        }
    }

    /// The objects as they were at an older version that the history reaches.
    pub(super) fn objects_at(&self, namespace: Option<&str>, version: u64) -> Vec<Arc<Stored>> {
        let mut objects: BTreeMap<Key, Arc<Stored>> =
            self.objects(namespace).into_iter().map(|object| (object.key.clone(), object)).collect();
        for event in self.after(version).rev() {
            if namespace.is_some_and(|namespace| namespace != &*event.object.key.namespace) {
                continue;
            }
            match &event.before {
                Some(before) => objects.insert(before.key.clone(), before.clone()),
                None => objects.remove(&event.object.key),
            };
        }
        objects.into_values().collect()
    }
}
