//! One agent after the other: what is pinned outlives the process that pinned it.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

use abi::proto::{TCP, TCP_ACK, TCP_SYN};
use abi::{Config, Generation, PeerClass, PeerKey, PolicySlot, maps};
use aya::maps::{HashMap as BpfHashMap, Map, MapData};
use netloom_datapath::{Datapath, Error, GRACE, Pins, Program};
use scenarios::{Engine, Entry, Family, KernelEngine, Outcome, Packet, Paint, What, Who};
use support::BpfFs;

const F: Family = Family::V4;

fn web_only() -> netloom_datapath::CompiledPolicy {
    Paint::nothing().allow(Who::identity(abi::Identity(401)), What::Port(TCP, 80)).compile()
}

/// A datapath with the scenarios' world in it, whose pod may connect to one peer and one port.
fn populated(fs: &BpfFs) -> (KernelEngine, PolicySlot) {
    let mut engine = KernelEngine::new(Datapath::load(&fs.options()).unwrap()).unwrap();
    let setup = scenarios::all().swap_remove(0).setup;
    for (addr, record) in setup.addresses {
        engine.set_address(addr, record).unwrap();
    }
    for (key, record) in setup.cidrs {
        engine.set_cidr(key, record).unwrap();
    }
    let slot = engine.install(&web_only()).unwrap();
    for pod in setup.pods {
        let endpoint = abi::Endpoint { ingress: PolicySlot::ALLOW_ALL, egress: slot, ..pod.endpoint };
        engine.set_endpoint(endpoint).unwrap();
    }
    (engine, slot)
}

fn sends(engine: &mut KernelEngine, port: u16, flags: u8) -> Outcome {
    let frame = Packet::tcp(F.pod(), F.other(), (4000, port), flags).frame();
    engine.run(Entry::FromPod, &frame).unwrap().outcome
}

#[test]
fn the_next_agent_takes_over_everything() {
    if !support::can_run() {
        return;
    }
    let fs = BpfFs::new();
    let (mut first, slot) = populated(&fs);
    let config = Config { mtu: 1400, overlay_port: 6081, ..Config::default() };
    first.set_config(&config).unwrap();
    assert_eq!(sends(&mut first, 80, TCP_SYN), Outcome::Pass);
    let answer = Packet::tcp(F.other(), F.pod(), (80, 4000), TCP_SYN | TCP_ACK).frame();
    assert_eq!(first.run(Entry::ToPod, &answer).unwrap().outcome, Outcome::Pass);
    assert_eq!(sends(&mut first, 80, TCP_ACK), Outcome::Pass);
    let before = (
        first.datapath.endpoints.entries().clone(),
        first.datapath.addresses.entries().unwrap(),
        first.datapath.cidrs.entries().clone(),
        first.datapath.policies.sizes(),
        first.connections().unwrap(),
    );
    assert_eq!(before.4.len(), 1);
    let (_, last_generation) = first.datapath.policies.install(&web_only()).unwrap();
    drop(first);

    let mut second = KernelEngine::new(Datapath::load(&fs.options()).unwrap()).unwrap();
    assert_eq!(second.datapath.config().unwrap(), config);
    assert_eq!(second.datapath.endpoints.entries(), &before.0);
    assert_eq!(second.datapath.addresses.entries().unwrap(), before.1);
    assert_eq!(second.datapath.cidrs.entries(), &before.2);
    assert_eq!(second.connections().unwrap(), before.4);
    assert_eq!(second.datapath.policies.count(), 2);
    // The connection goes on, unasked; new ones are judged by the old policy.
    let run =
        second.run(Entry::FromPod, &Packet::tcp(F.pod(), F.other(), (4000, 80), TCP_ACK).frame()).unwrap();
    assert_eq!((run.outcome, run.events.len()), (Outcome::Pass, 0));
    assert_eq!(sends(&mut second, 81, TCP_SYN), Outcome::Drop(abi::DropReason::PolicyDenied));

    let (_, generation) = second.datapath.policies.install(&web_only()).unwrap();
    assert!(generation > last_generation, "{generation:?} after {last_generation:?}");
    // What nobody names any more can go.
    let now = Instant::now();
    second.datapath.policies.retire_inherited(&BTreeSet::from([slot]), now);
    assert_eq!(second.datapath.policies.collect(now + GRACE).unwrap(), 1);
    assert_eq!(second.datapath.policies.count(), 2);
    assert_eq!(sends(&mut second, 80, TCP_ACK), Outcome::Pass);
}

