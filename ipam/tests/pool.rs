//! The pool beside a reference that finds the same answers the slow way, from sets alone.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use ipam::{AddressRange, Epoch, Family, Pool, PoolCidr, PoolError, Timestamp};
use ipnetwork::{IpNetwork, Ipv4Network};
use proptest::prelude::*;

const COOLDOWN: u64 = 5;

/// Every address of every prefix by its history.
#[derive(Default)]
struct Reference {
    prefixes: Vec<Vec<IpAddr>>,
    held: BTreeMap<IpAddr, u8>,
    ever: BTreeSet<IpAddr>,
    released: BTreeMap<IpAddr, u64>,
    /// Prefixes that are promised back, with the epoch.
    drained: BTreeMap<IpNetwork, u64>,
}

impl Reference {
    fn set_cidrs(&mut self, cidrs: &[IpNetwork]) {
        self.prefixes = cidrs.iter().map(|cidr| usable(*cidr).iter().collect()).collect();
    }

    fn drains(&self, address: &IpAddr) -> bool {
        self.drained.keys().any(|cidr| cidr.contains(*address))
    }

    /// Nobody has an address of it, and nobody had one a short time ago.
    fn rests(&self, cidr: IpNetwork, now: u64) -> bool {
        let inside = |address: &&IpAddr| cidr.contains(**address);
        let held = self.held.keys().any(|address| inside(&address));
        let mut free = self.released.iter().filter(|(a, _)| inside(a) && !self.held.contains_key(a));
        !held && free.all(|(_, since)| now.saturating_sub(*since) >= COOLDOWN)
    }

    fn choose(&self, family: Family, now: u64) -> Option<IpAddr> {
        let mut order: Vec<_> = self.prefixes.iter().filter(|p| Family::of(p[0]) == family).collect();
        order.sort_by_key(|p| Reverse(p.iter().filter(|a| self.held.contains_key(a)).count()));
        order.into_iter().find_map(|prefix| {
            if self.drains(&prefix[0]) {
                return None;
            }
            let fresh = prefix.iter().find(|a| !self.ever.contains(a)).copied();
            let cooled = prefix.iter().filter(|a| !self.held.contains_key(a)).filter_map(|a| {
                let since = *self.released.get(a)?;
                (now.saturating_sub(since) >= COOLDOWN).then_some((since, *a))
            });
            fresh.or(cooled.min().map(|(_, a)| a))
        })
    }

    fn of(&self, owner: u8, family: Family) -> Option<IpAddr> {
        self.held.iter().find(|(a, o)| **o == owner && Family::of(**a) == family).map(|(a, _)| *a)
    }
}

#[derive(Clone, Debug)]
enum Op {
    Allocate(u8, bool),
    Release(u8),
    Cidrs(u8),
    /// One of the CIDRs is asked back.
    Drain(u8),
    /// What was promised is given back.
    Epoch,
}

fn op() -> impl Strategy<Value = (Op, u64)> {
    let op = prop_oneof![
        6 => (0..12u8, any::<bool>()).prop_map(|(owner, v6)| Op::Allocate(owner, v6)),
        4 => (0..12u8).prop_map(Op::Release),
        1 => (0..8u8).prop_map(Op::Cidrs),
        2 => (0..ALL.len() as u8).prop_map(Op::Drain),
        1 => Just(Op::Epoch),
    ];
    (op, 0..4u64)
}

/// With the bit that chooses it. Those of 10.0.4.0/22 are prefixes of interfaces, of which every address is given.
const ALL: [(u8, &str); 6] = [
    (1, "10.0.0.0/30"),
    (2, "10.0.1.0/29"),
    (4, "10.0.2.0/31"),
    (1, "10.0.4.0/30"),
    (2, "10.0.4.7/32"),
    (0, "fd00::/126"),
];

fn cidr(index: u8) -> IpNetwork {
    ALL[usize::from(index)].1.parse().unwrap()
}

/// A choice of CIDRs, sorted.
fn cidrs(choice: u8) -> Vec<IpNetwork> {
    let chosen = ALL.iter().filter(|(bit, _)| *bit == 0 || choice & bit != 0);
    chosen.map(|(_, cidr)| cidr.parse().unwrap()).collect()
}

fn delegated(cidr: IpNetwork) -> Option<Ipv4Network> {
    match cidr {
        IpNetwork::V4(cidr) if cidr.network() >= std::net::Ipv4Addr::new(10, 0, 4, 0) => Some(cidr),
        _ => None,
    }
}

fn usable(cidr: IpNetwork) -> AddressRange {
    if delegated(cidr).is_some() { AddressRange::of(cidr) } else { AddressRange::usable(cidr) }
}

