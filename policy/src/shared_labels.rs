//! Labels that many label sets have, kept once.

use std::collections::HashSet;
use std::sync::Arc;

use crate::label::{Label, LabelSet};

/// Labels that are in use. The label sets of a cluster's workloads differ in few of their labels: sets that went through
/// here share those that they have in common.
///
/// ```
/// use netloom_policy::{Label, LabelSet, SharedLabels};
///
/// let set = |app| [Label::k8s("app", app), Label::k8s("tier", "backend")].into_iter().collect::<LabelSet>();
/// let mut shared = SharedLabels::default();
/// let sets = [shared.share(&set("a")), shared.share(&set("b"))];
/// assert_eq!(sets, [set("a"), set("b")]);
/// assert_eq!(shared.len(), 3);
/// ```
#[derive(Clone, Debug, Default)]
pub struct SharedLabels {
    labels: HashSet<Arc<Label>>,
    /// How many there may be before those are looked for that nobody has any more.
    limit: usize,
}

impl SharedLabels {
    /// The same label set, with its labels shared.
    pub fn share(&mut self, set: &LabelSet) -> LabelSet {
        if self.labels.len() > self.limit {
            self.labels.retain(|label| Arc::strong_count(label) > 1);
            self.limit = 2 * self.labels.len() + 1024;
        }
        let share = |label: &Arc<Label>| match self.labels.get(label) {
            Some(known) => Arc::clone(known),
            None => {
                self.labels.insert(Arc::clone(label));
                Arc::clone(label)
            }
        };
        let shared: Vec<Arc<Label>> = set.0.iter().map(share).collect();
        let is_shared = shared.iter().zip(set.0.iter()).all(|(one, other)| Arc::ptr_eq(one, other));
        if is_shared { set.clone() } else { LabelSet(shared.into()) }
    }

    /// How many labels are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_is_forgotten_in_time() {
        let mut shared = SharedLabels::default();
        let set = |i: usize| [Label::k8s("app", i.to_string())].into_iter().collect::<LabelSet>();
        let kept = shared.share(&set(0));
        for i in 0..10_000 {
            shared.share(&set(i));
        }
        assert!(shared.len() < 2_000);
        assert!(Arc::ptr_eq(&kept.0[0], &shared.share(&set(0)).0[0]));
    }
}
