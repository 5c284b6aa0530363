//! Addresses and ports as they stand in map keys.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::layout::layout;

/// An address of either family: IPv6 in network byte order, IPv4 as IPv4-mapped IPv6 (RFC 4291 §2.5.5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C, align(4))]
pub struct Addr(pub [u8; 16]);

impl Addr {
    /// No address: `::`.
    pub const UNSPECIFIED: Self = Self([0; 16]);

    /// The IPv4 address with these octets.
    #[inline(always)]
    #[must_use]
    pub const fn v4(o: [u8; 4]) -> Self {
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, o[0], o[1], o[2], o[3]])
    }

    /// The address as four words in memory order, for comparisons that the compiler does not turn into
    /// a call of `memcmp`.
    #[inline(always)]
    #[must_use]
    pub const fn words(&self) -> [u32; 4] {
        let b = &self.0;
        [
            u32::from_ne_bytes([b[0], b[1], b[2], b[3]]),
            u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
            u32::from_ne_bytes([b[8], b[9], b[10], b[11]]),
            u32::from_ne_bytes([b[12], b[13], b[14], b[15]]),
        ]
    }

    /// Whether both are the same address.
    #[inline(always)]
    #[must_use]
    pub const fn same(&self, other: &Self) -> bool {
        let (a, b) = (self.words(), other.words());
        (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) == 0
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        let w = self.words();
        w[0] | w[1] == 0 && w[2] == u32::from_ne_bytes([0, 0, 0xff, 0xff])
    }

    /// Whether this is an IPv6 link-local unicast address (`fe80::/10`).
    #[inline(always)]
    #[must_use]
    pub const fn is_v6_link_local(&self) -> bool {
        self.0[0] == 0xfe && self.0[1] & 0xc0 == 0x80
    }

    /// Whether this is a multicast address of either family, or IPv4's limited broadcast.
    #[inline(always)]
    #[must_use]
    pub const fn is_multicast(&self) -> bool {
        if self.is_v4() {
            self.0[12] & 0xf0 == 0xe0 || self.words()[3] == u32::MAX
        } else {
            self.0[0] == 0xff
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
        Self(addr.octets())
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
        let [.., a, b, c, d] = addr.0;
        if addr.is_v4() { Ipv4Addr::new(a, b, c, d).into() } else { Ipv6Addr::from(addr.0).into() }
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
