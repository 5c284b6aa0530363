//! What the datapath reports.

use crate::layout::layout;
use crate::{Addr, Be16, Direction, EndpointId, Generation, Peer, PeerClass, PortClass};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EventKind {
    /// A connection was let in by policy.
    Allowed = 1,
    /// A packet was dropped.
    Dropped = 2,
    /// Policy would have dropped the packet; audit mode let it through.
    Audited = 3,
}

/// An entry of the ring buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time: u64,
    /// Source address; unspecified where the packet could not be parsed that far.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// Who the endpoint's peer is.
    pub peer: Peer,
    /// The endpoint's own identity and covering CIDRs.
    pub own: Peer,
    /// The policy that was asked; zero where none was.
    pub generation: Generation,
    /// The peer's class in that policy.
    pub peer_class: PeerClass,
    /// The port's class in that policy.
    pub port_class: PortClass,
    /// The packet's length, link header included.
    pub len: u32,
    /// The link that the program ran on.
    pub ifindex: u32,
    /// Source port (or the identifier of an ICMP query).
    pub src_port: Be16,
    /// Destination port (or the type of an ICMP message that answers nothing).
    pub dst_port: Be16,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// An [`EventKind`].
    pub kind: u8,
    /// A [`DropReason`](crate::DropReason), or zero.
    pub reason: u8,
    /// A [`Direction`].
    pub direction: u8,
    /// IP protocol number.
    pub proto: u8,
    /// TCP flags.
    pub tcp_flags: u8,
    /// ICMP type.
    pub icmp_type: u8,
}

impl Event {
    /// The direction, for the endpoint.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        if self.direction == Direction::Ingress as u8 { Direction::Ingress } else { Direction::Egress }
    }
}

layout! { Event => 88 }