fn pool_cidrs(choice: u8) -> impl Iterator<Item = PoolCidr> {
    cidrs(choice).into_iter().map(|cidr| delegated(cidr).map_or(PoolCidr::network(cidr), PoolCidr::delegated))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_pool_agrees_with_the_reference(ops in prop::collection::vec(op(), 1..80)) {
        let mut reference = Reference::default();
        reference.set_cidrs(&cidrs(7));
        let mut pool = Pool::new([], Duration::from_millis(COOLDOWN)).unwrap();
        pool.set_prefixes(pool_cidrs(7)).unwrap();
        let mut epoch = 0;
        let mut now = 0;
        for (op, pause) in ops {
            now += pause;
            match op {
                Op::Allocate(owner, v6) => {
                    let family = if v6 { Family::V6 } else { Family::V4 };
                    let expected = reference.of(owner, family).or_else(|| reference.choose(family, now));
                    let given = pool.allocate(&owner.to_string(), "p", &[family], Timestamp(now));
                    match expected {
                        Some(address) => {
                            let given = given.unwrap();
                            prop_assert!(given.contains(&address), "{:?} has no {}", given, address);
                            reference.held.insert(address, owner);
                            reference.ever.insert(address);
                        }
                        None => {
                            let exhausted = matches!(given, Err(PoolError::Exhausted { .. }));
                            prop_assert!(exhausted, "{:?}", given);
                        }
                    }
                }
                Op::Release(owner) => {
                    let released: BTreeSet<_> = pool.release(&owner.to_string(), Timestamp(now)).into_iter().collect();
                    let held = reference.held.iter().filter(|(_, o)| **o == owner);
                    let expected: BTreeSet<_> = held.map(|(a, _)| *a).collect();
                    prop_assert_eq!(&released, &expected);
                    reference.held.retain(|_, o| *o != owner);
                    reference.released.extend(expected.iter().map(|a| (*a, now)));
                }
                Op::Cidrs(choice) => {
                    reference.set_cidrs(&cidrs(choice));
                    pool.set_prefixes(pool_cidrs(choice)).unwrap();
                }
                Op::Drain(index) => {
                    epoch += 1;
                    let cidr = cidr(index);
                    let known = reference.prefixes.iter().flatten().any(|a| cidr.contains(*a));
                    let promised = reference.drained.contains_key(&cidr);
                    let expected = promised || known && reference.rests(cidr, now);
                    let decision = pool.decide_drain(Epoch(epoch), &[cidr], Timestamp(now));
                    prop_assert_eq!(decision.drained.contains(&cidr), expected, "{:?}", decision);
                    prop_assert_eq!(decision.refused.is_empty(), expected);
                    if let Some(record) = decision.record {
                        pool.apply(&record).unwrap();
                        reference.drained.insert(cidr, epoch);
                    }
                }
                Op::Epoch => {
                    if let Some(record) = pool.decide_epoch(Epoch(epoch), Timestamp(now)) {
                        pool.apply(&record).unwrap();
                    }
                    let gone: Vec<_> =
                        reference.drained.extract_if(.., |_, since| *since < epoch).map(|(cidr, _)| cidr).collect();
                    // A prefix that comes back is a new one.
                    let old = |address: &IpAddr| gone.iter().any(|cidr| cidr.contains(*address));
                    reference.ever.retain(|address| !old(address));
                    reference.released.retain(|address, _| !old(address));
                }
            }
            for (cidr, _) in pool.draining() {
                prop_assert!(reference.held.keys().all(|address| !cidr.contains(*address)));
            }
            for part in pool.report(Timestamp(now)) {
                let whole = usable(part.cidr);
                prop_assert_eq!(part.used + part.cooling + part.free + part.draining, whole.len());
                let used = reference.held.keys().filter(|a| whole.contains(**a)).count();
                prop_assert_eq!(part.used, used as u128);
                prop_assert_eq!(part.drained_in.is_some(), reference.drained.contains_key(&part.cidr));
                prop_assert!(part.drained_in.is_none() || part.free == 0 && part.used == 0);
            }
            for (address, owner) in &reference.held {
                let owner = owner.to_string();
                prop_assert_eq!(pool.owner_of(*address), Some(owner.as_str()));
            }
            prop_assert_eq!(pool.state().held().count(), reference.held.len());
            let inside: BTreeSet<_> = reference.prefixes.iter().flatten().collect();
            for family in [Family::V4, Family::V6] {
                let of = |a: &&IpAddr| Family::of(**a) == family;
                let used = reference.held.keys().filter(|a| inside.contains(a)).filter(of).count();
                prop_assert_eq!(pool.used(family), used as u128);
                prop_assert_eq!(pool.capacity(family), inside.iter().copied().filter(of).count() as u128);
            }
            let outside: Vec<_> = reference.held.keys().filter(|a| !inside.contains(a)).copied().collect();
            prop_assert_eq!(pool.quarantined().map(|(a, _)| a).collect::<Vec<_>>(), outside);
        }
    }
}
