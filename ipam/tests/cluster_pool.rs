//! The cluster's pool against a list of who has what.

use std::collections::BTreeMap;

use ipam::{ClusterPool, InvalidPool, contains, overlap};
use ipnetwork::IpNetwork;
use proptest::prelude::*;

fn net(text: &str) -> IpNetwork {
    text.parse().unwrap()
}

fn pool(cidrs: &[&str], size: u8) -> ClusterPool {
    ClusterPool::new(&cidrs.iter().map(|cidr| net(cidr)).collect::<Vec<_>>(), size).unwrap()
}

#[test]
fn ranges_that_cannot_be_cut() {
    let new = |cidrs: &[&str], size| {
        ClusterPool::new(&cidrs.iter().map(|cidr| net(cidr)).collect::<Vec<_>>(), size).unwrap_err()
    };
    assert_eq!(new(&[], 24), InvalidPool::Empty);
    assert_eq!(new(&["10.0.0.0/8", "fd00::/64"], 24).to_string(), "fd00::/64 is not IPv4, as the others are");
    assert_eq!(new(&["10.0.0.0/25"], 24).to_string(), "10.0.0.0/25 cannot be cut into blocks of /24");
    assert_eq!(new(&["10.0.0.0/8"], 33).to_string(), "10.0.0.0/8 cannot be cut into blocks of /33");
    assert_eq!(new(&["10.0.0.0/8", "10.1.0.0/16"], 24).to_string(), "10.0.0.0/8 and 10.1.0.0/16 overlap");
}

#[test]
fn ranges_are_used_in_their_order() {
    let mut pool = pool(&["10.1.0.0/23", "10.0.0.0/24"], 24);
    let got: Vec<_> = ["a", "b", "c", "d"].map(|node| pool.allocate(node)).to_vec();
    assert_eq!(got, [Some(net("10.1.0.0/24")), Some(net("10.1.1.0/24")), Some(net("10.0.0.0/24")), None]);
    assert_eq!(pool.counts(), (3, 0));
}

#[test]
fn ends_of_the_address_space() {
    let mut high = pool(&["255.255.255.0/24"], 25);
    assert_eq!(high.allocate("a"), Some(net("255.255.255.0/25")));
    assert_eq!(high.allocate("b"), Some(net("255.255.255.128/25")));
    assert_eq!(high.allocate("c"), None);
    let mut all = pool(&["::/0"], 0);
    assert_eq!(all.allocate("a"), Some(net("::/0")));
    assert_eq!(all.allocate("b"), None);
    let mut single = pool(&["fd00::/127"], 128);
    assert_eq!(single.allocate("a"), Some(net("fd00::/128")));
    assert_eq!(single.allocate("b"), Some(net("fd00::1/128")));
    assert_eq!(single.allocate("c"), None);
    assert_eq!(pool(&["fd00::/8"], 120).counts().0, 1 << 112);
}

#[test]
fn blocks_of_other_sizes_are_in_the_way() {
    let mut pool = pool(&["10.0.0.0/22"], 24);
    pool.occupy("small", net("10.0.0.64/26")).unwrap();
    pool.occupy("wide", net("10.0.2.0/23")).unwrap();
    pool.occupy("elsewhere", net("192.0.2.0/24")).unwrap();
    assert_eq!(pool.counts(), (4, 1));
    assert_eq!(pool.allocate("a"), Some(net("10.0.1.0/24")));
    assert_eq!(pool.allocate("b"), None);
    pool.release("small");
    assert_eq!(pool.allocate("b"), Some(net("10.0.0.0/24")));
    pool.release("wide");
    assert_eq!(pool.allocate("c"), Some(net("10.0.2.0/24")));
    assert_eq!(pool.of("c"), [net("10.0.2.0/24")]);
}

