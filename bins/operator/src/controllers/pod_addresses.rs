//! Nodes whose pods wait for addresses that EC2 or the settings do not give.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::trouble::{node_views, set_condition};
use super::{Context, QUIET};
use crate::problem::{POD_ADDRESSES, Problem, Reason};
use crate::pulse::Pulse;

/// How long pods have to wait before that is worth a condition: as long as an agent waits for an address that is on its
/// way before it lets the pod fail.
const PATIENCE: SignedDuration = SignedDuration::from_secs(10);

/// Says in the conditions of Nodes whose pods starve. The events come with what hinders them.
pub(super) async fn starved(context: Context) {
    let mut pulse = Pulse::new("starved nodes", &context.watchdog, QUIET, Duration::from_secs(60))
        .on(&context.nodes)
        .on(&context.cilium_nodes)
        .on(&context.pods);
    context.nodes.synced().await;
    context.cilium_nodes.synced().await;
    context.pods.synced().await;
    let mut hungry = Hungry::default();
    loop {
        let now = Timestamp::now();
        let hindered = pulse.look(|| hindered(&context));
        if let Some(wait) = hungry.see(&hindered, now) {
            pulse.again_in(wait.unsigned_abs());
        }
        for (name, node) in node_views(&context) {
            // Who waits for a moment is in no trouble, and is not known to be out of it.
            if hindered.contains_key(&name) && !hungry.is_late(&name, now) {
                continue;
            }
            let problem = hindered.get(&name).map(|why| Problem {
                reason: Reason::Starved,
                message: format!("pods of this node wait for addresses: {why}"),
            });
            set_condition(&context, &mut pulse, POD_ADDRESSES, (&name, &node), problem.as_ref()).await;
        }
        pulse.next().await;
    }
}

/// The nodes that want addresses, cannot have them, and have pods that wait for one; and why.
fn hindered(context: &Context) -> BTreeMap<String, String> {
    let nodes = context.cilium_nodes.read();
    let mut hindered: BTreeMap<String, String> = nodes
        .iter()
        .filter_map(|(key, node)| Some((key.name().to_owned(), node.error.clone()?)))
        .filter(|(_, why)| !why.is_empty())
        .collect();
    drop(nodes);
    // There may be many pods, and mostly nobody asks.
    if !hindered.is_empty() {
        let pods = context.pods.read();
        let waiting: BTreeSet<&str> =
            pods.values().filter(|pod| pod.waits_for_address()).map(|pod| pod.node.as_str()).collect();
        hindered.retain(|node, _| waiting.contains(node.as_str()));
    }
    hindered
}

/// Since when nodes' pods wait.
#[derive(Debug, Default)]
struct Hungry(BTreeMap<String, Timestamp>);

impl Hungry {
    /// Takes note of who is hindered now; tells when the next one will have waited for too long.
    fn see(&mut self, hindered: &BTreeMap<String, String>, now: Timestamp) -> Option<SignedDuration> {
        self.0.retain(|node, _| hindered.contains_key(node));
        for node in hindered.keys() {
            self.0.entry(node.clone()).or_insert(now);
        }
        let left = self.0.values().map(|since| PATIENCE - now.duration_since(*since));
        left.filter(|left| *left > SignedDuration::ZERO).min()
    }

    fn is_late(&self, node: &str, now: Timestamp) -> bool {
        self.0.get(node).is_some_and(|since| now.duration_since(*since) >= PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_long_enough_is_told_of_and_who_got_something_begins_anew() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let of = |nodes: &[&str]| nodes.iter().map(|node| ((*node).to_owned(), "full".to_owned())).collect();
        let mut hungry = Hungry::default();
        assert_eq!(hungry.see(&of(&["a"]), at(0)), Some(PATIENCE));
        assert_eq!(hungry.see(&of(&["a", "b"]), at(4)), Some(SignedDuration::from_secs(6)));
        assert!(!hungry.is_late("a", at(9)) && hungry.is_late("a", at(10)) && !hungry.is_late("b", at(10)));
        assert_eq!(hungry.see(&of(&["b"]), at(10)), Some(SignedDuration::from_secs(4)));
        assert_eq!(hungry.see(&of(&["a", "b"]), at(20)), Some(PATIENCE), "it begins anew");
        assert!(hungry.is_late("b", at(20)) && !hungry.is_late("a", at(20)));
        assert_eq!(hungry.see(&of(&[]), at(30)), None);
    }
}
