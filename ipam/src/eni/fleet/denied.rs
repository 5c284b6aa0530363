//! Actions that we have no right to, or no credentials for.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ec2::{Action, Error, ErrorKind, Reply},
    eni::Reason,
};

/// What was denied when it was last asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Denied {
    of: BTreeMap<Action, Reason>,
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
    ) {
        match result {
            Ok(_) => {
                self.of.remove(&action);
                self.worked.insert(action);
            }
            Err(error) if error.kind != ErrorKind::Denied => {}
            Err(_) if of_one && self.worked.contains(&action) => {}
            Err(error) => {
                let reason = Reason::refused(error, subject).after(self.of.remove(&action));
                self.of.insert(action, reason);
            }
        }
    }

    /// Why.
    pub(super) fn reasons(&self) -> impl Iterator<Item = &Reason> {
        self.of.values()
    }
}
