//! The maps as the tables that decisions are made from.

use core::cell::Cell as Shared;

use abi::{
    Addr, AddressRecord, Cell, CidrRecord, Config, CtEntry, CtKey, Endpoint, FragmentKey, FragmentPorts, IfIndex,
    PeerClass, PeerKey, PolicyRecord, PolicySlot, PortClass, PortKey, PortRangeKey, SparseKey,
};
use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::maps::lpm_trie::Key;
use ebpf_core::{CtTable, Tables};

use crate::maps;

/// The node's maps.
pub struct KernelTables;

/// A looked-up value, borrowed for as long as the program runs.
///
/// An element of a preallocated hash may be given to another key meanwhile. Readers tolerate that: of a
/// policy's tables they read only what carries the generation they ask for, and of an endpoint one word.
macro_rules! borrow {
    ($pointer:expr) => {
        // SAFETY: the helper returned a valid element, which stays readable until the program ends.
        $pointer.map(|pointer| unsafe { &*pointer })
    };
}

impl Tables for KernelTables {
    type Connection<'a> = &'a Shared<CtEntry>;

    #[inline(always)]
    fn checkpoint(&self) {
        crate::checkpoint();
    }

    #[inline(always)]
    fn config(&self) -> Option<&Config> {
        maps::CONFIG.get(0)
    }

    #[inline(always)]
    fn endpoint(&self, link: IfIndex) -> Option<&Endpoint> {
        borrow!(maps::ENDPOINTS.get_ptr(&link))
    }

    #[inline(always)]
    fn address(&self, addr: &Addr) -> Option<&AddressRecord> {
        borrow!(maps::ADDRESSES.get_ptr(addr))
    }

    #[inline(always)]
    fn cidr(&self, addr: &Addr) -> Option<&CidrRecord> {
        maps::CIDRS.get(&maps::cidr_key(addr))
    }

    #[inline(always)]
    fn policy(&self, slot: PolicySlot) -> Option<&PolicyRecord> {
        maps::POLICIES.get(slot.0)
    }

    #[inline(always)]
    fn peer_class(&self, key: &PeerKey) -> Option<PeerClass> {
        borrow!(maps::POLICY_PEERS.get_ptr(key)).copied()
    }

    #[inline(always)]
    fn port_class(&self, key: &PortKey) -> Option<PortClass> {
        borrow!(maps::POLICY_PORTS.get_ptr(key)).copied()
    }

    #[inline(always)]
    fn range_class(&self, key: &PortRangeKey) -> Option<PortClass> {
        let [g0, g1, g2, g3] = key.generation;
        let [p0, p1] = key.port;
        let key = Key::new(key.prefix_len, [g0, g1, g2, g3, key.proto, p0, p1, key.pad]);
        maps::POLICY_RANGES.get(&key).copied()
    }

    #[inline(always)]
    fn cell(&self, index: u32) -> Option<Cell> {
        maps::POLICY_CELLS.get(index).copied()
    }

    #[inline(always)]
    fn sparse_cell(&self, key: &SparseKey) -> Option<Cell> {
        borrow!(maps::POLICY_SPARSE.get_ptr(key)).copied()
    }

    #[inline(always)]
    fn connection<'a>(&'a self, table: CtTable, key: &CtKey) -> Option<Self::Connection<'a>> {
        let pointer = match table {
            CtTable::Established => maps::CT_ESTABLISHED.get_ptr_mut(key),
            CtTable::Unconfirmed => maps::CT_UNCONFIRMED.get_ptr_mut(key),
        };
        // SAFETY: as in `borrow!`; `Cell` has the layout of what is in it, and allows that other CPUs write.
        pointer.map(|pointer| unsafe { &*pointer.cast::<Shared<CtEntry>>() })
    }

    #[inline(always)]
    fn insert_connection(&self, table: CtTable, key: &CtKey, entry: &CtEntry) -> bool {
        let inserted = match table {
            CtTable::Established => maps::CT_ESTABLISHED.insert(key, entry, u64::from(BPF_ANY)),
            CtTable::Unconfirmed => maps::CT_UNCONFIRMED.insert(key, entry, u64::from(BPF_ANY)),
        };
        inserted.is_ok()
    }

    #[inline(always)]
    fn remove_connection(&self, table: CtTable, key: &CtKey) {
        // Removing what is not there is no error here.
        let _ = match table {
            CtTable::Established => maps::CT_ESTABLISHED.remove(key),
            CtTable::Unconfirmed => maps::CT_UNCONFIRMED.remove(key),
        };
    }

    #[inline(always)]
    fn fragment(&self, key: &FragmentKey) -> Option<FragmentPorts> {
        borrow!(maps::FRAGMENTS.get_ptr(key)).copied()
    }

    #[inline(always)]
    fn insert_fragment(&self, key: &FragmentKey, ports: &FragmentPorts) {
        // Where there is no room the later fragments are dropped, and counted then.
        let _ = maps::FRAGMENTS.insert(key, ports, u64::from(BPF_ANY));
    }
}
