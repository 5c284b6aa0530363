//! Addresses that pods of this node have of another network: of the VPC CNI, before a node was handed over.
//!
//! They are on interfaces that this agent gives addresses of, too, and no journal of ours knows them. What is known of
//! them is what the API says: until it has told all pods of this node, no address is given, and what they have is
//! written into the journal as taken, until the pod is gone and the address has rested.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use api::PodRef;
use ipam::{Record, State, Timestamp};

/// What owners begin with that are no attachments of ours. Attachments have one slash only.
const OWNER: &str = "foreign/";

/// Whether an owner of addresses is somebody else's pod.
pub(crate) fn is_foreign(owner: &str) -> bool {
    owner.starts_with(OWNER) && owner.matches('/').count() > 1
}

fn owner_of(pod: &PodRef) -> String {
    format!("{OWNER}{pod}")
}

/// The pods of this node that run and are not connected by this agent, and the addresses that the API says they have.
pub(crate) type Claims = BTreeMap<PodRef, BTreeSet<Ipv4Addr>>;

/// Tells pods of other networks from those that were this agent's a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    /// What this agent gave to pods and took back, while the API may still say that they have it.
    ended: BTreeMap<PodRef, BTreeSet<Ipv4Addr>>,
    complaints: BTreeSet<String>,
}

impl Foreign {
    /// A pod was disconnected by this agent.
    pub(crate) fn ended(&mut self, pod: &PodRef, addresses: &[IpAddr]) {
        let v4 = addresses.iter().filter_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        });
        self.ended.entry(pod.clone()).or_default().extend(v4);
    }

    /// Takes note of what pods have now: of all of them, without those that are not there or have finished.
    pub(crate) fn see(&mut self, claims: &mut Claims) {
        self.ended.retain(|pod, _| claims.contains_key(pod));
        for (pod, addresses) in claims {
            if let Some(ended) = self.ended.get(pod) {
                addresses.retain(|address| !ended.contains(address));
            }
        }
    }

    /// The next change of the journal that `claims` make necessary; to be asked again once it is applied.
    pub(crate) fn next(&self, claims: &Claims, state: &State, now: Timestamp) -> Option<Record> {
        let gone = state.allocations().filter(|(owner, _)| is_foreign(owner)).find_map(|(owner, has)| {
            let claimed = owner.strip_prefix(OWNER).and_then(|name| {
                let (namespace, name) = name.split_once('/')?;
                claims.get(&PodRef { namespace: namespace.to_owned(), name: name.to_owned() })
            });
            let still = |address: &IpAddr| match address {
                IpAddr::V4(address) => claimed.is_some_and(|claimed| claimed.contains(address)),
                IpAddr::V6(_) => false,
            };
            // Each is released on its own, so that its rest begins now.
            (!has.addresses.iter().all(still)).then(|| match claimed {
                Some(_) if has.addresses.iter().any(still) => Record::Allocated {
                    owner: owner.to_owned(),
                    addresses: has.addresses.iter().copied().filter(still).collect(),
                    pod: has.pod.clone(),
                    at: now,
                },
                _ => Record::Released { owner: owner.to_owned(), at: now },
            })
        });
        gone.or_else(|| {
            claims.iter().find_map(|(pod, addresses)| {
                let owner = owner_of(pod);
                let mut all = state.allocation(&owner).map(|has| has.addresses.clone()).unwrap_or_default();
                let had = all.len();
                let free = addresses.iter().copied().map(IpAddr::V4).filter(|address| {
                    state.owner_of(*address).is_none() && promised(state, *address).is_none()
                });
                all.extend(free);
                (all.len() > had).then(|| Record::Allocated {
                    owner,
                    addresses: all,
                    pod: pod.to_string(),
                    at: now,
                })
            })
        })
    }

    /// Takes note of claims that cannot be honoured: somebody else was given the address, or its prefix was promised
    /// back, before the API told of the pod.
    pub(crate) fn compare(&mut self, claims: &Claims, state: &State) {
        let mut complaints = BTreeSet::new();
        for (pod, addresses) in claims {
            for address in addresses.iter().copied().map(IpAddr::V4) {
                let held = state.owner_of(address).filter(|owner| *owner != owner_of(pod));
                let name = pod.to_string();
                let other = held.filter(|owner| state.allocation(owner).is_none_or(|has| has.pod != name));
                if let Some(other) = other {
                    complaints.insert(format!("pod {pod} has {address} by the API, which {other} was given"));
                } else if let Some(prefix) = held.is_none().then(|| promised(state, address)).flatten() {
                    complaints.insert(format!(
                        "pod {pod} has {address} by the API, and {prefix} was promised back"
                    ));
                }
            }
        }
        for new in complaints.difference(&self.complaints) {
            tracing::error!("{new}");
        }
        self.complaints = complaints;
    }

    /// What a person should know.
    pub(crate) fn complaints(&self) -> impl Iterator<Item = &String> {
        self.complaints.iter()
    }
}

