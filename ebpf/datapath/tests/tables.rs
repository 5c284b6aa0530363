//! The tables of a datapath, on real maps.

mod support;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use abi::proto::TCP;
use abi::{
    Addr, AddressRecord, Cell, CellAction, CidrKey, CidrRecord, CidrSet, Endpoint, Identity, IfIndex, Peer,
    PeerClass, PolicySlot,
};
use netloom_datapath::{Capacities, Changes, CompiledPolicy, Datapath, Error, GRACE, Options, PortPrefix};
use scenarios::{Engine, Entry, Family, KernelEngine, Outcome, Packet, Paint, What, Who};

fn load() -> Option<Datapath> {
    support::can_run().then(|| Datapath::load(&support::options()).unwrap())
}

fn record(identity: u32) -> AddressRecord {
    AddressRecord {
        peer: Peer { identity: Identity(identity), cidrs: CidrSet::EMPTY },
        ..AddressRecord::default()
    }
}

fn endpoint(identity: u32) -> Endpoint {
    Endpoint { identity: Identity(identity), ..Endpoint::default() }
}

const fn addr(last: u8) -> Addr {
    Addr::v4([10, 0, 0, last])
}

/// A policy with so many peers, one exact port and one range.
fn policy(peers: u32) -> CompiledPolicy {
    let mut paint = Paint::nothing();
    for peer in 0..peers {
        paint = paint.allow(Who::identity(Identity(1000 + peer)), What::Port(TCP, 80));
    }
    paint.allow(Who::Any, What::Range(PortPrefix { proto: TCP, port: 8192, bits: 4 })).compile()
}

#[test]
fn only_differences_are_written() {
    let Some(mut datapath) = load() else { return };
    let table = &mut datapath.endpoints;
    assert!(table.set(IfIndex(1), endpoint(300)).unwrap());
    assert!(!table.set(IfIndex(1), endpoint(300)).unwrap());
    assert!(table.set(IfIndex(1), endpoint(301)).unwrap());
    assert!(table.set(IfIndex(2), endpoint(302)).unwrap());
    assert_eq!(table.get(&IfIndex(1)), Some(endpoint(301)));

    let desired = HashMap::from([1, 3, 4].map(|link| (IfIndex(link), endpoint(300 + link))));
    assert_eq!(table.replace(&desired).unwrap(), Changes { written: 2, removed: 1 });
    assert_eq!(table.replace(&desired).unwrap(), Changes::default());
    assert_eq!(table.entries(), &desired);

    assert!(table.remove(&IfIndex(3)).unwrap());
    assert!(!table.remove(&IfIndex(3)).unwrap());
    assert_eq!(table.remove_where(|link| *link != IfIndex(4)).unwrap(), 1);
    assert_eq!(table.entries(), &HashMap::from([(IfIndex(4), endpoint(304))]));
}

#[test]
fn of_a_large_table_the_kernel_knows_what_is_in_it() {
    let Some(mut datapath) = load() else { return };
    let table = &mut datapath.addresses;
    assert_eq!(table.get(&addr(1)).unwrap(), None);
    assert!(table.set(addr(1), record(300)).unwrap());
    assert!(!table.set(addr(1), record(300)).unwrap());
    assert!(table.set(addr(1), record(301)).unwrap());
    assert_eq!(table.get(&addr(1)).unwrap(), Some(record(301)));
    for last in 2..=200 {
        assert!(table.set(addr(last), record(300)).unwrap());
    }
    assert!(table.remove(&addr(2)).unwrap());
    assert!(!table.remove(&addr(2)).unwrap());
    assert_eq!(table.len(), 199);
    let fill = datapath.fill([7, 0]);
    let of = |map| fill.iter().find(|fill| fill.map == map).unwrap();
    assert_eq!(of(abi::maps::ADDRESSES).entries, 199);
    assert_eq!(of(abi::maps::ADDRESSES).capacity, u64::from(support::options().capacities.addresses));
    assert_eq!(of(abi::maps::CT_ESTABLISHED).entries, 7);
    assert!(fill.iter().all(|fill| fill.entries <= fill.capacity), "{fill:?}");
    let table = &mut datapath.addresses;
    let kept = [addr(1), addr(77)];
    assert_eq!(table.remove_where(|key| !kept.contains(key)).unwrap(), 197);
    assert_eq!(table.entries().unwrap(), HashMap::from([(addr(1), record(301)), (addr(77), record(300))]));
}

