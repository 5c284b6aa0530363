//! Random frames, with random changes of the tables between them, on the host and in the kernel: whatever
//! becomes of a frame, it is the same in both.

mod support;

use abi::proto::{ETH_HEADER, ETH_IPV4, ETH_IPV6, ICMP, ICMPV6, SCTP, TCP, UDP};
use abi::{
    Addr, AddressRecord, CellAction, CidrSet, Config, Endpoint, EndpointId, Identity, IfIndex, Peer,
    PolicySlot,
};
use netloom_datapath::{CompiledPolicy, Datapath, PortPrefix};
use scenarios::{
    Counted, Engine, Entry, Extension, Family, HostEngine, KernelEngine, Outcome, Packet, Paint, Routing,
    Run, What, Who,
};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Frames, where the machine is quick enough.
const FRAMES: usize = 25_000;
/// Frames that must have been compared.
const ENOUGH: usize = 20_000;
/// Only on a machine that is far too slow is less than enough compared.
const LIMIT: Duration = Duration::from_secs(20);

/// Numbers that look random and are the same each time (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.roll() % end as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// The pod, and all it may meet.
fn somebody(dice: &mut Dice, f: Family) -> IpAddr {
    let group: IpAddr = f.pick([224, 0, 0, 5].into(), [0xff02u16, 0, 0, 0, 0, 0, 0, 5].into());
    let nobody: IpAddr = f.pick([0, 0, 0, 0].into(), [0u16; 8].into());
    let on_link: IpAddr = f.pick([169, 254, 1, 1].into(), [0xfe80u16, 0, 0, 0, 0, 0, 0, 1].into());
    dice.of(&[
        f.pod(),
        f.pod(),
        f.neighbour(),
        f.remote(),
        f.remote(),
        f.other(),
        f.other(),
        f.host(),
        f.node(),
        f.world(),
        f.elsewhere(),
        group,
        nobody,
        on_link,
    ])
}

const PORTS: [u16; 6] = [53, 80, 443, 4000, 4001, 6081];

/// A well-made packet. Few addresses, ports and numbers, so that they meet again.
fn packet(dice: &mut Dice, f: Family, src: IpAddr, dst: IpAddr) -> Packet {
    let ports = (dice.of(&PORTS), dice.of(&PORTS));
    let mut packet = match dice.below(12) {
        0..=4 => Packet::tcp(src, dst, ports, dice.of(&[0x02, 0x12, 0x10, 0x10, 0x11, 0x04, 0x14, 0x00])),
        5 | 6 => Packet::udp(src, dst, ports),
        7 => Packet::echo_request(src, dst, dice.of(&[1, 2])),
        8 => Packet::echo_reply(src, dst, dice.of(&[1, 2])),
        9 => {
            let kinds: &[u8] =
                f.pick(&[3, 4, 5, 11, 12, 13, 14], &[1, 2, 3, 4, 131, 133, 134, 135, 136, 137, 143]);
            let kind = dice.of(kinds);
            if dice.one_in(2) {
                let sender = somebody(dice, f);
                let quoted = Packet::tcp(dst, sender, ports, 0x10);
                quoted.error_to(src, dst, kind, 0)
            } else {
                Packet::icmp(src, dst, kind, 0, [0; 4], &[0; 20]).ttl(dice.of(&[1, 64, 255]))
            }
        }
        10 => Packet::sctp(src, dst, ports),
        _ => Packet::other(src, dst, dice.of(&[4, 47, 50, 59, 135])),
    };
    if dice.one_in(8) {
        packet = packet.ttl(dice.of(&[0, 1, 2, 255]));
    }
    if dice.one_in(10) {
        packet = packet.size(dice.of(&[1400, 1500, 1501, 1900]));
    }
    if dice.one_in(8) {
        packet = packet.options(&[1; 40][..4 * dice.below(11)]);
    }
    while dice.one_in(6) {
        packet = packet.extension(match dice.below(5) {
            0 => Extension::HopByHop(dice.below(3) as u8),
            1 => Extension::DestOptions(dice.below(40) as u8),
            2 => Extension::Auth(dice.below(6) as u8),
            3 => {
                Extension::Routing(Routing { kind: dice.below(3) as u8, segments_left: dice.below(2) as u8 })
            }
            _ => Extension::DestOptions(0),
        });
    }
    if dice.one_in(6) {
        let (id, units) = (dice.below(6) as u32, dice.of(&[0, 1, 2, 3]));
        packet = match dice.below(5) {
            0 | 1 => packet.first_fragment(id, units.max(1)),
            2 | 3 => packet.last_fragment(id, units),
            _ => packet.atomic_fragment(id),
        };
    }
    if dice.one_in(12) {
        packet = packet.cut(dice.below(24));
    }
    packet
}

