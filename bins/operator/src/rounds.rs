//! Looks at everything, an interval apart.

use std::time::Duration;

use daemon::watchdog::Watchdog;
use tokio::time::{Interval, MissedTickBehavior};

/// When a duty looks that waits for nothing but time.
pub(crate) struct Rounds {
    duty: &'static str,
    watchdog: Watchdog,
    interval: Interval,
}

impl Rounds {
    /// The first round is at once.
    pub(crate) fn new(duty: &'static str, watchdog: &Watchdog, interval: Duration) -> Self {
        let mut interval = tokio::time::interval(interval);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { duty, watchdog: watchdog.clone(), interval }
    }

    /// Waits for the next round.
    pub(crate) async fn next(&mut self) {
        self.watchdog.moved(self.duty, self.interval.period());
        self.interval.tick().await;
        self.moved();
    }

    /// Notes that this round goes on.
    pub(crate) fn moved(&self) {
        self.watchdog.moved(self.duty, Duration::ZERO);
    }
}
