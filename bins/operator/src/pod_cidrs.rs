//! Pod CIDRs of nodes, where the operator gives them (`ipam: cluster-pool`).

use std::collections::BTreeMap;
use std::sync::Arc;

use ipam::{ClusterPool, Family};
use ipnetwork::IpNetwork;

use crate::problem::{Problem, Reason};
use crate::view::{CiliumNodeView, Version};

/// What to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// These are the node's CIDRs.
    Assign { node: String, version: Version, cidrs: Vec<String> },
    /// This hinders the node's CIDRs; nothing does any more.
    Report { node: String, version: Version, problem: Option<Problem> },
}

/// What was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    /// What to write to CiliumNodes.
    pub(crate) acts: Vec<Act>,
    /// What hinders the CIDRs of which nodes, whether it was written or not.
    pub(crate) problems: BTreeMap<String, Problem>,
}

/// Decides who gets which CIDR. What it decided it remembers, so that a decision whose writing failed, or that the
/// watch has not told of yet, is made again as it was.
pub(crate) struct PodCidrs {
    pools: Vec<ClusterPool>,
}

impl PodCidrs {
    /// A pool for each family that is on, in the order in which nodes list their CIDRs.
    pub(crate) fn new(pools: Vec<ClusterPool>) -> Self {
        Self { pools }
    }

    /// Compares what nodes have with what they should. `exists` says whether there is still a Node of that name:
    /// CIDRs are free again when both objects are gone.
    pub(crate) fn decide(
        &mut self,
        nodes: &BTreeMap<String, Arc<CiliumNodeView>>,
        exists: impl Fn(&str) -> bool,
    ) -> Decision {
        self.release(nodes, exists);
        // Who was there first keeps what two have.
        let mut by_age: Vec<(&String, &CiliumNodeView)> =
            nodes.iter().map(|(name, node)| (name, &**node)).collect();
        by_age.sort_by_key(|(name, node)| (node.created, *name));
        let mut found: BTreeMap<&String, Vec<Problem>> = BTreeMap::new();
        for (name, node) in &by_age {
            found.insert(name, self.take_over(name, node));
        }
        let mut decision = Decision::default();
        for (name, node) in by_age {
            let wrong = found.get_mut(name);
            let mut wrong = wrong.map(std::mem::take).unwrap_or_default();
            let mut cidrs = node.pod_cidrs.clone();
            for pool in &mut self.pools {
                let family = pool.family();
                let has =
                    |cidr: &String| cidr.parse().is_ok_and(|cidr: IpNetwork| Family::of(cidr.ip()) == family);
                if node.pod_cidrs.iter().any(has) {
                    continue;
                }
                match pool.of(name).first().copied().or_else(|| pool.allocate(name)) {
                    Some(cidr) => cidrs.push(cidr.to_string()),
                    None => wrong.push(Problem {
                        reason: Reason::Exhausted,
                        message: format!("no {family} pod CIDR is free"),
                    }),
                }
            }
            let (node_name, version) = (name.clone(), node.version.clone());
            if cidrs != node.pod_cidrs {
                let (node, version) = (node_name.clone(), version.clone());
                decision.acts.push(Act::Assign { node, version, cidrs });
            }
            let problem = Problem::of(wrong);
            decision.problems.extend(problem.clone().map(|problem| (name.clone(), problem)));
            if problem.as_ref().map(|problem| &problem.message) != node.error.as_ref() {
                decision.acts.push(Act::Report { node: node_name, version, problem });
            }
        }
        decision
    }

    /// How many CIDRs there are of each family, and how many are free.
    pub(crate) fn counts(&self) -> Vec<(Family, u128, u128)> {
        self.pools.iter().map(|pool| (pool.family(), pool.counts().0, pool.counts().1)).collect()
    }

    fn release(&mut self, nodes: &BTreeMap<String, Arc<CiliumNodeView>>, exists: impl Fn(&str) -> bool) {
        for pool in &mut self.pools {
            let gone: Vec<String> = pool
                .owners()
                .filter(|name| !nodes.contains_key(*name) && !exists(name))
                .map(ToOwned::to_owned)
                .collect();
            for node in gone {
                let cidrs = pool.release(&node);
                tracing::info!(node, ?cidrs, "pod CIDRs are free again");
            }
        }
    }

