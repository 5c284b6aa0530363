//! The compiled policies in the kernel.
//!
//! A policy is written beside those in force, under a generation of its own, and taken over when an
//! endpoint's record names its slot. What is retired stays readable for [`GRACE`], so that a packet that
//! read the old slot finds all of the old policy.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use abi::{
    Cell, Generation, Peer, PeerClass, PeerKey, PolicyFlags, PolicyRecord, PolicySlot, PortClass, PortKey,
    PortRangeKey, SparseKey, maps,
};
use aya::maps::{Array, MapData};

use crate::compiled::{CompiledPolicy, Entries, allow_all, peer_key};
use crate::error::Error;
use crate::table::Table;

/// How long a retired policy stays readable: far longer than any packet is under way in the programs.
pub const GRACE: Duration = Duration::from_secs(2);

/// Where a policy is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Placed {
    generation: Generation,
    cells: Range<u32>,
}

/// The policies in the kernel's tables.
pub struct Policies {
    records: Array<MapData, PolicyRecord>,
    cells: Array<MapData, Cell>,
    peers: Table<PeerKey, PeerClass>,
    ports: Table<PortKey, PortClass>,
    ranges: Table<PortRangeKey, PortClass>,
    sparse: Table<SparseKey, Cell>,
    placed: BTreeMap<PolicySlot, Placed>,
    /// Slots that an earlier agent left behind.
    inherited: BTreeSet<PolicySlot>,
    retired: Vec<(Instant, PolicySlot)>,
    next: Generation,
}

/// The maps that policies live in.
pub(crate) struct PolicyMaps {
    pub(crate) records: Array<MapData, PolicyRecord>,
    pub(crate) cells: Array<MapData, Cell>,
    pub(crate) peers: Table<PeerKey, PeerClass>,
    pub(crate) ports: Table<PortKey, PortClass>,
    pub(crate) ranges: Table<PortRangeKey, PortClass>,
    pub(crate) sparse: Table<SparseKey, Cell>,
}

impl Policies {
    /// Takes over what the maps hold, and makes sure that [`PolicySlot::ALLOW_ALL`] does.
    pub(crate) fn open(maps: PolicyMaps) -> Result<Self, Error> {
        let PolicyMaps { records, cells, peers, ports, ranges, sparse } = maps;
        let mut placed = BTreeMap::new();
        let mut next = Generation::FIRST;
        for slot in 0..records.len() {
            let record = records.get(&slot, 0).map_err(Error::map("reading", maps::POLICIES))?;
            if slot == PolicySlot::NONE.0 {
                next = next.max(Generation(record.cells));
            }
            if slot < PolicySlot::FIRST.0 || record.generation.0 == 0 {
                continue;
            }
            next = next.max(Generation(record.generation.0 + 1));
            let end = record.cells.saturating_add(record.rows.saturating_mul(record.stride));
            let place = Placed { generation: record.generation, cells: record.cells..end };
            placed.insert(PolicySlot(slot), place);
        }
        let inherited = placed.keys().copied().collect();
        let mut policies = Self {
            records,
            cells,
            peers,
            ports,
            ranges,
            sparse,
            placed,
            inherited,
            retired: Vec::new(),
            next,
        };
        policies.write_record(PolicySlot::ALLOW_ALL, &allow_all())?;
        policies.erase_orphans()?;
        Ok(policies)
    }

    /// Removes what an agent left that died while it wrote a policy, or while it removed one.
    fn erase_orphans(&mut self) -> Result<(), Error> {
        let known: BTreeSet<Generation> = self.placed.values().map(|placed| placed.generation).collect();
        let orphan = |generation: Generation| !known.contains(&generation);
        self.peers.remove_where(|key| orphan(key.generation))?;
        self.ports.remove_where(|key| orphan(key.generation))?;
        self.ranges.remove_where(|key| orphan(Generation(u32::from_be_bytes(key.generation))))?;
        self.sparse.remove_where(|key| orphan(key.generation))?;
        Ok(())
    }

