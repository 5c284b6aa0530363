//! The parser on anything that may come.

use std::cell::Cell;

use abi::proto::{self, ETH_HEADER, ETH_IPV4, ETH_IPV6};
use abi::{Addr, DropReason, IfIndex};
use etherparse::PacketBuilder;
use netloom_ebpf_core::host::{Bytes, HostTables};
use netloom_ebpf_core::{
    Action, HeaderFlags, Headers, Packet, Scratch, from_netdev, from_pod, to_endpoint, to_pod,
};
use proptest::prelude::*;

/// How much of a frame the kernel has at hand; the rest must be asked for.
const NEAR: usize = 128;

/// A frame that watches how it is read.
struct Watched<'a> {
    bytes: Bytes<'a>,
    reads: Cell<usize>,
}

impl<'a> Watched<'a> {
    fn new(frame: &'a [u8]) -> Self {
        Self { bytes: Bytes(frame), reads: Cell::new(0) }
    }
}

impl Packet for Watched<'_> {
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        assert!(offset + N <= NEAR, "{N} bytes at {offset} are read as if they were near");
        self.reads.set(self.reads.get() + 1);
        self.bytes.load(offset)
    }

    fn load_far<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        // The kernel refuses offsets beyond this.
        assert!(offset < 0xffff, "{offset}");
        self.reads.set(self.reads.get() + 1);
        self.bytes.load_far(offset)
    }

    fn ether_type(&self) -> u16 {
        self.bytes.ether_type()
    }

    fn len(&self) -> u32 {
        self.bytes.len()
    }

    fn is_gso(&self) -> bool {
        false
    }

    fn is_tagged(&self) -> bool {
        false
    }

    fn is_from_here(&self) -> bool {
        true
    }
}

/// Everything that reads a frame, on this one. It must come to an end, inside the frame.
fn read_all(frame: &[u8]) {
    let packet = Watched::new(frame);
    let tables = HostTables::default();
    let mut headers = Headers::default();
    if headers.parse_network(&packet).is_ok() && headers.parse_transport(&packet, &tables).is_ok() {
        let has_header = !headers.flags.has(HeaderFlags::LATER_FRAGMENT)
            && matches!(headers.proto, proto::TCP | proto::UDP | proto::SCTP | proto::ICMP | proto::ICMPV6);
        let least = if headers.proto == proto::TCP { 14 } else { 8 };
        assert!(!has_header || usize::from(headers.transport) + least <= frame.len(), "{headers:?}");
        if let Some(quoted) = headers.parse_quoted(&packet) {
            assert!(frame.len() >= usize::from(headers.transport) + 8 + 20, "{quoted:?}");
        }
    }
    let mut tables = HostTables::default();
    tables.endpoints.insert(IfIndex(1), abi::Endpoint { ifindex: IfIndex(1), ..abi::Endpoint::default() });
    let mut scratch = Scratch::default();
    scratch.begin();
    from_pod(&tables, &packet, IfIndex(1), 0, &mut scratch);
    from_netdev(&tables, &packet, &mut scratch);
    if to_pod(&tables, &packet, IfIndex(1), &mut scratch) == Action::ToEndpoint {
        to_endpoint(&tables, &packet, 0, &mut scratch);
    }
    assert!(packet.reads.get() < 200, "{} reads", packet.reads.get());
}

/// A frame of this EtherType.
fn ethernet(ether_type: u16, rest: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend(ether_type.to_be_bytes());
    frame.extend_from_slice(rest);
    frame
}

/// Extension headers that say that they are of any length, as a chain; the last names `last`.
fn chain(links: &[(u8, u8, u16)], last: u8) -> (u8, Vec<u8>) {
    let mut bytes = Vec::new();
    for (index, (_, length, middle)) in links.iter().enumerate() {
        let next = links.get(index + 1).map_or(last, |(kind, ..)| *kind);
        let start = bytes.len();
        bytes.extend([next, *length]);
        bytes.extend(middle.to_be_bytes());
        bytes.resize(start + 8 * (usize::from(*length) + 1), 0);
    }
    (links.first().map_or(last, |(kind, ..)| *kind), bytes)
}