#[test]
fn a_generation_is_not_used_again_by_the_next_agent() {
    if !support::can_run() {
        return;
    }
    let fs = BpfFs::new();
    let mut first = Datapath::load(&fs.options()).unwrap();
    let (slot, last_generation) = first.policies.install(&web_only()).unwrap();
    let now = Instant::now();
    first.policies.retire(slot, now);
    first.policies.collect(now + GRACE).unwrap();
    drop(first);
    let mut second = Datapath::load(&fs.options()).unwrap();
    let (_, generation) = second.policies.install(&web_only()).unwrap();
    // Connections may still remember that they were judged by it.
    assert!(generation > last_generation, "{generation:?} after {last_generation:?}");
}

#[test]
fn what_a_dying_agent_left_half_written_is_removed() {
    if !support::can_run() {
        return;
    }
    let fs = BpfFs::new();
    drop(Datapath::load(&fs.options()).unwrap());
    // The policy that it was about to install, peers written, head not.
    let pin = Pins::open(&fs.root()).unwrap().maps().join(maps::POLICY_PEERS);
    let mut peers: BpfHashMap<MapData, PeerKey, PeerClass> =
        Map::from_map_data(MapData::from_pin(&pin).unwrap()).unwrap().try_into().unwrap();
    let orphan =
        |generation| PeerKey { generation, identity: abi::Identity(666), cidrs: abi::CidrSet::EMPTY };
    peers.insert(orphan(Generation::FIRST), PeerClass(1), 0).unwrap();

    let mut datapath = Datapath::load(&fs.options()).unwrap();
    let (slot, generation) = datapath.policies.install(&web_only()).unwrap();
    assert_eq!(datapath.policies.sizes()[0], 1, "the orphan is gone");
    assert!(peers.get(&orphan(generation), 0).is_err(), "nobody else is a peer of the new policy");
    let now = Instant::now();
    datapath.policies.retire(slot, now);
    datapath.policies.collect(now + GRACE).unwrap();
    assert_eq!(peers.keys().count(), 0);
}

#[test]
fn programs_of_two_agents_work_side_by_side() {
    if !support::can_run() {
        return;
    }
    let fs = BpfFs::new();
    let (mut first, _) = populated(&fs);
    let mut second = Datapath::load(&fs.options()).unwrap();
    // The first agent's programs go on in the second's, which must see the same packet.
    let to_neighbour = |port| Packet::udp(F.remote(), F.neighbour(), (port, 53)).frame();
    for port in 0..50 {
        let run = first.run(Entry::FromNetdev, &to_neighbour(port)).unwrap();
        assert_eq!(run.outcome, Outcome::Deliver, "port {port}: {run:?}");
        let other = Packet::udp(F.other(), F.pod(), (port, 54)).frame();
        second.test_run(Program::FromNetdev, &other, 1).unwrap();
    }
    drop(second);
    let run = first.run(Entry::FromNetdev, &to_neighbour(0)).unwrap();
    assert_eq!(run.outcome, Outcome::Deliver, "after the second is gone: {run:?}");
}

#[test]
fn a_pinned_map_of_another_shape_is_refused() {
    if !support::can_run() {
        return;
    }
    let fs = BpfFs::new();
    drop(Datapath::load(&fs.options()).unwrap());
    let dir = Pins::open(&fs.root()).unwrap().maps();
    let pin = dir.join(maps::ENDPOINTS);
    fs::rename(dir.join(maps::ADDRESSES), &pin).unwrap();
    match Datapath::load(&fs.options()) {
        Err(Error::PinnedShape { path, found, expected }) => {
            assert_eq!(path, pin);
            assert_ne!(found, expected);
        }
        other => panic!("{other:?}"),
    }
    // Somebody has to remove it; then all is well.
    Pins::remove(&pin).unwrap();
    Pins::remove(&pin).unwrap();
    Datapath::load(&fs.options()).unwrap();
}

#[test]
fn pins_are_made_in_a_file_system_of_their_own_where_there_is_none() {
    if !support::can_run() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("bpf");
    let pins = Pins::open(&root).unwrap();
    let mounted = support::Mounted(root.clone());
    assert!(pins.maps().starts_with(&root) && pins.maps().is_dir() && pins.links().is_dir());
    // A second time nothing is mounted above.
    fs::create_dir(root.join("mark")).unwrap();
    Pins::open(&root).unwrap();
    assert!(root.join("mark").is_dir());
    drop(mounted);
    assert!(!root.join("mark").exists());
}
