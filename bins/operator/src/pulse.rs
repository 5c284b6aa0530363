//! When a controller looks again, and at what.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use daemon::watchdog::Watchdog;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::store::{Store, View};
use crate::writer::Written;

/// A refused object is left alone for so long at first, then twice as long each time.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// However long a look takes, the next one is not later.
const LONGEST_QUIET: Duration = Duration::from_secs(5);
/// The watch has told by then why a write was stale.
const STALE: Duration = Duration::from_secs(1);
/// A refusal is forgotten when nothing was heard of the object for so long: it is gone.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// When a controller looks again: something changed, its interval has passed, or something was not written.
///
/// An object that the server refuses to have written delays nothing but itself. When the server does not answer, or is
/// not well, the whole controller waits: whatever changes meanwhile would not be written either.
pub(crate) struct Pulse {
    duty: &'static str,
    watchdog: Watchdog,
    changed: Arc<Notify>,
    /// Changes that come so close together are looked at once.
    quiet: Duration,
    interval: Duration,
    /// Looks that failed one after the other.
    failures: u32,
    failed: bool,
    /// Objects that cannot be written.
    refused: HashMap<String, Refused>,
    /// How long the last look took.
    took: Duration,
    soonest: Option<Instant>,
}

struct Refused {
    times: u32,
    until: Instant,
}

impl Pulse {
    /// For controllers that look at everything. That the duty moves is told to `watchdog`.
    pub(crate) fn new(duty: &'static str, watchdog: &Watchdog, quiet: Duration, interval: Duration) -> Self {
        Self {
            duty,
            watchdog: watchdog.clone(),
            changed: Arc::default(),
            quiet,
            interval,
            failures: 0,
            failed: false,
            refused: HashMap::new(),
            took: Duration::ZERO,
            soonest: None,
        }
    }

    /// Looks again when something in the store changes.
    #[must_use]
    pub(crate) fn on<T: View>(self, store: &Store<T>) -> Self {
        store.tell(&self.changed);
        self
    }

    /// Looks at what there is. In a large cluster that takes a while: all looks together take a tenth of the time, no more.
    pub(crate) fn look<T>(&mut self, look: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let seen = look();
        self.took = start.elapsed();
        seen
    }

    /// Whether to write that object now; not while it waits after a refusal.
    pub(crate) fn may(&self, object: &str) -> bool {
        self.refused.get(object).is_none_or(|refused| refused.until <= Instant::now())
    }

    /// Notes what became of a write.
    pub(crate) fn note(&mut self, object: &str, written: Written) {
        self.watchdog.moved(self.duty, Duration::ZERO);
        match written {
            Written::Done => _ = self.refused.remove(object),
            Written::Stale => {
                self.refused.remove(object);
                self.again_in(STALE);
            }
            Written::Refused => {
                let until = Instant::now() + FIRST;
                let refused = self.refused.entry(object.to_owned()).or_insert(Refused { times: 0, until });
                let pause = FIRST.saturating_mul(1 << refused.times.min(16)).min(LONGEST);
                refused.times += 1;
                refused.until = Instant::now() + pause;
            }
            Written::Failed => self.failed = true,
        }
    }

    /// Notes that the server did not do what was asked of it.
    pub(crate) fn fail(&mut self) {
        self.watchdog.moved(self.duty, Duration::ZERO);
        self.failed = true;
    }

    /// Looks again after that time at the latest.
    pub(crate) fn again_in(&mut self, time: Duration) {
        let at = Instant::now() + time;
        self.soonest = Some(self.soonest.map_or(at, |soonest| soonest.min(at)));
    }

    /// Waits for the next time to look.
    pub(crate) async fn next(&mut self) {
        let now = Instant::now();
        self.watchdog.moved(self.duty, self.interval);
        self.refused.retain(|_, refused| now < refused.until + FORGOTTEN);
        let soonest = self.soonest.take();
        if std::mem::take(&mut self.failed) {
            self.failures = self.failures.saturating_add(1);
            let pause = Duration::from_millis(250).saturating_mul(1 << self.failures.min(7));
            tokio::time::sleep(pause.min(self.interval)).await;
        } else {
            self.failures = 0;
            let due = self.refused.values().map(|refused| refused.until).filter(|until| *until > now);
            let until = due.chain(soonest).fold(now + self.interval, Instant::min);
            _ = tokio::time::timeout_at(until, self.changed.notified()).await;
        }
        tokio::time::sleep(self.quiet.max(9 * self.took).min(LONGEST_QUIET)).await;
        self.watchdog.moved(self.duty, Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_millis(50);

    fn pulse() -> (Pulse, Arc<Store<u32>>) {
        let store = Store::new();
        (
            Pulse::new(
                "test",
                &Watchdog::new("duties", Duration::from_secs(600)),
                QUIET,
                Duration::from_secs(300),
            )
            .on(&store),
            store,
        )
    }

    async fn waited(pulse: &mut Pulse) -> Duration {
        let start = Instant::now();
        pulse.next().await;
        start.elapsed() - QUIET
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_that_is_refused_delays_no_other() {
        let (mut pulse, store) = pulse();
        let mut waits = Vec::new();
        for number in 0..9 {
            assert!(pulse.may("broken"));
            pulse.note("broken", Written::Refused);
            pulse.note("other", Written::Done);
            assert!(!pulse.may("broken") && pulse.may("other"));
            // What changes is looked at at once all the same.
            store.set(&kubernetes::watch::Key::new("", "x"), number);
            assert_eq!(waited(&mut pulse).await, Duration::ZERO);
            assert!(!pulse.may("broken"));
            waits.push((waited(&mut pulse).await + QUIET).as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        // One that is gone is forgotten; it is not waited for any more.
        assert_eq!(waited(&mut pulse).await, Duration::from_secs(300));
        assert_eq!(waited(&mut pulse).await, Duration::from_secs(300));
        pulse.next().await;
        assert!(pulse.refused.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn looks_take_a_tenth_of_the_time() {
        let (mut pulse, store) = pulse();
        for (took, pause) in [(1, 50), (20, 180), (3000, 5000)] {
            pulse.took = Duration::from_millis(took);
            store.set(&kubernetes::watch::Key::new("", "x"), u32::try_from(took).unwrap());
            let start = Instant::now();
            pulse.next().await;
            assert_eq!(start.elapsed(), Duration::from_millis(pause));
        }
        assert_eq!(pulse.look(|| 7), 7);
        assert!(pulse.took < Duration::from_millis(1), "of the last look");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_not_well_is_left_alone() {
        let (mut pulse, store) = pulse();
        let mut waits = Vec::new();
        for number in 0..9 {
            pulse.note("one", Written::Failed);
            store.set(&kubernetes::watch::Key::new("", "x"), number);
            waits.push(waited(&mut pulse).await.as_millis());
        }
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 32000, 32000, 32000]);
        assert_eq!(waited(&mut pulse).await, Duration::ZERO, "what changed meanwhile");
        pulse.note("one", Written::Stale);
        assert_eq!(waited(&mut pulse).await, STALE);
    }
}
