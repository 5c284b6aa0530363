//! When counting begins and ends.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::network::cpu::{self, CpuTime};

/// How long to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Before anything counts.
    pub(crate) warm_up: Duration,
    /// While everything counts.
    pub(crate) time: Duration,
}

/// Tells the threads of one measurement where in its window it is.
#[derive(Debug, Default)]
pub(super) struct Gate(AtomicU8);

/// Counting.
const OPEN: u8 = 1;
/// All stop.
const OVER: u8 = 2;

/// What happened between opening and closing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    /// By how much what was counted grew.
    pub(super) count: u64,
    /// How long it was.
    pub(super) time: Duration,
    /// What all processors did for somebody.
    pub(super) cpu: CpuTime,
}

impl Interval {
    /// How many a second.
    pub(super) fn rate(&self) -> f64 {
        self.count as f64 / self.time.as_secs_f64()
    }
}

impl Gate {
    pub(super) fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed) == OPEN
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) == OVER
    }

    /// All stop, whatever happened.
    pub(super) fn close(&self) {
        self.0.store(OVER, Ordering::Relaxed);
    }

    /// Waits until the window is over; meanwhile others send.
    pub(super) fn watch(&self, window: Window, count: impl Fn() -> u64) -> io::Result<Interval> {
        sleep(window.warm_up);
        let (before, cpu, start) = (count(), cpu::all()?, Instant::now());
        self.0.store(OPEN, Ordering::Relaxed);
        sleep(window.time);
        let (time, cpu, count) = (start.elapsed(), cpu::all()? - cpu, count() - before);
        self.close();
        Ok(Interval { count, time, cpu })
    }
}