#[test]
fn a_table_takes_what_fits_and_says_when_it_is_full() {
    if !support::can_run() {
        return;
    }
    let capacities = Capacities { addresses: 3, ..support::options().capacities };
    let mut datapath = Datapath::load(&Options { capacities, ..Options::default() }).unwrap();
    for last in 1..=3 {
        datapath.addresses.set(addr(last), record(300)).unwrap();
    }
    let error = datapath.addresses.set(addr(4), record(300)).unwrap_err();
    assert!(matches!(error, Error::Map { operation: "writing", map: "ADDRESSES", .. }), "{error}");
    assert_eq!(datapath.addresses.entries().unwrap().len(), 3);
    datapath.addresses.remove(&addr(1)).unwrap();
    datapath.addresses.set(addr(4), record(300)).unwrap();
}

#[test]
fn nested_cidrs_come_and_go_one_by_one() {
    let Some(mut datapath) = load() else { return };
    let key = |bits: u32, last| CidrKey { prefix_len: 96 + bits, addr: Addr::v4([10, 1, 2, last]) };
    let all = [key(0, 0), key(8, 0), key(24, 0), key(25, 0), key(25, 128), key(32, 3)]
        .map(|key| CidrKey { addr: masked(key), ..key });
    for (number, key) in all.iter().enumerate() {
        let peer = Peer { identity: Identity(number as u32), cidrs: CidrSet(number as u32) };
        datapath.cidrs.set(*key, CidrRecord { peer }).unwrap();
    }
    assert_eq!(datapath.cidrs.entries().len(), all.len());
    assert_eq!(datapath.cidrs.remove_where(|key| key.prefix_len > 96 + 8).unwrap(), 4);
    assert_eq!(datapath.cidrs.entries().len(), 2);
}

/// The network's address.
fn masked(key: CidrKey) -> Addr {
    let bits = u128::from_be_bytes(key.addr.octets());
    Addr::from_octets((bits & u128::MAX.checked_shl(128 - key.prefix_len).unwrap_or(0)).to_be_bytes())
}

#[test]
fn a_retired_policy_leaves_nothing_behind() {
    let Some(mut datapath) = load() else { return };
    let policies = &mut datapath.policies;
    let (first, first_generation) = policies.install(&policy(10)).unwrap();
    let alone = policies.sizes();
    assert_eq!(alone[0], 10);
    let (second, second_generation) = policies.install(&policy(20)).unwrap();
    assert!(first != second && second_generation > first_generation);
    assert_eq!(policies.count(), 2);

    let now = Instant::now();
    policies.retire(second, now);
    policies.retire(second, now);
    // A packet may be under way that read the old slot.
    assert_eq!(policies.collect(now + GRACE - Duration::from_millis(1)).unwrap(), 0);
    assert_eq!(policies.count(), 2);
    assert_eq!(policies.collect(now + GRACE).unwrap(), 1);
    assert_eq!(policies.sizes(), alone);
    assert_eq!(policies.collect(now + GRACE).unwrap(), 0);

    let (third, third_generation) = policies.install(&policy(5)).unwrap();
    assert_eq!(third, second, "the slot is free again");
    assert!(third_generation > second_generation, "a generation is never used again");
    policies.retire(first, now);
    policies.retire(third, now);
    policies.collect(now + GRACE).unwrap();
    assert_eq!(policies.sizes(), [0; 4]);
    assert_eq!(policies.count(), 0);
}