    /// Notes what a node has; says what is wrong with it.
    fn take_over(&mut self, name: &str, node: &CiliumNodeView) -> Vec<Problem> {
        let mut wrong = Vec::new();
        for text in &node.pod_cidrs {
            let Ok(cidr) = text.parse::<IpNetwork>() else {
                wrong.push(Problem { reason: Reason::Invalid, message: format!("{text:?} is no CIDR") });
                continue;
            };
            let family = Family::of(cidr.ip());
            if let Some(pool) = self.pools.iter_mut().find(|pool| pool.family() == family)
                && let Err(twice) = pool.occupy(name, cidr)
            {
                let message = format!("pod CIDR given twice: {twice}");
                wrong.push(Problem { reason: Reason::Conflict, message });
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn pools(v4: &str, size: u8) -> PodCidrs {
        PodCidrs::new(vec![ClusterPool::new(&[v4.parse().unwrap()], size).unwrap()])
    }

    fn node(age: i64, cidrs: &[&str]) -> Arc<CiliumNodeView> {
        Arc::new(CiliumNodeView {
            version: Version::default(),
            created: Timestamp::from_second(age).unwrap(),
            ready: false,
            pod_cidrs: cidrs.iter().map(ToString::to_string).collect(),
            error: None,
        })
    }

    fn text(decision: &Decision) -> Vec<String> {
        let line = |act: &Act| match act {
            Act::Assign { node, cidrs, .. } => format!("{node} gets {}", cidrs.join(" ")),
            Act::Report { node, problem: Some(problem), .. } => format!("{node}: {}", problem.message),
            Act::Report { node, problem: None, .. } => format!("{node} is well"),
        };
        decision.acts.iter().map(line).collect()
    }

    #[test]
    fn what_nodes_have_is_taken_over() {
        let mut pods = pools("10.0.0.0/22", 24);
        let mut nodes: BTreeMap<_, _> = [
            ("a".to_owned(), node(3, &[])),
            ("b".to_owned(), node(2, &["10.0.0.0/24"])),
            ("c".to_owned(), node(1, &["192.0.2.0/24"])),
        ]
        .into();
        assert_eq!(text(&pods.decide(&nodes, |_| true)), ["a gets 10.0.1.0/24"]);
        // As long as the watch has not told, it is the same again.
        assert_eq!(text(&pods.decide(&nodes, |_| true)), ["a gets 10.0.1.0/24"]);
        nodes.insert("a".to_owned(), node(3, &["10.0.1.0/24"]));
        assert_eq!(pods.decide(&nodes, |_| true), Decision::default());
    }

    #[test]
    fn free_when_both_objects_are_gone() {
        let mut pods = pools("10.0.0.0/24", 24);
        let both = [("a".to_owned(), node(1, &["10.0.0.0/24"])), ("b".to_owned(), node(2, &[]))];
        let mut nodes: BTreeMap<_, _> = both.into();
        assert_eq!(text(&pods.decide(&nodes, |_| true)), ["b: no IPv4 pod CIDR is free"]);
        nodes.remove("a");
        assert_eq!(text(&pods.decide(&nodes, |_| true)), ["b: no IPv4 pod CIDR is free"]);
        let mut failing = (*nodes["b"]).clone();
        failing.error = Some("no IPv4 pod CIDR is free".to_owned());
        nodes.insert("b".to_owned(), Arc::new(failing));
        let still = pods.decide(&nodes, |_| true);
        assert!(still.acts.is_empty(), "it was told");
        assert_eq!(still.problems["b"].reason, Reason::Exhausted, "and lasts");
        assert_eq!(text(&pods.decide(&nodes, |name| name != "a")), ["b gets 10.0.0.0/24", "b is well"]);
    }

    #[test]
    fn given_twice_is_told_of_the_younger_one() {
        let mut pods = pools("10.0.0.0/22", 24);
        let nodes: BTreeMap<_, _> = [
            ("a".to_owned(), node(2, &["10.0.0.0/24"])),
            ("b".to_owned(), node(1, &["10.0.0.0/24", "10.0.9"])),
        ]
        .into();
        assert_eq!(
            text(&pods.decide(&nodes, |_| true)),
            [
                "b: \"10.0.9\" is no CIDR",
                "a: pod CIDR given twice: 10.0.0.0/24 overlaps 10.0.0.0/24, which b has"
            ]
        );
    }

    #[test]
    fn both_families_or_what_there_is() {
        let v4 = ClusterPool::new(&["10.0.0.0/23".parse().unwrap()], 24).unwrap();
        let v6 = ClusterPool::new(&["fd00::/120".parse().unwrap()], 120).unwrap();
        let mut pods = PodCidrs::new(vec![v4, v6]);
        let nodes: BTreeMap<_, _> = [("a".to_owned(), node(1, &[])), ("b".to_owned(), node(2, &[]))].into();
        assert_eq!(
            text(&pods.decide(&nodes, |_| true)),
            ["a gets 10.0.0.0/24 fd00::/120", "b gets 10.0.1.0/24", "b: no IPv6 pod CIDR is free"]
        );
        assert_eq!(pods.counts(), [(Family::V4, 2, 0), (Family::V6, 1, 0)]);
    }

    proptest! {
        /// Leaders come and go, writes fail, watches are late: no two nodes ever have the same CIDR.
        #[test]
        fn nothing_is_given_twice(steps in prop::collection::vec((0..6_u8, 0..8_u8), 1..120)) {
            let mut stored: BTreeMap<String, Arc<CiliumNodeView>> = BTreeMap::new();
            let mut kubernetes: BTreeMap<String, ()> = BTreeMap::new();
            let mut known = stored.clone();
            let mut pods = pools("10.0.0.0/21", 24);
            for (step, which) in steps {
                let name = format!("n{which}");
                match step {
                    0 => {
                        kubernetes.insert(name.clone(), ());
                        stored.entry(name).or_insert_with(|| node(i64::from(which), &[]));
                    }
                    1 => _ = kubernetes.remove(&name),
                    2 => if !kubernetes.contains_key(&name) { _ = stored.remove(&name) },
                    // The watch catches up.
                    3 => known = stored.clone(),
                    // Another leader, which lists before it decides.
                    4 => {
                        known = stored.clone();
                        pods = pools("10.0.0.0/21", 24);
                    }
                    _ => for act in pods.decide(&known, |name| kubernetes.contains_key(name)).acts {
                        if let Act::Assign { node: name, cidrs, .. } = act {
                            // Every other write is lost, and one over another state is refused.
                            let same = stored.get(&name) == known.get(&name);
                            if which % 2 == 0 && same {
                                let cidrs: Vec<&str> = cidrs.iter().map(String::as_str).collect();
                                stored.insert(name, node(1, &cidrs));
                            }
                        }
                    }
                }
                let mut all: Vec<_> = stored.values().flat_map(|node| node.pod_cidrs.clone()).collect();
                let count = all.len();
                all.sort();
                all.dedup();
                prop_assert_eq!(all.len(), count);
            }
        }
    }
}
