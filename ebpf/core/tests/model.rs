//! Connections against a model.
//!
//! The model is one map of connections and a page of rules. Random packets, policies, relabelled peers,
//! replaced pods and leaps of time go to both; after every step a packet has fared alike in both, and both
//! remember the same. Few peers and ports, so that everything meets everything.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use abi::proto::{TCP, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, UDP};
use abi::{Config, CtFlags, EndpointId};
use netloom_ebpf_core::host::HostTables;
use proptest::prelude::*;
use support::{EGRESS, INGRESS, POD, allow, know, passes, place, receive, send, tables, tcp, udp};

const PEERS: [[u8; 4]; 2] = [[10, 0, 1, 1], [10, 0, 1, 2]];
const PORTS: [u16; 2] = [80, 81];
const IDENTITIES: [u32; 3] = [400, 401, 402];

/// What may happen.
#[derive(Clone, Debug)]
enum Op {
    Packet { out: bool, tcp: bool, peer: usize, local: usize, remote: usize, flags: u8 },
    Policy { out: bool, allowed: Vec<(u32, u16)> },
    Relabel { peer: usize, identity: u32 },
    Replace,
    Wait(u32),
}

/// Who talks to whom: the pod's number, protocol, peer, the pod's port, the peer's port.
type Name = (u16, u8, usize, u16, u16);

/// A connection of the model.
#[derive(Clone, Debug)]
struct Conn {
    opened_by_pod: bool,
    /// The policy and the identity that it was judged with.
    judged: (u32, u32),
    replied: bool,
    confirmed: bool,
    pod_fin: bool,
    peer_fin: bool,
    reset: bool,
    expires: u32,
}

impl Conn {
    fn closed(&self) -> bool {
        self.reset || (self.pod_fin && self.peer_fin)
    }
}

/// A policy of the model: its number and what it allows.
#[derive(Clone, Debug, Default)]
struct Policy {
    number: u32,
    allowed: BTreeSet<(u32, u16)>,
}

#[derive(Debug)]
struct Model {
    now: u32,
    pod: u16,
    egress: Policy,
    ingress: Policy,
    identities: [u32; 2],
    connections: BTreeMap<Name, Conn>,
}

/// A packet of the model.
#[derive(Clone, Copy)]
struct Seen {
    out: bool,
    proto: u8,
    peer: usize,
    local_port: u16,
    peer_port: u16,
    flags: u8,
}

impl Model {
    /// Whether the packet passes.
    fn packet(&mut self, config: &Config, seen: Seen) -> bool {
        let Seen { out, proto, peer, local_port, peer_port, flags } = seen;
        let policy = if out { &self.egress } else { &self.ingress };
        let identity = self.identities[peer];
        let allowed = policy.allowed.contains(&(identity, if out { peer_port } else { local_port }));
        let judged = (policy.number, identity);
        let name = (self.pod, proto, peer, local_port, peer_port);
        let is_tcp = proto == TCP;
        let opens = is_tcp && flags & (TCP_SYN | TCP_ACK | TCP_RST) == TCP_SYN;

        let known = self.connections.get(&name).filter(|known| known.expires > self.now).cloned();
        if let Some(mut known) = known
            && !(opens && (known.closed() || known.opened_by_pod != out))
        {
            let original = known.opened_by_pod == out;
            if original && known.judged != judged {
                if !allowed {
                    return false;
                }
                known.judged = judged;
            }
            if !original {
                known.replied = true;
            } else if known.replied && (!is_tcp || flags & TCP_ACK != 0) {
                known.confirmed = true;
            }
            if is_tcp {
                let fin = flags & TCP_FIN != 0;
                if out {
                    known.pod_fin |= fin;
                } else {
                    known.peer_fin |= fin;
                }
                known.reset |= flags & TCP_RST != 0;
            }
            known.expires = self.now
                + match (known.closed(), known.confirmed, is_tcp) {
                    (true, ..) => config.closing_ticks,
                    (_, false, _) => config.unconfirmed_ticks,
                    (_, _, true) => config.tcp_ticks,
                    (_, _, false) => config.other_ticks,
                };
            self.connections.insert(name, known);
            return true;
        }
        if !allowed {
            return false;
        }
        if !(is_tcp && flags & TCP_RST != 0) {
            let new = Conn {
                opened_by_pod: out,
                judged,
                replied: false,
                confirmed: false,
                pod_fin: false,
                peer_fin: false,
                reset: false,
                expires: self.now + config.unconfirmed_ticks,
            };
            self.connections.insert(name, new);
        }
        true
    }

    /// What is remembered, as it can be compared.
    fn remembered(&self) -> BTreeMap<Name, Remembered> {
        let live = self.connections.iter().filter(|(_, conn)| conn.expires > self.now);
        live.map(|(name, conn)| {
            let it = Remembered {
                established: conn.confirmed,
                opened_by_pod: conn.opened_by_pod,
                closed: conn.closed(),
                judged: conn.judged,
                expires: conn.expires,
            };
            (*name, it)
        })
        .collect()
    }
}

/// What both must agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Remembered {
    established: bool,
    opened_by_pod: bool,
    closed: bool,
    judged: (u32, u32),
    expires: u32,
}

