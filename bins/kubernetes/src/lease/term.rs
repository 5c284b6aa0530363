//! The proof that this process leads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Time since the machine was started, with the time that it slept.
///
/// A clock that cannot be read says the end of time: then nobody leads.
pub fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::MAX, Duration::from)
}

/// One term of leading: from when the lease was got until it was lost. It does not come back; the next term has a
/// leadership of its own.
#[derive(Clone, Debug, Default)]
pub struct Leadership {
    /// Nanoseconds since boot.
    until: Arc<AtomicU64>,
}

/// A request was not sent, because another process may lead by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease was not renewed in time: another process may lead by now")]
pub struct NotLeader;

impl Leadership {
    /// Whether this process still leads, now. To be asked right before something is sent.
    ///
    /// # Errors
    ///
    /// When the term is over.
    pub fn check(&self) -> Result<(), NotLeader> {
        if self.left().is_zero() { Err(NotLeader) } else { Ok(()) }
    }

    /// Waits until the term is over, however often it is renewed meanwhile.
    pub async fn over(&self) -> NotLeader {
        loop {
            let left = self.left();
            if left.is_zero() {
                return NotLeader;
            }
            tokio::time::sleep(left).await;
        }
    }

    /// How long the term lasts if it is not renewed; zero if it is over.
    #[must_use]
    pub fn left(&self) -> Duration {
        Duration::from_nanos(self.until.load(Ordering::Acquire)).saturating_sub(since_boot())
    }

    /// The term lasts until then; zero ends it.
    pub(super) fn set(&self, until: Duration) {
        self.until.store(u64::try_from(until.as_nanos()).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// A term of so many seconds, for tests of what needs one.
    pub fn lasting(time: Duration) -> Self {
        let leadership = Self::default();
        leadership.set(since_boot().saturating_add(time));
        leadership
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        assert_eq!(Leadership::default().check(), Err(NotLeader));
        let leadership = Leadership::lasting(Duration::from_secs(600));
        assert_eq!(leadership.check(), Ok(()));
        let other = leadership.clone();
        leadership.set(Duration::ZERO);
        assert_eq!(other.check(), Err(NotLeader));
        assert_eq!(Leadership::lasting(Duration::ZERO).check(), Err(NotLeader));
    }
}