prop_compose! {
    fn extensions()(
        links in prop::collection::vec(
            (prop::sample::select(vec![0u8, 43, 44, 51, 60]), 0u8..4, any::<u16>()), 0..10),
        last in prop::sample::select(vec![6u8, 17, 58, 59, 50]),
        rest in prop::collection::vec(any::<u8>(), 0..80),
    ) -> Vec<u8> {
        let (first, bytes) = chain(&links, last);
        let mut datagram = vec![0x60, 0, 0, 0, 0, 0, first, 64];
        datagram.extend([0xfd; 32]);
        datagram.extend(bytes);
        datagram.extend(rest);
        ethernet(ETH_IPV6, &datagram)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
    }

    #[test]
    fn any_bytes_that_say_what_they_are(
        rest in prop::collection::vec(any::<u8>(), 0..300),
        v4: bool,
        ihl in 0u8..16,
        protocol in prop::sample::select(vec![0u8, 1, 6, 17, 43, 44, 51, 58, 60, 132, 200]),
    ) {
        let mut rest = rest;
        if let [first, ..] = rest.as_mut_slice() {
            *first = if v4 { 0x40 | ihl } else { 0x60 };
        }
        if let Some(byte) = rest.get_mut(if v4 { 9 } else { 6 }) {
            *byte = protocol;
        }
        read_all(&ethernet(if v4 { ETH_IPV4 } else { ETH_IPV6 }, &rest));
    }

    #[test]
    fn any_chain_of_extension_headers(frame in extensions()) {
        read_all(&frame);
    }

    #[test]
    fn any_part_of_a_good_frame_with_any_bytes_changed(
        frame in prop_oneof![good(), extensions()],
        end in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut frame = frame;
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        for end in [end.index(frame.len() + 1), frame.len()] {
            read_all(&frame[..end]);
        }
    }

    #[test]
    fn ports_and_addresses_are_read_where_they_are(
        v4: bool,
        src: [u8; 16],
        dst: [u8; 16],
        ports: (u16, u16),
        ttl: u8,
        tcp: bool,
        payload in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let builder = PacketBuilder::ethernet2([1; 6], [2; 6]);
        let (v4_src, v4_dst) = ([src[0], src[1], src[2], src[3]], [dst[0], dst[1], dst[2], dst[3]]);
        let builder = if v4 { builder.ipv4(v4_src, v4_dst, ttl) } else { builder.ipv6(src, dst, ttl) };
        let mut frame = Vec::new();
        if tcp {
            builder.tcp(ports.0, ports.1, 0, 0).fin().ack(1).write(&mut frame, &payload).unwrap();
        } else {
            builder.udp(ports.0, ports.1).write(&mut frame, &payload).unwrap();
        }
        let mut headers = Headers::default();
        headers.parse_network(&Bytes(&frame)).unwrap();
        headers.parse_transport(&Bytes(&frame), &HostTables::default()).unwrap();
        let (src, dst) = if v4 { (Addr::v4(v4_src), Addr::v4(v4_dst)) }
            else { (Addr::from_octets(src), Addr::from_octets(dst)) };
        prop_assert_eq!((headers.src, headers.dst), (src, dst));
        prop_assert_eq!((headers.src_port.get(), headers.dst_port.get()), ports);
        prop_assert_eq!((headers.is_v4(), headers.ttl), (v4, ttl));
        prop_assert_eq!(headers.proto, if tcp { proto::TCP } else { proto::UDP });
        prop_assert_eq!(headers.tcp_flags, if tcp { proto::TCP_FIN | proto::TCP_ACK } else { 0 });
    }
}

/// Frames as etherparse makes them.
fn good() -> impl Strategy<Value = Vec<u8>> {
    (0..5u8, any::<bool>(), prop::collection::vec(any::<u8>(), 0..100)).prop_map(|(kind, v4, payload)| {
        let builder = PacketBuilder::ethernet2([1; 6], [2; 6]);
        let builder = if v4 {
            builder.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        } else {
            builder.ipv6([1; 16], [2; 16], 64)
        };
        let mut frame = Vec::new();
        match (kind, v4) {
            (0, _) => builder.tcp(1, 2, 3, 4).write(&mut frame, &payload),
            (1, _) => builder.udp(1, 2).write(&mut frame, &payload),
            (2, true) => builder.icmpv4_echo_request(1, 2).write(&mut frame, &payload),
            (2, false) => builder.icmpv6_echo_request(1, 2).write(&mut frame, &payload),
            (_, true) => builder.icmpv4_raw(3, 4, [0; 4]).write(&mut frame, &payload),
            (_, false) => builder.icmpv6_raw(2, 0, [0; 4]).write(&mut frame, &payload),
        }
        .unwrap();
        frame
    })
}

#[test]
fn a_network_header_that_is_cut_off_is_malformed() {
    for (ether_type, length) in [(ETH_IPV4, 20), (ETH_IPV6, 40)] {
        let version = if ether_type == ETH_IPV4 { 0x45 } else { 0x60 };
        let mut whole = vec![0; length];
        whole[0] = version;
        // No next header.
        whole[6] = if ether_type == ETH_IPV6 { 59 } else { 0 };
        for cut in 0..length {
            let frame = ethernet(ether_type, &whole[..cut]);
            let mut headers = Headers::default();
            assert_eq!(headers.parse_network(&Bytes(&frame)), Err(DropReason::Malformed), "{cut} bytes");
            // The wire's oddities are the stack's.
            let mut scratch = Scratch::default();
            assert_eq!(from_netdev(&HostTables::default(), &Bytes(&frame), &mut scratch), Action::Pass);
        }
        assert!(Headers::default().parse_network(&Bytes(&ethernet(ether_type, &whole))).is_ok());
        assert!(whole.len() + ETH_HEADER <= NEAR);
    }
}