#[test]
fn given_twice_is_told_and_takes_nothing() {
    let mut pool = pool(&["10.0.0.0/8"], 24);
    pool.occupy("a", net("10.0.0.0/24")).unwrap();
    let twice = pool.occupy("b", net("10.0.0.128/25")).unwrap_err();
    assert_eq!(twice.to_string(), "10.0.0.128/25 overlaps 10.0.0.0/24, which a has");
    let twice = pool.occupy("b", net("10.0.0.0/16")).unwrap_err();
    assert_eq!(twice.owner, "a");
    assert!(pool.of("b").is_empty());
    pool.occupy("a", net("10.0.0.0/24")).unwrap();
    assert_eq!(pool.of("a").len(), 1);
}

#[derive(Clone, Debug)]
enum Act {
    Allocate(u8),
    Release(u8),
    Occupy(u8, u8, u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..12_u8).prop_map(Act::Allocate),
        2 => (0..12_u8).prop_map(Act::Release),
        2 => (0..12_u8, any::<u8>(), 21..=27_u8).prop_map(|(owner, third, prefix)| Act::Occupy(owner, third, prefix)),
    ]
}

proptest! {
    #[test]
    fn no_overlap_ever_and_the_lowest_first(acts in prop::collection::vec(act(), 0..80), size in 24..=26_u8) {
        let ranges = [net("10.0.4.0/22"), net("10.0.0.0/23")];
        let mut pool = ClusterPool::new(&ranges, size).unwrap();
        let mut model: BTreeMap<String, Vec<IpNetwork>> = BTreeMap::new();
        for act in acts {
            match act {
                Act::Allocate(owner) => {
                    let owner = owner.to_string();
                    // All blocks, in order; the first that nothing overlaps.
                    let expected = ranges.iter().flat_map(|range| blocks(*range, size)).find(|block| {
                        !model.values().flatten().any(|taken| overlap(*taken, *block))
                    });
                    prop_assert_eq!(pool.allocate(&owner), expected);
                    if let Some(block) = expected {
                        model.entry(owner).or_default().push(block);
                    }
                }
                Act::Release(owner) => {
                    let owner = owner.to_string();
                    prop_assert_eq!(pool.release(&owner), model.remove(&owner).unwrap_or_default());
                }
                Act::Occupy(owner, third, prefix) => {
                    let owner = owner.to_string();
                    let cidr = ipam::canonical(format!("10.0.{}.{third}/{prefix}", third % 9).parse().unwrap());
                    let of_others = model.iter().filter(|(other, _)| **other != owner);
                    let conflict = of_others.flat_map(|(_, has)| has).any(|has| overlap(*has, cidr));
                    prop_assert_eq!(pool.occupy(&owner, cidr).is_err(), conflict);
                    let has = model.entry(owner).or_default();
                    if !conflict && !has.contains(&cidr) {
                        has.push(cidr);
                    }
                }
            }
            for (owner, has) in &model {
                prop_assert_eq!(pool.of(owner), has.as_slice());
            }
            let free = ranges.iter().flat_map(|range| blocks(*range, size)).filter(|block| {
                !model.values().flatten().any(|taken| overlap(*taken, *block))
            });
            prop_assert_eq!(pool.counts().1, free.count() as u128);
        }
        let all: Vec<_> = model.iter().flat_map(|(owner, has)| has.iter().map(move |cidr| (owner, *cidr))).collect();
        for (index, (owner, one)) in all.iter().enumerate() {
            for (other_owner, other) in &all[index + 1..] {
                prop_assert!(owner == other_owner || !overlap(*one, *other), "{} {}", one, other);
            }
        }
    }
}

fn blocks(range: IpNetwork, size: u8) -> impl Iterator<Item = IpNetwork> {
    let IpNetwork::V4(v4) = range else { unreachable!() };
    let first = u32::from(v4.network());
    let step = 1_u32 << (32 - size);
    (0..1_u32 << (size - range.prefix())).map(move |index| {
        let block = IpNetwork::new(std::net::Ipv4Addr::from(first + index * step).into(), size).unwrap();
        assert!(contains(range, block));
        block
    })
}
