//! A region that many share, and a clock.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use ipam::{
    Timestamp,
    ec2::{self, Ec2, Reply, Request},
};

use crate::{Answer, Call, Event, Failure, Region, Settings};

/// What time it is.
#[derive(Clone, Debug)]
enum Clock {
    System,
    /// Milliseconds since 1970, moved by hand.
    Manual(Arc<AtomicU64>),
}

type Subscriber = Box<dyn Fn(&Event) + Send + Sync>;

/// A [`Region`] behind a lock, with a clock: what servers and clients in the same process share. Cloning it
/// gives another handle.
///
/// It performs requests itself ([`Ec2`]), without any wire.
#[derive(Clone)]
pub struct Cloud {
    region: Arc<Mutex<Region>>,
    clock: Clock,
    subscribers: Arc<Mutex<Vec<Subscriber>>>,
}

impl Cloud {
    /// An empty region by the machine's clock.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self::with_clock(settings, Clock::System)
    }

    /// An empty region whose clock stands still until [`Cloud::pass`].
    #[must_use]
    pub fn standing_still(settings: Settings, at: Timestamp) -> Self {
        Self::with_clock(settings, Clock::Manual(Arc::new(AtomicU64::new(at.0))))
    }

    fn with_clock(settings: Settings, clock: Clock) -> Self {
        Self { region: Arc::new(Mutex::new(Region::new(settings))), clock, subscribers: Arc::default() }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.clock {
            Clock::System => SystemTime::now().into(),
            Clock::Manual(at) => Timestamp(at.load(Ordering::SeqCst)),
        }
    }

    /// Moves a clock that stands still, and lets happen what is due by then. The machine's clock can't be
    /// moved.
    pub fn pass(&self, time: Duration) {
        if let Clock::Manual(at) = &self.clock {
            at.fetch_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
        }
        self.with(|_, _| ());
    }

    /// Does something to the region, at the time that it is; tells subscribers what came of it.
    pub fn with<T>(&self, act: impl FnOnce(&mut Region, Timestamp) -> T) -> T {
        let now = self.now();
        // Subscribers hear of events in their order: the lock is held while they are told.
        let mut region = self.lock();
        region.advance(now);
        let result = act(&mut region, now);
        let events = region.drain_events();
        let subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        for event in &events {
            subscribers.iter().for_each(|tell| tell(event));
        }
        result
    }

    /// Whoever panicked while holding the lock did so in a test of its own; the region is whole between
    /// requests.
    fn lock(&self) -> MutexGuard<'_, Region> {
        self.region.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has every event told from now on; who comes late sees what there is by [`Region::instances`] and
    /// [`Region::interfaces`] afterwards, and may hear again of what it saw. It is called while the region is locked: it may send the event on,
    /// and must not ask the region.
    pub fn subscribe(&self, tell: impl Fn(&Event) + Send + Sync + 'static) {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(tell));
    }

    /// Performs any request.
    ///
    /// # Errors
    ///
    /// See [`Region::invoke`].
    pub fn invoke(&self, call: &Call, dry_run: bool) -> Result<Answer, Failure> {
        self.with(|region, now| region.invoke(now, call, dry_run))
    }

    /// How long until something happens by itself, if anything will.
    #[must_use]
    pub fn until_due(&self) -> Option<Duration> {
        let due = self.lock().next_due()?;
        Some(due.since(self.now()))
    }
}

impl Ec2 for Cloud {
    async fn call(&self, request: Request) -> Result<Reply, ec2::Error> {
        self.with(|region, now| region.call(now, request))
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud").field("clock", &self.clock).finish_non_exhaustive()
    }
}
