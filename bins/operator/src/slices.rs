//! CiliumEndpointSlices: many endpoints in one object, with few writes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crds::CiliumEndpointSlice;
use crds::types::CoreEndpoint;
use jiff::Timestamp;

use crate::store::View;

/// A slice as the API server has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) namespace: String,
    pub(crate) version: String,
    pub(crate) endpoints: Vec<CoreEndpoint>,
}

/// What to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Create { namespace: String, endpoints: Vec<CoreEndpoint> },
    Replace { name: String, namespace: String, version: String, endpoints: Vec<CoreEndpoint> },
    Delete { name: String, version: String },
}

/// Endpoints, by namespace and name.
pub(crate) type Endpoints<'a> = BTreeMap<(&'a str, &'a str), &'a CoreEndpoint>;

/// Compares slices with the endpoints that there are. At most `limit` endpoints are in one.
///
/// An endpoint stays where it is. New ones go where something is written anyway, then to the fullest slice with room,
/// so that there are few slices and few writes.
pub(crate) fn decide(
    slices: &BTreeMap<String, Arc<Slice>>,
    endpoints: &Endpoints<'_>,
    limit: usize,
) -> Vec<Act> {
    let mut placed: HashSet<(&str, &str)> = HashSet::new();
    let mut plan: BTreeMap<&String, Vec<&CoreEndpoint>> = BTreeMap::new();
    for (name, slice) in slices {
        // One that is in two slices is taken out of the second.
        let kept = slice.endpoints.iter().filter_map(|endpoint| {
            let key = (slice.namespace.as_str(), endpoint.name.as_str());
            let wanted = endpoints.get(&key)?;
            placed.insert(key).then_some(*wanted)
        });
        plan.insert(name, kept.collect());
    }
    let mut missing: BTreeMap<&str, Vec<&CoreEndpoint>> = BTreeMap::new();
    for ((namespace, name), endpoint) in endpoints {
        if !placed.contains(&(*namespace, *name)) {
            missing.entry(namespace).or_default().push(endpoint);
        }
    }
    let mut acts = Vec::new();
    for (namespace, waiting) in missing {
        let mut waiting = waiting.into_iter().peekable();
        let mut room: Vec<(&String, &mut Vec<&CoreEndpoint>)> = plan
            .iter_mut()
            .map(|(name, planned)| (*name, planned))
            .filter(|(name, planned)| slices[*name].namespace == namespace && planned.len() < limit)
            .collect();
        room.sort_by_key(|(name, planned)| (slices[*name].holds(planned), usize::MAX - planned.len(), *name));
        for (_, planned) in room {
            while planned.len() < limit
                && let Some(endpoint) = waiting.next()
            {
                planned.push(endpoint);
            }
        }
        while waiting.peek().is_some() {
            let endpoints = waiting.by_ref().take(limit.max(1)).cloned().collect();
            acts.push(Act::Create { namespace: namespace.to_owned(), endpoints });
        }
    }
    for (name, endpoints) in plan {
        let slice = &slices[name];
        let (name, version) = (name.clone(), slice.version.clone());
        if endpoints.is_empty() {
            acts.push(Act::Delete { name, version });
        } else if !slice.holds(&endpoints) {
            let endpoints = endpoints.into_iter().cloned().collect();
            acts.push(Act::Replace { name, namespace: slice.namespace.clone(), version, endpoints });
        }
    }
    acts
}

impl Slice {
    fn holds(&self, endpoints: &[&CoreEndpoint]) -> bool {
        self.endpoints.iter().eq(endpoints.iter().copied())
    }

    /// Whether this is that state or a later one.
    fn is_as_new_as(&self, version: &str) -> bool {
        let number = |version: &str| version.parse::<u64>().ok();
        self.version == version || number(&self.version) > number(version)
    }
}

impl View for Slice {}

impl From<CiliumEndpointSlice> for Slice {
    fn from(slice: CiliumEndpointSlice) -> Self {
        Self {
            namespace: slice.namespace,
            version: slice.metadata.resource_version.unwrap_or_default(),
            endpoints: slice.endpoints,
        }
    }
}

/// What this leader wrote and the watch has not told of yet. What it does not tell of for long is another by now.
#[derive(Default)]
pub(crate) struct Pending(HashMap<String, (Wrote, Timestamp)>);

enum Wrote {
    Slice(Arc<Slice>),
    /// There is none any more.
    Nothing,
}

/// How long the watch may take to tell of a slice.
const PENDING: Duration = Duration::from_secs(30);

impl Pending {
    /// Notes a slice that was written.
    pub(crate) fn wrote(&mut self, name: String, slice: Slice, now: Timestamp) {
        self.0.insert(name, (Wrote::Slice(Arc::new(slice)), now));
    }

    /// Notes a slice that was deleted.
    pub(crate) fn deleted(&mut self, name: String, now: Timestamp) {
        self.0.insert(name, (Wrote::Nothing, now));
    }

