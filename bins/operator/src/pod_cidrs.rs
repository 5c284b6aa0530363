//! Pod CIDRs of nodes, where the operator gives them (`ipam: cluster-pool`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipam::{ClusterPool, Family};
use ipnetwork::IpNetwork;
use jiff::Timestamp;

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

/// What there is.
pub(crate) struct Facts<'a> {
    /// CiliumNodes, by name.
    pub(crate) nodes: &'a BTreeMap<String, Arc<CiliumNodeView>>,
    /// Whether there is a Node of that name.
    pub(crate) exists: &'a dyn Fn(&str) -> bool,
    /// Addresses that pods have.
    pub(crate) pods: &'a dyn Fn() -> &'a PodAddresses,
    /// When that is.
    pub(crate) now: Timestamp,
}

/// The addresses of pods, each with that of its node.
#[derive(Debug, Default)]
pub(crate) struct PodAddresses(BTreeMap<IpAddr, Option<IpAddr>>);

impl FromIterator<(IpAddr, Option<IpAddr>)> for PodAddresses {
    fn from_iter<T: IntoIterator<Item = (IpAddr, Option<IpAddr>)>>(all: T) -> Self {
        Self(all.into_iter().collect())
    }
}

impl PodAddresses {
    /// Whether a pod of another node than the one with these addresses has an address of the block.
    fn are_in(&self, block: IpNetwork, but_of: &[IpAddr]) -> bool {
        let within = self.0.range(block.network()..=block.broadcast());
        within.map(|(_, node)| node).any(|node| node.is_none_or(|node| !but_of.contains(&node)))
    }
}

/// Whose a block is that nobody is given, since pods of a node that is gone have its addresses. No node is called so.
const HELD: &str = "/";

/// Decides who gets which CIDR. What it decided it remembers, so that a decision whose writing failed, or that the
/// watch has not told of yet, is made again as it was.
pub(crate) struct PodCidrs {
    pools: Vec<ClusterPool>,
    /// How long a block is kept for a node that is gone: its pods may live on, and it may come back.
    delay: Duration,
    /// Since when the owners of blocks are gone.
    gone: BTreeMap<String, Timestamp>,
}

impl PodCidrs {
    /// A pool for each family that is on, in the order in which nodes list their CIDRs; and how long a block is kept for
    /// a node that is gone.
    pub(crate) fn new(pools: Vec<ClusterPool>, delay: Duration) -> Self {
        Self { pools, delay, gone: BTreeMap::new() }
    }

    /// Whether blocks are kept for nodes that are gone: then it is to be decided again, though nothing changes.
    pub(crate) fn keeps(&self) -> bool {
        !self.gone.is_empty()
    }