#[test]
fn fixed_slots_are_never_retired() {
    let Some(mut datapath) = load() else { return };
    let now = Instant::now();
    datapath.policies.retire(PolicySlot::NONE, now);
    datapath.policies.retire(PolicySlot::ALLOW_ALL, now);
    assert_eq!(datapath.policies.collect(now + GRACE).unwrap(), 0);
}

#[test]
fn the_room_for_cells_is_used_again() {
    let Some(mut datapath) = load() else { return };
    let cells = 60_000;
    let large = CompiledPolicy {
        cells: vec![Cell { action: CellAction::Allow as u8, ..Cell::default() }; cells],
        stride: 100,
        ..CompiledPolicy::default()
    };
    let mut slots = Vec::new();
    let error = loop {
        match datapath.policies.install(&large) {
            Ok((slot, _)) => slots.push(slot),
            Err(error) => break error,
        }
        assert!(slots.len() < 100, "the array of cells is not that large");
    };
    assert!(matches!(error, Error::PolicyRoom { what: "cells", .. }), "{error}");
    assert_eq!(datapath.policies.sizes()[3], slots.len() * cells);
    let now = Instant::now();
    // A gap between others.
    datapath.policies.retire(slots[slots.len() / 2], now);
    datapath.policies.collect(now + GRACE).unwrap();
    datapath.policies.install(&large).unwrap();
    assert!(datapath.policies.install(&large).is_err());
}

#[test]
fn a_policy_that_does_not_fit_leaves_nothing_behind() {
    if !support::can_run() {
        return;
    }
    let capacities = Capacities { policy_peers: 64, ..support::options().capacities };
    let mut datapath = Datapath::load(&Options { capacities, ..Options::default() }).unwrap();
    assert!(datapath.policies.install(&policy(100)).is_err());
    assert_eq!(datapath.policies.sizes(), [0; 4]);
    assert_eq!(datapath.policies.count(), 0);
    datapath.policies.install(&policy(60)).unwrap();
}

#[test]
fn peers_join_a_policy_in_force() {
    if !support::can_run() {
        return;
    }
    let mut engine = KernelEngine::load().unwrap();
    let f = Family::V4;
    // The one with a row for those who join, and nobody in it yet.
    let mut policy = Paint::nothing().allow(Who::identity(Identity(1)), What::Port(TCP, 80)).compile();
    policy.peers.clear();
    let slot = engine.install(&policy).unwrap();
    let endpoint = Endpoint {
        v4: f.pod().into(),
        egress: slot,
        ingress: PolicySlot::ALLOW_ALL,
        ifindex: IfIndex(1),
        id: abi::EndpointId(1),
        ..Endpoint::default()
    };
    engine.set_endpoint(endpoint).unwrap();
    engine.set_address(f.other().into(), record(401)).unwrap();
    let connect = |engine: &mut KernelEngine, port| {
        let frame = Packet::tcp(f.pod(), f.other(), (4000, port), abi::proto::TCP_SYN).frame();
        engine.run(Entry::FromPod, &frame).unwrap().outcome
    };
    assert_eq!(connect(&mut engine, 80), Outcome::Drop(abi::DropReason::PolicyDenied));
    let joins = |identity| {
        BTreeMap::from([(Peer { identity: Identity(identity), cidrs: CidrSet::EMPTY }, PeerClass(1))])
    };
    engine.datapath.policies.add_peers(slot, &joins(999)).unwrap();
    assert_eq!(connect(&mut engine, 80), Outcome::Drop(abi::DropReason::PolicyDenied));
    engine.datapath.policies.add_peers(slot, &joins(401)).unwrap();
    assert_eq!(connect(&mut engine, 80), Outcome::Pass);
    assert_eq!(connect(&mut engine, 81), Outcome::Drop(abi::DropReason::PolicyDenied));
    assert!(engine.datapath.policies.add_peers(PolicySlot(777), &joins(401)).is_err());
    assert_eq!(engine.datapath.policies.sizes()[0], 2);
}
