//! How long to wait after failures.

use std::time::Duration;

use tokio::time::Instant;

/// Pauses that grow while failures follow one another.
pub(super) struct Pauses {
    longest: Duration,
    next: Duration,
    last: Option<Instant>,
    until: Option<Instant>,
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(200);

    pub(super) fn new(longest: Duration) -> Self {
        Self { longest, next: Self::FIRST, last: None, until: None }
    }

    /// Notes a failure; tells how long the pause is.
    pub(super) fn failed(&mut self, now: Instant, jitter: f64) -> Duration {
        // A time without failures, and the next one is the first again.
        if self.last.is_some_and(|last| now - last > 2 * self.longest) {
            self.next = Self::FIRST;
        }
        let pause = self.next.mul_f64(0.5 + jitter / 2.0);
        self.next = (2 * self.next).min(self.longest);
        self.until = Some(now + pause);
        self.last = self.until;
        pause
    }

    pub(super) async fn wait(&mut self) {
        if let Some(until) = self.until {
            tokio::time::sleep_until(until).await;
            self.until = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_begin_again() {
        let mut pauses = Pauses::new(Duration::from_secs(1));
        let mut now = Instant::now();
        let mut millis = Vec::new();
        for _ in 0..5 {
            let pause = pauses.failed(now, 1.0);
            millis.push(pause.as_millis());
            now += pause;
        }
        assert_eq!(millis, [200, 400, 800, 1000, 1000]);
        assert_eq!(pauses.failed(now + Duration::from_secs(3), 0.0).as_millis(), 100);
    }
}
