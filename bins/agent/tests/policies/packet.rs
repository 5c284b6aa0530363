//! Packets, and whom they are between.

use std::net::IpAddr;

use abi::proto::{ICMP, ICMPV6, SCTP, TCP, TCP_SYN, UDP, V6_AUTH};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use scenarios::Packet;

const ESP: u8 = 50;

/// Which pod sends or receives what, and with whom.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) pod: Index,
    pub(crate) egress: bool,
    pub(crate) peer: Index,
    pub(crate) what: What,
}

/// What a packet is, but for its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum What {
    /// A protocol with ports, and the destination's.
    Port(u8, u16),
    /// A message of the family's ICMP.
    Icmp(u8),
    /// Any other protocol.
    Other(u8),
}

pub(crate) fn question() -> impl Strategy<Value = Question> {
    // Those at the edges of what rules name.
    const PORTS: [u16; 16] = [1, 52, 53, 54, 79, 80, 81, 90, 91, 442, 443, 1023, 1024, 8080, 65_534, 65_535];
    let port = prop_oneof![4 => select(&PORTS[..]), 1 => any::<u16>()];
    let what = prop_oneof![
        6 => (select(vec![TCP, TCP, UDP, SCTP]), port).prop_map(|(proto, port)| What::Port(proto, port)),
        2 => select(vec![0, 1, 2, 3, 5, 8, 11, 13, 14, 100, 128, 129, 200, 255]).prop_map(What::Icmp),
        1 => select(vec![2, 4, 41, 47, 50, 51, 99, 112]).prop_map(What::Other),
    ];
    (any::<Index>(), any::<bool>(), any::<Index>(), what).prop_map(|(pod, egress, peer, what)| Question {
        pod,
        egress,
        peer,
        what,
    })
}

impl What {
    /// IPv6's authentication header is no protocol of its own, but stands before one.
    pub(crate) fn of_family(self, v4: bool) -> Self {
        if self == Self::Other(V6_AUTH) && !v4 { Self::Other(ESP) } else { self }
    }

    /// Its protocol, and what policy calls its port.
    pub(crate) fn key(self, v4: bool) -> (u8, u16) {
        match self {
            Self::Port(proto, port) => (proto, port),
            Self::Icmp(kind) => (if v4 { ICMP } else { ICMPV6 }, kind.into()),
            Self::Other(proto) => (proto, 0),
        }
    }

    /// Whether a second packet of it, between the same two, is of the first one's connection whatever its number.
    pub(crate) fn is_only_one(self, v4: bool) -> bool {
        match self {
            Self::Port(..) => false,
            Self::Icmp(0 | 8 | 13 | 14) if v4 => false,
            Self::Icmp(128 | 129) if !v4 => false,
            Self::Icmp(_) | Self::Other(_) => true,
        }
    }

    /// The packet: of a connection of its own for each `number`.
    pub(crate) fn packet(self, src: IpAddr, dst: IpAddr, number: u16) -> Packet {
        let [high, low] = number.to_be_bytes();
        match self {
            Self::Port(UDP, port) => Packet::udp(src, dst, (number, port)),
            Self::Port(SCTP, port) => Packet::sctp(src, dst, (number, port)),
            Self::Port(_, port) => Packet::tcp(src, dst, (number, port), TCP_SYN),
            Self::Icmp(kind) => Packet::icmp(src, dst, kind, 0, [high, low, 0, 0], &[0; 24]),
            Self::Other(proto) => Packet::other(src, dst, proto),
        }
    }
}
