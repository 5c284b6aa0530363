use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{Stream, StreamExt as _};
use kube::Resource;
use kube::runtime::watcher::{self, Error};
use tokio::time::Instant;

use super::known::Known;
use super::source::{Said, Source};
use super::{Event, Key};
use crate::backoff::{Backoff, Failure};
use crate::client::jitter;

struct Follower<K, F, A> {
    start: F,
    /// Where the server is now, if it says so.
    ask: A,
    source: Source<K>,
    /// The newest version that was heard of.
    newest: u64,
    /// Whether the server is to be asked where it is before the watch goes on: after a failure, or when the watch ended
    /// before its time, since it may be another.
    doubt: bool,
    /// Whether the list that is under way is of a server that lost data. What it lacks was not deleted by anybody.
    rewound: bool,
    /// What was told, where that is kept.
    known: Option<Known>,
    failures: Failures,
    /// Told before the source is asked again, last first.
    waiting: Vec<Event<K>>,
}

/// Follows what `start` begins, and begins it anew where that is needed. `ask` finds out the server's newest version;
/// none where it is no number. Of what was told `known` keeps the names, if it is given.
pub(super) fn follow<K, F, A>(
    start: F,
    ask: A,
    longest: Duration,
    known: Option<Known>,
) -> impl Stream<Item = Event<K>> + Send
where
    K: Resource + Send + 'static,
    F: Fn() -> Source<K> + Send,
    A: Fn() -> BoxFuture<'static, kube::Result<Option<u64>>> + Send,
{
    let source = start();
    let follower = Follower {
        start,
        ask,
        source,
        newest: 0,
        doubt: false,
        rewound: false,
        known,
        failures: Failures::new(longest),
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
    A: Fn() -> BoxFuture<'static, kube::Result<Option<u64>>>,
{
    async fn next(&mut self) -> Event<K> {
        loop {
            if let Some(event) = self.waiting.pop() {
                return event;
            }
            self.failures.wait().await;
            if let Err(error) = self.resolve_doubt().await {
                return self.failed(Error::WatchStartFailed(error));
            }
            match self.source.next().await {
                None => self.source = (self.start)(),
                Some(Ok(Said::At(version))) => self.newest = self.newest.max(version),
                Some(Ok(Said::CutOff)) => {
                    self.failures.failed(Failure::Away, Instant::now(), jitter());
                    self.doubt();
                }
                Some(Ok(Said::Event(event))) => {
                    if let Some(event) = self.take(event) {
                        return event;
                    }
                }
                Some(Err(error)) => return self.failed(error),
            }
        }
    }

    /// Finds out whether the server still knows what it told. Without an answer the doubt stays: a server that lost
    /// its data may be there a moment later, and would say nothing to whoever goes on.
    async fn resolve_doubt(&mut self) -> kube::Result<()> {
        if !self.doubt {
            return Ok(());
        }
        if let Some(now) = (self.ask)().await? {
            if now < self.newest {
                tracing::warn!(
                    now,
                    newest = self.newest,
                    "the API server is behind what it told: listed again"
                );
                self.source = (self.start)();
                self.newest = 0;
                self.rewound = true;
            } else {
                self.newest = now;
            }
        }
        self.doubt = false;
        Ok(())
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
                self.waiting.push(Event::Synced);
                let missing = self.known.as_mut().map(Known::missing).unwrap_or_default();
                let gone = if std::mem::take(&mut self.rewound) { Event::Lost } else { Event::Gone };
                self.waiting.extend(missing.into_iter().map(gone));
            }
        }
        None
    }

    /// Who has told nothing has nothing to lose.
    fn doubt(&mut self) {
        self.doubt |= self.newest > 0;
    }

    fn failed(&mut self, error: Error) -> Event<K> {
        let pause = self.failures.failed((&error).into(), Instant::now(), jitter());
        let kind = std::any::type_name::<K>().rsplit("::").next().unwrap_or_default();
        tracing::debug!(kind, ?pause, %error, "watch failed");
        self.doubt();
        Event::Failed(error)
    }
}

/// Failures that follow one another, and the pause after the last.
struct Failures {
    longest: Duration,
    backoff: Backoff,
    until: Option<Instant>,
    last: Option<Instant>,
}

impl Failures {
    fn new(longest: Duration) -> Self {
        Self { longest, backoff: Backoff::default(), until: None, last: None }
    }

    /// Notes a failure; tells how long the pause is.
    fn failed(&mut self, failure: Failure, now: Instant, jitter: f64) -> Duration {
        // A time without failures, and the next one is the first again.
        if self.last.is_some_and(|last| now - last > 2 * self.longest) {
            self.backoff = Backoff::default();
        }
        let pause = self.backoff.pause(failure, now.into_std(), self.longest, jitter);
        self.until = Some(now + pause);
        self.last = self.until;
        pause
    }

    async fn wait(&mut self) {
        if let Some(until) = self.until {
            tokio::time::sleep_until(until).await;
            self.until = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::{FutureExt as _, stream};
    use k8s_openapi::api::core::v1::ConfigMap;

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
            Event::Lost(key) => format!("?{key}"),
            Event::Listing => "listing".to_owned(),
            Event::Synced => "synced".to_owned(),
            Event::Failed(_) => "failed".to_owned(),
        }
    }

    type Told = Result<watcher::Event<ConfigMap>, Error>;

    /// A source that tells this and then nothing; each list is of version 7.
    fn source(events: Vec<Told>) -> Source<ConfigMap> {
        let said = |event: Told| {
            let is_end = matches!(event, Ok(watcher::Event::InitDone));
            is_end.then_some(Ok(Said::At(7))).into_iter().chain([event.map(Said::Event)])
        };
        stream::iter(events.into_iter().flat_map(said).collect::<Vec<_>>()).chain(stream::pending()).boxed()
    }

