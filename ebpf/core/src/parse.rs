//! Headers: IPv4 with options, IPv6 with extension headers, fragments, ports.

use abi::{Addr, Be16, DropReason, FragmentKey, FragmentPorts, proto};

use crate::packet::Packet;
use crate::tables::Tables;

/// IPv6 extension headers that are followed; a packet with more is dropped.
pub const MAX_EXTENSIONS: usize = 6;

/// The farthest that a transport header stands without extension headers: behind IPv4 with all its options.
const MAX_NEAR: usize = proto::ETH_HEADER + 60;

/// What a packet's headers say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Headers {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// Source port; what stands for it in an ICMP message; zero where there is none.
    pub src_port: Be16,
    /// Destination port; what stands for it in an ICMP message; zero where there is none.
    pub dst_port: Be16,
    /// Offset of the transport header from the packet's start, in bytes.
    pub transport: u16,
    /// Transport protocol number.
    pub proto: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TCP flags.
    pub tcp_flags: u8,
    /// ICMP type, or 255 where a fragment does not show it.
    pub icmp_type: u8,
    /// See [`HeaderFlags`].
    pub flags: HeaderFlags,
    /// The identification of a fragmented datagram.
    pub fragment_id: u32,
}

/// What kind of packet it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct HeaderFlags(pub u16);

impl HeaderFlags {
    /// IPv4.
    pub const V4: Self = Self(1);
    /// The first fragment of a datagram.
    pub const FIRST_FRAGMENT: Self = Self(2);
    /// A later fragment: no transport header.
    pub const LATER_FRAGMENT: Self = Self(4);
    /// An ICMP error, which quotes the packet that it is about.
    pub const ICMP_ERROR: Self = Self(8);

    /// Whether all bits of `other` are set.
    #[inline(always)]
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[inline(always)]
    const fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl Headers {
    /// Whether this is IPv4.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        self.flags.has(HeaderFlags::V4)
    }

    /// What policy calls the port: the destination port, or the type of an ICMP message.
    #[inline(always)]
    #[must_use]
    pub const fn policy_port(&self) -> u16 {
        match self.proto {
            proto::ICMP | proto::ICMPV6 => self.icmp_type as u16,
            _ => self.dst_port.get(),
        }
    }

    /// Reads the network header: addresses, protocol, where the transport header begins.
    ///
    /// # Errors
    /// The reason to drop a packet that is not what it says.
    #[inline(always)]
    pub fn parse_network<P: Packet>(&mut self, packet: &P) -> Result<(), DropReason> {
        self.flags = HeaderFlags::default();
        self.src_port = Be16::default();
        self.dst_port = Be16::default();
        self.tcp_flags = 0;
        self.icmp_type = 0;
        if packet.ether_type() == proto::ETH_IPV4 { self.parse_v4(packet) } else { self.parse_v6(packet) }
    }

    /// RFC 791 §3.1.
    #[inline(always)]
    fn parse_v4<P: Packet>(&mut self, packet: &P) -> Result<(), DropReason> {
        let Some(h) = packet.load::<20>(proto::ETH_HEADER) else { return Err(DropReason::Malformed) };
        let header_len = ((h[0] & 0x0f) as usize) * 4;
        if h[0] >> 4 != 4 || header_len < 20 {
            return Err(DropReason::Malformed);
        }
        self.flags.set(HeaderFlags::V4);
        self.src = Addr::v4([h[12], h[13], h[14], h[15]]);
        self.dst = Addr::v4([h[16], h[17], h[18], h[19]]);
        self.proto = h[9];
        self.ttl = h[8];
        self.transport = (proto::ETH_HEADER + header_len) as u16;
        // Flags and offset (13 bits, units of 8 bytes): 0x2000 is "more fragments".
        let fragment = u16::from_be_bytes([h[6], h[7]]);
        if fragment & 0x3fff != 0 {
            self.fragment_id = u16::from_ne_bytes([h[4], h[5]]) as u32;
            self.set_fragment(fragment & 0x1fff)?;
        }
        Ok(())
    }

    /// RFC 8200 §3 and §4.
    #[inline(always)]
    fn parse_v6<P: Packet>(&mut self, packet: &P) -> Result<(), DropReason> {
        let Some(h) = packet.load::<8>(proto::ETH_HEADER) else { return Err(DropReason::Malformed) };
        let Some(src) = packet.load::<16>(proto::ETH_HEADER + 8) else { return Err(DropReason::Malformed) };
        let Some(dst) = packet.load::<16>(proto::ETH_HEADER + 24) else { return Err(DropReason::Malformed) };
        let (src, dst) = (Addr::from_octets(src), Addr::from_octets(dst));
        // An IPv4-mapped address is never on the wire (RFC 4291 §2.5.5.2); here it would be somebody else's.
        if h[0] >> 4 != 6 || src.is_v4() || dst.is_v4() {
            return Err(DropReason::Malformed);
        }
        self.src = src;
        self.dst = dst;
        self.ttl = h[7];
        self.proto = h[6];
        self.transport = (proto::ETH_HEADER + 40) as u16;
        match self.proto {
            // The common case, without the walk.
            proto::TCP | proto::UDP | proto::ICMPV6 => Ok(()),
            _ => self.walk_extensions(packet),
        }
    }