/// A frame, and where it enters. Some are damaged.
fn frame(dice: &mut Dice) -> (Entry, Vec<u8>) {
    let f = dice.of(&Family::ALL);
    let entry = dice.of(&Entry::ALL);
    let usual = !dice.one_in(8);
    let (src, dst) = match entry {
        Entry::FromPod if usual => (f.pod(), somebody(dice, f)),
        Entry::ToPod | Entry::FromNetdev if usual => (somebody(dice, f), f.pod()),
        _ => (somebody(dice, f), somebody(dice, f)),
    };
    let mut frame = packet(dice, f, src, dst).frame();
    if dice.one_in(5) {
        for _ in 0..=dice.below(3) {
            let at = 12 + dice.below(frame.len().min(110) - 12);
            frame[at] = if dice.one_in(2) { frame[at] ^ 1 << dice.below(8) } else { dice.roll() as u8 };
        }
    }
    if dice.one_in(20) {
        frame.truncate(dice.below(frame.len()).max(ETH_HEADER));
    }
    // Test runs refuse frames that are shorter than their network header.
    let network = match u16::from_be_bytes([frame[12], frame[13]]) {
        ETH_IPV4 => 20,
        ETH_IPV6 => 40,
        _ => 1,
    };
    frame.resize(frame.len().max(ETH_HEADER + network), 0);
    (entry, frame)
}

/// A policy about the peers and ports that there are.
fn policy(dice: &mut Dice) -> CompiledPolicy {
    let mut paint = Paint::nothing();
    for _ in 0..dice.below(10) {
        let who = if dice.one_in(3) {
            Who::Any
        } else {
            let identity = Identity(dice.of(&[0, 2, 6, 9, 10, 300, 301, 400, 401, 500]));
            Who::Peer(Peer { identity, cidrs: CidrSet(dice.of(&[0, 0, 7])) })
        };
        let protocol = dice.of(&[TCP, UDP, TCP, SCTP, ICMP, ICMPV6, 47]);
        let port = match protocol {
            ICMP | ICMPV6 => dice.of(&[0, 3, 8, 128, 129, 255]),
            _ => dice.of(&PORTS),
        };
        let what = match dice.below(4) {
            0 => What::Any,
            1 => What::Protocol(protocol),
            2 => What::Port(protocol, port),
            _ => {
                let bits = dice.below(17) as u8;
                let mask = u16::MAX.checked_shl(16 - u32::from(bits)).unwrap_or(0);
                What::Range(PortPrefix { proto: protocol, port: port & mask, bits })
            }
        };
        let action = dice.of(&[CellAction::Allow, CellAction::Allow, CellAction::Deny, CellAction::Redirect]);
        paint = paint.line(who, what, action);
    }
    if dice.one_in(12) {
        paint = paint.spare(260, 260);
    }
    paint.compile()
}

/// Both engines, told the same.
struct Pair {
    host: HostEngine,
    kernel: KernelEngine,
    slots: Vec<(PolicySlot, PolicySlot)>,
}

impl Pair {
    fn both(&mut self, mut tell: impl FnMut(&mut dyn Engine)) {
        tell(&mut self.host);
        tell(&mut self.kernel);
    }

    fn set_up(&mut self, dice: &mut Dice) {
        let case = &scenarios::all()[0];
        let long = 100_000;
        let config = Config {
            events_per_tick: u32::MAX,
            overlay_port: 6081,
            unconfirmed_ticks: long,
            tcp_ticks: long,
            other_ticks: long,
            closing_ticks: long,
            ..Config::default()
        };
        self.both(|engine| {
            engine.set_config(&config).unwrap();
            for (addr, record) in &case.setup.addresses {
                engine.set_address(*addr, *record).unwrap();
            }
            for (key, record) in &case.setup.cidrs {
                engine.set_cidr(*key, *record).unwrap();
            }
        });
        // Most packets must come through, or there are no connections to compare.
        self.slots = vec![(PolicySlot::ALLOW_ALL, PolicySlot::ALLOW_ALL); 24];
        self.slots.push((PolicySlot::NONE, PolicySlot::NONE));
        for _ in 0..24 {
            let policy = policy(dice);
            self.slots.push((self.host.install(&policy).unwrap(), self.kernel.install(&policy).unwrap()));
        }
        let pods: Vec<Endpoint> = case.setup.pods.iter().map(|pod| pod.endpoint).collect();
        for pod in pods {
            self.place(dice, pod);
        }
    }

