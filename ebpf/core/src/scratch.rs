//! A packet on its way through the stages.

use abi::{DropReason, EndpointId, EventKind, Generation, IfIndex, Peer, PeerClass, PortClass};

use crate::arp::ARP_LEN;
use crate::parse::Headers;

/// What is known of a packet so far. In the kernel it lives in a per-CPU map, so that a tail-called
/// program goes on where its caller stopped.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Scratch {
    /// What its headers say.
    pub headers: Headers,
    /// The link of the pod to deliver to.
    pub target: IfIndex,
    /// The link to forward to, or none.
    pub uplink: IfIndex,
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
    /// The program to go on with, or zero.
    pub next: u32,
    /// Whether this program counts the packet.
    pub counts: u32,
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
            uplink: IfIndex::default(),
            delivery: 0,
            sender: Peer::default(),
            report: Report::default(),
            verdict: 0,
            reason: 0,
            next: 0,
            counts: 0,
            frame: [0; ARP_LEN],
            pad: [0; 2],
        }
    }
}

impl Scratch {
    /// Forgets the packet before, as far as a report of this one would show it. The programs do the same in
    /// their own way.
    #[cfg(feature = "host")]
    pub fn begin(&mut self) {
        self.headers = Headers::default();
        self.report = Report::default();
    }
}

/// How a packet reaches the pod that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Delivery {
    /// The stack is forwarding it: let it.
    Stack = 0,
    /// Straight into the pod's end of the link.
    Peer = 1,
    /// The node itself sends it, through its stack: let it.
    Node = 2,
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
    /// Whether the packet answers somebody who opened the connection.
    pub answers: u16,
    /// Whether a connection with the packet's key is in the established table, though it may be over. Kept here so
    /// that the verifier need not follow it.
    pub remembered: u16,
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
