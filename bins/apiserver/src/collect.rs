//! Chores in the background: dependents of what is gone, contents of namespaces, objects of definitions.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::action::{self, CLEANUP, DeleteOptions, FOREGROUND, ORPHAN};
use crate::api::{self, Api, Refused};
use crate::meta;
use crate::resource::{NAMESPACES, Resource, custom};
use crate::store::{Expect, Key, Stored, TableId};

/// Something that may have to be done.
#[derive(Debug)]
pub(crate) enum Chore {
    /// An object is gone.
    Gone {
        /// Where it was.
        table: TableId,
        /// Its last state.
        object: Arc<Stored>,
    },
    /// An object with owners was written: they may not be there.
    Owned {
        /// Where it is.
        table: TableId,
        /// Its name.
        key: Key,
    },
    /// An object waits for finalizers, some of which are ours.
    Terminating {
        /// Where it is.
        table: TableId,
        /// Its name.
        key: Key,
    },
    /// A namespace is to be emptied.
    Namespace(String),
    /// A definition is to go, and its objects with it.
    Definition(String),
}

/// Does chores until the server ends.
pub(crate) async fn run(api: Arc<Api>, mut chores: UnboundedReceiver<Chore>) {
    loop {
        let chore = tokio::select! {
            () = api.stop.cancelled() => return,
            chore = chores.recv() => chore,
        };
        let Some(chore) = chore else { return };
        match chore {
            Chore::Gone { table, object } => gone(&api, &table, &object),
            Chore::Owned { table, key } => owned(&api, &table, &key),
            Chore::Terminating { table, key } => terminating(&api, &table, &key),
            Chore::Namespace(name) => namespace(&api, &name),
            Chore::Definition(name) => definition(&api, &name),
        }
        // Others have their turn between two chores.
        tokio::task::yield_now().await;
    }
}

fn gone(api: &Api, table: &TableId, object: &Stored) {
    for (table, key) in api.store.dependents(&object.uid) {
        owned(api, &table, &key);
    }
    for owner in &object.owners {
        if let Some((table, key)) = api.store.find(owner) {
            terminating(api, &table, &key);
        }
    }
    if !object.key.namespace.is_empty() {
        namespace(api, &object.key.namespace);
    }
    let kinds = api.registry.kinds();
    if kinds.all().any(|kind| kind.custom && kind.table == *table) {
        definition(api, &format!("{}.{}", table.resource, table.group));
    }
}

/// An object none of whose owners is there goes; one that has some left forgets the others.
fn owned(api: &Api, table: &TableId, key: &Key) {
    let (Some(resource), Some(object)) = (api.storage_of(table), api.store.get(table, key)) else { return };
    let absent: Vec<&str> =
        object.owners.iter().map(|uid| &**uid).filter(|uid| api.store.find(uid).is_none()).collect();
    if absent.is_empty() {
        return;
    }
    if absent.len() == object.owners.len() {
        remove(api, &resource, &object, None);
        return;
    }
    edit(api, &resource, key, |value| {
        let Some(list) = value.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) else {
            return;
        };
        list.retain(|owner| {
            !owner.get("uid").and_then(Value::as_str).is_some_and(|uid| absent.contains(&uid))
        });
    });
}

fn remove(api: &Api, resource: &Resource, object: &Stored, policy: Option<&str>) {
    let preconditions = serde_json::from_value(serde_json::json!({"uid": object.uid})).ok();
    let policy = policy.map(str::to_owned);
    let options = DeleteOptions { preconditions, propagation_policy: policy, ..DeleteOptions::default() };
    if let Err(error) = action::delete(api, resource, &object.key, &options)
        && !matches!(error.code, 404 | 409)
    {
        tracing::warn!(object = %object.key.name, %error, "cannot collect");
    }
}