/// The prefix around an address that is promised back.
fn promised(state: &State, address: IpAddr) -> Option<ipnetwork::IpNetwork> {
    state.drains().map(|(prefix, _)| prefix).find(|prefix| prefix.contains(address))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ipam::{Epoch, Family, Pool, PoolCidr};

    use super::*;

    const REST: Duration = Duration::from_secs(30);

    fn pod(name: &str) -> PodRef {
        PodRef { namespace: "shop".into(), name: name.into() }
    }

    fn claims(all: &[(&str, &[&str])]) -> Claims {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        all.iter().map(|(name, texts)| (pod(name), addresses(texts))).collect()
    }

    /// A prefix of four addresses.
    fn pool() -> Pool {
        let mut pool = Pool::new([], REST).unwrap();
        pool.set_prefixes([PoolCidr::delegated("10.0.0.0/30".parse().unwrap())]).unwrap();
        pool
    }

    fn follow(foreign: &mut Foreign, pool: &mut Pool, mut claims: Claims, at: u64) {
        foreign.see(&mut claims);
        for turn in 0.. {
            assert!(turn < 10, "it comes to no end");
            let Some(record) = foreign.next(&claims, pool.state(), Timestamp(at)) else { break };
            pool.apply(&record).unwrap();
        }
        foreign.compare(&claims, pool.state());
    }

    fn give(pool: &mut Pool, owner: &str, at: u64) -> Option<String> {
        let given = pool.allocate(owner, "shop/own", &[Family::V4], Timestamp(at)).ok()?;
        Some(given[0].to_string())
    }

    /// A pod of another network keeps its address to itself while it runs, and for the rest after that.
    #[test]
    fn what_a_foreign_pod_has_is_given_to_nobody() {
        let (mut foreign, mut pool) = (Foreign::default(), pool());
        let both = claims(&[("old", &["10.0.0.0", "192.0.2.9"]), ("other", &["10.0.0.2"]), ("new", &[])]);
        follow(&mut foreign, &mut pool, both, 0);
        assert_eq!(give(&mut pool, "c1/eth0", 0).unwrap(), "10.0.0.1");
        assert_eq!(give(&mut pool, "c2/eth0", 0).unwrap(), "10.0.0.3");
        assert_eq!(give(&mut pool, "c3/eth0", 0), None);
        // One has another address by now, and one is gone: what they had rests, as anybody's.
        follow(&mut foreign, &mut pool, claims(&[("old", &["192.0.2.9"])]), 1_000);
        assert_eq!(give(&mut pool, "c3/eth0", 30_999), None);
        assert_eq!(give(&mut pool, "c3/eth0", 31_000).unwrap(), "10.0.0.0");
        let held: Vec<&str> = pool.state().allocations().map(|(owner, _)| owner).collect();
        assert_eq!(held, ["c1/eth0", "c2/eth0", "c3/eth0", "foreign/shop/old"]);
        assert!(
            is_foreign(held[3]) && !held[..3].iter().copied().any(is_foreign) && !is_foreign("foreign/eth0")
        );
        follow(&mut foreign, &mut pool, Claims::new(), 40_000);
        assert_eq!(pool.state().allocations().count(), 3);
        assert_eq!(foreign.complaints().count(), 0);
    }

    /// A pod that this agent has just disconnected is still said to have its address.
    #[test]
    fn who_was_disconnected_here_is_not_foreign() {
        let (mut foreign, mut pool) = (Foreign::default(), pool());
        give(&mut pool, "c1/eth0", 0).unwrap();
        pool.release("c1/eth0", Timestamp(5));
        foreign.ended(&pod("own"), &["10.0.0.0".parse().unwrap()]);
        for _ in 0..2 {
            follow(&mut foreign, &mut pool, claims(&[("own", &["10.0.0.0"])]), 10);
            assert_eq!(pool.state().allocations().count(), 0);
        }
        // Another of the same name that came since has it of somebody else.
        follow(&mut foreign, &mut pool, Claims::new(), 20);
        follow(&mut foreign, &mut pool, claims(&[("own", &["10.0.0.0"])]), 30);
        assert_eq!(pool.state().allocations().count(), 1);
    }

    /// What the API tells too late is said, since it cannot be undone; and two pods with one address take turns.
    #[test]
    fn claims_that_contradict_what_was_done() {
        let (mut foreign, mut pool) = (Foreign::default(), pool());
        give(&mut pool, "c1/eth0", 0).unwrap();
        let promise = Record::Drained {
            epoch: Epoch(1),
            prefixes: vec!["10.0.9.0/28".parse().unwrap()],
            at: Timestamp(0),
        };
        pool.apply(&promise).unwrap();
        let late = claims(&[("late", &["10.0.0.0"]), ("own", &["10.0.0.0"]), ("promised", &["10.0.9.1"])]);
        follow(&mut foreign, &mut pool, late, 0);
        let said: Vec<&String> = foreign.complaints().collect();
        assert_eq!(
            said,
            [
                "pod shop/late has 10.0.0.0 by the API, which c1/eth0 was given",
                "pod shop/promised has 10.0.9.1 by the API, and 10.0.9.0/28 was promised back",
            ]
        );
        assert_eq!(pool.state().allocations().count(), 1);
        follow(&mut foreign, &mut pool, claims(&[("a", &["10.0.0.2"]), ("b", &["10.0.0.2"])]), 0);
        assert_eq!(pool.owner_of("10.0.0.2".parse().unwrap()), Some("foreign/shop/a"));
        follow(&mut foreign, &mut pool, claims(&[("b", &["10.0.0.2"])]), 0);
        assert_eq!(pool.owner_of("10.0.0.2".parse().unwrap()), Some("foreign/shop/b"));
    }
}
