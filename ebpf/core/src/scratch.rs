//! A packet on its way through the stages.

use abi::{
    Addr, Be16, CidrSet, DropReason, EndpointId, EventKind, Generation, Identity, IfIndex, Peer, PeerClass,
    PortClass,
};

use crate::arp::ARP_LEN;
use crate::parse::{HeaderFlags, Headers};

/// What is known of a packet so far. In the kernel it lives in a per-CPU map, so that a tail-called
/// program goes on where its caller stopped.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Scratch {
    /// What its headers say.
    pub headers: Headers,
    /// The link of the pod to deliver to.
    pub target: IfIndex,
    /// How to deliver: a [`Delivery`].
    pub delivery: u32,
    /// The sender, for the pod to deliver to.
    pub sender: Peer,
    /// What is to be reported.
    pub report: Report,
    /// What the kernel is to do with the packet: a `TC_ACT_…`.
    pub verdict: i32,
    /// The number of the drop reason, or zero.
    pub reason: u32,
    /// Room to build an answer in.
    pub frame: [u8; ARP_LEN],
    /// Always zero.
    pub pad: [u8; 2],
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            headers: Headers::default(),
            target: IfIndex::default(),
            delivery: 0,
            sender: Peer::default(),
            report: Report::default(),
            verdict: 0,
            reason: 0,
            frame: [0; ARP_LEN],
            pad: [0; 2],
        }
    }
}

impl Scratch {
    /// Forgets the packet before, as far as a report of this one would show it. What is not reset here is
    /// written before it is read: clearing all would cost every packet a call of `memset`.
    #[inline(always)]
    pub fn begin(&mut self) {
        let headers = &mut self.headers;
        headers.src = Addr::UNSPECIFIED;
        headers.dst = Addr::UNSPECIFIED;
        headers.src_port = Be16(0);
        headers.dst_port = Be16(0);
        headers.proto = 0;
        headers.tcp_flags = 0;
        headers.icmp_type = 0;
        headers.flags = HeaderFlags::default();
        let report = &mut self.report;
        report.peer = Peer { identity: Identity(0), cidrs: CidrSet(0) };
        report.own = Peer { identity: Identity(0), cidrs: CidrSet(0) };
        report.generation = Generation(0);
        report.peer_class = PeerClass(0);
        report.port_class = PortClass(0);
        report.endpoint = EndpointId(0);
        report.kind = 0;
    }
}

/// How a packet reaches the pod that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Delivery {
    /// The stack was delivering it already: let it.
    Stack = 0,
    /// Straight into the pod's end of the link.
    Peer = 1,
}

/// What is to be reported of a packet, beside its headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Report {
    /// The endpoint's peer.
    pub peer: Peer,
    /// The endpoint itself.
    pub own: Peer,
    /// The policy that was asked, or zero.
    pub generation: Generation,
    /// The peer's class in it.
    pub peer_class: PeerClass,
    /// The port's class in it.
    pub port_class: PortClass,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// An [`EventKind`], or zero where there is nothing to say.
    pub kind: u8,
    /// An [`abi::Direction`].
    pub direction: u8,
}

impl Report {
    /// Notes what happened.
    #[inline(always)]
    pub fn note(&mut self, kind: EventKind) {
        self.kind = kind as u8;
    }
}

/// What is to be done with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Leave it to the stack.
    Pass,
    /// Leave it to the stack, which must not give it another source: it answers somebody whose packets the
    /// stack did not see.
    PassAnswer,
    /// Drop it.
    Drop(DropReason),
    /// Go on with [`to_endpoint`](crate::to_endpoint).
    ToEndpoint,
    /// Count it a hop further and send it out of this link; the kernel finds the neighbour.
    Forward(IfIndex),
    /// Count it a hop further, give it the pod's MAC address and put it into the pod's end of this link.
    Deliver(IfIndex),
    /// Answer it with [`arp_reply`](crate::arp_reply).
    Arp,
}
