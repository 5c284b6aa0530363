//! Addresses and ports as they stand in map keys.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::layout::layout;

/// An address of either family: IPv6 in network byte order, IPv4 as IPv4-mapped IPv6 (RFC 4291 §2.5.5.2).
///
/// It is kept as four words in memory order: BPF copies and compares words, but calls a function for bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Addr(pub [u32; 4]);

impl Addr {
    /// No address: `::`.
    pub const UNSPECIFIED: Self = Self([0; 4]);

    /// The third word of an IPv4 address.
    const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

    /// The IPv4 address with these octets.
    #[inline(always)]
    #[must_use]
    pub const fn v4(octets: [u8; 4]) -> Self {
        Self([0, 0, Self::MAPPED, u32::from_ne_bytes(octets)])
    }

    /// The address with these octets, in network order.
    #[inline(always)]
    #[must_use]
    pub const fn from_octets(o: [u8; 16]) -> Self {
        Self([
            u32::from_ne_bytes([o[0], o[1], o[2], o[3]]),
            u32::from_ne_bytes([o[4], o[5], o[6], o[7]]),
            u32::from_ne_bytes([o[8], o[9], o[10], o[11]]),
            u32::from_ne_bytes([o[12], o[13], o[14], o[15]]),
        ])
    }

    /// The octets, in network order.
    #[inline(always)]
    #[must_use]
    pub const fn octets(&self) -> [u8; 16] {
        let [a, b, c, d] = self.0;
        let (a, b, c, d) = (a.to_ne_bytes(), b.to_ne_bytes(), c.to_ne_bytes(), d.to_ne_bytes());
        [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2], d[3]]
    }

    /// Whether both are the same address.
    #[inline(always)]
    #[must_use]
    pub const fn same(&self, other: &Self) -> bool {
        let (a, b) = (self.0, other.0);
        (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) == 0
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        // Without a branch: each would be a path of its own to the verifier.
        self.0[0] | self.0[1] | (self.0[2] ^ Self::MAPPED) == 0
    }

    /// Whether this is an IPv6 link-local unicast address (`fe80::/10`).
    #[inline(always)]
    #[must_use]
    pub const fn is_v6_link_local(&self) -> bool {
        u32::from_be(self.0[0]) & 0xffc0_0000 == 0xfe80_0000
    }

    /// Whether this is a multicast address of either family, or IPv4's limited broadcast.
    #[inline(always)]
    #[must_use]
    pub const fn is_multicast(&self) -> bool {
        if self.is_v4() {
            u32::from_be(self.0[3]) & 0xf000_0000 == 0xe000_0000 || self.0[3] == u32::MAX
        } else {
            u32::from_be(self.0[0]) & 0xff00_0000 == 0xff00_0000
        }
    }
}

impl From<Ipv4Addr> for Addr {
    fn from(addr: Ipv4Addr) -> Self {
        Self::v4(addr.octets())
    }
}

impl From<Ipv6Addr> for Addr {
    fn from(addr: Ipv6Addr) -> Self {
        Self::from_octets(addr.octets())
    }
}

impl From<IpAddr> for Addr {
    fn from(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(addr) => addr.into(),
            IpAddr::V6(addr) => addr.into(),
        }
    }
}

impl From<Addr> for IpAddr {
    fn from(addr: Addr) -> Self {
        let octets = addr.octets();
        let [.., a, b, c, d] = octets;
        if addr.is_v4() { Ipv4Addr::new(a, b, c, d).into() } else { Ipv6Addr::from(octets).into() }
    }
}

/// Sixteen bits in network byte order: a port, or an ICMP identifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Be16(pub u16);

impl Be16 {
    /// From the host's order.
    #[inline(always)]
    #[must_use]
    pub const fn new(host: u16) -> Self {
        Self(host.to_be())
    }

    /// From bytes as they stand in a packet.
    #[inline(always)]
    #[must_use]
    pub const fn from_wire(bytes: [u8; 2]) -> Self {
        Self(u16::from_ne_bytes(bytes))
    }

    /// In the host's order.
    #[inline(always)]
    #[must_use]
    pub const fn get(self) -> u16 {
        u16::from_be(self.0)
    }
}

layout! { Addr => 16, Be16 => 2 }
