//! How long to wait after a failure.
//!
//! Two kinds of failure want two kinds of pause. A server that answers, and refuses, is busy or not well: each pause
//! is twice as long as the one before. One that does not answer is away, and nobody gains from being late when it is
//! back: pauses are a share of the time that it has been away, so that all is well again soon after a restart, and
//! those who waited for long do not all come in one moment.

use std::time::{Duration, Instant};

use kube::Error;
use kube::runtime::watcher;

use crate::refusal::retry_after;

/// The shortest pause, but for jitter.
const FIRST: Duration = Duration::from_millis(200);
/// A pause is this part of the time that the server has been away.
const SHARE: u32 = 8;

/// Why a request failed, as far as it matters for when to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody answered.
    Away,
    /// The server refused it, and may have said for how long it wants to be left alone.
    Refused(Option<Duration>),
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        match error {
            Error::HyperError(_) | Error::Service(_) | Error::ReadEvents(_) => Self::Away,
            error => Self::Refused(retry_after(error)),
        }
    }
}

impl From<&watcher::Error> for Failure {
    fn from(error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => error.into(),
            _ => Self::Refused(None),
        }
    }
}

/// Failures that follow one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    refusals: u32,
    away_since: Option<Instant>,
}

impl Backoff {
    /// How long to wait after one more failure: `longest` at most unless the server asks for more, and with a jitter
    /// from 0 to 1 no less than half of that.
    pub fn pause(&mut self, failure: Failure, now: Instant, longest: Duration, jitter: f64) -> Duration {
        let jittered = |pause: Duration| pause.min(longest).mul_f64(0.5 + jitter / 2.0);
        match failure {
            Failure::Away => {
                self.refusals = 0;
                let away = now.saturating_duration_since(*self.away_since.get_or_insert(now));
                jittered((away / SHARE).max(FIRST))
            }
            Failure::Refused(asked) => {
                let pause = FIRST.saturating_mul(1 << self.refusals.min(16));
                self.refusals += 1;
                jittered(pause).max(asked.unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(15);

    #[test]
    fn refusals_double_pauses_and_the_server_has_the_last_word() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let mut pause = |asked| backoff.pause(Failure::Refused(asked), now, LONGEST, 1.0).as_millis();
        let grown: Vec<_> = (0..9).map(|_| pause(None)).collect();
        assert_eq!(grown, [200, 400, 800, 1600, 3200, 6400, 12800, 15000, 15000]);
        assert_eq!(pause(Some(Duration::from_secs(60))), 60_000);
        assert_eq!(backoff.pause(Failure::Refused(None), now, LONGEST, 0.0).as_millis(), 7500);
    }

    /// How late it is noticed that a server is back, whatever the length of its absence, and how often it was tried.
    #[test]
    fn a_server_that_is_back_is_found_soon() {
        for (away, attempts) in [(1, 7), (5, 20), (30, 35), (120, 48), (3600, 300)] {
            let away = Duration::from_secs(away);
            let start = Instant::now();
            let (mut backoff, mut now, mut tried) = (Backoff::default(), start, 0);
            while now - start < away {
                now += backoff.pause(Failure::Away, now, LONGEST, 1.0);
                tried += 1;
            }
            let late = now - start - away;
            assert!(late <= (away / SHARE).clamp(FIRST, LONGEST), "{late:?} after {away:?}");
            assert!(tried <= attempts, "{tried} attempts in {away:?}");
        }
    }

    #[test]
    fn a_server_that_came_back_and_refuses_is_given_time_from_then_on() {
        let (mut backoff, start) = (Backoff::default(), Instant::now());
        let mut at = |failure, second| {
            backoff.pause(failure, start + Duration::from_secs(second), LONGEST, 1.0).as_millis()
        };
        assert_eq!(at(Failure::Away, 0), 200);
        assert_eq!(at(Failure::Away, 8), 1000);
        assert_eq!(at(Failure::Refused(None), 9), 200);
        assert_eq!(at(Failure::Refused(None), 9), 400);
        assert_eq!(at(Failure::Away, 16), 2000);
    }

    #[test]
    fn who_does_not_answer_is_away() {
        let lost = || Error::Service("connection refused".into());
        assert_eq!(Failure::from(&lost()), Failure::Away);
        assert_eq!(Failure::from(&watcher::Error::WatchStartFailed(lost())), Failure::Away);
        let mut status = kube::core::Status::failure("no", "TooManyRequests");
        status.details = Some(serde_json::from_value(serde_json::json!({"retryAfterSeconds": 3})).unwrap());
        let asked = Failure::Refused(Some(Duration::from_secs(3)));
        assert_eq!(Failure::from(&Error::Api(status.boxed())), asked);
        assert_eq!(Failure::from(&watcher::Error::NoResourceVersion), Failure::Refused(None));
    }
}
