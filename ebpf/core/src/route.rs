//! Where a packet goes next, and what a hop changes of it.

use abi::{Addr, AddressRecord, Config, Identity, Peer};

use crate::packet::Packet;
use crate::parse::Headers;
use crate::tables::Tables;

/// Who an address is, and how to reach it.
#[inline(always)]
pub(crate) fn resolve<T: Tables>(tables: &T, addr: &Addr) -> AddressRecord {
    if let Some(record) = tables.address(addr) {
        return *record;
    }
    let peer = match tables.cidr(addr) {
        Some(record) => record.peer,
        // Without a covering entry the tables are incomplete: an identity that no rule selects.
        None => Peer { identity: Identity::UNKNOWN, ..Peer::default() },
    };
    AddressRecord { peer, ..AddressRecord::default() }
}

/// Whether the packet may leave without the stack: it has a hop to spare and fits the uplink.
#[inline(always)]
pub(crate) fn fits<P: Packet>(packet: &P, headers: &Headers, config: &Config) -> bool {
    has_hop(headers) && (packet.is_gso() || packet.len() <= config.mtu.saturating_add(14))
}

/// Whether the packet has a hop to spare. Where it has none, the stack answers with "time exceeded".
#[inline(always)]
pub(crate) fn has_hop(headers: &Headers) -> bool {
    headers.ttl > 1
}

/// The bytes of a network header that one hop changes, and where they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// IPv4: TTL, protocol and header checksum, from offset 22 of the frame.
    V4([u8; 4]),
    /// IPv6: the hop limit, at offset 21 of the frame.
    V6(u8),
}

impl Rewrite {
    /// Offset of the IPv4 rewrite from the frame's start.
    pub const V4_OFFSET: usize = 22;
    /// Offset of the IPv6 rewrite from the frame's start.
    pub const V6_OFFSET: usize = 21;

    /// One hop less. The checksum is updated incrementally (RFC 1624, equation 3).
    #[inline(always)]
    pub fn hop<P: Packet>(packet: &P, headers: &Headers) -> Option<Self> {
        if !headers.is_v4() {
            return Some(Self::V6(headers.ttl.wrapping_sub(1)));
        }
        let old = packet.load::<4>(Self::V4_OFFSET)?;
        let ttl = old[0].wrapping_sub(1);
        // The TTL is the high byte of its word: one less is 0x0100 less, so the complement's sum grows by it.
        let sum = u16::from_be_bytes([old[2], old[3]]) as u32 + 0x0100;
        // From all ones on, the carry comes around: an all-ones checksum is the other zero.
        let sum = (sum + u32::from(sum >= 0xffff)) as u16;
        let [high, low] = sum.to_be_bytes();
        Some(Self::V4([ttl, old[1], high, low]))
    }
}