    fn place(&mut self, dice: &mut Dice, pod: Endpoint) {
        let (ingress, egress) = (dice.of(&self.slots), dice.of(&self.slots));
        self.host.set_endpoint(Endpoint { ingress: ingress.0, egress: egress.0, ..pod }).unwrap();
        self.kernel.set_endpoint(Endpoint { ingress: ingress.1, egress: egress.1, ..pod }).unwrap();
    }

    fn change(&mut self, dice: &mut Dice) {
        match dice.below(8) {
            0..=4 => {
                let link = dice.of(&[IfIndex(1), IfIndex(2)]);
                let mut pod = self.host.tables.endpoints[&link];
                if dice.one_in(10) {
                    pod.id = EndpointId(10 + dice.below(3) as u16);
                }
                self.place(dice, pod);
            }
            5 | 6 => {
                let addr: Addr = {
                    let f = dice.of(&Family::ALL);
                    dice.of(&[f.remote(), f.other(), f.node()]).into()
                };
                let peer = Peer {
                    identity: Identity(dice.of(&[400, 401, 500, 6])),
                    cidrs: CidrSet(dice.of(&[0, 0, 7])),
                };
                let record = AddressRecord { peer, local: IfIndex(0), forward: IfIndex(dice.of(&[0, 9])) };
                self.both(|engine| engine.set_address(addr, record).unwrap());
            }
            _ => {
                let overlay_port = dice.of(&[0, 6081]);
                let config = Config { overlay_port, mtu: dice.of(&[1400, 1500]), ..self.host.tables.config };
                self.both(|engine| engine.set_config(&config).unwrap());
            }
        }
    }

    fn compare(&mut self, number: usize, entry: Entry, frame: &[u8]) -> Outcome {
        let host = self.host.run(entry, frame).unwrap();
        let kernel = match self.kernel.run(entry, frame) {
            Ok(run) => run,
            Err(error) => panic!("frame {number}, {entry:?}: {error}\n{frame:02x?}"),
        };
        assert_eq!(
            comparable(&host),
            comparable(&kernel),
            "frame {number}, {entry:?} (host, kernel):\n{frame:02x?}"
        );
        host.outcome
    }

    fn compare_connections(&self, number: usize) -> usize {
        let (host, kernel) = (self.host.connections().unwrap(), self.kernel.connections().unwrap());
        for (host, kernel) in host.iter().zip(&kernel) {
            assert_eq!(host, kernel, "after frame {number} (host, kernel)");
        }
        assert_eq!(host.len(), kernel.len(), "after frame {number}");
        host.len()
    }
}

/// A way without the direction of what is counted for ARP, which has none.
fn comparable(run: &Run) -> Run {
    let mut run = run.clone();
    if run.events.is_empty() && matches!(run.outcome, Outcome::Drop(_) | Outcome::Arp) {
        for counted in &mut run.counted {
            if let Counted::Dropped(_, direction) = counted {
                *direction = abi::Direction::Egress;
            }
        }
    }
    run
}

#[test]
fn random_frames_fare_alike_on_the_host_and_in_the_kernel() {
    if !support::can_run() {
        return;
    }
    let started = Instant::now();
    let kernel = KernelEngine::new(Datapath::load(&support::options()).unwrap()).unwrap();
    let mut pair = Pair { host: HostEngine::default(), kernel, slots: Vec::new() };
    let mut dice = Dice(0x6e65_746c_6f6f_6d21);
    pair.set_up(&mut dice);
    let mut outcomes = std::collections::BTreeMap::<String, usize>::new();
    let mut done = 0;
    while done < FRAMES && started.elapsed() < LIMIT {
        if dice.one_in(10) {
            pair.change(&mut dice);
        }
        let (entry, frame) = frame(&mut dice);
        let outcome = pair.compare(done, entry, &frame);
        *outcomes.entry(format!("{outcome:?}")).or_default() += 1;
        done += 1;
        if done.is_multiple_of(1000) {
            pair.compare_connections(done);
        }
    }
    let connections = pair.compare_connections(done);
    println!("{done} frames in {:?}, {connections} connections: {outcomes:#?}", started.elapsed());
    // They are worth something only where all kinds of things happen.
    assert!(outcomes.len() >= 14, "only {outcomes:?}");
    if done < ENOUGH {
        eprintln!("skipped: {} of {ENOUGH} frames, this machine is slow", ENOUGH - done);
    }
}
