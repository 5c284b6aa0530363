//! What all requests share: objects, kinds, and what follows from a write.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tokio::sync::mpsc::{UnboundedSender, WeakUnboundedSender};
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::collect::Chore;
use crate::error::ApiError;
use crate::resource::{self, CRDS, NAMESPACES, Registry, Resource, custom};
use crate::store::{CommitError, Expect, Key, Store, Stored, TableId};

/// First address of the range that services get theirs from: 10.96.0.0/16.
const SERVICES: u32 = u32::from_be_bytes([10, 96, 0, 0]);

/// The server behind its sockets.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) audit: Option<Audit>,
    /// Ended when the server stops: watches end then.
    pub(crate) stop: CancellationToken,
    chores: WeakUnboundedSender<Chore>,
    next_address: AtomicU32,
}

/// Why a write was not made: it may be tried again with what is there now, or not.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Somebody else was quicker.
    Changed,
    /// Anything else.
    Error(ApiError),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Refused {
        Refused::Error(error)
    }
}

impl Api {
    pub(crate) fn new(
        store: Store,
        audit: Option<Audit>,
        chores: &UnboundedSender<Chore>,
        stop: CancellationToken,
    ) -> Api {
        let registry = Registry::new();
        for resource in registry.kinds().all().filter(|resource| resource.group != "events.k8s.io".into()) {
            store.ensure_table(&resource.table, &resource.selectable);
        }
        let next_address = AtomicU32::new(SERVICES + 10);
        let api = Api { store, registry, audit, stop, chores: chores.downgrade(), next_address };
        // A journal may have brought definitions.
        for definition in api.store.list(&crds(), None).objects {
            api.serve(&definition.value());
        }
        api
    }

    /// Asks for something to be done in the background.
    pub(crate) fn chore(&self, chore: Chore) {
        if let Some(chores) = self.chores.upgrade() {
            // The receiver ends with the server only.
            let _ = chores.send(chore);
        }
    }

    /// Serves what a definition defines.
    fn serve(&self, definition: &Value) {
        let resources = custom::resources(definition);
        let table = custom::table(definition);
        if let Some(first) = resources.first() {
            self.store.ensure_table(&table, &first.selectable);
        }
        self.registry.replace(&table.group, &table.resource, resources);
    }

    /// Takes up deletions that had begun when the server was last stopped.
    pub(crate) fn resume(&self) {
        let kinds = self.registry.kinds();
        let mut tables: Vec<&TableId> = kinds.all().map(|resource| &resource.table).collect();
        tables.sort();
        tables.dedup();
        for table in tables {
            for object in self.store.list(table, None).objects {
                let (key, name) = (object.key.clone(), object.key.name.to_string());
                if !object.owners.is_empty() {
                    self.chore(Chore::Owned { table: table.clone(), key: key.clone() });
                }
                if object.terminating {
                    self.chore(match &*table.resource {
                        NAMESPACES => Chore::Namespace(name),
                        CRDS => Chore::Definition(name),
                        _ => Chore::Terminating { table: table.clone(), key },
                    });
                }
            }
        }
    }

    /// Writes an object (or, without a value, deletes it), and does what follows from that.
    pub(crate) fn commit(
        &self,
        resource: &Resource,
        key: &Key,
        expect: Expect,
        value: Option<Value>,
    ) -> Result<Arc<Stored>, Refused> {
        let gone = value.is_none();
        let stored = self.store.commit(&resource.table, key, expect, value).map_err(|error| match error {
            CommitError::Changed => Refused::Changed,
            CommitError::NoTable => ApiError::no_such_path().into(),
            CommitError::Journal(_) => ApiError::internal(error.to_string()).into(),
        })?;
        if resource.is("apiextensions.k8s.io", CRDS) {
            let definition = stored.value();
            if gone {
                let table = custom::table(&definition);
                self.registry.replace(&table.group, &table.resource, Vec::new());
                self.store.drop_table(&table);
            } else {
                self.serve(&definition);
            }
        }
        if gone {
            self.chore(Chore::Gone { object: stored.clone(), table: resource.table.clone() });
        } else if !stored.owners.is_empty() {
            self.chore(Chore::Owned { table: resource.table.clone(), key: key.clone() });
        }
        Ok(stored)
    }

    /// The kind that a table's objects are stored as.
    pub(crate) fn storage_of(&self, table: &TableId) -> Option<Arc<Resource>> {
        let kinds = self.registry.kinds();
        kinds
            .all()
            .find(|r| r.table == *table && r.group == table.group && r.version == r.storage)
            .cloned()
            .or_else(
                // The stored version may not be served any more.
                || kinds.all().find(|r| r.table == *table && r.group == table.group).cloned(),
            )
    }

    /// Whether objects may come into a namespace.
    pub(crate) fn admit_to(&self, resource: &Resource, name: &str, namespace: &str) -> Result<(), ApiError> {
        let namespaces = TableId::new("", NAMESPACES);
        let kinds = self.registry.kinds();
        let Some(found) = self.store.get(&namespaces, &Key::new("", namespace)) else {
            return Err(match kinds.get("", "v1", NAMESPACES) {
                Some(kind) => ApiError::not_found(kind, namespace),
                None => ApiError::no_such_path(),
            });
        };
        if !found.terminating {
            return Ok(());
        }
        let mut details = crate::error::details(resource, name);
        let why = format!("namespace {namespace} is being terminated");
        details["causes"] = serde_json::json!([
            {"reason": "NamespaceTerminating", "message": why, "field": "metadata.namespace"}
        ]);
        Err(ApiError {
            details: Some(details),
            ..ApiError::new(
                403,
                "Forbidden",
                format!(
                    "{} \"{name}\" is forbidden: unable to create new content in namespace {namespace} because it is being terminated",
                    resource.qualified()
                ),
            )
        })
    }

    /// An address for a service that no other service has, if there is one left.
    pub(crate) fn service_address(&self) -> Option<IpAddr> {
        let services = self.store.list(&TableId::new("", "services"), None).objects;
        // The first field that services are selected by.
        let taken: BTreeSet<&str> = services.iter().map(|service| service.field(0)).collect();
        (0..=u16::MAX)
            .map(|_| self.next_address.fetch_add(1, Ordering::Relaxed))
            .filter(|number| !matches!(number & 0xff, 0 | 0xff))
            .map(|number| Ipv4Addr::from(SERVICES | (number & 0xffff)))
            .find(|address| !taken.contains(address.to_string().as_str()))
            .map(IpAddr::V4)
    }
}

/// The table of definitions.
pub(crate) fn crds() -> TableId {
    TableId::new("apiextensions.k8s.io", resource::CRDS)
}
