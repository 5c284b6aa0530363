//! How many requests there were, and how they ended.

use std::collections::BTreeMap;

use crate::{Failure, Operation};

/// How a request ended, for counting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It was carried out and answered.
    Done,
    /// It was refused, with this code.
    Refused(&'static str),
    /// No answer came.
    Unanswered,
}

impl Outcome {
    pub(crate) fn of<T>(result: &Result<T, Failure>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(Failure::Refused(refusal)) => Self::Refused(refusal.code),
            Err(Failure::Unanswered) => Self::Unanswered,
        }
    }
}

/// Calls, by operation and how they ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<(Operation, Outcome), u64>);

impl Counters {
    pub(crate) fn count(&mut self, operation: Operation, outcome: Outcome) {
        *self.0.entry((operation, outcome)).or_default() += 1;
    }

    /// Calls of an operation, however they ended.
    #[must_use]
    pub fn calls(&self, operation: Operation) -> u64 {
        self.0.iter().filter(|((one, _), _)| *one == operation).map(|(_, number)| number).sum()
    }

    /// Calls of an operation that ended so.
    #[must_use]
    pub fn ended(&self, operation: Operation, outcome: &Outcome) -> u64 {
        self.0.iter().filter(|((one, how), _)| *one == operation && how == outcome).map(|(_, n)| n).sum()
    }

    /// Calls of all operations that change something, or of all that only read.
    #[must_use]
    pub fn total(&self, reads: bool) -> u64 {
        self.0.iter().filter(|((one, _), _)| one.reads() == reads).map(|(_, number)| number).sum()
    }

    /// Everything that was counted.
    pub fn iter(&self) -> impl Iterator<Item = (Operation, &Outcome, u64)> {
        self.0.iter().map(|((operation, outcome), number)| (*operation, outcome, *number))
    }
}
