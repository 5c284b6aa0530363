//! Who lives here, and who lives where.

use crate::layout::layout;
use crate::{Addr, CidrSet, Identity, Peer, PolicySlot};

/// The number of an endpoint (a pod on this node). Zero means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct EndpointId(pub u16);

/// The kernel's index of a link. Zero means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct IfIndex(pub u32);

/// A pod on this node, found by the index of the host's end of its link.
///
/// `ingress` and `egress` are the words that name the policy in force: replacing one takes over a whole
/// policy at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Endpoint {
    /// Its IPv4 address, or [`Addr::UNSPECIFIED`].
    pub v4: Addr,
    /// Its IPv6 address, or [`Addr::UNSPECIFIED`].
    pub v6: Addr,
    /// Its security identity.
    pub identity: Identity,
    /// The CIDRs in use that cover its IPv4 address.
    pub v4_cidrs: CidrSet,
    /// The CIDRs in use that cover its IPv6 address.
    pub v6_cidrs: CidrSet,
    /// Policy for packets to the pod.
    pub ingress: PolicySlot,
    /// Policy for packets from the pod.
    pub egress: PolicySlot,
    /// The index of the host's end of its link: the key of this record.
    pub ifindex: IfIndex,
    /// Its number.
    pub id: EndpointId,
    /// The addresses of the Ethernet header of a packet to the pod: its MAC address, then that of the host's
    /// end of its link.
    pub macs: [u8; 12],
    /// Always zero.
    pub pad: [u8; 2],
}

impl Endpoint {
    /// The addresses of the Ethernet header of a packet to a pod with this MAC address.
    #[must_use]
    pub const fn macs_to(pod: [u8; 6]) -> [u8; 12] {
        let [a, b, c, d, e, f] = pod;
        let [g, h, i, j, k, l] = crate::Config::GATEWAY_MAC;
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    /// The endpoint as a peer of others, by the family of the address that it uses.
    #[inline(always)]
    #[must_use]
    pub const fn peer(&self, is_v4: bool) -> Peer {
        Peer { identity: self.identity, cidrs: if is_v4 { self.v4_cidrs } else { self.v6_cidrs } }
    }
}

/// What is known of one exact address: a pod or a node, here or elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct AddressRecord {
    /// Who it is.
    pub peer: Peer,
    /// The link to deliver to where the address is a pod of this node, else none.
    pub local: IfIndex,
    /// The link to forward to, where packets for this address need neither masquerade nor the stack's
    /// opinion, else none.
    pub forward: IfIndex,
}

/// Key of the trie of CIDRs in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct CidrKey {
    /// Bits of `addr` that count; an IPv4 prefix is counted from bit 96.
    pub prefix_len: u32,
    /// The network's address.
    pub addr: Addr,
}

/// What is known of the addresses inside a CIDR that are nobody's in particular.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CidrRecord {
    /// Who they are.
    pub peer: Peer,
}

layout! {
    EndpointId => 2, IfIndex => 4, Endpoint => 72, AddressRecord => 16, CidrKey => 20, CidrRecord => 8,
}
