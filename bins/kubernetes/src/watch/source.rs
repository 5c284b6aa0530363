use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _};
use kube::api::WatchEvent;
use kube::runtime::watcher::{Error, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::Options;
use crate::refusal::is_expired;

/// A server that ends a watch at all does so within this time of when it was asked to.
const LATE: Duration = Duration::from_secs(30);

/// What a server says, one thing after the other.
pub(super) type Source<K> = BoxStream<'static, Result<Said<K>, Error>>;

pub(super) enum Said<K> {
    /// Something about objects.
    Event(Event<K>),
    /// Where it is: it has said all up to this version, and goes on from there.
    At(u64),
    /// A watch ended before its time. Whoever answers next may be another.
    CutOff,
}

/// Lists, then watches, without end. A watch goes on where the last one ended, or lists again where that is no longer
/// known. In contrast to `kube`'s watcher, it tells what bookmarks say, and whether a watch ended as it was asked to.
pub(super) fn source<K>(api: Api<K>, options: Options) -> Source<K>
where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    let lister = Lister { api, options };
    futures_util::stream::unfold((lister, State::Begin), |(lister, mut state)| async move {
        loop {
            let said;
            (said, state) = lister.step(state).await;
            if let Some(said) = said {
                return Some((said, (lister, state)));
            }
        }
    })
    .boxed()
}

enum State<K> {
    Begin,
    /// What is left of a page, and where the next one is.
    Page {
        objects: VecDeque<K>,
        next: Option<String>,
        version: Option<String>,
    },
    /// Everything is told up to here.
    At(String),
    Watching {
        events: BoxStream<'static, kube::Result<WatchEvent<K>>>,
        version: String,
        begun: Instant,
        asked: Duration,
    },
}

struct Lister<K> {
    api: Api<K>,
    options: Options,
}

type Step<K> = (Option<Result<Said<K>, Error>>, State<K>);

impl<K> Lister<K>
where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    async fn step(&self, state: State<K>) -> Step<K> {
        match state {
            State::Begin => {
                let page = State::Page { objects: VecDeque::new(), next: None, version: None };
                (Some(Ok(Said::Event(Event::Init))), page)
            }
            State::Page { mut objects, next, version } => {
                if let Some(object) = objects.pop_front() {
                    return (
                        Some(Ok(Said::Event(Event::InitApply(object)))),
                        State::Page { objects, next, version },
                    );
                }
                match (next, version) {
                    (None, Some(version)) => (Some(Ok(Said::Event(Event::InitDone))), State::At(version)),
                    (next, _) => self.list(next).await,
                }
            }
            State::At(version) => self.begin_watch(version).await,
            State::Watching { mut events, version, begun, asked } => {
                let end = begun + asked + LATE;
                let event = tokio::time::timeout_at(end, events.next()).await.ok().flatten();
                let Some(event) = event else {
                    let early = begun.elapsed() < asked;
                    return (early.then_some(Ok(Said::CutOff)), State::At(version));
                };
                let (said, version) = heard(event, version);
                match version {
                    None => (said, State::Begin),
                    // An error is the last thing that a watch says.
                    Some(version) if matches!(said, Some(Err(_))) => (said, State::At(version)),
                    Some(version) => (said, State::Watching { events, version, begun, asked }),
                }
            }
        }
    }

    async fn list(&self, next: Option<String>) -> Step<K> {
        let mut params = self.options.list();
        params.continue_token = next;
        match self.api.list(&params).await {
            Ok(list) => {
                let version = list.metadata.resource_version.filter(|version| !version.is_empty());
                let next = list.metadata.continue_.filter(|token| !token.is_empty());
                if version.is_none() && next.is_none() {
                    return (Some(Err(Error::NoResourceVersion)), State::Begin);
                }
                // Said before the list ends, and of the last page: the first may be of a version long ago.
                let at =
                    version.as_deref().filter(|_| next.is_none()).and_then(|version| version.parse().ok());
                let page = State::Page { objects: list.items.into(), next, version };
                (at.map(|at| Ok(Said::At(at))), page)
            }
            Err(error) => (Some(Err(Error::InitialListFailed(error))), State::Begin),
        }
    }

    async fn begin_watch(&self, version: String) -> Step<K> {
        let params = self.options.watch();
        let asked = Duration::from_secs(params.timeout.unwrap_or_default().into());
        match self.api.watch(&params, &version).await {
            Ok(events) => {
                let begun = Instant::now();
                (None, State::Watching { events: events.boxed(), version, begun, asked })
            }
            Err(error) => {
                let state = if is_expired(&error) { State::Begin } else { State::At(version) };
                (Some(Err(Error::WatchStartFailed(error))), state)
            }
        }
    }
}

/// What an event of a watch says, and the version to go on from; none where it is not known any more.
fn heard<K: Resource>(
    event: kube::Result<WatchEvent<K>>,
    before: String,
) -> (Option<Result<Said<K>, Error>>, Option<String>) {
    let of = |object: &K| object.meta().resource_version.clone().filter(|version| !version.is_empty());
    match event {
        Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
            let version = of(&object).unwrap_or(before);
            (Some(Ok(Said::Event(Event::Apply(object)))), Some(version))
        }
        Ok(WatchEvent::Deleted(object)) => {
            let version = of(&object).unwrap_or(before);
            (Some(Ok(Said::Event(Event::Delete(object)))), Some(version))
        }
        Ok(WatchEvent::Bookmark(bookmark)) => {
            let version = bookmark.metadata.resource_version;
            (version.parse().ok().map(|at| Ok(Said::At(at))), Some(version))
        }
        Ok(WatchEvent::Error(status)) => {
            let version = (status.code != 410).then_some(before);
            (Some(Err(Error::WatchError(status.boxed()))), version)
        }
        Err(error) => (Some(Err(Error::WatchFailed(error))), Some(before)),
    }
}