    /// Takes a number that no policy ever had or will have. Connections may remember one whose policy is long
    /// gone, so the next number outlives this process: the slot that never holds a policy keeps it.
    fn take_generation(&mut self) -> Result<Generation, Error> {
        let generation = self.next;
        let next = Generation(generation.0 + 1);
        self.write_record(PolicySlot::NONE, &PolicyRecord { cells: next.0, ..PolicyRecord::default() })?;
        self.next = next;
        Ok(generation)
    }

    /// Writes a policy beside the others, and says where. No packet is judged by it yet.
    ///
    /// # Errors
    /// When there is no room; nothing is left behind then.
    pub fn install(&mut self, policy: &CompiledPolicy) -> Result<(PolicySlot, Generation), Error> {
        let slot = self.free_slot()?;
        let needed = if policy.is_sparse() { 0 } else { policy.cells.len() as u32 };
        let first_cell = self.free_cells(needed)?;
        let generation = self.take_generation()?;
        let entries = policy.entries(generation, first_cell);
        if let Err(error) = self.write(slot, &entries) {
            // What was written is unreachable, but takes room.
            let _ = self.erase(&BTreeSet::from([generation]));
            return Err(error);
        }
        self.placed.insert(slot, Placed { generation, cells: first_cell..first_cell + needed });
        Ok((slot, generation))
    }

    /// Adds peers to a policy in force. The classes must be the policy's own.
    ///
    /// # Errors
    /// When the slot holds no policy or the table is full.
    pub fn add_peers(&mut self, slot: PolicySlot, peers: &BTreeMap<Peer, PeerClass>) -> Result<(), Error> {
        let Some(placed) = self.placed.get(&slot) else {
            return Err(Error::Missing { kind: "policy in slot", name: "POLICIES" });
        };
        let generation = placed.generation;
        for (peer, class) in peers {
            self.peers.set(peer_key(generation, *peer), *class)?;
        }
        let mut record = self.records.get(&slot.0, 0).map_err(Error::map("reading", maps::POLICIES))?;
        if !peers.is_empty() && !record.flags.has(PolicyFlags::PEERS) {
            record.flags = record.flags.with(PolicyFlags::PEERS);
            self.write_record(slot, &record)?;
        }
        Ok(())
    }

    /// Removes peers from a policy in force. Only for peers that nobody is any more: a connection that
    /// remembers one is judged again because its peer is another, not because of this.
    ///
    /// # Errors
    /// When the slot holds no policy.
    pub fn remove_peers(&mut self, slot: PolicySlot, peers: &BTreeSet<Peer>) -> Result<(), Error> {
        let Some(placed) = self.placed.get(&slot) else {
            return Err(Error::Missing { kind: "policy in slot", name: "POLICIES" });
        };
        for peer in peers {
            self.peers.remove(&peer_key(placed.generation, *peer))?;
        }
        Ok(())
    }

    /// Notes that no endpoint names this policy any more. Its room is free after [`GRACE`], at the next
    /// [`Policies::collect`].
    pub fn retire(&mut self, slot: PolicySlot, now: Instant) {
        if slot >= PolicySlot::FIRST && !self.retired.iter().any(|(_, retired)| *retired == slot) {
            self.retired.push((now, slot));
        }
    }

    /// Retires what an earlier agent left behind and `used` does not name.
    pub fn retire_inherited(&mut self, used: &BTreeSet<PolicySlot>, now: Instant) {
        for slot in std::mem::take(&mut self.inherited) {
            if !used.contains(&slot) {
                self.retire(slot, now);
            }
        }
    }

