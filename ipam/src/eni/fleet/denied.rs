//! Actions that we have no right to, or no credentials for.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    Timestamp,
    ec2::{Action, Error, ErrorKind, Reply},
    eni::Reason,
};

/// How long it is told that an action was denied, after it was last asked for. What is needed is asked for again more
/// often.
const TOLD: Duration = Duration::from_secs(900);

/// What was denied when it was last asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Denied {
    /// Why, and when that was.
    of: BTreeMap<Action, (Reason, Timestamp)>,
    /// What worked once in this term.
    worked: BTreeSet<Action>,
}

impl Denied {
    /// An action was answered. `of_one`: it may have been denied for its subject alone, where a policy asks for a tag;
    /// that is the node's matter as long as the action works for others.
    pub(super) fn answered(
        &mut self,
        action: Action,
        result: &Result<Reply, Error>,
        subject: &str,
        of_one: bool,
        now: Timestamp,
    ) {
        match result {
            Ok(_) => {
                self.of.remove(&action);
                self.worked.insert(action);
            }
            Err(error) if error.kind == ErrorKind::Denied => {
                if !(of_one && self.worked.contains(&action)) {
                    let told = self.of.remove(&action).map(|(reason, _)| reason);
                    self.of.insert(action, (Reason::refused(error, subject).after(told), now));
                }
            }
            // Nothing is known of the right to it.
            Err(error)
                if error.kind.is_ambiguous()
                    || matches!(error.kind, ErrorKind::Throttled | ErrorKind::Unsent) => {}
            // It was refused for another reason: so it is allowed.
            Err(_) => drop(self.of.remove(&action)),
        }
    }

    /// Forgets what nobody asked for again: nobody knows whether it is denied still, nor needs it.
    pub(super) fn age(&mut self, now: Timestamp) {
        self.of.retain(|_, (_, asked)| now.since(*asked) < TOLD);
    }

    /// Why.
    pub(super) fn reasons(&self) -> impl Iterator<Item = &Reason> {
        self.of.values().map(|(reason, _)| reason)
    }
}
