//! What is known of one kind of object, kept up to date by a watch.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use futures_util::StreamExt as _;
use kube::{Api, Resource};
use kubernetes::refusal::is_unknown_kind;
use kubernetes::watch::{Event, Key, Options, watch};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch as flag};

/// What is kept of an object.
pub(crate) trait View: PartialEq + Send + Sync + 'static {
    /// Whether nobody need look again, though something changed.
    fn is_alike(&self, other: &Self) -> bool {
        self == other
    }
}

/// The names of objects that changed since somebody looked.
#[derive(Default)]
pub(crate) struct Changes(Mutex<HashSet<Key>>);

impl Changes {
    /// Takes them out.
    pub(crate) fn take(&self) -> HashSet<Key> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The objects of a kind, each as the little of it that somebody needs.
pub(crate) struct Store<T> {
    items: RwLock<HashMap<Key, Arc<T>>>,
    listeners: Mutex<Vec<Arc<Notify>>>,
    feeds: Mutex<Vec<Arc<Changes>>>,
    synced: flag::Sender<bool>,
}

impl<T: View> Store<T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            items: RwLock::default(),
            listeners: Mutex::default(),
            feeds: Mutex::default(),
            synced: flag::Sender::new(false),
        })
    }

    /// Follows the objects of `api` for ever; `view` takes what is needed of one.
    pub(crate) async fn follow<K>(
        self: Arc<Self>,
        api: Api<K>,
        options: Options,
        view: impl Fn(K) -> T + Send,
    ) where
        K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
    {
        let mut events = watch(api, options);
        let kind = std::any::type_name::<T>().rsplit("::").next().unwrap_or_default();
        while let Some(event) = events.next().await {
            match event {
                Event::Set(object) => {
                    let key = Key::of(&*object);
                    self.set(&key, view(*object));
                }
                Event::Gone(key) | Event::Lost(key) => self.remove(&key),
                // The watch keeps the names.
                Event::Listing => {}
                Event::Synced => {
                    self.synced.send_replace(true);
                    self.notify();
                }
                Event::Failed(error) if is_unknown_kind(&error) => {
                    tracing::debug!(kind, %error, "the API does not have this kind");
                }
                Event::Failed(error) => tracing::warn!(kind, %error, "watch: tried again"),
            }
        }
    }

    pub(crate) fn set(&self, key: &Key, item: T) {
        let mut items = self.items.write().unwrap_or_else(PoisonError::into_inner);
        let known = items.get(key);
        // Many writes change nothing that anyone looks at.
        if known.is_some_and(|known| **known == item) {
            return;
        }
        let is_alike = known.is_some_and(|known| known.is_alike(&item));
        items.insert(key.clone(), Arc::new(item));
        drop(items);
        if !is_alike {
            self.changed(key);
        }
    }

    fn remove(&self, key: &Key) {
        let removed = self.items.write().unwrap_or_else(PoisonError::into_inner).remove(key);
        if removed.is_some() {
            self.changed(key);
        }
    }

    fn changed(&self, key: &Key) {
        for feed in self.feeds.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            feed.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        }
        self.notify();
    }

    fn notify(&self) {
        for listener in self.listeners.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            listener.notify_one();
        }
    }

    /// From now on `listener` is told when something changes.
    pub(crate) fn tell(&self, listener: &Arc<Notify>) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(listener));
    }

    /// All that there is, and from now on all that changes.
    pub(crate) fn changes(&self) -> Arc<Changes> {
        let feed = Arc::<Changes>::default();
        // Before the names are read: what comes meanwhile is named twice.
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&feed));
        let names: Vec<Key> = self.read().keys().cloned().collect();
        feed.0.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
        feed
    }

    /// Waits until the first list is complete.
    pub(crate) async fn synced(&self) {
        // The sender lives as long as `self`.
        _ = self.synced.subscribe().wait_for(|synced| *synced).await;
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, HashMap<Key, Arc<T>>> {
        self.items.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<T>> {
        self.read().get(key).cloned()
    }
}

#[cfg(test)]
impl View for u32 {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_named_once() {
        let store = Store::new();
        let key = |name| Key::new("", name);
        store.set(&key("x"), 1_u32);
        let feed = store.changes();
        let taken = || {
            let mut names: Vec<_> = feed.take().into_iter().collect();
            names.sort();
            names
        };
        assert_eq!(taken(), [key("x")]);
        store.set(&key("x"), 1);
        store.remove(&key("never"));
        assert!(taken().is_empty(), "nothing is another");
        store.set(&key("y"), 1);
        store.set(&key("y"), 2);
        store.remove(&key("x"));
        assert_eq!(taken(), [key("x"), key("y")]);
    }
}