    /// Frees the room of policies that were retired long enough ago. Returns how many.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn collect(&mut self, now: Instant) -> Result<usize, Error> {
        let (due, waiting) = std::mem::take(&mut self.retired)
            .into_iter()
            .partition(|(since, _)| now.duration_since(*since) >= GRACE);
        self.retired = waiting;
        let due: Vec<(Instant, PolicySlot)> = due;
        let mut generations = BTreeSet::new();
        for (_, slot) in &due {
            self.write_record(*slot, &PolicyRecord::default())?;
            if let Some(placed) = self.placed.remove(slot) {
                generations.insert(placed.generation);
            }
        }
        if !generations.is_empty() {
            self.erase(&generations)?;
        }
        Ok(due.len())
    }

    /// Entries in the tables: peers, ports, ranges, and cells in use.
    #[must_use]
    pub fn sizes(&self) -> [usize; 4] {
        let cells = self.entries(maps::POLICY_CELLS) + self.entries(maps::POLICY_SPARSE);
        [
            self.entries(maps::POLICY_PEERS),
            self.entries(maps::POLICY_PORTS),
            self.entries(maps::POLICY_RANGES),
            cells,
        ]
    }

    /// Entries of one of policies' maps that are in use; none of any other.
    pub(crate) fn entries(&self, map: &str) -> usize {
        match map {
            maps::POLICIES => self.placed.len(),
            maps::POLICY_CELLS => self.placed.values().map(|placed| placed.cells.len()).sum(),
            maps::POLICY_PEERS => self.peers.entries().len(),
            maps::POLICY_PORTS => self.ports.entries().len(),
            maps::POLICY_RANGES => self.ranges.entries().len(),
            maps::POLICY_SPARSE => self.sparse.entries().len(),
            _ => 0,
        }
    }

    /// Policies in the tables, those about to be freed included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.placed.len()
    }

    /// Cells, then ports, then peers, the head last: nothing is reachable before it is whole.
    fn write(&mut self, slot: PolicySlot, entries: &Entries) -> Result<(), Error> {
        for (index, cell) in &entries.cells {
            self.cells.set(*index, cell, 0).map_err(Error::map("writing", maps::POLICY_CELLS))?;
        }
        for (key, cell) in &entries.sparse {
            self.sparse.set(*key, *cell)?;
        }
        for (key, class) in &entries.ports {
            self.ports.set(*key, *class)?;
        }
        for (key, class) in &entries.ranges {
            self.ranges.set(*key, *class)?;
        }
        for (key, class) in &entries.peers {
            self.peers.set(*key, *class)?;
        }
        self.write_record(slot, &entries.record)
    }

    fn write_record(&mut self, slot: PolicySlot, record: &PolicyRecord) -> Result<(), Error> {
        self.records.set(slot.0, record, 0).map_err(Error::map("writing", maps::POLICIES))
    }

    fn erase(&mut self, generations: &BTreeSet<Generation>) -> Result<(), Error> {
        self.peers.remove_where(|key| generations.contains(&key.generation))?;
        self.ports.remove_where(|key| generations.contains(&key.generation))?;
        self.ranges
            .remove_where(|key| generations.contains(&Generation(u32::from_be_bytes(key.generation))))?;
        self.sparse.remove_where(|key| generations.contains(&key.generation))?;
        Ok(())
    }

    fn free_slot(&self) -> Result<PolicySlot, Error> {
        (PolicySlot::FIRST.0..self.records.len())
            .map(PolicySlot)
            .find(|slot| !self.placed.contains_key(slot))
            .ok_or(Error::PolicyRoom { what: "slots", needed: 1, free: 0 })
    }

    /// The first gap of `needed` cells.
    fn free_cells(&self, needed: u32) -> Result<u32, Error> {
        let mut taken: Vec<&Range<u32>> = self.placed.values().map(|placed| &placed.cells).collect();
        taken.sort_by_key(|range| range.start);
        let mut start = 0;
        for range in taken.into_iter().filter(|range| !range.is_empty()) {
            if range.start.saturating_sub(start) >= needed {
                return Ok(start);
            }
            start = start.max(range.end);
        }
        let free = self.cells.len().saturating_sub(start);
        if free >= needed {
            Ok(start)
        } else {
            Err(Error::PolicyRoom { what: "cells", needed: needed.into(), free: free.into() })
        }
    }
}
