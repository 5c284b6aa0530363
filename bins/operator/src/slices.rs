//! CiliumEndpointSlices: many endpoints in one object, with few writes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crds::types::CoreEndpoint;

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

/// Compares slices with the endpoints that there are, by namespace and name. At most `limit` endpoints are in one.
///
/// An endpoint stays where it is. New ones go where something is written anyway, then to the fullest slice with room,
/// so that there are few slices and few writes.
pub(crate) fn decide(
    slices: &BTreeMap<String, Slice>,
    endpoints: &BTreeMap<(String, String), CoreEndpoint>,
    limit: usize,
) -> Vec<Act> {
    let mut placed: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut plan: BTreeMap<&String, Vec<CoreEndpoint>> = BTreeMap::new();
    for (name, slice) in slices {
        let mut kept = Vec::new();
        for endpoint in &slice.endpoints {
            let key = (slice.namespace.clone(), endpoint.name.clone());
            // One that is in two slices is taken out of the second.
            if let Some((key, wanted)) = endpoints.get_key_value(&key)
                && placed.insert((&key.0, &key.1))
            {
                kept.push(wanted.clone());
            }
        }
        plan.insert(name, kept);
    }
    let mut missing: HashMap<&str, Vec<&CoreEndpoint>> = HashMap::new();
    for ((namespace, name), endpoint) in endpoints {
        if !placed.contains(&(namespace.as_str(), name.as_str())) {
            missing.entry(namespace).or_default().push(endpoint);
        }
    }
    let mut acts = Vec::new();
    let mut namespaces: Vec<&str> = missing.keys().copied().collect();
    namespaces.sort_unstable();
    for namespace in namespaces {
        let mut waiting = missing.remove(namespace).unwrap_or_default().into_iter().cloned().peekable();
        let mut room: Vec<(&String, &mut Vec<CoreEndpoint>)> = plan
            .iter_mut()
            .map(|(name, planned)| (*name, planned))
            .filter(|(name, planned)| slices[*name].namespace == namespace && planned.len() < limit)
            .collect();
        room.sort_by_key(|(name, planned)| {
            (slices[*name].endpoints == **planned, usize::MAX - planned.len(), *name)
        });
        for (_, planned) in room {
            while planned.len() < limit
                && let Some(endpoint) = waiting.next()
            {
                planned.push(endpoint);
            }
        }
        while waiting.peek().is_some() {
            let endpoints = waiting.by_ref().take(limit.max(1)).collect();
            acts.push(Act::Create { namespace: namespace.to_owned(), endpoints });
        }
    }
    for (name, endpoints) in plan {
        let slice = &slices[name];
        let (name, version) = (name.clone(), slice.version.clone());
        if endpoints.is_empty() {
            acts.push(Act::Delete { name, version });
        } else if endpoints != slice.endpoints {
            acts.push(Act::Replace { name, namespace: slice.namespace.clone(), version, endpoints });
        }
    }
    acts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn endpoint(name: &str, identity: i64) -> CoreEndpoint {
        CoreEndpoint { name: name.to_owned(), id: identity, ..CoreEndpoint::default() }
    }

    /// What the API server makes of it.
    fn apply(slices: &mut BTreeMap<String, Slice>, acts: Vec<Act>, next: &mut u32) {
        for act in acts {
            match act {
                Act::Create { namespace, endpoints } => {
                    *next += 1;
                    let slice = Slice { namespace, version: next.to_string(), endpoints };
                    slices.insert(format!("ces-{next}"), slice);
                }
                Act::Replace { name, endpoints, .. } => {
                    slices.get_mut(&name).unwrap().endpoints = endpoints;
                }
                Act::Delete { name, .. } => _ = slices.remove(&name),
            }
        }
    }

    fn all(slices: &BTreeMap<String, Slice>) -> BTreeMap<(String, String), CoreEndpoint> {
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
                let acts = decide(&slices, &endpoints, 4);
                // One change, one write.
                prop_assert!(acts.len() <= 1, "{:?}", acts);
                apply(&mut slices, acts, &mut next);
                prop_assert_eq!(&all(&slices), &endpoints);
                prop_assert!(slices.values().all(|slice| (1..=4).contains(&slice.endpoints.len())));
            }
            prop_assert!(decide(&slices, &endpoints, 4).is_empty());
        }
    }

    #[test]
    fn many_at_once_are_few_writes() {
        let endpoints: BTreeMap<_, _> = (0..250)
            .map(|number| (("a".to_owned(), format!("p{number:03}")), endpoint(&format!("p{number:03}"), 1)))
            .collect();
        let acts = decide(&BTreeMap::new(), &endpoints, 100);
        assert_eq!(acts.len(), 3);
    }

    #[test]
    fn what_is_in_two_slices_is_put_right() {
        let slice = |names: &[&str]| Slice {
            namespace: "a".to_owned(),
            version: String::new(),
            endpoints: names.iter().map(|name| endpoint(name, 1)).collect(),
        };
        let slices: BTreeMap<_, _> =
            [("x".to_owned(), slice(&["p", "q"])), ("y".to_owned(), slice(&["q"]))].into();
        let endpoints: BTreeMap<_, _> =
            ["p", "q"].map(|name| (("a".to_owned(), name.to_owned()), endpoint(name, 1))).into();
        assert_eq!(
            decide(&slices, &endpoints, 100),
            [Act::Delete { name: "y".to_owned(), version: String::new() }]
        );
    }
}
