//! Whether what a program has to do still moves.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::health::Health;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Knows until when each duty has to move again. A duty that does not hangs for good: only a process that is started
/// again can go on. Clones share what they know.
#[derive(Clone, Debug)]
pub struct Watchdog {
    part: &'static str,
    step: Duration,
    until: Arc<Mutex<BTreeMap<&'static str, Instant>>>,
}

impl Watchdog {
    /// A watchdog that a part of the program's health stands for, over duties that take so long for one step at most.
    #[must_use]
    pub fn new(part: &'static str, step: Duration) -> Self {
        Self { part, step, until: Arc::default() }
    }

    /// The duty has moved, and does so again after that time at the latest, and a step.
    pub fn moved(&self, duty: &'static str, pause: Duration) {
        let until = Instant::now() + pause + self.step;
        self.until.lock().unwrap_or_else(PoisonError::into_inner).insert(duty, until);
    }

    /// Tells `health` of duties that hang, without end. Whether the part is a vital one is said before
    /// ([`Health::expect_vital`]).
    pub async fn watch(&self, health: &Health) -> Infallible {
        loop {
            health.set(self.part, self.state());
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

    const DUTIES: &str = "duties";

    fn watchdog() -> Watchdog {
        Watchdog::new(DUTIES, Duration::from_secs(600))
    }

    #[tokio::test(start_paused = true)]
    async fn a_duty_that_hangs_is_named() {
        let watchdog = self::watchdog();
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
        let (watchdog, health) = (self::watchdog(), Health::new());
        health.expect_vital(DUTIES);
        watchdog.moved("nodes", Duration::ZERO);
        let watched = async |seconds| {
            let watch = watchdog.watch(&health);
            _ = tokio::time::timeout(Duration::from_secs(seconds), watch).await;
            health.failing()
        };
        assert!(watched(599).await.is_empty());
        assert!(health.is_alive());
        assert_eq!(watched(20).await, [(DUTIES.to_owned(), "no step for long: nodes".to_owned())]);
        assert!(!health.is_alive());
    }
}
