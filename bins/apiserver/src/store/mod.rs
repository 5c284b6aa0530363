//! Objects in memory under one global resource version, with a bounded history for watchers.
//!
//! A watcher owns nothing in here: it remembers a version and asks for what came after it. So a slow watcher costs no
//! memory, none can miss an event, and one that slept too long is told so.

mod journal;
mod object;
mod owners;
mod table;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

pub use journal::JournalError;
use journal::{Journal, Line};
pub(crate) use object::{Key, Stored, TableId};
use owners::Owners;
pub(crate) use owners::Place;
use table::Table;
pub(crate) use table::{Event, Happened};

/// What a write expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// No object of that name.
    Absent,
    /// The object at this version.
    Version(u64),
}

/// Why a write was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommitError {
    /// Something else is there than was expected, or nothing.
    #[error("the object has changed")]
    Changed,
    /// There is no such table any more.
    #[error("there is no table for it")]
    NoTable,
    /// The journal could not be written.
    #[error("cannot write the journal: {0}")]
    Journal(String),
}

/// Why the past can't be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PastError {
    /// The history does not go back that far. It begins after this version.
    #[error("too old resource version; the history begins after {0}")]
    TooOld(u64),
    /// This version has not been yet. The present one is given.
    #[error("too large resource version; the present one is {0}")]
    TooNew(u64),
    /// The kind of objects is not served any more.
    #[error("there is no such table")]
    NoTable,
}

/// Objects of one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The moment.
    pub(crate) version: u64,
    /// The objects, ordered by namespace and name.
    pub(crate) objects: Vec<Arc<Stored>>,
}

/// Changes after a version.
#[derive(Debug)]
pub(crate) struct Changes {
    /// The changes, oldest first.
    pub(crate) events: Vec<Arc<Event>>,
    /// Nothing up to this version is missing.
    pub(crate) upto: u64,
}

/// All objects.
#[derive(Debug)]
pub(crate) struct Store {
    inner: Mutex<Inner>,
    keep: usize,
}

#[derive(Debug)]
struct Inner {
    version: u64,
    tables: BTreeMap<TableId, Table>,
    journal: Option<Journal>,
    owners: Owners,
}

impl Store {
    /// An empty store that keeps `keep` events for each kind.
    ///
    /// Versions begin at the present millisecond, so that those of a server that was started later are later.
    pub(crate) fn new(keep: usize) -> Store {
        let version = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(1);
        let inner = Inner { version, tables: BTreeMap::new(), journal: None, owners: Owners::default() };
        Store { inner: Mutex::new(inner), keep: keep.max(1) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half-way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a journal back, and writes every change to it from now on.
    pub(crate) fn journal(&self, path: &Path) -> Result<usize, JournalError> {
        let mut inner = self.lock();
        let lines = journal::read(path)?;
        let mut objects: BTreeMap<(TableId, Key), (u64, Value)> = BTreeMap::new();
        let mut version = inner.version;
        for line in lines {
            version = version.max(line.version);
            let place = (line.table(), Key::new(&line.namespace, &line.name));
            match line.object {
                Some(object) => objects.insert(place, (line.version, object)),
                None => objects.remove(&place),
            };
        }
        let count = objects.len();
        for ((id, key), (at, value)) in objects {
            let table = inner.tables.entry(id.clone()).or_insert_with(|| Table::new(Arc::default(), version));
            let selectable = table.selectable.clone();
            let object = Arc::new(Stored::of(key.clone(), at, &value, &selectable));
            inner.owners.note(&id, None, Some(&object));
            inner
                .tables
                .entry(id)
                .or_insert_with(|| Table::new(Arc::default(), version))
                .objects
                .insert(key, object);
        }
        inner.version = version;
        for table in inner.tables.values_mut() {
            table.forget(version);
        }
        inner.journal = Some(Journal::rewrite(path, version, inner.objects())?);
        Ok(count)
    }

    /// Makes a table, or changes which fields of its objects can be selected by.
    pub(crate) fn ensure_table(&self, id: &TableId, selectable: &[String]) {
        let mut inner = self.lock();
        let version = inner.version;
        let table = inner.tables.entry(id.clone()).or_insert_with(|| Table::new(selectable.into(), version));
        if &*table.selectable != selectable {
            table.selectable = selectable.into();
            for object in table.objects.values_mut() {
                *object =
                    Arc::new(Stored::of(object.key.clone(), object.version, &object.value(), selectable));
            }
            // What is kept of the past has no such fields.
            table.forget(version);
        }
    }

    /// Removes a table with all that is in it. Its watchers end.
    pub(crate) fn drop_table(&self, id: &TableId) {
        let mut inner = self.lock();
        let objects = inner.tables.remove(id).map(|table| table.objects).unwrap_or_default();
        for object in objects.values() {
            inner.owners.note(id, Some(object), None);
        }
    }

    /// Where the object of a uid is.
    pub(crate) fn find(&self, uid: &str) -> Option<Place> {
        self.lock().owners.places.get(uid).cloned()
    }

    /// Objects that name a uid as their owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<Place> {
        self.lock().owners.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// All objects of a namespace, of whatever kind.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<(TableId, Arc<Stored>)> {
        let inner = self.lock();
        let all = inner.tables.iter().flat_map(|(id, table)| {
            table.objects(Some(namespace)).into_iter().map(move |object| (id.clone(), object))
        });
        all.collect()
    }

    /// The present version.
    pub(crate) fn version(&self) -> u64 {
        self.lock().version
    }

    /// How many objects there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().tables.values().map(|table| table.objects.len()).sum()
    }

