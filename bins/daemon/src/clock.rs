//! A clock that nobody sets.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kubernetes::lease::since_boot;
use serde::{Deserialize, Serialize};

/// Begins with the wall clock, since others read the times that this one tells, and goes on with the time since boot,
/// which nobody sets back or ahead and which does not stop while the machine sleeps.
///
/// ```
/// use daemon::clock::Clock;
///
/// let clock = Clock::start();
/// assert!(clock.now() <= clock.now());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The wall clock when it began.
    wall: SystemTime,
    /// The time since boot then.
    up: Duration,
}

/// How a clock of one boot began, for programs that are started after this one: theirs go on as this one does,
/// whatever was done to the wall clock in between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// Which boot it is.
    pub boot_id: String,
    /// The wall clock's milliseconds since 1970.
    pub wall_ms: u64,
    /// Milliseconds since boot.
    pub up_ms: u64,
}

impl Clock {
    /// Begins now.
    #[must_use]
    pub fn start() -> Self {
        Self { wall: SystemTime::now(), up: since_boot() }
    }

    /// Goes on as an earlier one did.
    #[must_use]
    pub fn goes_on(from: &Beginning) -> Self {
        let wall = UNIX_EPOCH.checked_add(Duration::from_millis(from.wall_ms)).unwrap_or(UNIX_EPOCH);
        Self { wall, up: Duration::from_millis(from.up_ms) }
    }

    /// What another one needs in order to go on as this one does, in this boot.
    #[must_use]
    pub fn beginning(&self, boot_id: &str) -> Beginning {
        let whole = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let wall = self.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        Beginning { boot_id: boot_id.to_owned(), wall_ms: whole(wall), up_ms: whole(self.up) }
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.at(since_boot())
    }

    /// What time it is so long after boot.
    fn at(&self, up: Duration) -> SystemTime {
        self.wall.checked_add(up.saturating_sub(self.up)).unwrap_or(self.wall)
    }
}

/// The id of this boot of the machine.
///
/// # Errors
/// When the kernel does not tell.
pub fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_on_does_not_ask_the_wall_clock() {
        let second = Duration::from_secs;
        let first = Clock { wall: UNIX_EPOCH + second(1_000_000), up: second(50) };
        assert_eq!(first.at(second(80)), UNIX_EPOCH + second(1_000_030));
        assert_eq!(first.at(second(40)), first.wall, "never before it began");
        let beginning = first.beginning("b");
        assert_eq!(beginning, Beginning { boot_id: "b".into(), wall_ms: 1_000_000_000, up_ms: 50_000 });
        // The wall clock says whatever it likes by now.
        assert_eq!(Clock::goes_on(&beginning).at(second(90)), UNIX_EPOCH + second(1_000_040));
    }

    #[test]
    fn a_clock_that_cannot_be_read_stands() {
        let clock = Clock { wall: UNIX_EPOCH, up: Duration::ZERO };
        assert_eq!(clock.at(Duration::MAX), UNIX_EPOCH);
    }
}
