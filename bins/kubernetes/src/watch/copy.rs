use std::collections::HashMap;
use std::hash::Hash;

use futures_util::stream::{BoxStream, Stream, StreamExt as _};
use kube::Resource;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;

use super::{Event, Key};

/// Keeps a copy of all objects that are told, as long as what is returned beside it is polled: that says when the copy
/// has changed. The copy is empty until the first list is complete, and then has all of it at once, which is what
/// [`Store::wait_until_ready`] waits for.
pub fn copy<K>(
    events: BoxStream<'static, Event<K>>,
    kind: K::DynamicType,
) -> (Store<K>, impl Stream<Item = ()> + Send)
where
    K: Resource + Clone + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone + Send + Sync,
{
    let writer = Writer::new(kind.clone());
    let store = writer.as_reader();
    let copy = Copy { writer, store: store.clone(), kind, first: Some(HashMap::new()) };
    let changes = futures_util::stream::unfold((events, copy), |(mut events, mut copy)| async {
        loop {
            if copy.take(events.next().await?) {
                return Some(((), (events, copy)));
            }
        }
    });
    (store, changes)
}

struct Copy<K>
where
    K: Resource + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    writer: Writer<K>,
    store: Store<K>,
    kind: K::DynamicType,
    /// What the first list has so far; none when it is complete.
    first: Option<HashMap<Key, K>>,
}

impl<K> Copy<K>
where
    K: Resource + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    /// Takes over what was told; says whether the copy is another now.
    fn take(&mut self, event: Event<K>) -> bool {
        match (event, &mut self.first) {
            (Event::Set(object), Some(first)) => {
                first.insert(Key::of(&*object), *object);
                false
            }
            (Event::Gone(key) | Event::Lost(key), Some(first)) => {
                first.remove(&key);
                false
            }
            (Event::Synced, Some(first)) => {
                let all = std::mem::take(first).into_values();
                self.first = None;
                self.writer.apply_watcher_event(&watcher::Event::Init);
                for object in all {
                    self.writer.apply_watcher_event(&watcher::Event::InitApply(object));
                }
                self.writer.apply_watcher_event(&watcher::Event::InitDone);
                true
            }
            (Event::Set(object), None) => {
                self.writer.apply_watcher_event(&watcher::Event::Apply(*object));
                true
            }
            (Event::Gone(key) | Event::Lost(key), None) => {
                let mut of = ObjectRef::new_with(key.name(), self.kind.clone());
                of.namespace = (!key.namespace().is_empty()).then(|| key.namespace().to_owned());
                let Some(object) = self.store.get(&of) else { return false };
                self.writer.apply_watcher_event(&watcher::Event::Delete((*object).clone()));
                true
            }
            // All of a later list was told one by one. A copy is of names that are kept.
            (Event::Synced, None) | (Event::Listing | Event::Failed(_), _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::stream;
    use k8s_openapi::api::core::v1::{ConfigMap, Namespace};

    use super::*;

    fn set<K: Resource + Default>(name: &str, namespace: Option<&str>) -> Event<K> {
        let mut object = K::default();
        object.meta_mut().name = Some(name.to_owned());
        object.meta_mut().namespace = namespace.map(str::to_owned);
        Event::Set(Box::new(object))
    }

    fn names<K: Resource + Clone>(store: &Store<K>) -> String
    where
        K::DynamicType: Eq + Hash + Clone,
    {
        let mut names: Vec<_> = store.state().iter().map(|object| Key::of(&**object).to_string()).collect();
        names.sort();
        names.join(" ")
    }

    #[tokio::test]
    async fn the_first_list_comes_at_once_and_what_follows_one_by_one() {
        let map = |name| set::<ConfigMap>(name, Some("a"));
        let events = vec![
            map("x"),
            map("y"),
            Event::Failed(watcher::Error::NoResourceVersion),
            // The list was begun anew, and is another now.
            map("z"),
            Event::Gone(Key::new("a", "y")),
            Event::Synced,
            map("w"),
            Event::Gone(Key::new("a", "x")),
            Event::Gone(Key::new("a", "never")),
            Event::Synced,
        ];
        let (store, changes) = copy(stream::iter(events).boxed(), ());
        let mut changes = std::pin::pin!(changes);
        assert!(store.wait_until_ready().now_or_never().is_none());
        let mut told = Vec::new();
        while changes.next().await.is_some() {
            assert!(store.wait_until_ready().now_or_never().is_some());
            told.push(names(&store));
        }
        assert_eq!(told, ["a/x a/z", "a/w a/x a/z", "a/w a/z"]);
    }

    #[tokio::test]
    async fn objects_without_a_namespace() {
        let events = vec![Event::Synced, set::<Namespace>("n", None), Event::Gone(Key::new("", "n"))];
        let (store, changes) = copy(stream::iter(events).boxed(), ());
        let mut changes = std::pin::pin!(changes);
        let mut told = Vec::new();
        while changes.next().await.is_some() {
            told.push(names(&store));
        }
        assert_eq!(told, ["", "n", ""]);
    }
}