fn remembered(tables: &HostTables, now: u32) -> BTreeMap<Name, Remembered> {
    let mut all = BTreeMap::new();
    for (established, table) in [(true, &tables.established), (false, &tables.unconfirmed)] {
        for (key, entry) in table.borrow().iter() {
            let entry = entry.get();
            if entry.expires <= now {
                continue;
            }
            let peer = PEERS.iter().position(|peer| abi::Addr::v4(*peer) == key.peer).unwrap();
            let name = (key.endpoint.0, key.proto, peer, key.local_port.get(), key.peer_port.get());
            let it = Remembered {
                established,
                opened_by_pod: !entry.flags.has(CtFlags::FROM_PEER),
                closed: entry.flags.has(CtFlags::RESET) || entry.flags.has(CtFlags::BOTH_FIN),
                judged: (entry.generation.0, entry.identity.0),
                expires: entry.expires,
            };
            assert!(all.insert(name, it).is_none(), "{name:?} is in both tables");
        }
    }
    all
}

fn op() -> impl Strategy<Value = Op> {
    let pairs = prop::sample::subsequence(
        IDENTITIES.iter().flat_map(|identity| PORTS.map(|port| (*identity, port))).collect::<Vec<_>>(),
        0..=6,
    );
    let flags = prop::sample::select(vec![
        TCP_SYN,
        TCP_SYN | TCP_ACK,
        TCP_ACK,
        TCP_ACK,
        TCP_FIN | TCP_ACK,
        TCP_RST,
        TCP_RST | TCP_ACK,
        0,
    ]);
    prop_oneof![
        14 => (any::<bool>(), any::<bool>(), 0..2usize, 0..2usize, 0..2usize, flags)
            .prop_map(|(out, tcp, peer, local, remote, flags)| Op::Packet { out, tcp, peer, local, remote, flags }),
        1 => (any::<bool>(), pairs).prop_map(|(out, allowed)| Op::Policy { out, allowed }),
        1 => (0..2usize, prop::sample::select(IDENTITIES.to_vec()))
            .prop_map(|(peer, identity)| Op::Relabel { peer, identity }),
        1 => Just(Op::Replace),
        1 => prop::sample::select(vec![1, 4, 5, 19, 20, 60]).prop_map(Op::Wait),
    ]
}

/// Starts with everything allowed, so that most runs come to connections at all.
fn run(ops: &[Op]) {
    let everything: Vec<(u32, u16)> =
        IDENTITIES.iter().flat_map(|identity| PORTS.map(|port| (*identity, port))).collect();
    let mut tables = tables();
    tables.config =
        Config { unconfirmed_ticks: 20, tcp_ticks: 60, other_ticks: 19, closing_ticks: 5, ..tables.config };
    let config = tables.config;
    let first = |number| Policy { number, allowed: everything.iter().copied().collect() };
    let mut model = Model {
        now: 100,
        pod: 1,
        egress: first(10),
        ingress: first(11),
        identities: [400, 401],
        connections: BTreeMap::new(),
    };
    allow(&mut tables, EGRESS, 10, &everything);
    allow(&mut tables, INGRESS, 11, &everything);
    for (peer, identity) in PEERS.iter().zip(model.identities) {
        know(&mut tables, *peer, identity);
    }

    let mut next = 12;
    for (step, op) in ops.iter().enumerate() {
        match op {
            Op::Packet { out, tcp: is_tcp, peer, local, remote, flags } => {
                let (local_port, peer_port) = (PORTS[*local], PORTS[*remote]);
                let (src, dst, ports) = if *out {
                    (POD, PEERS[*peer], (local_port, peer_port))
                } else {
                    (PEERS[*peer], POD, (peer_port, local_port))
                };
                let frame = if *is_tcp { tcp(src, dst, ports, *flags) } else { udp(src, dst, ports) };
                let (action, _) =
                    if *out { send(&tables, &frame, model.now) } else { receive(&tables, &frame, model.now) };
                let proto = if *is_tcp { TCP } else { UDP };
                let flags = if *is_tcp { *flags } else { 0 };
                let seen = Seen { out: *out, proto, peer: *peer, local_port, peer_port, flags };
                let expected = model.packet(&config, seen);
                assert_eq!(passes(action), expected, "step {step}, {op:?}: {action:?}\n{model:#?}");
            }
            Op::Policy { out, allowed } => {
                let policy = Policy { number: next, allowed: allowed.iter().copied().collect() };
                allow(&mut tables, if *out { EGRESS } else { INGRESS }, next, allowed);
                if *out {
                    model.egress = policy;
                } else {
                    model.ingress = policy;
                }
                next += 1;
            }
            Op::Relabel { peer, identity } => {
                know(&mut tables, PEERS[*peer], *identity);
                model.identities[*peer] = *identity;
            }
            Op::Replace => {
                model.pod += 1;
                place(&mut tables, EndpointId(model.pod));
            }
            Op::Wait(ticks) => model.now += ticks,
        }
        assert_eq!(remembered(&tables, model.now), model.remembered(), "after step {step}, {op:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn connections_are_what_the_model_says(ops in prop::collection::vec(op(), 1..80)) {
        run(&ops);
    }
}
