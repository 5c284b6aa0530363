//! Connections as the datapath remembers them.

use crate::layout::layout;
use crate::{Addr, Be16, CidrSet, EndpointId, Generation, Identity, Peer};

/// Names a connection of one endpoint, the same for both of its directions.
///
/// The endpoint's number stands for its own address, so that a new pod with a used address inherits no
/// connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct CtKey {
    /// The other end's address.
    pub peer: Addr,
    /// The endpoint's port; of an ICMP query its identifier where the endpoint asks, its type where it is asked;
    /// zero where the protocol has none.
    pub local_port: Be16,
    /// The other end's port, in the same way.
    pub peer_port: Be16,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// IP protocol number.
    pub proto: u8,
    /// Always zero.
    pub pad: u8,
}

/// What is remembered of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CtEntry {
    /// The policy that let it in. Where it differs from the one in force, the next packet in the original
    /// direction is judged again.
    pub generation: Generation,
    /// Who the peer was when it was judged.
    pub identity: Identity,
    /// The CIDRs in use that covered the peer then.
    pub cidrs: CidrSet,
    /// When the entry stops being valid, in [ticks](crate::Config#ticks).
    pub expires: u32,
    /// What has been seen of it.
    pub flags: CtFlags,
    /// The service that translated it; zero for none.
    pub rev_nat: u16,
    /// Always zero.
    pub pad: u32,
}

impl CtEntry {
    /// Who the peer was when the connection was judged.
    #[inline(always)]
    #[must_use]
    pub const fn judged_peer(&self) -> Peer {
        Peer { identity: self.identity, cidrs: self.cidrs }
    }
}

/// What has been seen of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct CtFlags(pub u16);

impl CtFlags {
    /// The peer opened it: ingress is the original direction.
    pub const FROM_PEER: Self = Self(1);
    /// A packet in the reply direction was seen.
    pub const REPLIED: Self = Self(2);
    /// The opener answered a reply: both ends are real, the entry may live in the established table.
    pub const CONFIRMED: Self = Self(4);
    /// TCP: the opener sent FIN.
    pub const ORIGINAL_FIN: Self = Self(8);
    /// TCP: the other side sent FIN.
    pub const REPLY_FIN: Self = Self(16);
    /// TCP: either side sent RST.
    pub const RESET: Self = Self(32);
    /// Both FINs.
    pub const BOTH_FIN: Self = Self(8 | 16);

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

layout! { CtKey => 24, CtEntry => 24, CtFlags => 2 }
