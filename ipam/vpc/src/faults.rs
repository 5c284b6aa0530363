//! What goes wrong, by plan or by chance.

use std::time::Duration;

use fastrand::Rng;
use ipam::Timestamp;

use crate::Operation;

/// What may happen to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not carried out, and no answer comes.
    LostRequest,
    /// It is carried out, and no answer comes.
    LostReply,
    /// No answer comes, and it is carried out so much later.
    Late(Duration),
    /// It is carried out and answered, and carried out once more so much later.
    Twice(Duration),
    /// 500 InternalError.
    InternalError {
        /// Whether it is carried out all the same.
        carried_out: bool,
    },
    /// 503 Unavailable.
    Unavailable {
        /// Whether it is carried out all the same.
        carried_out: bool,
    },
    /// 503 RequestLimitExceeded, whatever the bucket holds.
    Throttled,
    /// What is read is as old as this. Of interfaces only; at most
    /// [`Settings::remembered`](crate::Settings::remembered).
    Stale(Duration),
}

impl Fault {
    fn concerns(self, operation: Operation) -> bool {
        match self {
            Self::Stale(_) => {
                matches!(operation, Operation::DescribeNetworkInterfaces | Operation::DescribeInstances)
            }
            Self::Late(_) | Self::Twice(_) => !operation.reads(),
            _ => true,
        }
    }
}

/// A fault that is to happen once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// To requests of this operation; to any if nothing is said.
    pub operation: Option<Operation>,
    /// So many of them pass before.
    pub after: u32,
    /// What happens.
    pub fault: Fault,
}

/// A fault that happens now and then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance {
    /// To requests of this operation; to any if nothing is said.
    pub operation: Option<Operation>,
    /// How probable it is, 0 to 1.
    pub probability: f64,
    /// What happens.
    pub fault: Fault,
}

/// What the metadata service conceals from an instance (vpc-cni #1967, #3876).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Omission {
    /// The interface.
    pub interface_id: String,
    /// Whether only its prefixes are missing, or it altogether.
    pub prefixes_only: bool,
    /// Until when.
    pub until: Timestamp,
}

/// What goes wrong, and when. Chance follows from the region's seed.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    planned: Vec<Planned>,
    chances: Vec<Chance>,
    omissions: Vec<Omission>,
    omission_probability: f64,
}

impl Faults {
    /// Plans a fault; of several for one request, the one planned first.
    pub fn plan(&mut self, planned: Planned) {
        self.planned.push(planned);
    }

    /// A fault that happens to the next request of an operation.
    pub fn next(&mut self, operation: Operation, fault: Fault) {
        self.plan(Planned { operation: Some(operation), after: 0, fault });
    }

    /// Adds a fault that happens by chance.
    pub fn by_chance(&mut self, chance: Chance) {
        self.chances.push(chance);
    }

    /// Makes the metadata service conceal something.
    pub fn omit(&mut self, omission: Omission) {
        self.omissions.push(omission);
    }

    /// How probable it is that the metadata service conceals an interface, or the prefixes of one, when asked
    /// for a list.
    pub fn omit_by_chance(&mut self, probability: f64) {
        self.omission_probability = probability;
    }

    /// Nothing goes wrong from now on.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Planned faults that have not happened yet.
    #[must_use]
    pub fn outstanding(&self) -> &[Planned] {
        &self.planned
    }

    /// What happens to a request.
    pub(crate) fn draw(&mut self, operation: Operation, rng: &mut Rng) -> Option<Fault> {
        let matches = |of: Option<Operation>, fault: Fault| {
            of.is_none_or(|one| one == operation) && fault.concerns(operation)
        };
        let mut due = None;
        for (position, planned) in self.planned.iter_mut().enumerate() {
            if !matches(planned.operation, planned.fault) {
                continue;
            }
            if planned.after > 0 {
                planned.after -= 1;
            } else if due.is_none() {
                due = Some(position);
            }
        }
        if let Some(position) = due {
            return Some(self.planned.remove(position).fault);
        }
        let happens =
            |chance: &&Chance| matches(chance.operation, chance.fault) && rng.f64() < chance.probability;
        self.chances.iter().find(happens).map(|chance| chance.fault)
    }

    /// Whether the metadata service conceals an interface (or its prefixes) now.
    pub(crate) fn omits(
        &mut self,
        interface_id: &str,
        prefixes: bool,
        now: Timestamp,
        rng: &mut Rng,
    ) -> bool {
        self.omissions.retain(|omission| omission.until > now);
        let planned = self
            .omissions
            .iter()
            .any(|omission| omission.interface_id == interface_id && (prefixes || !omission.prefixes_only));
        planned || (self.omission_probability > 0.0 && rng.f64() < self.omission_probability)
    }
}
