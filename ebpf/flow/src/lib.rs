//! Datapath events decoded to flows.
//!
//! An [`abi::Event`] says what happened at an endpoint: who its peer is, which way the packet went. A
//! [`Flow`] says the same as people read it: a source and a destination. It knows numbers only; who holds an
//! address and which rule decided is for the caller to add.
//!
//! ```
//! use abi::{Addr, Be16, Direction, DropReason, Event, EventKind, Identity, Peer};
//! use netloom_flow::{Flow, Verdict};
//!
//! let event = Event {
//!     src: Addr::v4([10, 0, 0, 2]), dst: Addr::v4([10, 0, 0, 1]), dst_port: Be16::new(80), proto: 6,
//!     direction: Direction::Ingress as u8, kind: EventKind::Dropped as u8, reason: DropReason::PolicyDenied as u8,
//!     peer: Peer { identity: Identity(300), ..Peer::default() }, ..Event::default()
//! };
//! let flow = Flow::decode(&event).unwrap();
//! assert_eq!(flow.verdict, Verdict::Dropped(DropReason::PolicyDenied));
//! assert_eq!(flow.source.peer.identity, Identity(300));
//! assert_eq!(flow.to_string(), "10.0.0.2:0 -> 10.0.0.1:80 TCP ingress DROPPED: no policy rule allows it");
//! ```
//!
//! What this crate does not do: read the ring buffer (see `netloom-datapath`).

mod protocol;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use abi::{
    Direction, DropReason, EndpointId, Event, EventKind, Generation, Peer, PeerClass, PortClass, proto,
};

pub use protocol::Protocol;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It opened a connection, or an established one was judged again, and policy let it pass.
    Forwarded,
    /// It was dropped.
    Dropped(DropReason),
    /// Policy would have dropped it; audit mode let it pass.
    Audited,
}

/// One end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// The address.
    pub address: IpAddr,
    /// The port; zero where the protocol has none.
    pub port: u16,
    /// Who it is to policies.
    pub peer: Peer,
}

/// What happened to a packet at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time: u64,
    /// What became of it.
    pub verdict: Verdict,
    /// Which way it went, for the endpoint.
    pub direction: Direction,
    /// The endpoint; zero where it was dropped before that was known.
    pub endpoint: EndpointId,
    /// The sender.
    pub source: Side,
    /// The receiver.
    pub destination: Side,
    /// The protocol.
    pub protocol: Protocol,
    /// TCP flags.
    pub tcp_flags: u8,
    /// ICMP type.
    pub icmp_type: u8,
    /// The policy that was asked, and where in its tables the answer stands; nothing where none was.
    pub judged: Option<(Generation, PeerClass, PortClass)>,
    /// The packet's length in bytes, link header included.
    pub length: u32,
}

/// An event that this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownEvent {
    /// Its kind.
    pub kind: u8,
    /// Its drop reason.
    pub reason: u8,
}

impl fmt::Display for UnknownEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event of unknown kind {} with reason {}", self.kind, self.reason)
    }
}

impl std::error::Error for UnknownEvent {}

impl Flow {
    /// Decodes an event.
    ///
    /// # Errors
    /// When its kind or reason is of another version.
    pub fn decode(event: &Event) -> Result<Self, UnknownEvent> {
        const ALLOWED: u8 = EventKind::Allowed as u8;
        const DROPPED: u8 = EventKind::Dropped as u8;
        const AUDITED: u8 = EventKind::Audited as u8;
        let unknown = UnknownEvent { kind: event.kind, reason: event.reason };
        let verdict = match event.kind {
            ALLOWED => Verdict::Forwarded,
            AUDITED => Verdict::Audited,
            DROPPED => Verdict::Dropped(DropReason::from_code(event.reason).ok_or(unknown)?),
            _ => return Err(unknown),
        };
        let direction = event.direction();
        let (source, destination) = match direction {
            Direction::Ingress => (event.peer, event.own),
            Direction::Egress => (event.own, event.peer),
        };
        let protocol = Protocol(event.proto);
        let port = |port: abi::Be16| if protocol.has_ports() { port.get() } else { 0 };
        Ok(Self {
            time: event.time,
            verdict,
            direction,
            endpoint: event.endpoint,
            source: Side { address: event.src.into(), port: port(event.src_port), peer: source },
            destination: Side { address: event.dst.into(), port: port(event.dst_port), peer: destination },
            protocol,
            tcp_flags: event.tcp_flags,
            icmp_type: event.icmp_type,
            judged: (event.generation != Generation(0)).then_some((
                event.generation,
                event.peer_class,
                event.port_class,
            )),
            length: event.len,
        })
    }

    /// What policy calls the port: the destination's, or the type of an ICMP message.
    #[must_use]
    pub fn policy_port(&self) -> u16 {
        match self.protocol.0 {
            proto::ICMP | proto::ICMPV6 => self.icmp_type.into(),
            _ => self.destination.port,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        };
        write!(f, "{} -> {} {} {direction} ", self.source, self.destination, self.protocol)?;
        match self.verdict {
            Verdict::Forwarded => f.write_str("FORWARDED"),
            Verdict::Audited => f.write_str("AUDIT"),
            Verdict::Dropped(reason) => write!(f, "DROPPED: {}", reason.sentence()),
        }
    }
}
