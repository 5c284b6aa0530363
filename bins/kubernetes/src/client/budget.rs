//! How many requests are sent: a token bucket.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// How many requests may be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// A second, in the long run.
    pub per_second: f64,
    /// At once, after a pause.
    pub burst: u32,
}

/// Hands out the moments at which requests may be sent, first come, first served.
#[derive(Debug)]
pub struct Budget {
    interval: Duration,
    burst: Duration,
    /// When the next request would be due if all were sent evenly. It may lie `burst` in the past.
    due: Mutex<Option<Instant>>,
}

impl Budget {
    /// A full one.
    pub fn new(rate: Rate) -> Self {
        let interval = Duration::try_from_secs_f64(1.0 / rate.per_second).unwrap_or(Duration::ZERO);
        Self { interval, burst: interval * rate.burst.max(1).saturating_sub(1), due: Mutex::new(None) }
    }

    /// When the request that asks may be sent.
    fn reserve(&self, now: Instant) -> Instant {
        let mut due = self.due.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let earliest = now.checked_sub(self.burst).unwrap_or(now);
        let at = due.map_or(earliest, |due| due.max(earliest));
        *due = Some(at + self.interval);
        at.max(now)
    }

    /// Waits for its turn.
    pub async fn wait(&self) {
        let now = Instant::now();
        let at = self.reserve(now);
        // A timer takes a millisecond even where there is nothing to wait for.
        if at > now {
            tokio::time::sleep_until(at).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn burst_at_once_then_evenly() {
        let budget = Budget::new(Rate { per_second: 10.0, burst: 3 });
        let start = Instant::now();
        let at: Vec<u128> = (0..6).map(|_| budget.reserve(start).duration_since(start).as_millis()).collect();
        assert_eq!(at, [0, 0, 0, 100, 200, 300]);
        // A pause gives the burst back, no more.
        let later = start + Duration::from_secs(60);
        let at: Vec<u128> = (0..4).map(|_| budget.reserve(later).duration_since(later).as_millis()).collect();
        assert_eq!(at, [0, 0, 0, 100]);
    }
}
