//! Packets, as a scenario writes them down.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use abi::proto;
use etherparse::{
    Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpFragOffset, IpNumber, Ipv4Header, Ipv4Options,
    Ipv6Header, TcpHeader, UdpHeader,
};

/// The MAC addresses of every frame's Ethernet header, destination first. They are no pod's, so that a
/// rewrite shows.
const MACS: [u8; 12] = [0x02, 0xaa, 0, 0, 0, 1, 0x02, 0xbb, 0, 0, 0, 2];

/// An IP packet in the making. Everything that is not said has an ordinary value.
#[derive(Clone, Debug)]
pub struct Packet {
    src: IpAddr,
    dst: IpAddr,
    ttl: u8,
    /// The transport protocol.
    proto: u8,
    /// The transport header and what follows.
    body: Vec<u8>,
    options: Vec<u8>,
    extensions: Vec<Extension>,
    fragment: Option<Fragment>,
}

/// Where a piece of a datagram belongs.
#[derive(Clone, Copy, Debug)]
struct Fragment {
    id: u32,
    /// In units of eight bytes.
    offset: u16,
    more: bool,
}

/// An IPv6 extension header.
#[derive(Clone, Debug)]
pub enum Extension {
    /// Options, of this many times eight bytes behind the first eight: hop-by-hop.
    HopByHop(u8),
    /// As hop-by-hop, for the destination.
    DestOptions(u8),
    /// Authentication, with this many words behind the first two.
    Auth(u8),
    /// Routing.
    Routing(Routing),
}

/// A routing header's two fields that matter.
#[derive(Clone, Copy, Debug)]
pub struct Routing {
    /// Type 0 is forbidden (RFC 5095).
    pub kind: u8,
    /// Zero where the packet's destination is the last one.
    pub segments_left: u8,
}

impl Packet {
    fn new(src: IpAddr, dst: IpAddr, proto: u8, body: Vec<u8>) -> Self {
        Self { src, dst, ttl: 64, proto, body, options: Vec::new(), extensions: Vec::new(), fragment: None }
    }

    /// A TCP segment with these flags (as in [`abi::proto`]) and a little data.
    #[must_use]
    pub fn tcp(src: IpAddr, dst: IpAddr, ports: (u16, u16), flags: u8) -> Self {
        let mut header = TcpHeader::new(ports.0, ports.1, 1000, 65_000);
        header.syn = flags & proto::TCP_SYN != 0;
        header.ack = flags & proto::TCP_ACK != 0;
        header.fin = flags & proto::TCP_FIN != 0;
        header.rst = flags & proto::TCP_RST != 0;
        let mut body = header.to_bytes().to_vec();
        body.extend(*b"segment of data.");
        Self::new(src, dst, proto::TCP, body)
    }

    /// A UDP datagram with some bytes in it.
    #[must_use]
    pub fn udp(src: IpAddr, dst: IpAddr, ports: (u16, u16)) -> Self {
        let length = 8 + 40;
        let header = UdpHeader { source_port: ports.0, destination_port: ports.1, length, checksum: 0 };
        let mut body = header.to_bytes().to_vec();
        body.extend([0x5a; 40]);
        Self::new(src, dst, proto::UDP, body)
    }

    /// An SCTP packet: its ports, and no chunk.
    #[must_use]
    pub fn sctp(src: IpAddr, dst: IpAddr, ports: (u16, u16)) -> Self {
        let mut body = ports.0.to_be_bytes().to_vec();
        body.extend(ports.1.to_be_bytes());
        body.extend([0; 8]);
        Self::new(src, dst, proto::SCTP, body)
    }

    /// A packet of any other protocol.
    #[must_use]
    pub fn other(src: IpAddr, dst: IpAddr, protocol: u8) -> Self {
        Self::new(src, dst, protocol, vec![0x33; 48])
    }

