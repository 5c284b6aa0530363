//! One kind of object, followed for ever.
//!
//! [`watch`] lists, then watches, and goes on whatever happens: a connection that breaks is resumed where it was; a
//! server that no longer knows that place (410) is listed again. What was told stays true until the new list is
//! complete; then what it no longer has is told to be gone. Objects are not kept, only their names; and not even those
//! where whoever listens has them anyway ([`Options::keeps_names`]).
//!
//! A server that comes back without its data counts from the beginning again, and would tell nothing to whoever asks to
//! go on from where it was. So after failures it is asked where it is, and listed again if that is earlier.
//!
//! ```no_run
//! # async fn example(client: kube::Client) {
//! use futures_util::StreamExt as _;
//! use k8s_openapi::api::core::v1::Namespace;
//! use kubernetes::watch::{Event, Options, watch};
//!
//! let mut events = watch(kube::Api::<Namespace>::all(client), Options::default());
//! while let Some(event) = events.next().await {
//!     match event {
//!         Event::Set(namespace) => println!("{:?}", namespace.metadata.labels),
//!         Event::Gone(key) => println!("{} is gone", key.name()),
//!         Event::Listing => {}
//!         Event::Synced => println!("that is all for now"),
//!         Event::Failed(error) => println!("tried again by itself: {error}"),
//!     }
//! }
//! # }
//! ```

mod key;
mod known;
mod pauses;

use std::fmt;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, Stream, StreamExt as _};
use kube::api::ListParams;
use kube::runtime::watcher::{self, Config, Error, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::client::jitter;
pub use key::Key;
use known::Known;
use pauses::Pauses;

/// What a watch tells.
#[derive(Debug)]
pub enum Event<K> {
    /// An object is there, or is another now. After a list it may be told again as it was.
    Set(Box<K>),
    /// An object is gone.
    Gone(Key),
    /// A list begins. It is told only where names are not kept: what was told before and is not told again until
    /// [`Event::Synced`] is gone then. A list that breaks off begins anew.
    Listing,
    /// All objects of a list have been told, and all that it no longer has: what was told is what there is. It comes
    /// after each list, the first one and later ones.
    Synced,
    /// Something failed, and is tried again by itself after a pause. What was told stays in force.
    Failed(Error),
}

/// How to watch.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only objects whose fields are so.
    pub fields: Option<String>,
    /// Only objects with such labels.
    pub labels: Option<String>,
    /// Whether the names of all objects are kept, so that a new list tells what it lacks. Who listens can do that as
    /// well where it knows the objects by name: those of a large cluster take megabytes. See [`Event::Listing`].
    pub keeps_names: bool,
    /// How many objects a list asks for at once: memory against requests.
    pub page_size: u32,
    /// The list comes as the beginning of the watch, where the server knows how (Kubernetes 1.32 and later).
    pub streaming_list: bool,
    /// How long a watch lasts before the server ends it and it is resumed; some jitter is added.
    pub duration: Duration,
    /// The longest pause after failures that follow one another.
    pub longest_pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fields: None,
            labels: None,
            keeps_names: true,
            page_size: 500,
            streaming_list: false,
            duration: Duration::from_secs(240),
            longest_pause: Duration::from_secs(15),
        }
    }
}

impl Options {
    /// Only objects whose fields are so.
    #[must_use]
    pub fn fields(mut self, selector: impl Into<String>) -> Self {
        self.fields = Some(selector.into());
        self
    }

    /// Only objects with such labels.
    #[must_use]
    pub fn labels(mut self, selector: impl Into<String>) -> Self {
        self.labels = Some(selector.into());
        self
    }

    /// Leaves it to the listener to know what there was before a list.
    #[must_use]
    pub const fn without_names(mut self) -> Self {
        self.keeps_names = false;
        self
    }

    fn config(&self) -> Config {
        let jittered = self.duration.mul_f64(1.0 + jitter() / 5.0).as_secs();
        let mut config =
            Config::default().page_size(self.page_size).timeout(u32::try_from(jittered).unwrap_or(u32::MAX));
        config.field_selector.clone_from(&self.fields);
        config.label_selector.clone_from(&self.labels);
        if self.streaming_list {
            config = config.streaming_lists();
        }
        config
    }
}

