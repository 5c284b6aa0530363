//! Lists of EC2's that are kept: when each was read, and when it is read next.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;

use super::RETRY;
use crate::{
    Timestamp,
    ec2::{Error, ErrorKind},
    eni::{Backoff, Reason},
};

/// How often a list is read.
pub(super) const EVERY: Duration = Duration::from_secs(300);
/// Failures in a row, of a kind that passes by itself, until they are told.
const PATIENCE: u32 = 3;

/// A list; each has its own time and its own failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kept {
    Subnets,
    Vpc,
    /// Security groups.
    Groups,
    /// All interfaces of the VPC.
    Interfaces,
    /// Limits of instance types.
    Types,
    /// The interfaces of single nodes, between two looks at all.
    OfNodes,
}

/// How a list fares.
#[derive(Clone, Debug, Default)]
struct Turn {
    due: Timestamp,
    underway: bool,
    known: bool,
    backoff: Backoff,
    /// When it last failed: requests that were under way together fail once.
    failed: Timestamp,
    /// Why it is not known, or not known better.
    failure: Option<Reason>,
    /// That does not pass by itself: credentials or a right are missing.
    lasts: bool,
}

/// How all lists fare.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    of: BTreeMap<Kept, Turn>,
}

impl Turns {
    /// Whether it was read once.
    pub(super) fn knows(&self, kept: Kept) -> bool {
        self.of.get(&kept).is_some_and(|turn| turn.known)
    }

    /// Why it cannot be read, if that is worth telling.
    pub(super) fn failure(&self, kept: Kept) -> Option<&Reason> {
        self.of.get(&kept)?.failure.as_ref()
    }

    /// Why it cannot be read, if that does not pass by itself.
    pub(super) fn lasting_failure(&self, kept: Kept) -> Option<&Reason> {
        self.of.get(&kept).filter(|turn| turn.lasts)?.failure.as_ref()
    }

    /// Why lists cannot be read.
    pub(super) fn failures(&self) -> impl Iterator<Item = &Reason> {
        self.of.values().filter_map(|turn| turn.failure.as_ref())
    }

    /// When it is to be read; nothing while it is.
    pub(super) fn next(&self, kept: Kept, now: Timestamp) -> Option<Timestamp> {
        let Some(turn) = self.of.get(&kept) else { return Some(now) };
        (!turn.underway).then(|| turn.due.max(turn.backoff.until(now).unwrap_or(now)))
    }

    /// Until when it is left alone after failures.
    pub(super) fn rests_until(&self, kept: Kept, now: Timestamp) -> Option<Timestamp> {
        self.of.get(&kept)?.backoff.until(now)
    }

    /// It is being read.
    pub(super) fn begins(&mut self, kept: Kept, now: Timestamp) {
        let turn = self.of.entry(kept).or_default();
        (turn.underway, turn.due) = (true, now.after(EVERY));
    }

    /// It was read.
    pub(super) fn worked(&mut self, kept: Kept) {
        let turn = self.of.entry(kept).or_default();
        (turn.underway, turn.known, turn.failure, turn.lasts) = (false, true, None, false);
        turn.backoff.worked();
    }

    /// It was not read, by a request that was sent at `began`; tells whether there is something new to tell.
    pub(super) fn failed(
        &mut self,
        kept: Kept,
        error: &Error,
        began: Timestamp,
        now: Timestamp,
        lots: &mut Rng,
    ) -> bool {
        let turn = self.of.entry(kept).or_default();
        (turn.underway, turn.due) = (false, now);
        if began < turn.failed {
            return false;
        }
        turn.failed = now;
        turn.backoff.failed(RETRY.0, RETRY.1, now, lots);
        let passes = error.kind.is_ambiguous() || error.kind == ErrorKind::Throttled;
        if passes && turn.backoff.failures() < PATIENCE {
            return false;
        }
        let told = turn.failure.take();
        let before = (told.clone(), turn.lasts);
        turn.failure = Some(Reason::not_listed(error).after(told));
        turn.lasts = !passes;
        before != (turn.failure.clone(), turn.lasts)
    }

    /// It is to be read soon.
    pub(super) fn hurry(&mut self, kept: Kept) {
        self.of.entry(kept).or_default().due = Timestamp::default();
    }
}