    /// A slice is another than it should be: what the watch tells counts.
    pub(crate) fn forget(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Whether the watch may still tell of something.
    pub(crate) fn waits(&self) -> bool {
        !self.0.is_empty()
    }

    /// Puts what was written over what the watch has told.
    pub(crate) fn complete(&mut self, slices: &mut BTreeMap<String, Arc<Slice>>, now: Timestamp) {
        self.0.retain(|name, (wrote, since)| {
            let waits = Duration::try_from(now.duration_since(*since)).unwrap_or_default() < PENDING;
            let told = slices.get(name);
            match wrote {
                _ if !waits => false,
                Wrote::Slice(slice) if told.is_some_and(|told| told.is_as_new_as(&slice.version)) => false,
                Wrote::Slice(slice) => {
                    slices.insert(name.clone(), Arc::clone(slice));
                    true
                }
                Wrote::Nothing => slices.remove(name).is_some(),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Slices = BTreeMap<String, Arc<Slice>>;
    type Owned = BTreeMap<(String, String), CoreEndpoint>;

    fn decided(slices: &Slices, endpoints: &Owned, limit: usize) -> Vec<Act> {
        let endpoints = endpoints.iter().map(|((namespace, name), one)| ((&**namespace, &**name), one));
        decide(slices, &endpoints.collect(), limit)
    }

    fn endpoint(name: &str, identity: i64) -> CoreEndpoint {
        CoreEndpoint { name: name.to_owned(), id: identity, ..CoreEndpoint::default() }
    }

    /// What the API server makes of it.
    fn apply(slices: &mut Slices, acts: Vec<Act>, next: &mut u32) {
        for act in acts {
            match act {
                Act::Create { namespace, endpoints } => {
                    *next += 1;
                    let slice = Slice { namespace, version: next.to_string(), endpoints };
                    slices.insert(format!("ces-{next}"), Arc::new(slice));
                }
                Act::Replace { name, endpoints, .. } => {
                    Arc::make_mut(slices.get_mut(&name).unwrap()).endpoints = endpoints;
                }
                Act::Delete { name, .. } => _ = slices.remove(&name),
            }
        }
    }

    fn all(slices: &Slices) -> Owned {
        let mut all = BTreeMap::new();
        for slice in slices.values() {
            for endpoint in &slice.endpoints {
                let key = (slice.namespace.clone(), endpoint.name.clone());
                assert!(all.insert(key, endpoint.clone()).is_none(), "twice");
            }
        }
        all
    }

    proptest! {
        #[test]
        fn slices_hold_what_there_is(
            steps in prop::collection::vec((0..3_u8, 0..14_u8, 0..3_i64, any::<bool>()), 1..60),
        ) {
            let (mut slices, mut next) = (BTreeMap::new(), 0);
            let mut endpoints = BTreeMap::new();
            for (namespace, name, identity, there) in steps {
                let key = (format!("ns{namespace}"), format!("pod{name}"));
                if there {
                    let new = endpoint(&key.1, identity);
                    endpoints.insert(key, new);
                } else {
                    endpoints.remove(&key);
                }
                let acts = decided(&slices, &endpoints, 4);
                // One change, one write.
                prop_assert!(acts.len() <= 1, "{:?}", acts);
                apply(&mut slices, acts, &mut next);
                prop_assert_eq!(&all(&slices), &endpoints);
                prop_assert!(slices.values().all(|slice| (1..=4).contains(&slice.endpoints.len())));
            }
            prop_assert!(decided(&slices, &endpoints, 4).is_empty());
        }
    }

    #[test]
    fn many_at_once_are_few_writes() {
        let endpoints: BTreeMap<_, _> = (0..250)
            .map(|number| (("a".to_owned(), format!("p{number:03}")), endpoint(&format!("p{number:03}"), 1)))
            .collect();
        let acts = decided(&BTreeMap::new(), &endpoints, 100);
        assert_eq!(acts.len(), 3);
    }

    fn slice(names: &[&str], version: &str) -> Slice {
        Slice {
            namespace: "a".to_owned(),
            version: version.to_owned(),
            endpoints: names.iter().map(|name| endpoint(name, 1)).collect(),
        }
    }

    #[test]
    fn what_was_written_counts_until_the_watch_tells() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut pending = Pending::default();
        let seen = |pending: &mut Pending, told: &[(&str, &str)], second| {
            let mut slices: Slices = told
                .iter()
                .map(|(name, version)| ((*name).to_owned(), Arc::new(slice(&[], version))))
                .collect();
            pending.complete(&mut slices, at(second));
            let text = slices.iter().map(|(name, slice)| format!("{name}@{}", slice.version));
            text.collect::<Vec<_>>().join(" ")
        };
        pending.wrote("x".to_owned(), slice(&["p"], "10"), at(0));
        pending.deleted("y".to_owned(), at(0));
        assert_eq!(seen(&mut pending, &[("x", "9"), ("y", "5"), ("z", "1")], 1), "x@10 z@1");
        assert_eq!(seen(&mut pending, &[("x", "9"), ("z", "1")], 1), "x@10 z@1");
        assert_eq!(seen(&mut pending, &[("x", "11"), ("z", "1")], 2), "x@11 z@1");
        assert!(!pending.waits());
        // Deleted by somebody else before the watch could tell of it: it never will.
        pending.wrote("x".to_owned(), slice(&["p"], "12"), at(10));
        assert_eq!(seen(&mut pending, &[], 39), "x@12");
        assert_eq!(seen(&mut pending, &[], 41), "");
        pending.wrote("x".to_owned(), slice(&["p"], "13"), at(50));
        pending.forget("x");
        assert_eq!(seen(&mut pending, &[("x", "12")], 50), "x@12");
    }

    #[test]
    fn what_is_in_two_slices_is_put_right() {
        let slice = |names: &[&str]| Arc::new(slice(names, ""));
        let slices: BTreeMap<_, _> =
            [("x".to_owned(), slice(&["p", "q"])), ("y".to_owned(), slice(&["q"]))].into();
        let endpoints: BTreeMap<_, _> =
            ["p", "q"].map(|name| (("a".to_owned(), name.to_owned()), endpoint(name, 1))).into();
        assert_eq!(
            decided(&slices, &endpoints, 100),
            [Act::Delete { name: "y".to_owned(), version: String::new() }]
        );
    }
}
