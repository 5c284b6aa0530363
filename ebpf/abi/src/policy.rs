//! A compiled policy as the datapath reads it: peer to peer class, port to port class, and a cell for
//! each pair of classes.

use crate::layout::layout;
use crate::{CidrSet, Identity, proto};

/// Where a policy's record is: an index into the array of policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PolicySlot(pub u32);

impl PolicySlot {
    /// No policy was resolved yet: everything is dropped.
    pub const NONE: Self = Self(0);
    /// No policy selects the endpoint in this direction: everything is allowed.
    pub const ALLOW_ALL: Self = Self(1);
    /// The first slot for compiled policies.
    pub const FIRST: Self = Self(2);
}

/// The number of a compiled policy, never reused. All its table entries carry it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Generation(pub u32);

impl Generation {
    /// The generation of [`PolicySlot::ALLOW_ALL`].
    pub const ALLOW_ALL: Self = Self(1);
    /// The first generation of a compiled policy.
    pub const FIRST: Self = Self(2);
}

/// A class of peers that a policy treats alike: the row of its cells. Zero holds all that it names
/// nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PeerClass(pub u32);

/// A class of ports that a policy treats alike: the column of its cells. Zero holds all that it names
/// nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PortClass(pub u32);

/// The head of a compiled policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PolicyRecord {
    /// Its number: part of the key of every peer and port entry.
    pub generation: Generation,
    /// The index of its first cell.
    pub cells: u32,
    /// Cells from one row to the next.
    pub stride: u32,
    /// Rows, so that a later agent knows which cells are taken.
    pub rows: u32,
    /// How to look things up.
    pub flags: PolicyFlags,
    /// The class of ports that have no entry of their own, by protocol: see [`PolicyRecord::OTHER_TCP`]
    /// and its siblings.
    pub other_ports: [u16; 6],
}

impl PolicyRecord {
    /// Index into [`PolicyRecord::other_ports`] for TCP.
    pub const OTHER_TCP: usize = 0;
    /// Index into [`PolicyRecord::other_ports`] for UDP.
    pub const OTHER_UDP: usize = 1;
    /// Index into [`PolicyRecord::other_ports`] for SCTP.
    pub const OTHER_SCTP: usize = 2;
    /// Index into [`PolicyRecord::other_ports`] for ICMP.
    pub const OTHER_ICMP: usize = 3;
    /// Index into [`PolicyRecord::other_ports`] for ICMPv6.
    pub const OTHER_ICMPV6: usize = 4;
    /// Index into [`PolicyRecord::other_ports`] for every other protocol.
    pub const OTHER_PROTO: usize = 5;

    /// The class of a port of this protocol that has no entry of its own.
    #[inline(always)]
    #[must_use]
    pub const fn other_class(&self, proto: u8) -> PortClass {
        let o = &self.other_ports;
        // A chain of constants rather than an index that the compiler computes: nothing to bound.
        PortClass(match proto {
            proto::TCP => o[Self::OTHER_TCP],
            proto::UDP => o[Self::OTHER_UDP],
            proto::SCTP => o[Self::OTHER_SCTP],
            proto::ICMP => o[Self::OTHER_ICMP],
            proto::ICMPV6 => o[Self::OTHER_ICMPV6],
            _ => o[Self::OTHER_PROTO],
        } as u32)
    }
}

/// How a policy's tables are to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct PolicyFlags(pub u32);

impl PolicyFlags {
    /// Everything is allowed; the tables are not looked at.
    pub const ALLOW_ALL: Self = Self(1);
    /// There are entries for exact ports.
    pub const PORTS: Self = Self(2);
    /// There are entries for ranges of ports.
    pub const RANGES: Self = Self(4);
    /// Cells are in the sparse map; a missing one is [`CellAction::NoRule`].
    pub const SPARSE: Self = Self(8);
    /// There are entries for peers.
    pub const PEERS: Self = Self(16);
    /// What would be denied is let through and reported.
    pub const AUDIT: Self = Self(32);

    /// Whether all bits of `other` are set.
    #[inline(always)]
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With the bits of `other` set.
    #[inline(always)]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Key of the peer table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct PeerKey {
    /// The policy.
    pub generation: Generation,
    /// The peer's identity.
    pub identity: Identity,
    /// The CIDRs in use that cover the peer's address.
    pub cidrs: CidrSet,
}

/// Key of the table of exact ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct PortKey {
    /// The policy.
    pub generation: Generation,
    /// The destination port (or ICMP type), in the host's order.
    pub port: u16,
    /// IP protocol number.
    pub proto: u8,
    /// Always zero.
    pub pad: u8,
}

/// Key of the trie of port ranges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct PortRangeKey {
    /// Bits that count of what follows: [`PortRangeKey::FIXED_BITS`] and the length of the port prefix.
    pub prefix_len: u32,
    /// The policy's generation, big endian.
    pub generation: [u8; 4],
    /// IP protocol number.
    pub proto: u8,
    /// The first destination port of the range, big endian.
    pub port: [u8; 2],
    /// Always zero.
    pub pad: u8,
}

impl PortRangeKey {
    /// Bits before the port: generation and protocol.
    pub const FIXED_BITS: u32 = 40;

    /// The key of `bits` leading bits of `port`.
    #[inline(always)]
    #[must_use]
    pub const fn new(generation: Generation, proto: u8, port: u16, bits: u32) -> Self {
        Self {
            prefix_len: Self::FIXED_BITS + bits,
            generation: generation.0.to_be_bytes(),
            proto,
            port: port.to_be_bytes(),
            pad: 0,
        }
    }
}

/// Key of the sparse table of cells, for policies whose classes do not compress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct SparseKey {
    /// The policy.
    pub generation: Generation,
    /// Row.
    pub peer: PeerClass,
    /// Column.
    pub port: PortClass,
}

/// What a policy says of a pair of classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Cell {
    /// A [`CellAction`].
    pub action: u8,
    /// How the two ends must prove who they are, of what is allowed or redirected: zero asks for nothing.
    pub auth: u8,
    /// The proxy's port for [`CellAction::Redirect`], in the host's order.
    pub proxy_port: u16,
    /// Opaque to the datapath: reported with the verdict.
    pub cookie: u32,
}

/// The verdict of a [`Cell`]. All zeroes deny: what nobody wrote is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum CellAction {
    /// No rule allows it.
    NoRule = 0,
    /// A rule allows it.
    Allow = 1,
    /// A rule denies it.
    Deny = 2,
    /// A rule sends it to a proxy.
    Redirect = 3,
}

layout! {
    PolicySlot => 4, Generation => 4, PeerClass => 4, PortClass => 4, PolicyRecord => 32, PeerKey => 12,
    PortKey => 8, PortRangeKey => 12, SparseKey => 12, Cell => 8,
}