    /// Follows the chain of extension headers to the transport header.
    #[inline(always)]
    fn walk_extensions<P: Packet>(&mut self, packet: &P) -> Result<(), DropReason> {
        let mut next = self.proto;
        let mut offset = self.transport as usize;
        for _ in 0..=MAX_EXTENSIONS {
            if !matches!(
                next,
                proto::V6_HOP_BY_HOP
                    | proto::V6_ROUTING
                    | proto::V6_FRAGMENT
                    | proto::V6_AUTH
                    | proto::V6_DEST_OPTIONS
            ) {
                self.proto = next;
                self.transport = offset as u16;
                return Ok(());
            }
            let Some(h) = packet.load_far::<8>(offset) else { return Err(DropReason::Malformed) };
            offset += match next {
                proto::V6_FRAGMENT => {
                    let fragment = u16::from_be_bytes([h[2], h[3]]);
                    self.fragment_id = u32::from_ne_bytes([h[4], h[5], h[6], h[7]]);
                    // An "atomic" fragment (RFC 6946) is whole: offset zero and no more to come.
                    if fragment & 0xfff9 != 0 {
                        self.set_fragment(fragment >> 3)?;
                    }
                    8
                }
                proto::V6_AUTH => (h[1] as usize + 2) * 4,
                // Type 0 is forbidden (RFC 5095); with segments left the destination is not the last one,
                // so policy would judge the wrong address.
                proto::V6_ROUTING if h[2] == 0 || h[3] != 0 => return Err(DropReason::InvalidExtension),
                _ => (h[1] as usize + 1) * 8,
            };
            next = h[0];
            // Behind the header of a later fragment there is no further header, only data.
            if self.flags.has(HeaderFlags::LATER_FRAGMENT) {
                self.proto = next;
                self.transport = offset as u16;
                return Ok(());
            }
        }
        Err(DropReason::InvalidExtension)
    }

    /// Notes that the packet is a fragment, `offset` units of eight bytes into its datagram.
    #[inline(always)]
    fn set_fragment(&mut self, offset: u16) -> Result<(), DropReason> {
        match offset {
            0 => self.flags.set(HeaderFlags::FIRST_FRAGMENT),
            // Would overwrite the TCP flags of the first fragment (RFC 3128).
            1 => return Err(DropReason::Malformed),
            _ => self.flags.set(HeaderFlags::LATER_FRAGMENT),
        }
        Ok(())
    }

    /// Reads the transport header: ports, TCP flags, ICMP type. For a later fragment the ports are those of
    /// its first one.
    ///
    /// # Errors
    /// The reason to drop a packet whose transport header is cut off or was never seen.
    #[inline(always)]
    pub fn parse_transport<P: Packet, T: Tables>(
        &mut self,
        packet: &P,
        tables: &T,
    ) -> Result<(), DropReason> {
        if self.flags.has(HeaderFlags::LATER_FRAGMENT) {
            let Some(ports) = tables.fragment(&self.fragment_key()) else {
                return Err(DropReason::FragmentUnknown);
            };
            self.src_port = ports.src;
            self.dst_port = ports.dst;
            self.icmp_type = u8::MAX;
            return Ok(());
        }
        if matches!(self.proto, proto::TCP | proto::UDP | proto::SCTP | proto::ICMP | proto::ICMPV6) {
            self.parse_ports(packet)?;
        }
        if self.flags.has(HeaderFlags::FIRST_FRAGMENT) {
            let ports = FragmentPorts { src: self.src_port, dst: self.dst_port };
            tables.insert_fragment(&self.fragment_key(), &ports);
        }
        Ok(())
    }

