//! When something may be tried, and when again.

use std::time::{Duration, Instant};

use kubernetes::backoff::{Backoff, Failure};

/// The longest pause after a failure.
const LONGEST: Duration = Duration::from_secs(30);
/// How often another way is tried at once.
const WAYS: u32 = 5;

/// How it stands with something that is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) in_flight: bool,
    /// How many ways were tried.
    ways: u32,
    backoff: Backoff,
    not_before: Option<Instant>,
}

impl Work {
    /// The moment before which it may not be tried.
    pub(super) fn waits_until(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|moment| *moment > now)
    }

    /// It is under way.
    pub(super) const fn start(&mut self) {
        self.in_flight = true;
    }

    /// It is done; the API's own word of it comes a little later.
    pub(super) fn done(&mut self, now: Instant, settles: Duration) {
        *self = Self { not_before: Some(now + settles), ..Self::default() };
    }

    /// It is to be tried in another way at once, unless that has happened too often.
    pub(super) fn again(&mut self, now: Instant, jitter: f64) {
        if self.ways < WAYS {
            *self = Self { in_flight: false, ways: self.ways + 1, not_before: None, ..*self };
        } else {
            self.failed(now, Failure::Refused(None), jitter);
        }
    }

    /// It failed, and is tried again after a pause, with a jitter from 0 to 1.
    pub(super) fn failed(&mut self, now: Instant, failure: Failure, jitter: f64) {
        self.in_flight = false;
        self.not_before = Some(now + self.backoff.pause(failure, now, LONGEST, jitter));
    }

    /// Whether nothing of it need be remembered.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        !self.in_flight && self.waits_until(now).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_it_is_done() {
        let now = Instant::now();
        let mut work = Work::default();
        let pause = |work: &mut Work| {
            work.start();
            work.failed(now, Failure::Refused(None), 1.0);
            work.waits_until(now).unwrap().duration_since(now).as_millis()
        };
        let pauses: Vec<_> = (0..9).map(|_| pause(&mut work)).collect();
        assert_eq!((pauses[0], pauses[1], pauses[8]), (200, 400, LONGEST.as_millis()));
        work.done(now, Duration::ZERO);
        assert!(work.is_over(now));
        assert_eq!(pause(&mut work), 200);
    }

    #[test]
    fn another_way_is_tried_at_once_and_not_for_ever() {
        let now = Instant::now();
        let mut work = Work::default();
        for _ in 0..WAYS {
            work.again(now, 0.0);
            assert_eq!(work.waits_until(now), None);
        }
        work.again(now, 0.0);
        assert!(work.waits_until(now).is_some());
    }
}