    /// An ICMP or ICMPv6 message, whichever the addresses are for.
    #[must_use]
    pub fn icmp(src: IpAddr, dst: IpAddr, kind: u8, code: u8, word: [u8; 4], data: &[u8]) -> Self {
        let (protocol, mut body) = if src.is_ipv4() {
            let kind = Icmpv4Type::Unknown { type_u8: kind, code_u8: code, bytes5to8: word };
            (proto::ICMP, Icmpv4Header::with_checksum(kind, data).to_bytes().to_vec())
        } else {
            let kind = Icmpv6Type::Unknown { type_u8: kind, code_u8: code, bytes5to8: word };
            (proto::ICMPV6, Icmpv6Header::new(kind).to_bytes().to_vec())
        };
        body.extend_from_slice(data);
        Self::new(src, dst, protocol, body)
    }

    /// An echo request with this identifier.
    #[must_use]
    pub fn echo_request(src: IpAddr, dst: IpAddr, id: u16) -> Self {
        let [high, low] = id.to_be_bytes();
        Self::icmp(src, dst, if src.is_ipv4() { 8 } else { 128 }, 0, [high, low, 0, 1], &[0x61; 56])
    }

    /// An echo reply with this identifier.
    #[must_use]
    pub fn echo_reply(src: IpAddr, dst: IpAddr, id: u16) -> Self {
        let [high, low] = id.to_be_bytes();
        Self::icmp(src, dst, if src.is_ipv4() { 0 } else { 129 }, 0, [high, low, 0, 1], &[0x61; 56])
    }

    /// An ICMP error of this type and code, from `src` to the sender of this packet, which it quotes.
    #[must_use]
    pub fn error(&self, src: IpAddr, kind: u8, code: u8) -> Self {
        self.error_to(src, self.src, kind, code)
    }

    /// As [`Packet::error`], to anybody.
    #[must_use]
    pub fn error_to(&self, src: IpAddr, dst: IpAddr, kind: u8, code: u8) -> Self {
        let quoted = self.datagram();
        Self::icmp(src, dst, kind, code, [0, 0, 5, 0], &quoted[..quoted.len().min(128)])
    }

    /// A neighbour discovery or multicast listener message of this type.
    #[must_use]
    pub fn link_message(src: Ipv6Addr, dst: Ipv6Addr, kind: u8) -> Self {
        Self::icmp(src.into(), dst.into(), kind, 0, [0; 4], &[0; 16]).ttl(255)
    }

    /// With this TTL or hop limit.
    #[must_use]
    pub const fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// With as much data that the IP packet has this many bytes.
    #[must_use]
    pub fn size(mut self, bytes: usize) -> Self {
        let length = self.datagram().len();
        self.body.resize(self.body.len() + bytes.saturating_sub(length), 0x77);
        self
    }

    /// With only so many bytes behind the network header.
    #[must_use]
    pub fn cut(mut self, bytes: usize) -> Self {
        self.body.truncate(bytes);
        self
    }