/// Changes an object until nobody is in between.
fn edit(api: &Api, resource: &Resource, key: &Key, change: impl Fn(&mut Value)) {
    while let Some(current) = api.store.get(&resource.table, key) {
        let mut object = current.value();
        change(&mut object);
        let grace = meta::at(&object, &["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_i64);
        let finished =
            meta::is_terminating(&object) && !meta::has_finalizers(&object) && grace.unwrap_or(0) == 0;
        let expect = Expect::Version(current.version);
        match api.commit(resource, key, expect, (!finished).then_some(object)) {
            Err(Refused::Changed) => {}
            Err(Refused::Error(error)) => {
                tracing::warn!(object = %key.name, %error, "cannot collect");
                return;
            }
            Ok(_) => return,
        }
    }
}

fn drop_finalizer(value: &mut Value, name: &str) {
    if let Some(list) = value.pointer_mut("/metadata/finalizers").and_then(Value::as_array_mut) {
        list.retain(|finalizer| finalizer != name);
    }
}

/// Our own finalizers: dependents first, or dependents let go.
fn terminating(api: &Api, table: &TableId, key: &Key) {
    let (Some(resource), Some(object)) = (api.storage_of(table), api.store.get(table, key)) else { return };
    if !object.terminating {
        return;
    }
    let value = object.value();
    let finalizers = meta::at(&value, &["metadata", "finalizers"]).and_then(Value::as_array);
    let has = |name: &str| finalizers.is_some_and(|list| list.iter().any(|finalizer| finalizer == name));
    if has(FOREGROUND) {
        let mut blocked = false;
        for (table, key) in api.store.dependents(&object.uid) {
            let (Some(kind), Some(dependent)) = (api.storage_of(&table), api.store.get(&table, &key)) else {
                continue;
            };
            let dependent_value = dependent.value();
            if !dependent.terminating {
                remove(api, &kind, &dependent, Some("Foreground"));
            }
            let owners =
                meta::at(&dependent_value, &["metadata", "ownerReferences"]).and_then(Value::as_array);
            let blocks = owners.into_iter().flatten().any(|owner| {
                meta::text(owner, &["uid"]) == Some(&object.uid)
                    && owner.get("blockOwnerDeletion") == Some(&true.into())
            });
            blocked |= blocks && api.store.get(&table, &key).is_some_and(|now| now.uid == dependent.uid);
        }
        if !blocked {
            edit(api, &resource, key, |value| drop_finalizer(value, FOREGROUND));
        }
    } else if has(ORPHAN) {
        for (table, key) in api.store.dependents(&object.uid) {
            let Some(kind) = api.storage_of(&table) else { continue };
            edit(api, &kind, &key, |value| {
                if let Some(list) =
                    value.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut)
                {
                    list.retain(|owner| meta::text(owner, &["uid"]) != Some(&object.uid));
                }
            });
        }
        edit(api, &resource, key, |value| drop_finalizer(value, ORPHAN));
    }
}

/// Empties a namespace that is to go, and lets it go when it is empty.
fn namespace(api: &Api, name: &str) {
    let (table, key) = (TableId::new("", NAMESPACES), Key::new("", name));
    if !api.store.get(&table, &key).is_some_and(|object| object.terminating) {
        return;
    }
    for (table, object) in api.store.in_namespace(name) {
        if object.terminating {
            continue;
        }
        if let Some(resource) = api.storage_of(&table) {
            remove(api, &resource, &object, None);
        }
    }
    let empty = api.store.in_namespace(name).is_empty();
    if let (true, Some(resource)) = (empty, api.storage_of(&table)) {
        edit(api, &resource, &key, |value| {
            if let Some(list) = value.pointer_mut("/spec/finalizers").and_then(Value::as_array_mut) {
                list.retain(|finalizer| finalizer != "kubernetes");
            }
        });
    }
}

/// Removes the objects of a definition that is to go, and lets it go when there are none.
fn definition(api: &Api, name: &str) {
    let (table, key) = (api::crds(), Key::new("", name));
    let Some(object) = api.store.get(&table, &key) else { return };
    let (true, Some(resource)) = (object.terminating, api.storage_of(&table)) else { return };
    let id = custom::table(&object.value());
    if let Some(kind) = api.storage_of(&id) {
        for object in api.store.list(&id, None).objects {
            if !object.terminating {
                remove(api, &kind, &object, None);
            }
        }
    }
    if api.store.list(&id, None).objects.is_empty() {
        edit(api, &resource, &key, |value| drop_finalizer(value, CLEANUP));
    }
}
