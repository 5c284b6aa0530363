//! Numbers of a range, given out so that one that came back is the last to go out again.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// How many of the numbers that came back last are kept apart, to be given out after all others. Older ones join
/// those that were never given out, so that what is stored stays small.
const RESTING: usize = 4096;

/// The first and the last number of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Range {
    pub(super) first: u32,
    pub(super) last: u32,
}

impl Range {
    pub(super) const fn contains(self, number: u32) -> bool {
        self.first <= number && number <= self.last
    }
}

/// The free numbers of a range. Each call costs the logarithm of the number of gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pool {
    pub(super) range: Range,
    /// The number that was given out last. The search for a free one begins behind it.
    pub(super) latest: u32,
    /// Runs of free numbers that do not rest, first to last. They do not touch each other.
    gaps: BTreeMap<u32, u32>,
    /// Numbers that came back, oldest first.
    resting: VecDeque<u32>,
}

impl Pool {
    /// All of the range free.
    pub(super) fn new(range: Range) -> Self {
        Self { range, latest: 0, gaps: [(range.first, range.last)].into(), resting: VecDeque::new() }
    }

    /// What a pool was: `latest` was given out last, those that rest came back (oldest first), `taken` are out.
    /// Numbers out of the range do not count.
    pub(super) fn restored(
        range: Range,
        latest: u32,
        resting: Vec<u32>,
        taken: impl IntoIterator<Item = u32>,
    ) -> Self {
        let mut pool = Self { latest, ..Self::new(range) };
        for number in taken {
            pool.cut(number);
        }
        for number in resting {
            // One that is out, or told twice, does not rest.
            if pool.cut(number) {
                pool.rest(number);
            }
        }
        pool
    }

    /// Those that rest, oldest first.
    pub(super) fn resting(&self) -> Vec<u32> {
        self.resting.iter().copied().collect()
    }

    /// Takes a free number out of its gap. False where it is in none.
    fn cut(&mut self, number: u32) -> bool {
        let Some((&first, &last)) = self.gaps.range(..=number).next_back() else { return false };
        if last < number {
            return false;
        }
        self.gaps.remove(&first);
        if first < number {
            self.gaps.insert(first, number - 1);
        }
        if number < last {
            self.gaps.insert(number + 1, last);
        }
        true
    }

    fn rest(&mut self, number: u32) {
        self.resting.push_back(number);
        if self.resting.len() > RESTING
            && let Some(number) = self.resting.pop_front()
        {
            self.fill(number);
        }
    }

    /// Puts a number into the gaps, and joins it to its neighbours.
    fn fill(&mut self, number: u32) {
        let after = number.checked_add(1).and_then(|next| self.gaps.remove(&next)).unwrap_or(number);
        let before = self.gaps.range(..number).next_back();
        let joins = before.filter(|(_, last)| last.checked_add(1) == Some(number)).map(|(first, _)| *first);
        self.gaps.insert(joins.unwrap_or(number), after);
    }

    /// Gives a number out. None where all are out.
    pub(super) fn take(&mut self) -> Option<u32> {
        let next = self.latest.saturating_add(1);
        let within = self.gaps.range(..=next).next_back().filter(|(_, last)| next <= **last).map(|_| next);
        let behind = || self.gaps.range(next..).next().map(|(first, _)| *first);
        let around = || self.gaps.keys().next().copied();
        let number = match within.or_else(behind).or_else(around) {
            Some(number) => {
                self.cut(number);
                number
            }
            None => self.resting.pop_front()?,
        };
        self.latest = number;
        Some(number)
    }

    /// Takes a number back.
    pub(super) fn give_back(&mut self, number: u32) {
        if self.range.contains(number) {
            self.rest(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const RANGE: Range = Range { first: 10, last: 15 };

    #[test]
    fn numbers_go_out_in_order_and_what_came_back_is_last() {
        let mut pool = Pool::new(RANGE);
        assert_eq!([(); 3].map(|()| pool.take()), [10, 11, 12].map(Some));
        pool.give_back(11);
        pool.give_back(10);
        assert_eq!([(); 6].map(|()| pool.take()), [Some(13), Some(14), Some(15), Some(11), Some(10), None]);
        pool.give_back(14);
        assert_eq!([pool.take(), pool.take()], [Some(14), None]);
    }

    #[test]
    fn a_restored_pool_goes_on_where_it_was() {
        let mut pool = Pool::new(RANGE);
        for _ in 0..4 {
            pool.take();
        }
        pool.give_back(12);
        pool.give_back(11);
        let mut again = Pool::restored(RANGE, pool.latest, pool.resting(), [10, 13]);
        assert_eq!(again, pool);
        assert_eq!([(); 5].map(|()| again.take()), [Some(14), Some(15), Some(12), Some(11), None]);
        // Nonsense from a file: out of the range, taken, twice.
        let mut odd = Pool::restored(RANGE, 99, vec![13, 12, 12, 99], [13, 7]);
        assert_eq!([(); 6].map(|()| odd.take()), [Some(10), Some(11), Some(14), Some(15), Some(12), None]);
    }

    #[test]
    fn all_numbers_go_out_once_whatever_comes_back() {
        // Many more than can rest.
        let range = Range { first: 256, last: 256 + 3 * RESTING as u32 };
        let mut pool = Pool::new(range);
        let mut out = BTreeSet::new();
        for step in 0u32..60_000 {
            if step % 3 == 2 {
                let chosen = out.iter().nth((step as usize * 7) % out.len()).copied().unwrap();
                out.remove(&chosen);
                pool.give_back(chosen);
            } else if let Some(number) = pool.take() {
                assert!(range.contains(number) && out.insert(number), "{number} at {step}");
            } else {
                assert_eq!(out.len() as u32, range.last - range.first + 1);
            }
        }
        while let Some(number) = pool.take() {
            assert!(out.insert(number), "{number}");
        }
        assert_eq!(out.len() as u32, range.last - range.first + 1);
        assert!(pool.gaps.is_empty());
    }
}
