//! Waiting longer after each failure.

use std::time::Duration;

use fastrand::Rng;

use crate::Timestamp;

/// How long to wait after failures in a row: twice as long after each, within bounds, less up to a half by lot, so that
/// many who failed together do not come back together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Backoff {
    failures: u32,
    until: Timestamp,
}

impl Backoff {
    /// It failed.
    pub fn failed(&mut self, shortest: Duration, longest: Duration, now: Timestamp, lots: &mut Rng) {
        let doubled = shortest.saturating_mul(1u32.checked_shl(self.failures.min(16)).unwrap_or(u32::MAX));
        let wait = doubled.min(longest).mul_f64(0.5 + lots.f64() / 2.0);
        self.failures = self.failures.saturating_add(1);
        self.until = now.after(wait);
    }

    /// It worked.
    pub fn worked(&mut self) {
        *self = Self::default();
    }

    /// Until when to wait, if that is not over.
    #[must_use]
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        (self.until > now).then_some(self.until)
    }

    /// When waiting ends, or ended.
    #[must_use]
    pub fn over(&self) -> Timestamp {
        self.until
    }

    /// How often it failed in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_each_time_within_bounds() {
        let (shortest, longest) = (Duration::from_secs(1), Duration::from_secs(20));
        for seed in 0..50 {
            let mut lots = Rng::with_seed(seed);
            let mut backoff = Backoff::default();
            for expected in [1000, 2000, 4000, 8000, 16_000, 20_000, 20_000] {
                backoff.failed(shortest, longest, Timestamp(5), &mut lots);
                let wait = backoff.until(Timestamp(5)).unwrap().0 - 5;
                assert!((expected / 2..=expected).contains(&wait), "{wait} of {expected}");
            }
            assert_eq!(backoff.until(Timestamp(20_005)), None);
            backoff.worked();
            assert_eq!(backoff, Backoff::default());
        }
    }
}
