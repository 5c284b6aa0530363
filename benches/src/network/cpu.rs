//! What the processors did, and where threads run.

use std::fs;
use std::io;
use std::ops::Sub;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// Time that processors worked for somebody, in ticks of `_SC_CLK_TCK`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CpuTime {
    ticks: u64,
}

impl CpuTime {
    pub(crate) fn seconds(self) -> f64 {
        // Linux has said 100 on all architectures for as long as there is the constant.
        let a_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        self.ticks as f64 / a_second as f64
    }

    pub(crate) fn micros(self) -> f64 {
        self.seconds() * 1e6
    }
}

impl Sub for CpuTime {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { ticks: self.ticks.saturating_sub(earlier.ticks) }
    }
}

/// What all processors have done since the machine began: user, nice, system, hard and soft interrupts of
/// `/proc/stat` (proc(5)). What a hypervisor took away is not work.
pub(crate) fn all() -> io::Result<CpuTime> {
    parse(&fs::read_to_string("/proc/stat")?).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "/proc/stat has no line for all processors")
    })
}

fn parse(text: &str) -> Option<CpuTime> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _waiting, hard, soft, ..] = fields[..] else { return None };
    Some(CpuTime { ticks: user + nice + system + hard + soft })
}

/// An end of a connection. Each stays on a processor of its own, where there are two: on different ones in different
/// rounds, the same setup would differ by more than setups do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Side {
    /// The processor of this side, by its number.
    pub(crate) fn processor(self) -> usize {
        match self {
            Self::Client => 0,
            Self::Server => usize::from(count() > 1),
        }
    }

    /// The calling thread stays on it.
    pub(crate) fn pin(self) -> io::Result<()> {
        let mut set = CpuSet::new();
        set.set(self.processor())?;
        Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
    }
}

/// How many processors are at work, whether or not the calling thread may use them.
pub(crate) fn count() -> usize {
    let online = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    online.and_then(|count| usize::try_from(count).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_stolen_time_is_no_work() {
        let text = "cpu  10 1 20 1000 5 2 3 99 0 0\ncpu0 5 0 10 500 5 1 1 50 0 0\n";
        assert_eq!(parse(text), Some(CpuTime { ticks: 36 }));
        assert_eq!(parse("cpu0 1 2 3 4 5 6 7\n"), None);
        assert_eq!(parse("cpu  1 2 3\n"), None);
    }

    #[test]
    fn time_that_passes_is_seen() {
        let before = all().unwrap();
        let start = std::time::Instant::now();
        while start.elapsed().as_millis() < 60 {
            std::hint::spin_loop();
        }
        assert!((all().unwrap() - before).seconds() > 0.0);
    }
}