    /// With these IPv4 options, a multiple of four bytes and at most 40.
    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self
    }

    /// With another IPv6 extension header behind those that it has.
    #[must_use]
    pub fn extension(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// The first `units` times eight bytes of its body, as a first fragment.
    #[must_use]
    pub fn first_fragment(mut self, id: u32, units: u16) -> Self {
        self.body.truncate(usize::from(units) * 8);
        self.fragment = Some(Fragment { id, offset: 0, more: true });
        self
    }

    /// What follows the first `units` times eight bytes of its body, as the last fragment.
    #[must_use]
    pub fn last_fragment(mut self, id: u32, units: u16) -> Self {
        self.body.drain(..(usize::from(units) * 8).min(self.body.len()));
        self.fragment = Some(Fragment { id, offset: units, more: false });
        self
    }

    /// All of it behind a fragment header that says so (RFC 6946). For IPv4 nothing but the identification.
    #[must_use]
    pub const fn atomic_fragment(mut self, id: u32) -> Self {
        self.fragment = Some(Fragment { id, offset: 0, more: false });
        self
    }

    /// The IP packet.
    ///
    /// # Panics
    /// When its addresses are of two families.
    #[must_use]
    pub fn datagram(&self) -> Vec<u8> {
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => self.datagram_v4(src, dst),
            (IpAddr::V6(src), IpAddr::V6(dst)) => self.datagram_v6(src, dst),
            _ => unreachable!("a packet's addresses are of one family"),
        }
    }

    /// The Ethernet frame.
    ///
    /// # Panics
    /// As [`Packet::datagram`].
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let ether_type = if self.src.is_ipv4() { proto::ETH_IPV4 } else { proto::ETH_IPV6 };
        let mut frame = ethernet(ether_type);
        frame.extend(self.datagram());
        frame
    }

    fn datagram_v4(&self, src: Ipv4Addr, dst: Ipv4Addr) -> Vec<u8> {
        let mut header = Ipv4Header {
            time_to_live: self.ttl,
            protocol: IpNumber(self.proto),
            source: src.octets(),
            destination: dst.octets(),
            dont_fragment: self.fragment.is_none(),
            ..Ipv4Header::default()
        };
        if let Some(fragment) = self.fragment {
            header.identification = fragment.id as u16;
            header.more_fragments = fragment.more;
            header.fragment_offset = IpFragOffset::try_new(fragment.offset).unwrap_or(IpFragOffset::ZERO);
        }
        header.options = Ipv4Options::try_from(self.options.as_slice()).unwrap_or_default();
        header.total_len = (header.header_len() + self.body.len()) as u16;
        header.header_checksum = header.calc_header_checksum();
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    fn datagram_v6(&self, src: Ipv6Addr, dst: Ipv6Addr) -> Vec<u8> {
        // Each header is a number and, but for the first byte, its bytes.
        let mut chain: Vec<(u8, Vec<u8>)> = self.extensions.iter().map(Extension::bytes).collect();
        if let Some(Fragment { id, offset, more }) = self.fragment {
            let place = (offset << 3 | u16::from(more)).to_be_bytes();
            let mut bytes = vec![0, place[0], place[1]];
            bytes.extend(id.to_be_bytes());
            chain.push((proto::V6_FRAGMENT, bytes));
        }
        let mut rest = Vec::new();
        let mut next = self.proto;
        for (number, bytes) in chain.into_iter().rev() {
            let mut header = vec![next];
            header.extend(bytes);
            header.append(&mut rest);
            rest = header;
            next = number;
        }
        let header = Ipv6Header {
            hop_limit: self.ttl,
            next_header: IpNumber(next),
            payload_length: (rest.len() + self.body.len()) as u16,
            source: src.octets(),
            destination: dst.octets(),
            ..Ipv6Header::default()
        };
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend(rest);
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl Extension {
    /// Its number, and its bytes without the first, which names the next header.
    fn bytes(&self) -> (u8, Vec<u8>) {
        // Options are one PadN that fills the header.
        let options = |units: u8| {
            let length = 8 * (usize::from(units) + 1);
            let mut bytes = vec![units, 1, (length - 4) as u8];
            bytes.resize(length - 1, 0);
            bytes
        };
        match self {
            Self::HopByHop(units) => (proto::V6_HOP_BY_HOP, options(*units)),
            Self::DestOptions(units) => (proto::V6_DEST_OPTIONS, options(*units)),
            Self::Auth(words) => {
                let mut bytes = vec![*words];
                bytes.resize(4 * (usize::from(*words) + 2) - 1, 0);
                (proto::V6_AUTH, bytes)
            }
            Self::Routing(Routing { kind, segments_left }) => {
                let mut bytes = vec![2, *kind, *segments_left];
                bytes.resize(23, 0);
                (proto::V6_ROUTING, bytes)
            }
        }
    }
}

/// An Ethernet header.
#[must_use]
pub(crate) fn ethernet(ether_type: u16) -> Vec<u8> {
    let mut frame = MACS.to_vec();
    frame.extend(ether_type.to_be_bytes());
    frame
}

/// An ARP message of a pod for IPv4: operation 1 asks, 2 answers.
#[must_use]
pub(crate) fn arp(operation: u16, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet(proto::ETH_ARP);
    frame.extend([0, 1, 0x08, 0x00, 6, 4]);
    frame.extend(operation.to_be_bytes());
    frame.extend(&MACS[6..]);
    frame.extend(sender.octets());
    frame.extend([0; 6]);
    frame.extend(target.octets());
    frame
}
