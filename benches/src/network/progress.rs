//! How far a run is, and how long it will still take.

use std::fmt;
use std::time::{Duration, Instant};

/// From so much planned time on, the time that it took tells the pace.
const TELLING: Duration = Duration::from_secs(20);

/// What is planned, and what of it is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    began: Instant,
    planned: Duration,
    done: Duration,
}

impl Progress {
    /// Nothing is done yet.
    pub(crate) fn begin(planned: Duration) -> Self {
        Self { began: Instant::now(), planned, done: Duration::ZERO }
    }

    /// Something is done that was planned to take so long.
    pub(crate) fn done(&mut self, planned: Duration) {
        self.done += planned;
    }

    /// What is going on, for whoever waits, and how long everything will still take.
    pub(crate) fn tell(&self, what: &str) {
        eprintln!("netloom bench network: {what}; {} left", Rough(self.left(self.began.elapsed())));
    }

    /// At the pace of what is done.
    fn left(&self, elapsed: Duration) -> Duration {
        let left = self.planned.saturating_sub(self.done);
        if self.done < TELLING { left } else { left.mul_f64(elapsed.as_secs_f64() / self.done.as_secs_f64()) }
    }
}

/// A time in whole minutes, or seconds where it is short.
pub(crate) struct Rough(pub(crate) Duration);

impl fmt::Display for Rough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ ..120 => write!(f, "{seconds} s"),
            seconds => write!(f, "{} min", (seconds + 30) / 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_at_the_pace_so_far() {
        let seconds = Duration::from_secs;
        let mut progress = Progress::begin(seconds(600));
        assert_eq!(progress.left(seconds(5)), seconds(600), "nothing is known of the pace");
        progress.done(seconds(200));
        assert_eq!(progress.left(seconds(200)), seconds(400));
        assert_eq!(progress.left(seconds(300)), seconds(600), "it goes half as fast again");
        progress.done(seconds(500));
        assert_eq!(progress.left(seconds(900)), Duration::ZERO);
        let told = [seconds(5), seconds(119), seconds(149), seconds(150)].map(|time| Rough(time).to_string());
        assert_eq!(told, ["5 s", "119 s", "2 min", "3 min"]);
    }
}