    /// An object as it is now.
    pub(crate) fn get(&self, table: &TableId, key: &Key) -> Option<Arc<Stored>> {
        self.lock().tables.get(table)?.objects.get(key).cloned()
    }

    /// The objects of a namespace, or of all, as they are now.
    pub(crate) fn list(&self, table: &TableId, namespace: Option<&str>) -> Snapshot {
        let inner = self.lock();
        let objects = inner.tables.get(table).map(|table| table.objects(namespace)).unwrap_or_default();
        Snapshot { version: inner.version, objects }
    }

    /// The objects as they were at a version.
    pub(crate) fn list_at(
        &self,
        id: &TableId,
        namespace: Option<&str>,
        version: u64,
    ) -> Result<Snapshot, PastError> {
        let inner = self.lock();
        let table = inner.reach(id, version)?;
        Ok(Snapshot { version, objects: table.objects_at(namespace, version) })
    }

    /// What happened after a version, at most `limit` events of it.
    pub(crate) fn changes(&self, id: &TableId, after: u64, limit: usize) -> Result<Changes, PastError> {
        let inner = self.lock();
        let table = inner.reach(id, after)?;
        let events: Vec<Arc<Event>> = table.after(after).take(limit).cloned().collect();
        let upto = match events.last() {
            Some(last) if events.len() == limit => last.version(),
            _ => inner.version,
        };
        Ok(Changes { events, upto })
    }

    /// Tells when a table changes. Ends when the table goes.
    pub(crate) fn subscribe(&self, id: &TableId) -> Option<watch::Receiver<u64>> {
        Some(self.lock().tables.get(id)?.changed.subscribe())
    }

    /// Writes an object, or deletes it if there is no value, provided that what is there is what is expected.
    /// A deleted object is returned in its last state.
    pub(crate) fn commit(
        &self,
        id: &TableId,
        key: &Key,
        expect: Expect,
        value: Option<Value>,
    ) -> Result<Arc<Stored>, CommitError> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let table = inner.tables.get_mut(id).ok_or(CommitError::NoTable)?;
        let before = table.objects.get(key).cloned();
        match (&before, expect) {
            (None, Expect::Absent) => {}
            (Some(now), Expect::Version(version)) if now.version == version => {}
            _ => return Err(CommitError::Changed),
        }
        let version = inner.version + 1;
        let (happened, value, gone) = match (value, &before) {
            (Some(value), None) => (Happened::Added, value, false),
            (Some(value), Some(_)) => (Happened::Modified, value, false),
            (None, Some(before)) => (Happened::Deleted, before.value(), true),
            (None, None) => return Err(CommitError::Changed),
        };
        let object = Arc::new(Stored::new(key.clone(), version, value, &table.selectable));
        if let Some(journal) = &mut inner.journal {
            let line = Line::raw(id, &object, gone);
            journal.append(&line).map_err(|error| CommitError::Journal(error.to_string()))?;
        }
        inner.version = version;
        inner.owners.note(id, before.as_deref(), (!gone).then_some(&*object));
        table.record(Event { happened, object: object.clone(), before }, self.keep);
        if let Some(journal) = inner.journal.as_ref().filter(|journal| journal.is_long()) {
            match Journal::rewrite(journal.path(), version, inner.objects()) {
                Ok(journal) => inner.journal = Some(journal),
                // The old one still holds everything.
                Err(error) => tracing::warn!(%error, "the journal grows"),
            }
        }
        Ok(object)
    }

    /// Forgets the history of all kinds, as a compaction of etcd does: watchers that are behind have to list anew.
    pub(crate) fn compact(&self) {
        let mut inner = self.lock();
        let version = inner.version;
        for table in inner.tables.values_mut() {
            table.forget(version);
        }
    }
}

impl Inner {
    fn objects(&self) -> impl Iterator<Item = (&TableId, &Arc<Stored>)> {
        self.tables.iter().flat_map(|(id, table)| table.objects.values().map(move |object| (id, object)))
    }

    /// The table, if its history reaches back to a version.
    fn reach(&self, id: &TableId, version: u64) -> Result<&Table, PastError> {
        let table = self.tables.get(id).ok_or(PastError::NoTable)?;
        if version > self.version {
            return Err(PastError::TooNew(self.version));
        }
        if version < table.complete_after {
            return Err(PastError::TooOld(table.complete_after));
        }
        Ok(table)
    }
}