/// Follows the objects of `api`. The stream does not end.
pub fn watch<K>(api: Api<K>, options: Options) -> BoxStream<'static, Event<K>>
where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    let (longest, known) = (options.longest_pause, options.keeps_names.then(Known::default));
    let asked = api.clone();
    let start = move || watcher(api.clone(), options.config()).boxed();
    let ask = move || {
        let api = asked.clone();
        async move {
            let list = api.list_metadata(&ListParams::default().limit(1)).await.ok()?;
            list.metadata.resource_version?.parse().ok()
        }
        .boxed()
    };
    follow(start, ask, longest, known).boxed()
}

type Source<K> = BoxStream<'static, Result<watcher::Event<K>, Error>>;

struct Follower<K, F, A> {
    start: F,
    /// Where the server is now, if it says so.
    ask: A,
    source: Source<K>,
    /// The newest version that was heard of.
    newest: u64,
    /// Whether the server is to be asked where it is before the watch goes on: after a list, to know it, and after a
    /// failure, since it may be another.
    doubt: bool,
    /// What was told, where that is kept.
    known: Option<Known>,
    pauses: Pauses,
    /// Told before the source is asked again, last first.
    waiting: Vec<Event<K>>,
}

fn follow<K, F, A>(
    start: F,
    ask: A,
    longest: Duration,
    known: Option<Known>,
) -> impl Stream<Item = Event<K>> + Send
where
    K: Resource + Send + 'static,
    F: Fn() -> Source<K> + Send,
    A: Fn() -> BoxFuture<'static, Option<u64>> + Send,
{
    let source = start();
    let follower = Follower {
        start,
        ask,
        source,
        newest: 0,
        doubt: false,
        known,
        pauses: Pauses::new(longest),
        waiting: Vec::new(),
    };
    futures_util::stream::unfold(
        follower,
        |mut follower| async move { Some((follower.next().await, follower)) },
    )
}

