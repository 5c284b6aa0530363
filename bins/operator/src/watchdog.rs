//! Whether every duty still moves.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daemon::health::Health;
use tokio::time::Instant;

/// The part of the program's health that stands for the duties.
pub(crate) const DUTIES: &str = "duties";

/// What a duty may take for one step; requests end far earlier.
const STEP: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_secs(10);

/// Knows until when each duty has to move again. A duty that does not hangs for good: another process leads better.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watchdog {
    until: Arc<Mutex<BTreeMap<&'static str, Instant>>>,
}

impl Watchdog {
    /// The duty has moved, and does so again after that time at the latest, and a step.
    pub(crate) fn moved(&self, duty: &'static str, pause: Duration) {
        let until = Instant::now() + pause + STEP;
        self.until.lock().unwrap_or_else(PoisonError::into_inner).insert(duty, until);
    }

    /// Tells `health` of duties that hang, without end.
    pub(crate) async fn watch(&self, health: &Health) -> Infallible {
        loop {
            health.set(DUTIES, self.state());
            tokio::time::sleep(LOOK).await;
        }
    }

    fn state(&self) -> Result<(), String> {
        let now = Instant::now();
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let hanging: Vec<&str> =
            until.iter().filter(|(_, until)| **until < now).map(|(duty, _)| *duty).collect();
        if hanging.is_empty() { Ok(()) } else { Err(format!("no step for long: {}", hanging.join(", "))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_duty_that_hangs_is_named() {
        let watchdog = Watchdog::default();
        watchdog.moved("slices", Duration::from_secs(60));
        watchdog.moved("nodes", Duration::from_secs(300));
        tokio::time::advance(Duration::from_secs(650)).await;
        assert_eq!(watchdog.state(), Ok(()));
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(watchdog.state(), Err("no step for long: slices".to_owned()));
        watchdog.moved("slices", Duration::from_secs(60));
        assert_eq!(watchdog.state(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_duty_that_hangs_is_a_reason_to_restart() {
        let (watchdog, health) = (Watchdog::default(), Health::new());
        health.expect_vital(DUTIES);
        watchdog.moved("nodes", Duration::ZERO);
        let watched = async |seconds| {
            let watch = watchdog.watch(&health);
            _ = tokio::time::timeout(Duration::from_secs(seconds), watch).await;
            health.failing()
        };
        assert!(watched(599).await.is_empty());
        assert_eq!(watched(20).await, [(DUTIES.to_owned(), "no step for long: nodes".to_owned())]);
    }
}
