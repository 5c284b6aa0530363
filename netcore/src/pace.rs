//! How soon and how often something is asserted again that others undo.

use std::time::{Duration, Instant};

/// Changes come in heaps: they are waited for before the first is answered.
const SETTLES: Duration = Duration::from_millis(50);
/// Between two answers, at least.
const LEAST: Duration = Duration::from_secs(1);
/// Between two answers to somebody who keeps undoing them, at most.
const MOST: Duration = Duration::from_secs(10);
/// Who has left things alone for so long is not fighting.
const PEACE: Duration = Duration::from_secs(60);

/// When to look after something again that others may have changed. It reads no clock: callers say what time
/// it is.
///
/// A change is answered a moment later, together with those that follow at once. Each answer that found
/// something to do doubles the wait before the next, from one second up to ten, so that two daemons with
/// different ideas don't keep a machine busy. After a minute of peace the wait is short again.
///
/// ```
/// use std::time::{Duration, Instant};
/// use netcore::Pace;
///
/// let (mut pace, now) = (Pace::default(), Instant::now());
/// assert_eq!(pace.due(), None);
/// pace.noticed(now);
/// assert_eq!(pace.due(), Some(now + Duration::from_millis(50)));
/// pace.asserted(true, now);
/// pace.noticed(now);
/// assert_eq!(pace.due(), Some(now + Duration::from_secs(2)));
/// ```
#[derive(Clone, Debug)]
pub struct Pace {
    wait: Duration,
    last: Option<Instant>,
    due: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { wait: LEAST, last: None, due: None }
    }
}

impl Pace {
    /// Somebody changed something.
    pub fn noticed(&mut self, now: Instant) {
        if self.last.is_none_or(|last| now >= last + PEACE) {
            self.wait = LEAST;
        }
        if self.due.is_none() {
            let soon = now + SETTLES;
            self.due = Some(self.last.map_or(soon, |last| soon.max(last + self.wait)));
        }
    }

    /// When to look, if anything was noticed.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// All is as it should be; `repaired` tells whether that took any doing.
    pub fn asserted(&mut self, repaired: bool, now: Instant) {
        self.due = None;
        self.last = Some(now);
        if repaired {
            self.wait = (self.wait * 2).min(MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fight_costs_little_and_ends() {
        let start = Instant::now();
        let (mut pace, mut now, mut answers) = (Pace::default(), start, 0);
        // Somebody undoes everything ten times a second, for two minutes.
        while now < start + Duration::from_secs(120) {
            pace.noticed(now);
            if pace.due().is_some_and(|due| due <= now) {
                pace.asserted(true, now);
                answers += 1;
            }
            now += Duration::from_millis(100);
        }
        assert!((12..=17).contains(&answers), "{answers}");
        pace.asserted(true, now);
        now += PEACE;
        pace.noticed(now);
        assert_eq!(pace.due(), Some(now + SETTLES));
        pace.asserted(true, now);
        pace.noticed(now);
        assert_eq!(pace.due(), Some(now + 2 * LEAST));
    }

    #[test]
    fn many_changes_are_one() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.noticed(now);
        pace.noticed(now + SETTLES / 2);
        assert_eq!(pace.due(), Some(now + SETTLES));
        // Nothing was amiss: the wait does not grow.
        pace.asserted(false, now + SETTLES);
        pace.noticed(now + LEAST);
        assert_eq!(pace.due(), Some(now + SETTLES + LEAST));
    }
}
