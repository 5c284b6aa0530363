//! What time it is, to the fleet.

use std::time::{Duration, SystemTime};

use ipam::Timestamp;
use kubernetes::lease::since_boot;

/// Begins with the wall clock, since other leaders read what this one wrote, and goes on with the time since boot, which
/// nobody sets back and which does not stop while the machine sleeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Timestamp,
    booted: Duration,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { start: SystemTime::now().into(), booted: since_boot() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.start.after(since_boot().saturating_sub(self.booted))
    }
}
