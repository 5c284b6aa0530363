//! scratch
use abi::*;
use netloom_datapath::*;
use std::collections::BTreeMap;
fn frame(src: [u8; 4], dst: [u8; 4], sp: u16, dp: u16, flags: u8) -> Vec<u8> {
    let mut f = vec![0u8; 14];
    f[12] = 8;
    f.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 255, 6, 0, 0]);
    f.extend(src);
    f.extend(dst);
    f.extend(sp.to_be_bytes());
    f.extend(dp.to_be_bytes());
    f.extend([0; 8]);
    f.extend([0x50, flags]);
    f.extend([0; 6]);
    f.extend([0u8; 20]);
    f
}
fn main() {
    let mut d = Datapath::load(&Options::default()).unwrap();
    let n: u32 = std::env::args().nth(1).unwrap().parse().unwrap();
    let mut p = CompiledPolicy::default();
    for i in 0..n {
        p.peers.insert(Peer { identity: Identity(1000 + i), cidrs: CidrSet(0) }, PeerClass(1));
    }
    p.ports.insert((6, 80), PortClass(1));
    p.stride = 2;
    p.cells = vec![Cell::default(), Cell::default(), Cell::default(), Cell { action: 1, ..Cell::default() }];
    let (slot, _) = d.policies.install(&p).unwrap();
    d.endpoints
        .set(
            IfIndex(1),
            Endpoint {
                v4: Addr::v4([10, 0, 0, 1]),
                identity: Identity(300),
                egress: slot,
                ingress: slot,
                ifindex: IfIndex(1),
                id: EndpointId(1),
                ..Endpoint::default()
            },
        )
        .unwrap();
    d.addresses
        .set(
            Addr::v4([10, 0, 1, 1]),
            AddressRecord {
                peer: Peer { identity: Identity(1000), cidrs: CidrSet(0) },
                ..AddressRecord::default()
            },
        )
        .unwrap();
    for i in 0..10000u32 {
        d.addresses
            .set(
                Addr::v4([10, 9, (i >> 8) as u8, i as u8]),
                AddressRecord {
                    peer: Peer { identity: Identity(1000), cidrs: CidrSet(0) },
                    ..AddressRecord::default()
                },
            )
            .unwrap();
    }
    let _ = BTreeMap::<u8, u8>::new();
    // establish
    let syn = frame([10, 0, 0, 1], [10, 0, 1, 1], 4000, 80, 2);
    println!("syn {:?}", d.test_run(Program::FromPod, &syn, 1).unwrap().verdict);
    let synack = frame([10, 0, 1, 1], [10, 0, 0, 1], 80, 4000, 0x12);
    println!("synack {:?}", d.test_run(Program::ToPod, &synack, 1).unwrap().verdict);
    let ack = frame([10, 0, 0, 1], [10, 0, 1, 1], 4000, 80, 0x10);
    println!("drops {:?}", d.counters.drops());
    let mut ev = d.take_events().unwrap();
    while let Some(e) = ev.next_event() {
        println!("{e:?}");
    }
    println!("ack {:?}", d.test_run(Program::FromPod, &ack, 1).unwrap().verdict);
    println!("ct {:?}", d.connections.list());
    let denied = frame([10, 0, 0, 1], [10, 0, 1, 1], 4000, 81, 2);
    println!("denied {:?}", d.test_run(Program::FromPod, &denied, 1).unwrap().verdict);
    let bogus = frame([10, 0, 0, 9], [10, 0, 1, 1], 4000, 81, 2);
    for (n, pr, f) in [
        ("arp/none", Program::Arp, &ack),
        ("spoof", Program::FromPod, &bogus),
        ("est egress", Program::FromPod, &ack),
        ("reply ingress", Program::ToPod, &synack),
        ("denied", Program::FromPod, &denied),
        ("est egress", Program::FromPod, &ack),
    ] {
        let mut best = u64::MAX;
        for _ in 0..5 {
            best = best.min(d.test_run(pr, f, 1_000_000).unwrap().nanoseconds);
        }
        println!("{n}: {best} ns");
    }
}