    /// Compares what nodes have with what they should. CIDRs are free again when both objects of a node have been gone
    /// for a while and no pod has an address of them.
    pub(crate) fn decide(&mut self, facts: &Facts<'_>) -> Decision {
        let nodes = facts.nodes;
        self.release(facts);
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
                let given = pool.of(name).first().copied();
                match given.or_else(|| allocate(pool, name, &node.addresses, facts.pods)) {
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

    fn release(&mut self, facts: &Facts<'_>) {
        let is_gone = |name: &str| !facts.nodes.contains_key(name) && !(facts.exists)(name);
        let owners = self.pools.iter().flat_map(ClusterPool::owners).filter(|name| *name != HELD);
        let gone = owners.filter(|name| is_gone(name));
        self.gone =
            gone.map(|name| (name.to_owned(), self.gone.get(name).copied().unwrap_or(facts.now))).collect();
        let (gone, delay) = (&mut self.gone, self.delay);
        for pool in &mut self.pools {
            // What is held is found out anew where it matters.
            pool.release(HELD);
        }
        gone.retain(|node, since| {
            let kept = Duration::try_from(facts.now.duration_since(*since)).unwrap_or_default();
            let blocks = || self.pools.iter().flat_map(|pool| pool.of(node));
            if kept < delay || blocks().any(|block| (facts.pods)().are_in(*block, &[])) {
                return true;
            }
            for pool in &mut self.pools {
                let cidrs = pool.release(node);
                tracing::info!(node, ?cidrs, "pod CIDRs are free again");
            }
            false
        });
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

/// The lowest block that neither a node nor a pod of another node has any part of.
fn allocate<'a>(
    pool: &mut ClusterPool,
    name: &str,
    own: &[IpAddr],
    pods: &dyn Fn() -> &'a PodAddresses,
) -> Option<IpNetwork> {
    loop {
        let block = pool.allocate(name)?;
        if !pods().are_in(block, own) {
            return Some(block);
        }
        pool.release(name);
        // A leader that is new knows no nodes that were there before it; their pods it does.
        tracing::warn!(%block, "pod CIDR not given: pods of another node have addresses of it");
        pool.occupy(HELD, block).ok()?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DELAY: Duration = Duration::from_secs(600);

    fn pools(v4: &str, size: u8) -> PodCidrs {
        PodCidrs::new(vec![ClusterPool::new(&[v4.parse().unwrap()], size).unwrap()], DELAY)
    }

    type Nodes = BTreeMap<String, Arc<CiliumNodeView>>;

    fn decide_at(
        cidrs: &mut PodCidrs,
        nodes: &Nodes,
        exists: impl Fn(&str) -> bool,
        pods: &[(&str, &str)],
        second: i64,
    ) -> Decision {
        let address = |text: &str| text.parse().unwrap();
        let pods: PodAddresses = pods.iter().map(|(pod, node)| (address(pod), Some(address(node)))).collect();
        let now = Timestamp::from_second(second).unwrap();
        cidrs.decide(&Facts { nodes, exists: &exists, pods: &|| &pods, now })
    }

    /// Without pods, at the beginning.
    fn decide(cidrs: &mut PodCidrs, nodes: &Nodes, exists: impl Fn(&str) -> bool) -> Decision {
        decide_at(cidrs, nodes, exists, &[], 0)
    }

    fn node(age: i64, cidrs: &[&str]) -> Arc<CiliumNodeView> {
        Arc::new(CiliumNodeView {
            eni: None,
            version: Version::default(),
            created: Timestamp::from_second(age).unwrap(),
            ready: false,
            node_uid: None,
            addresses: vec!["192.0.2.1".parse().unwrap()],
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
        assert_eq!(text(&decide(&mut pods, &nodes, |_| true)), ["a gets 10.0.1.0/24"]);
        // As long as the watch has not told, it is the same again.
        assert_eq!(text(&decide(&mut pods, &nodes, |_| true)), ["a gets 10.0.1.0/24"]);
        nodes.insert("a".to_owned(), node(3, &["10.0.1.0/24"]));
        assert_eq!(decide(&mut pods, &nodes, |_| true), Decision::default());
    }

    #[test]
    fn free_when_both_objects_are_gone() {
        let mut pods = pools("10.0.0.0/24", 24);
        let both = [("a".to_owned(), node(1, &["10.0.0.0/24"])), ("b".to_owned(), node(2, &[]))];
        let mut nodes: BTreeMap<_, _> = both.into();
        assert_eq!(text(&decide(&mut pods, &nodes, |_| true)), ["b: no IPv4 pod CIDR is free"]);
        nodes.remove("a");
        assert_eq!(text(&decide(&mut pods, &nodes, |_| true)), ["b: no IPv4 pod CIDR is free"]);
        let mut failing = (*nodes["b"]).clone();
        failing.error = Some("no IPv4 pod CIDR is free".to_owned());
        nodes.insert("b".to_owned(), Arc::new(failing));
        let still = decide(&mut pods, &nodes, |_| true);
        assert!(still.acts.is_empty(), "it was told");
        assert_eq!(still.problems["b"].reason, Reason::Exhausted, "and lasts");
        // Then it is kept for a while, also for pods of it; and starts over when the node is back in between.
        let mut at = |second, there: &str, of_pods: &[(&str, &str)]| {
            let exists = |name: &str| name != "a" || name == there;
            let decision = decide_at(&mut pods, &nodes, exists, of_pods, second);
            (text(&decision).join(", "), pods.keeps())
        };
        let kept = || (String::new(), true);
        assert_eq!(at(10, "", &[]), kept());
        assert_eq!(at(609, "", &[]), kept());
        assert_eq!(at(609, "a", &[]), (String::new(), false));
        assert_eq!(at(700, "", &[]), kept());
        assert_eq!(at(1299, "", &[]), kept());
        assert_eq!(at(1400, "", &[("10.0.0.7", "192.0.2.9")]), kept());
        assert_eq!(
            at(1401, "", &[("10.0.1.7", "192.0.2.9")]),
            ("b gets 10.0.0.0/24, b is well".to_owned(), false)
        );
    }

    #[test]
    fn a_new_leader_gives_nobody_the_addresses_of_others_pods() {
        let nodes: BTreeMap<_, _> = [("b".to_owned(), node(1, &[]))].into();
        let of = |node| [("10.0.0.7", node)];
        let mut pods = pools("10.0.0.0/23", 24);
        let told = text(&decide_at(&mut pods, &nodes, |_| true, &of("192.0.2.9"), 0));
        assert_eq!(told, ["b gets 10.0.1.0/24"]);
        assert_eq!(pods.counts(), [(Family::V4, 2, 0)]);
        // Its own pods are no reason.
        let told = text(&decide_at(&mut pools("10.0.0.0/23", 24), &nodes, |_| true, &of("192.0.2.1"), 0));
        assert_eq!(told, ["b gets 10.0.0.0/24"]);
        // Held as long as they are there.
        let mut pods = pools("10.0.0.0/24", 24);
        let told = text(&decide_at(&mut pods, &nodes, |_| true, &of("192.0.2.9"), 0));
        assert_eq!(told, ["b: no IPv4 pod CIDR is free"]);
        assert_eq!(text(&decide(&mut pods, &nodes, |_| true)), ["b gets 10.0.0.0/24"]);
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
            text(&decide(&mut pods, &nodes, |_| true)),
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
        let mut pods = PodCidrs::new(vec![v4, v6], DELAY);
        let nodes: BTreeMap<_, _> = [("a".to_owned(), node(1, &[])), ("b".to_owned(), node(2, &[]))].into();
        assert_eq!(
            text(&decide(&mut pods, &nodes, |_| true)),
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
                    _ => for act in decide(&mut pods, &known, |name| kubernetes.contains_key(name)).acts {
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
