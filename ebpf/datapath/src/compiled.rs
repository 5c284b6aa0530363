//! A compiled policy, and the table entries that it becomes. Pure: the same entries go into BPF maps and
//! into [`HostTables`].

use std::collections::BTreeMap;

use abi::{
    Cell, CellAction, Generation, Peer, PeerClass, PeerKey, PolicyFlags, PolicyRecord, PolicySlot, PortClass,
    PortKey, PortRangeKey, SparseKey,
};
use ebpf_core::host::HostTables;

/// A range of ports as a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortPrefix {
    /// IP protocol number.
    pub proto: u8,
    /// The first port.
    pub port: u16,
    /// Leading bits that count, 0 to 16.
    pub bits: u8,
}

/// A policy for one direction, compiled to classes: see the three tables in [`abi::PolicyRecord`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompiledPolicy {
    /// Peers that the policy names, and their classes. All others are in class zero.
    pub peers: BTreeMap<Peer, PeerClass>,
    /// Ports that the policy names, by protocol number.
    pub ports: BTreeMap<(u8, u16), PortClass>,
    /// Ranges of ports that the policy names; the longest prefix wins, an exact port before any.
    pub ranges: BTreeMap<PortPrefix, PortClass>,
    /// The class of all other ports, by protocol, as in [`PolicyRecord::other_ports`].
    pub other_ports: [PortClass; 6],
    /// What is said of each pair, row by row.
    pub cells: Vec<Cell>,
    /// Columns: port classes.
    pub stride: u32,
    /// What would be denied is let through and reported.
    pub audit: bool,
}

impl CompiledPolicy {
    /// Cells beyond this number are kept sparse if most of them say the same as nobody's rule.
    pub const DENSE_CELLS: usize = 65_536;

    /// Whether the cells go into the sparse table: there are many, and few of them say anything.
    #[must_use]
    pub fn is_sparse(&self) -> bool {
        self.cells.len() > Self::DENSE_CELLS
            && self.cells.iter().filter(|cell| **cell != Cell::default()).count() < self.cells.len() / 4
    }

    /// The entries of this policy's tables. `first_cell` is where its cells begin in the array of cells.
    #[must_use]
    pub fn entries(&self, generation: Generation, first_cell: u32) -> Entries {
        let mut flags = PolicyFlags::default();
        for (flag, set) in [
            (PolicyFlags::PEERS, !self.peers.is_empty()),
            (PolicyFlags::PORTS, !self.ports.is_empty()),
            (PolicyFlags::RANGES, !self.ranges.is_empty()),
            (PolicyFlags::SPARSE, self.is_sparse()),
            (PolicyFlags::AUDIT, self.audit),
        ] {
            if set {
                flags = flags.with(flag);
            }
        }
        let sparse = flags.has(PolicyFlags::SPARSE);
        let numbered = self.cells.iter().zip(0u32..);
        Entries {
            record: PolicyRecord {
                generation,
                cells: first_cell,
                stride: self.stride,
                rows: if sparse { 0 } else { self.cells.len() as u32 / self.stride.max(1) },
                flags,
                other_ports: self.other_ports.map(|class| class.0 as u16),
            },
            peers: self.peers.iter().map(|(peer, class)| (peer_key(generation, *peer), *class)).collect(),
            ports: self
                .ports
                .iter()
                .map(|(&(proto, port), class)| (PortKey { generation, port, proto, pad: 0 }, *class))
                .collect(),
            ranges: self
                .ranges
                .iter()
                .map(|(range, class)| {
                    (PortRangeKey::new(generation, range.proto, range.port, u32::from(range.bits)), *class)
                })
                .collect(),
            cells: if sparse {
                Vec::new()
            } else {
                numbered.clone().map(|(cell, index)| (first_cell + index, *cell)).collect()
            },
            sparse: if sparse {
                numbered
                    .filter(|(cell, _)| **cell != Cell::default())
                    .map(|(cell, index)| {
                        let (peer, port) = (PeerClass(index / self.stride), PortClass(index % self.stride));
                        (SparseKey { generation, peer, port }, *cell)
                    })
                    .collect()
            } else {
                Vec::new()
            },
        }
    }

    /// Puts the policy into tables in memory.
    pub fn install_on_host(
        &self,
        tables: &mut HostTables,
        slot: PolicySlot,
        generation: Generation,
        first_cell: u32,
    ) {
        let entries = self.entries(generation, first_cell);
        tables.cells.extend(entries.cells);
        tables.sparse.extend(entries.sparse);
        tables.ports.extend(entries.ports);
        tables.ranges.extend(entries.ranges);
        tables.peers.extend(entries.peers);
        tables.policies.insert(slot, entries.record);
    }
}

/// The entry of a peer.
pub(crate) fn peer_key(generation: Generation, peer: Peer) -> PeerKey {
    PeerKey { generation, identity: peer.identity, cidrs: peer.cidrs }
}

/// The record of the slot that allows everything.
#[must_use]
pub fn allow_all() -> PolicyRecord {
    PolicyRecord {
        generation: Generation::ALLOW_ALL,
        flags: PolicyFlags::ALLOW_ALL,
        ..PolicyRecord::default()
    }
}

/// The entries of a policy's tables.
#[derive(Clone, Debug)]
pub struct Entries {
    /// Its head.
    pub record: PolicyRecord,
    /// Peers.
    pub peers: Vec<(PeerKey, PeerClass)>,
    /// Exact ports.
    pub ports: Vec<(PortKey, PortClass)>,
    /// Ranges of ports.
    pub ranges: Vec<(PortRangeKey, PortClass)>,
    /// Cells by index, empty where they are sparse.
    pub cells: Vec<(u32, Cell)>,
    /// Sparse cells.
    pub sparse: Vec<(SparseKey, Cell)>,
}

/// Whether every packet that `before` lets in is let in by `after` too, row by row of one class of peers.
/// Then connections that `before` judged need no new judgement.
#[must_use]
pub fn only_opens(cells: &[Cell], stride: u32, before: PeerClass, after: PeerClass) -> bool {
    let row = |class: PeerClass| {
        let start = class.0 as usize * stride as usize;
        cells.get(start..start + stride as usize)
    };
    let (Some(before), Some(after)) = (row(before), row(after)) else { return false };
    before
        .iter()
        .zip(after)
        .all(|(before, after)| before.action != CellAction::Allow as u8 || before == after)
}
