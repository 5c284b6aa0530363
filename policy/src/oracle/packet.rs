//! What a packet is, beside whom it comes from or goes to.

use abi::Direction;

use crate::manifest::ContainerPort;
use crate::port::{PortMatch, Protocol};

/// A packet as the rules about ports see it.
#[derive(Clone, Copy)]
pub(super) struct Packet<'a> {
    pub(super) direction: Direction,
    /// The protocol's number (IANA).
    pub(super) proto: u8,
    /// The destination port; the type of ICMP and ICMPv6.
    pub(super) port: u16,
    /// The ports of the pod that it goes to; none where that is no pod.
    pub(super) destination: &'a [ContainerPort],
}

impl Packet<'_> {
    /// Whether it has this protocol and one of these ports.
    pub(super) fn goes_to(&self, protocol: Protocol, port: &PortMatch) -> bool {
        if protocol.number() != self.proto {
            return false;
        }
        match port {
            PortMatch::All => true,
            PortMatch::Range(first, last) => *first <= self.port && self.port <= *last,
            PortMatch::Named(name) => self.destination.iter().any(|known| {
                known.name.as_ref() == Some(name) && known.protocol == protocol && known.port == self.port
            }),
        }
    }

    /// Whether its destination gave its port this name, whatever the protocol.
    pub(super) fn goes_to_named(&self, name: &str) -> bool {
        let name = PortMatch::Named(name.to_owned());
        Protocol::WITH_PORTS.into_iter().any(|protocol| self.goes_to(protocol, &name))
    }
}
