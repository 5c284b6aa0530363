//! Whether the engine still goes round.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use daemon::health::Health;

/// The part of the agent's health that stands for the engine.
const ENGINE: &str = "engine";

/// How long one round may take. The longest are those in which much of a large cluster is new, with seconds each.
const LONGEST: Duration = Duration::from_secs(60);
/// How often it is looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// When the engine began its last round; it begins one each second at least. Clones share it.
#[derive(Clone, Debug)]
pub struct Pulse(Rc<Cell<Instant>>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Rc::new(Cell::new(Instant::now())))
    }
}

impl Pulse {
    /// A round begins.
    pub(super) fn beat(&self, now: Instant) {
        self.0.set(now);
    }

    fn state(&self, now: Instant) -> Result<(), String> {
        let since = now.saturating_duration_since(self.0.get());
        if since <= LONGEST {
            return Ok(());
        }
        Err(format!("it has been doing one thing for {} s", since.as_secs()))
    }

    /// Tells the probes how the engine is, for ever. If it stands still, the kernel or the agent is at fault, and only an
    /// agent that is started again can go on; if its whole thread does, the probes themselves are not answered.
    pub async fn watch(self, health: Health) {
        health.expect_vital(ENGINE);
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            health.set(ENGINE, self.state(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_stands_still_is_told() {
        let (pulse, begin) = (Pulse::default(), Instant::now());
        pulse.beat(begin);
        assert_eq!(pulse.state(begin + LONGEST), Ok(()));
        let later = begin + LONGEST + Duration::from_secs(1);
        assert!(pulse.state(later).is_err_and(|why| why.contains("61 s")));
        pulse.beat(later);
        assert_eq!(pulse.state(later), Ok(()));
    }

    #[tokio::test]
    async fn it_is_a_part_that_wants_a_restart() {
        let (pulse, health) = (Pulse::default(), Health::new());
        let long_ago = Instant::now().checked_sub(2 * LONGEST).expect("a machine that runs for minutes");
        pulse.beat(long_ago);
        let watched = tokio::time::timeout(Duration::from_millis(200), pulse.watch(health.clone())).await;
        assert!(watched.is_err(), "it goes on");
        assert_eq!(health.failing()[0].0, ENGINE);
        assert!(!health.is_alive());
    }
}
