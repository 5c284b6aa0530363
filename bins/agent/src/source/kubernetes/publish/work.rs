//! When something may be tried, and when again.

use std::time::{Duration, Instant};

/// The first pause after a failure.
const FIRST: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);

/// How it stands with something that is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) in_flight: bool,
    failures: u32,
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
        *self = Self { in_flight: false, failures: 0, not_before: Some(now + settles) };
    }

    /// It is to be tried in another way at once, unless that has happened too often.
    pub(super) fn again(&mut self, now: Instant, jitter: f64) {
        if self.failures < 5 {
            *self = Self { in_flight: false, failures: self.failures + 1, not_before: None };
        } else {
            self.failed(now, None, jitter);
        }
    }

    /// It failed: longer pauses each time, with a jitter from 0 to 1, and never shorter ones than the server asks for.
    pub(super) fn failed(&mut self, now: Instant, retry_after: Option<Duration>, jitter: f64) {
        let pause = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST).mul_f64(1.0 - jitter / 2.0);
        let pause = pause.max(retry_after.unwrap_or_default());
        *self = Self {
            in_flight: false,
            failures: self.failures.saturating_add(1),
            not_before: Some(now + pause),
        };
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
    fn pauses_grow_to_the_longest_and_the_server_has_the_last_word() {
        let now = Instant::now();
        let mut work = Work::default();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            work.start();
            work.failed(now, None, 0.0);
            pauses.push(work.waits_until(now).unwrap().duration_since(now).as_millis());
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        work.failed(now, Some(Duration::from_secs(60)), 1.0);
        assert_eq!(work.waits_until(now), Some(now + Duration::from_secs(60)));
        work.done(now, Duration::ZERO);
        assert!(work.is_over(now));
    }

    #[test]
    fn another_way_is_tried_at_once_and_not_for_ever() {
        let now = Instant::now();
        let mut work = Work::default();
        for _ in 0..5 {
            work.again(now, 0.0);
            assert_eq!(work.waits_until(now), None);
        }
        work.again(now, 0.0);
        assert!(work.waits_until(now).is_some());
    }
}
