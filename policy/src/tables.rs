//! A compiled policy: peer to class, port to class, a cell for each pair.

use std::collections::BTreeMap;
use std::sync::Arc;

use abi::{Cell, CellAction, Peer, PeerClass, PolicyFlags, PolicyRecord, PortClass, proto};
use imbl::OrdMap;

use crate::l7::Proxy;

/// The tables of one direction of one policy, as the datapath reads them.
///
/// Cheap to clone: what is the same is shared. Classes are numbered in the order of the peers and ports that they hold,
/// so that equal policies give equal tables, until peers come and go. Class 0 of peers is everyone without an entry; class 0 of ports is protocols without ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Everything is allowed; nothing else is looked at.
    pub allow_all: bool,
    /// Peers that are treated otherwise than class 0.
    pub peers: OrdMap<Peer, PeerClass>,
    /// Exact ports, by protocol number and port. They are looked at before ranges.
    pub ports: Arc<BTreeMap<(u8, u16), PortClass>>,
    /// Ranges of ports. They do not overlap.
    pub ranges: Arc<Vec<PortRange>>,
    /// The class of ports without an entry, in the order of [`PolicyRecord::other_ports`].
    pub other_ports: [PortClass; 6],
    /// Cells, row by row: a row for each class of peers. Empty where `sparse` is used.
    pub cells: Arc<Vec<Cell>>,
    /// Cells from one row to the next: the number of classes of ports.
    pub stride: u32,
    /// Cells of policies whose classes do not compress; a missing one is [`CellAction::NoRule`].
    pub sparse: Arc<BTreeMap<(PeerClass, PortClass), Cell>>,
    /// What would be dropped is let through and reported.
    pub audit: bool,
    /// The proxies that redirecting cells name: [`Cell::proxy_port`] is the number of one, from 1. Whoever installs the
    /// tables puts the proxy's port in its place, or zero where the proxy is not there.
    pub proxies: Vec<Proxy>,
    /// What rules want reported: [`Cell::cookie`] is the number of one, from 1; zero where there is none.
    pub logs: Vec<Arc<str>>,
}

/// Ports that share their leading bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// Protocol number.
    pub proto: u8,
    /// The first port.
    pub port: u16,
    /// How many leading bits count: 0 to 15.
    pub bits: u8,
    /// The class of its ports.
    pub class: PortClass,
}

impl PortRange {
    /// The last port.
    #[must_use]
    pub const fn last(&self) -> u16 {
        (self.port as u32 + ((1 << (16 - self.bits as u32)) - 1)) as u16
    }
}

impl Tables {
    /// The tables that allow everything.
    #[must_use]
    pub fn allow_all() -> Self {
        let cell = Cell { action: CellAction::Allow as u8, ..Cell::default() };
        Self { allow_all: true, cells: Arc::new(vec![cell]), stride: 1, ..Self::default() }
    }

    /// How the datapath must read them.
    #[must_use]
    pub fn flags(&self) -> PolicyFlags {
        let flags = [
            (self.allow_all, PolicyFlags::ALLOW_ALL),
            (!self.ports.is_empty(), PolicyFlags::PORTS),
            (!self.ranges.is_empty(), PolicyFlags::RANGES),
            (!self.peers.is_empty(), PolicyFlags::PEERS),
            (!self.sparse.is_empty(), PolicyFlags::SPARSE),
            (self.audit, PolicyFlags::AUDIT),
        ];
        flags
            .into_iter()
            .filter(|(set, _)| *set)
            .fold(PolicyFlags::default(), |all, (_, flag)| all.with(flag))
    }

    /// What the datapath finds for a packet: the cell, and the classes that led to it.
    #[must_use]
    pub fn lookup(&self, peer: Peer, proto: u8, port: u16) -> (Cell, PeerClass, PortClass) {
        let peer_class = self.peers.get(&peer).copied().unwrap_or_default();
        let port_class = self.port_class(proto, port);
        (self.cell(peer_class, port_class), peer_class, port_class)
    }

    /// The cell of a pair of classes.
    #[must_use]
    pub fn cell(&self, peer: PeerClass, port: PortClass) -> Cell {
        if self.cells.is_empty() {
            return self.sparse.get(&(peer, port)).copied().unwrap_or_default();
        }
        let index = peer.0 as usize * self.stride as usize + port.0 as usize;
        self.cells.get(index).copied().unwrap_or_default()
    }

    /// The number of classes of peers.
    #[must_use]
    pub fn peer_classes(&self) -> u32 {
        if self.cells.is_empty() {
            return 1 + self.sparse.keys().map(|(peer, _)| peer.0).max().unwrap_or_default();
        }
        self.cells.len() as u32 / self.stride.max(1)
    }

    fn port_class(&self, proto: u8, port: u16) -> PortClass {
        let range = |range: &&PortRange| range.proto == proto && (range.port..=range.last()).contains(&port);
        self.ports
            .get(&(proto, port))
            .copied()
            .or_else(|| self.ranges.iter().find(range).map(|range| range.class))
            .unwrap_or(self.other_ports[other_index(proto)])
    }
}

/// Where the class of a protocol's other ports stands in [`Tables::other_ports`].
pub(crate) const fn other_index(proto: u8) -> usize {
    match proto {
        proto::TCP => PolicyRecord::OTHER_TCP,
        proto::UDP => PolicyRecord::OTHER_UDP,
        proto::SCTP => PolicyRecord::OTHER_SCTP,
        proto::ICMP => PolicyRecord::OTHER_ICMP,
        proto::ICMPV6 => PolicyRecord::OTHER_ICMPV6,
        _ => PolicyRecord::OTHER_PROTO,
    }
}

/// The prefixes that make up the ports from `first` to `last`: first port and bits.
#[must_use]
pub fn prefixes(first: u16, last: u16) -> Vec<(u16, u8)> {
    let (mut next, end) = (u32::from(first), u32::from(last) + 1);
    let mut found = Vec::new();
    while next < end {
        let mut free = next.trailing_zeros().min(16);
        while next + (1 << free) > end {
            free -= 1;
        }
        found.push((next as u16, 16 - free as u8));
        next += 1 << free;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_become_few_prefixes() {
        assert_eq!(prefixes(80, 80), [(80, 16)]);
        assert_eq!(prefixes(0, 65535), [(0, 0)]);
        assert_eq!(prefixes(1024, 65535).len(), 6);
        assert_eq!(prefixes(1, 65534).len(), 30);
        for (first, last) in [(1, 65534), (80, 90), (1000, 2000), (32768, 32768), (65535, 65535)] {
            let covered: Vec<u32> = prefixes(first, last)
                .into_iter()
                .flat_map(|(port, bits)| {
                    let range = PortRange { proto: 6, port, bits, class: PortClass(1) };
                    u32::from(port)..=u32::from(range.last())
                })
                .collect();
            assert_eq!(covered, (u32::from(first)..=u32::from(last)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn allow_all_says_so() {
        let tables = Tables::allow_all();
        assert!(tables.flags().has(PolicyFlags::ALLOW_ALL));
        assert_eq!(tables.lookup(Peer::default(), 6, 80).0.action, CellAction::Allow as u8);
    }
}
