//! A repository of policies and pods, for one operation at a time.

use std::sync::Arc;

use ::policy::{Compiled, LabelSet, Policy, Repository};

use super::cluster::{SUBJECTS, pod};
use super::measure::{Pod, compile};
use super::policies::{About, policy};

/// The cluster of these benchmarks at some size, not compiled yet.
#[derive(Clone, Debug)]
pub struct Scene {
    pods: Vec<Pod>,
    policies: Vec<Arc<Policy>>,
    subjects: Vec<LabelSet>,
}

/// A scene whose tables are compiled.
pub struct Staged {
    repository: Repository,
    subjects: Vec<LabelSet>,
    /// Held, as those in force are.
    compiled: Vec<Arc<Compiled>>,
    next: u32,
}

impl Scene {
    /// So many policies, and as many identities.
    #[must_use]
    pub fn new(policies: u32, identities: u32) -> Self {
        let pods: Vec<Pod> = (0..identities).map(pod).collect();
        let subjects = pods.iter().take(SUBJECTS as usize).map(|(.., labels)| labels.clone()).collect();
        let policies = (0..policies).map(|number| Arc::new(policy(number, About::Their))).collect();
        Self { pods, policies, subjects }
    }

    /// Everything from the start: identities, policies, the tables of all subjects.
    #[must_use]
    pub fn stage(&self) -> Staged {
        let mut repository = Repository::default();
        for (address, identity, labels) in &self.pods {
            repository.set_address(*address, *identity, labels.clone());
        }
        repository.set_policies(self.policies.iter().map(Arc::clone));
        let compiled = compile(&mut repository, &self.subjects);
        Staged { repository, subjects: self.subjects.clone(), compiled, next: self.pods.len() as u32 }
    }
}

impl Staged {
    /// How many tables there are.
    #[must_use]
    pub fn tables(&self) -> usize {
        self.compiled.len()
    }

    /// A pod with a new identity, and the tables of all subjects after it; says how many of them changed.
    pub fn add_identity(&mut self) -> usize {
        let (address, identity, labels) = pod(self.next);
        self.next += 1;
        self.repository.set_address(address, identity, labels);
        let compiled = compile(&mut self.repository, &self.subjects);
        let changed = compiled.iter().zip(&self.compiled).filter(|(new, old)| !Arc::ptr_eq(new, old)).count();
        self.compiled = compiled;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_more_changes_some_tables() {
        let mut staged = Scene::new(20, 200).stage();
        assert_eq!(staged.tables(), 2 * SUBJECTS as usize);
        assert!((0..50).map(|_| staged.add_identity()).sum::<usize>() > 0);
    }
}
