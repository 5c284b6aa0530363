//! What is known of one kind of object, kept up to date by a watch.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use futures_util::StreamExt as _;
use kube::{Api, Resource};
use kubernetes::watch::{Event, Key, Options, watch};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch as flag};
use tokio::time::Instant;

/// The objects of a kind, each as the little of it that somebody needs.
pub(crate) struct Store<T> {
    items: RwLock<HashMap<Key, Arc<T>>>,
    listeners: Mutex<Vec<Arc<Notify>>>,
    synced: flag::Sender<bool>,
}

impl<T: PartialEq + Send + Sync + 'static> Store<T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            items: RwLock::default(),
            listeners: Mutex::default(),
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
                    self.set(key, view(*object));
                }
                Event::Gone(key) | Event::Lost(key) => self.remove(&key),
                // The watch keeps the names.
                Event::Listing => {}
                Event::Synced => {
                    self.synced.send_replace(true);
                    self.notify();
                }
                Event::Failed(error) => tracing::warn!(kind, %error, "watch: tried again"),
            }
        }
    }

    pub(crate) fn set(&self, key: Key, item: T) {
        let mut items = self.items.write().unwrap_or_else(PoisonError::into_inner);
        // Many writes change nothing that anyone looks at.
        if items.get(&key).is_some_and(|known| **known == item) {
            return;
        }
        items.insert(key, Arc::new(item));
        drop(items);
        self.notify();
    }

    fn remove(&self, key: &Key) {
        let removed = self.items.write().unwrap_or_else(PoisonError::into_inner).remove(key);
        if removed.is_some() {
            self.notify();
        }
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

/// When a controller looks again: something changed, its interval has passed, or something failed a while ago.
pub(crate) struct Pulse {
    changed: Arc<Notify>,
    /// Changes that come so close together are looked at once.
    quiet: Duration,
    interval: Duration,
    failures: u32,
}

impl Pulse {
    /// For controllers that look at everything.
    pub(crate) fn new(quiet: Duration, interval: Duration) -> Self {
        Self { changed: Arc::default(), quiet, interval, failures: 0 }
    }

    /// Looks again when something in the store changes.
    #[must_use]
    pub(crate) fn on<T: PartialEq + Send + Sync + 'static>(self, store: &Store<T>) -> Self {
        store.tell(&self.changed);
        self
    }

    /// Waits for the next time to look. `failed` says whether the last one left something undone.
    pub(crate) async fn next(&mut self, failed: bool) {
        self.failures = if failed { self.failures.saturating_add(1) } else { 0 };
        let pause = Duration::from_millis(250).saturating_mul(1 << self.failures.min(7));
        let until = Instant::now() + if failed { pause.min(self.interval) } else { self.interval };
        if failed {
            // Whatever changes meanwhile would not be written either.
            tokio::time::sleep_until(until).await;
        } else {
            _ = tokio::time::timeout_at(until, self.changed.notified()).await;
        }
        tokio::time::sleep(self.quiet).await;
    }
}
