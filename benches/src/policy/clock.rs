//! What time it takes one core.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// A moment, in the time that this thread has had a processor. Others that run at the same time do not count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    processor: Option<Duration>,
    wall: Instant,
}

impl Moment {
    pub(super) fn now() -> Self {
        let processor = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).ok().map(Duration::from);
        Self { processor, wall: Instant::now() }
    }

    /// Processor time since then, where the kernel tells it; else time.
    pub(super) fn elapsed(self) -> Duration {
        let now = Self::now();
        let processor = now.processor.zip(self.processor).map(|(now, then)| now.saturating_sub(then));
        processor.unwrap_or(now.wall - self.wall)
    }
}
