//! The labels of all pods, kept as pods change: there are far fewer sets of labels than pods.

use std::collections::HashMap;
use std::sync::Arc;

use kubernetes::watch::Key;

use crate::identities::SecurityLabels;

/// What labels pods have, and how many have the same.
#[derive(Default)]
pub(crate) struct LabelSets {
    of: HashMap<Key, Arc<SecurityLabels>>,
    pods: HashMap<Arc<SecurityLabels>, usize>,
}

impl LabelSets {
    /// A pod has these labels now; none where it needs no identity, or is gone. Says whether no pod had them before.
    pub(crate) fn set(&mut self, pod: Key, labels: Option<SecurityLabels>) -> bool {
        let before = self.of.remove(&pod);
        if let Some(before) = before
            && let Some(count) = self.pods.get_mut(&before)
        {
            if labels.as_ref() == Some(&*before) {
                self.of.insert(pod, before);
                return false;
            }
            *count -= 1;
            if *count == 0 {
                self.pods.remove(&before);
            }
        }
        let Some(labels) = labels else { return false };
        let known = self.pods.get_key_value(&labels).map(|(known, _)| Arc::clone(known));
        let is_new = known.is_none();
        let labels = known.unwrap_or_else(|| Arc::new(labels));
        *self.pods.entry(Arc::clone(&labels)).or_default() += 1;
        self.of.insert(pod, labels);
        is_new
    }

    /// Each set that a pod has, once.
    pub(crate) fn all(&self) -> impl Iterator<Item = &SecurityLabels> {
        self.pods.keys().map(|labels| &**labels)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(app: u8) -> SecurityLabels {
        [("k8s:app".to_owned(), app.to_string())].into()
    }

    proptest! {
        #[test]
        fn they_are_those_of_the_pods(steps in prop::collection::vec((0..8_u8, prop::option::of(0..4_u8)), 1..80)) {
            let (mut sets, mut pods) = (LabelSets::default(), HashMap::new());
            for (pod, app) in steps {
                let was_there = pods.values().any(|other| Some(*other) == app);
                pods.remove(&pod);
                let is_new = sets.set(Key::new("a", &pod.to_string()), app.map(labels));
                prop_assert_eq!(is_new, app.is_some() && !was_there);
                pods.extend(app.map(|app| (pod, app)));
                let mut all: Vec<_> = sets.all().cloned().collect();
                all.sort();
                let mut expected: Vec<_> = pods.values().copied().map(labels).collect();
                expected.sort();
                expected.dedup();
                prop_assert_eq!(all, expected);
            }
        }
    }
}