impl<K, F, A> Follower<K, F, A>
where
    K: Resource,
    F: Fn() -> Source<K>,
    A: Fn() -> BoxFuture<'static, Option<u64>>,
{
    async fn next(&mut self) -> Event<K> {
        loop {
            if let Some(event) = self.waiting.pop() {
                return event;
            }
            self.pauses.wait().await;
            self.resolve_doubt().await;
            match self.source.next().await {
                None => self.source = (self.start)(),
                Some(Ok(event)) => {
                    if let Some(event) = self.take(event) {
                        return event;
                    }
                }
                Some(Err(error)) => return self.failed(error),
            }
        }
    }

    /// Finds out whether the server still knows what it told.
    async fn resolve_doubt(&mut self) {
        if !self.doubt {
            return;
        }
        // Without an answer the watch fails as well, and the doubt comes back.
        if let Some(now) = (self.ask)().await {
            if now < self.newest {
                tracing::warn!(
                    now,
                    newest = self.newest,
                    "the API server is behind what it told: listed again"
                );
                self.source = (self.start)();
                self.newest = 0;
            } else {
                self.newest = now;
            }
        }
        self.doubt = false;
    }

    fn hear(&mut self, object: &K) {
        let version = object.meta().resource_version.as_ref().and_then(|version| version.parse().ok());
        self.newest = self.newest.max(version.unwrap_or(0));
    }

    fn take(&mut self, event: watcher::Event<K>) -> Option<Event<K>> {
        match event {
            watcher::Event::Init => match &mut self.known {
                Some(known) => known.begin(),
                None => return Some(Event::Listing),
            },
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                self.hear(&object);
                if let Some(known) = &mut self.known {
                    known.set(Key::of(&object));
                }
                return Some(Event::Set(Box::new(object)));
            }
            watcher::Event::Delete(object) => {
                self.hear(&object);
                let key = Key::of(&object);
                let was_told = self.known.as_mut().is_none_or(|known| known.remove(&key));
                return was_told.then_some(Event::Gone(key));
            }
            watcher::Event::InitDone => {
                self.doubt = true;
                self.waiting.push(Event::Synced);
                let missing = self.known.as_mut().map(Known::missing).unwrap_or_default();
                self.waiting.extend(missing.into_iter().map(Event::Gone));
            }
        }
        None
    }

    fn failed(&mut self, error: Error) -> Event<K> {
        let pause = self.pauses.failed(Instant::now(), jitter());
        let kind = std::any::type_name::<K>().rsplit("::").next().unwrap_or_default();
        tracing::debug!(kind, ?pause, %error, "watch failed");
        // Who has told nothing has nothing to lose.
        self.doubt |= self.newest > 0;
        // The watcher would ask for the same place for ever.
        if let Error::WatchStartFailed(kube::Error::Api(status)) = &error
            && status.code == 410
        {
            self.source = (self.start)();
        }
        Event::Failed(error)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::core::Status;

    use super::*;

    fn object(name: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(name.to_owned());
        object.metadata.namespace = Some("a".to_owned());
        object
    }

    fn text(event: &Event<ConfigMap>) -> String {
        match event {
            Event::Set(object) => format!("+{}", object.metadata.name.as_deref().unwrap()),
            Event::Gone(key) => format!("-{key}"),
            Event::Listing => "listing".to_owned(),
            Event::Synced => "synced".to_owned(),
            Event::Failed(_) => "failed".to_owned(),
        }
    }

    fn gone() -> Error {
        let mut status = Status::failure("expired", "Expired");
        status.code = 410;
        Error::WatchStartFailed(kube::Error::Api(status.boxed()))
    }

    async fn told(sources: Vec<Vec<Result<watcher::Event<ConfigMap>, Error>>>, count: usize) -> String {
        told_by(sources, Vec::new(), count, Some(Known::default())).await
    }

    /// What is told by a server that is at these versions whenever it is asked.
    async fn told_by(
        sources: Vec<Vec<Result<watcher::Event<ConfigMap>, Error>>>,
        versions: Vec<u64>,
        count: usize,
        known: Option<Known>,
    ) -> String {
        let versions = std::sync::Mutex::new(versions.into_iter());
        let ask = move || std::future::ready(versions.lock().unwrap().next()).boxed();
        let sources = std::sync::Mutex::new(sources.into_iter());
        let start = move || match sources.lock().unwrap().next() {
            Some(events) => stream::iter(events).chain(stream::pending()).boxed(),
            None => stream::pending().boxed(),
        };
        let events: Vec<_> = follow(start, ask, Duration::from_secs(5), known).take(count).collect().await;
        events.iter().map(text).collect::<Vec<_>>().join(" ")
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_new_list_lacks_is_gone_when_it_is_complete() {
        use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
        let events = vec![
            Ok(Init),
            Ok(InitApply(object("x"))),
            Ok(InitApply(object("y"))),
            Ok(InitDone),
            Ok(Apply(object("z"))),
            Ok(Delete(object("y"))),
            Ok(Delete(object("never"))),
            Ok(Init),
            // A list that breaks off tells nothing of what is missing.
            Ok(InitApply(object("w"))),
            Err(Error::NoResourceVersion),
            Ok(Init),
            Ok(InitApply(object("z"))),
            Ok(InitDone),
        ];
        let mut told = told(vec![events], 11).await;
        // What is gone comes in no order.
        told = told.replace("-a/x -a/w", "-a/w -a/x");
        assert_eq!(told, "+x +y synced +z -a/y +w failed +z -a/w -a/x synced");
    }

    #[tokio::test(start_paused = true)]
    async fn without_names_it_is_told_where_a_list_begins_and_ends() {
        use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
        let events = vec![
            Ok(Init),
            Ok(InitApply(object("x"))),
            Err(Error::NoResourceVersion),
            Ok(Init),
            Ok(InitApply(object("y"))),
            Ok(InitDone),
            Ok(Apply(object("z"))),
            Ok(Delete(object("never"))),
            Ok(Init),
            Ok(InitDone),
        ];
        let told = told_by(vec![events], Vec::new(), 10, None).await;
        assert_eq!(told, "listing +x failed listing +y synced +z -a/never listing synced");
    }

    #[tokio::test(start_paused = true)]
    async fn gone_when_a_watch_starts_is_listed_again() {
        use watcher::Event::{Init, InitApply, InitDone};
        let first = vec![Ok(Init), Ok(InitApply(object("x"))), Ok(InitDone), Err(gone())];
        let second = vec![Ok(Init), Ok(InitDone)];
        assert_eq!(told(vec![first, second], 5).await, "+x synced failed -a/x synced");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_lost_its_data_is_listed_again() {
        use watcher::Event::{Apply, Init, InitApply, InitDone};
        let broken = || Err(Error::NoResourceVersion);
        let first = vec![
            Ok(Init),
            Ok(InitApply(object("x"))),
            Ok(InitDone),
            broken(),
            Ok(Apply(object("y"))),
            broken(),
        ];
        let second = vec![Ok(Init), Ok(InitApply(object("y"))), Ok(InitDone)];
        // At 7 when it was listed, at 8 after the first failure; after the second it counts anew.
        let told = told_by(vec![first, second], vec![7, 8, 3], 8, Some(Known::default())).await;
        assert_eq!(told, "+x synced failed +y failed +y -a/x synced");
    }
}