    async fn told(sources: Vec<Vec<Told>>, count: usize) -> String {
        told_by(sources, Vec::new(), count, Some(Known::default())).await
    }

    /// What is told by a server that is at these versions whenever it is asked.
    async fn told_by(
        sources: Vec<Vec<Told>>,
        versions: Vec<u64>,
        count: usize,
        known: Option<Known>,
    ) -> String {
        follow_all(sources.into_iter().map(source).collect(), versions, count, known).await
    }

    async fn follow_all(
        sources: Vec<Source<ConfigMap>>,
        versions: Vec<u64>,
        count: usize,
        known: Option<Known>,
    ) -> String {
        let versions = Mutex::new(versions.into_iter());
        let ask = move || std::future::ready(Ok(versions.lock().unwrap().next())).boxed();
        let sources = Mutex::new(sources.into_iter());
        let start = move || sources.lock().unwrap().next().unwrap_or_else(|| stream::pending().boxed());
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
        // The list after that breaks off; what the next one lacks is lost all the same. Later things go as usual.
        let second = vec![Ok(Init), broken(), Ok(Init), Ok(InitApply(object("y"))), Ok(InitDone)];
        let third = vec![Ok(Init), Ok(InitDone)];
        let second = second.into_iter().chain(third).collect();
        // At 8 after the first failure; after the second it counts anew.
        let told = told_by(vec![first, second], vec![8, 3], 11, Some(Known::default())).await;
        assert_eq!(told, "+x synced failed +y failed failed +y ?a/x synced -a/y synced");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_watch_that_is_cut_off_finds_out_that_its_server_is_behind() {
        use watcher::Event::{Init, InitApply, InitDone};
        let list = |name| vec![Ok(Init), Ok(InitApply(object(name))), Ok(InitDone)];
        // Nothing happened since the list, at 7, but for a bookmark; the server was restored from 30.
        let first = stream::iter([Ok(Said::At(50)), Ok(Said::CutOff)]).chain(stream::pending());
        let first = source(list("x")).take(4).chain(first).boxed();
        let told = follow_all(vec![first, source(list("y"))], vec![30], 5, Some(Known::default())).await;
        assert_eq!(told, "+x synced +y ?a/x synced");
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_is_cut_off_again_and_again_is_no_flood() {
        let start =
            || stream::iter([Ok(Said::At(7))]).chain(stream::repeat_with(|| Ok(Said::CutOff))).boxed();
        let asked = Arc::new(Mutex::new(0));
        let count = Arc::clone(&asked);
        let ask = move || {
            *count.lock().unwrap() += 1;
            std::future::ready(Ok(Some(9))).boxed()
        };
        let mut events = std::pin::pin!(follow::<ConfigMap, _, _>(start, ask, Duration::from_secs(15), None));
        assert!(tokio::time::timeout(Duration::from_secs(60), events.next()).await.is_err());
        assert!((10..100).contains(&*asked.lock().unwrap()), "{asked:?}");
    }

    fn lost() -> kube::Error {
        kube::Error::Service("connection refused".into())
    }

    #[tokio::test(start_paused = true)]
    async fn who_gets_no_answer_keeps_his_doubts() {
        use watcher::Event::{Init, InitApply, InitDone};
        let first = vec![Ok(Init), Ok(InitApply(object("x"))), Ok(InitDone), Err(Error::WatchFailed(lost()))];
        let second = vec![Ok(Init), Ok(InitDone)];
        let sources = Mutex::new(vec![source(first), source(second)].into_iter());
        let start = move || sources.lock().unwrap().next().unwrap();
        let answers = Mutex::new(vec![Err(lost()), Err(lost()), Ok(Some(3))].into_iter());
        let ask = move || std::future::ready(answers.lock().unwrap().next().unwrap()).boxed();
        let events: Vec<_> =
            follow(start, ask, Duration::from_secs(15), Some(Known::default())).take(7).collect().await;
        let told: Vec<_> = events.iter().map(text).collect();
        assert_eq!(told.join(" "), "+x synced failed failed failed ?a/x synced");
    }

    /// A server that is away for so long: how late the first change after that is told, at most.
    async fn late(away: Duration) -> Duration {
        use watcher::Event::{Apply, Init, InitDone};
        let back = Instant::now() + away;
        let told = Arc::new(Mutex::new(false));
        let start = move || {
            let told = Arc::clone(&told);
            let events = [Init, InitDone].map(|event| Ok(Said::Event(event)));
            let change = async move {
                if std::mem::replace(&mut *told.lock().unwrap(), true) {
                    std::future::pending::<()>().await;
                }
                Ok(Said::Event(Apply(object("y"))))
            };
            let cut = [Ok(Said::At(1)), Ok(Said::CutOff)];
            stream::iter(events).chain(stream::iter(cut)).chain(stream::once(change)).boxed()
        };
        let ask = move || {
            let answer = if Instant::now() < back { Err(lost()) } else { Ok(Some(1)) };
            std::future::ready(answer).boxed()
        };
        let mut events = std::pin::pin!(follow(start, ask, Duration::from_secs(15), Some(Known::default())));
        loop {
            if let Some(Event::Set(_)) = events.next().await {
                return Instant::now() - back;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_after_a_restart_is_told_soon() {
        for (away, limit) in [(1, 0.25), (8, 1.0), (30, 3.8), (120, 15.0), (600, 15.0)] {
            let late = late(Duration::from_secs(away)).await;
            assert!(late <= Duration::from_secs_f64(limit), "{late:?} after {away} s");
        }
    }
}