    /// Reads the transport header of a protocol that has ports, or ICMP's types and identifiers.
    #[inline(always)]
    fn parse_ports<P: Packet>(&mut self, packet: &P) -> Result<(), DropReason> {
        // Eight bytes: the whole of UDP's and ICMP's header, and the ports of TCP and SCTP.
        let Some(h) = self.load_transport::<P, 8>(packet, 0) else {
            return Err(DropReason::TruncatedTransport);
        };
        match (self.proto, h[0]) {
            (proto::ICMP | proto::ICMPV6, kind) => {
                self.icmp_type = kind;
                self.set_ports(query_ports(self.proto, h));
                // Unreachable, time exceeded, parameter problem; too big in IPv6.
                if matches!((self.proto, kind), (proto::ICMP, 3 | 11 | 12) | (proto::ICMPV6, 1..=4)) {
                    self.flags.set(HeaderFlags::ICMP_ERROR);
                }
            }
            _ => self.set_ports([h[0], h[1], h[2], h[3]]),
        }
        if self.proto == proto::TCP {
            let Some(offset_and_flags) = self.load_transport::<P, 2>(packet, 12) else {
                return Err(DropReason::TruncatedTransport);
            };
            self.tcp_flags = offset_and_flags[1];
        }
        Ok(())
    }

    /// Bytes of the transport header, which stands far only behind extension headers.
    #[inline(always)]
    fn load_transport<P: Packet, const N: usize>(&self, packet: &P, at: usize) -> Option<[u8; N]> {
        let offset = self.transport as usize;
        if offset <= MAX_NEAR { packet.load(offset + at) } else { packet.load_far(offset + at) }
    }

    #[inline(always)]
    fn set_ports(&mut self, h: [u8; 4]) {
        self.src_port = Be16::from_wire([h[0], h[1]]);
        self.dst_port = Be16::from_wire([h[2], h[3]]);
    }

    #[inline(always)]
    fn fragment_key(&self) -> FragmentKey {
        FragmentKey { src: self.src, dst: self.dst, id: self.fragment_id, proto: self.proto as u32 }
    }

    /// Reads the packet that an ICMP error quotes: its addresses, protocol and ports.
    #[inline(always)]
    pub fn parse_quoted<P: Packet>(&self, packet: &P) -> Option<Quoted> {
        let inner = self.transport as usize + 8;
        let (src, dst, protocol, transport);
        if self.is_v4() {
            let h = packet.load_far::<20>(inner)?;
            let header_len = ((h[0] & 0x0f) as usize) * 4;
            // A later fragment quotes no ports.
            if header_len < 20 || u16::from_be_bytes([h[6], h[7]]) & 0x1fff != 0 {
                return None;
            }
            src = Addr::v4([h[12], h[13], h[14], h[15]]);
            dst = Addr::v4([h[16], h[17], h[18], h[19]]);
            protocol = h[9];
            transport = inner + header_len;
        } else {
            let h = packet.load_far::<8>(inner)?;
            src = Addr::from_octets(packet.load_far::<16>(inner + 8)?);
            dst = Addr::from_octets(packet.load_far::<16>(inner + 24)?);
            protocol = h[6];
            transport = inner + 40;
        }
        let mut quoted = Quoted { src, dst, src_port: Be16(0), dst_port: Be16(0), proto: protocol };
        match protocol {
            proto::TCP | proto::UDP | proto::SCTP => {
                let h = packet.load_far::<4>(transport)?;
                quoted.src_port = Be16::from_wire([h[0], h[1]]);
                quoted.dst_port = Be16::from_wire([h[2], h[3]]);
            }
            proto::ICMP | proto::ICMPV6 => {
                let h = packet.load_far::<8>(transport)?;
                let [a, b, c, d] = query_ports(protocol, h);
                quoted.src_port = Be16::from_wire([a, b]);
                quoted.dst_port = Be16::from_wire([c, d]);
            }
            _ => {}
        }
        Some(quoted)
    }
}

/// What stands for the ports of an ICMP message: who asks has the query's identifier as its port, who is
/// asked has the query's type. Were both the same, anybody who was asked could ask back as if it answered.
/// Without the type, whoever may ask one thing could ask anything. What is no query has its type as the
/// destination's port, and nothing answers it.
#[inline(always)]
const fn query_ports(protocol: u8, h: [u8; 8]) -> [u8; 4] {
    match (protocol, h[0]) {
        // Echo and timestamp (RFC 792), echo (RFC 4443 §4).
        (proto::ICMP, 8 | 13) | (proto::ICMPV6, 128) => [h[4], h[5], 0, h[0]],
        (proto::ICMP, 0) => [0, 8, h[4], h[5]],
        (proto::ICMP, 14) => [0, 13, h[4], h[5]],
        (proto::ICMPV6, 129) => [0, 128, h[4], h[5]],
        (_, kind) => [0, 0, 0, kind],
    }
}

/// The packet that an ICMP error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Its source address.
    pub src: Addr,
    /// Its destination address.
    pub dst: Addr,
    /// Its source port.
    pub src_port: Be16,
    /// Its destination port.
    pub dst_port: Be16,
    /// Its protocol.
    pub proto: u8,
}
