//! Events of the datapath.

use abi::{Addr, Be16, Direction, DropReason, Event, EventKind, Identity, Peer, proto};
use flow::Flow;

/// A batch of events, as a ring buffer has them: some let through, some dropped.
#[derive(Clone, Debug)]
pub struct Events {
    events: Vec<Event>,
}

impl Events {
    /// So many.
    #[must_use]
    pub fn new(count: u32) -> Self {
        let event = |number: u32| {
            let dropped = number.is_multiple_of(4);
            let [.., high, low] = number.to_be_bytes();
            Event {
                src: Addr::v4([10, 0, high, low]),
                dst: Addr::v4([10, 1, low, high]),
                src_port: Be16::new(40_000),
                dst_port: Be16::new(443),
                proto: proto::TCP,
                direction: if number.is_multiple_of(2) { Direction::Ingress } else { Direction::Egress }
                    as u8,
                kind: if dropped { EventKind::Dropped } else { EventKind::Allowed } as u8,
                reason: if dropped { DropReason::PolicyDenied as u8 } else { 0 },
                peer: Peer { identity: Identity(256 + number), ..Peer::default() },
                ..Event::default()
            }
        };
        Self { events: (0..count).map(event).collect() }
    }

    /// Decodes all; says how many there were.
    #[must_use]
    pub fn decode(&self) -> usize {
        self.events.iter().filter(|event| std::hint::black_box(Flow::decode(event)).is_ok()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_understood() {
        assert_eq!(Events::new(100).decode(), 100);
    }
}
