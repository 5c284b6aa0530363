//! A virtual clock, and what is due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use ipam::Timestamp;

/// Things that are due, in order of time, and then of when they were put there.
#[derive(Debug)]
pub(super) struct Clock<T> {
    now: Timestamp,
    due: BinaryHeap<Reverse<(Timestamp, u64)>>,
    things: std::collections::BTreeMap<u64, T>,
    count: u64,
}

impl<T> Clock<T> {
    pub(super) fn new() -> Self {
        Self {
            now: Timestamp(0),
            due: BinaryHeap::new(),
            things: std::collections::BTreeMap::new(),
            count: 0,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// Has a thing become due after so long.
    pub(super) fn after(&mut self, wait: Duration, thing: T) {
        self.at(self.now.after(wait), thing);
    }

    /// Has a thing become due then, or now if that is past.
    pub(super) fn at(&mut self, at: Timestamp, thing: T) {
        self.count += 1;
        self.due.push(Reverse((at.max(self.now), self.count)));
        self.things.insert(self.count, thing);
    }

    /// The next thing that is due. Time passes until then.
    pub(super) fn next(&mut self) -> Option<T> {
        let Reverse((at, number)) = self.due.pop()?;
        self.now = at;
        self.things.remove(&number)
    }

    /// Seconds since the beginning.
    pub(super) fn seconds(&self) -> f64 {
        self.now.since(Timestamp(0)).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_of_time_and_then_as_they_came() {
        let mut clock = Clock::new();
        clock.after(Duration::from_secs(2), "late");
        clock.after(Duration::from_secs(1), "one");
        clock.after(Duration::from_secs(1), "two");
        assert_eq!(clock.next(), Some("one"));
        clock.at(Timestamp(0), "past");
        assert_eq!((clock.next(), clock.seconds()), (Some("two"), 1.0));
        assert_eq!((clock.next(), clock.seconds()), (Some("past"), 1.0));
        assert_eq!((clock.next(), clock.seconds()), (Some("late"), 2.0));
        assert_eq!(clock.next(), None);
    }
}
