//! What the node tells the operator of its addresses, and when.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ipnetwork::Ipv4Network;
use serde_json::{Map, Value, json};

use crds::types::node::{AllocatedPool, PoolDemand, Pools, RequestedPool};

/// Between two tellings, where nobody waits. (Cilium's `ipam-cilium-node-update-rate`.)
const PAUSE: Duration = Duration::from_secs(15);

/// The pool's name: there is one.
const POOL: &str = "default";

/// What is told: `spec.ipam.pools` of the node's object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publish {
    /// Addresses that are in use, those that are waited for, and those that are to be free beside.
    pub needed: u64,
    /// Prefixes of which an address is in use, or was a moment ago.
    pub uses: BTreeSet<Ipv4Network>,
}

impl Publish {
    /// As the object has it.
    #[must_use]
    pub fn pools(&self) -> Pools {
        let needed = PoolDemand { ipv4_addrs: i64::try_from(self.needed).unwrap_or(i64::MAX), ipv6_addrs: 0 };
        let allocated = AllocatedPool {
            pool: POOL.to_owned(),
            allow_first_ip: true,
            allow_last_ip: true,
            cidrs: self.uses.iter().map(ToString::to_string).collect(),
        };
        Pools {
            requested: vec![RequestedPool { pool: POOL.to_owned(), needed }],
            allocated: if self.uses.is_empty() { Vec::new() } else { vec![allocated] },
        }
    }

    /// What is to be changed of an object.
    pub(crate) fn patch(&self, present: &Pools) -> Map<String, Value> {
        let wanted = self.pools();
        let pools = json!({"requested": wanted.requested, "allocated": wanted.allocated});
        let is_said = wanted == *present;
        (!is_said).then(|| ("pools".to_owned(), pools)).into_iter().collect()
    }
}

/// Decides when something is told: a growing need at once, all else now and then.
#[derive(Debug, Default)]
pub struct Demand {
    told: Option<(Publish, Instant)>,
}

impl Demand {
    /// What is to be told now, of what is the case now.
    pub fn due(&mut self, case: &Publish, now: Instant) -> Option<Publish> {
        let is_due = match &self.told {
            None => true,
            Some((told, _)) if told == case => false,
            Some((told, at)) => case.needed > told.needed || now >= *at + PAUSE,
        };
        if !is_due {
            return None;
        }
        self.told = Some((case.clone(), now));
        Some(case.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growing_need_is_told_at_once() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let case = |needed| Publish { needed, uses: BTreeSet::new() };
        let mut demand = Demand::default();
        let mut due = |needed, seconds| demand.due(&case(needed), after(seconds)).map(|told| told.needed);
        assert_eq!(due(8, 0), Some(8));
        assert_eq!(due(8, 100), None);
        assert_eq!(due(7, 101), Some(7));
        // It shrinks and grows: told late, and at once.
        assert_eq!(due(6, 102), None);
        assert_eq!(due(7, 103), None);
        assert_eq!(due(9, 104), Some(9));
        assert_eq!(due(5, 105), None);
        assert_eq!(due(5, 119), Some(5));
    }

    #[test]
    fn as_the_object_has_it() {
        let publish = Publish { needed: 9, uses: ["100.64.0.16/28".parse().unwrap()].into() };
        let expected = json!({"pools": {
            "requested": [{"pool": "default", "needed": {"ipv4-addrs": 9}}],
            "allocated": [{"pool": "default", "allowFirstIP": true, "allowLastIP": true, "cidrs": ["100.64.0.16/28"]}],
        }});
        assert_eq!(Value::from(publish.patch(&Pools::default())), expected);
        assert_eq!(publish.patch(&publish.pools()), Map::new());
        // What is not used any more is said in so many words: a merge would keep it.
        let empty = Publish { needed: 8, ..Publish::default() };
        assert_eq!(empty.patch(&publish.pools())["pools"]["allocated"], json!([]));
    }
}
