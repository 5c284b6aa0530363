//! The layout that ours is compared with: one trie entry for each pair of peer and port, and two lookups,
//! one for the peer and one for everybody, for every packet that is not a reply.
//!
//! All else is the same code and the same maps, so that the difference is the layout's alone.

use core::cell::Cell as Shared;

use abi::bench::ProductKey;
use abi::{
    Addr, AddressRecord, Cell, CellAction, CidrRecord, Config, CtEntry, CtKey, Endpoint, FragmentKey,
    FragmentPorts, Identity, IfIndex, Peer, PeerClass, PeerKey, PolicyRecord, PolicySlot, PortClass, PortKey,
    PortRangeKey, SparseKey,
};
use aya_ebpf::btf_maps::LpmTrie;
use aya_ebpf::macros::btf_map;
use aya_ebpf::maps::lpm_trie::Key;
use ebpf_core::{CtTable, Judgement, Tables};
use netloom_programs::KernelTables;

/// Room for 100,000 peers of five ports each.
#[btf_map]
pub static PRODUCT: LpmTrie<[u32; 2], Cell, 524_288> = LpmTrie::new();

/// The node's maps, but for the policy's.
pub struct TwoLpm;

impl TwoLpm {
    #[inline(always)]
    fn entry(&self, identity: Identity, proto: u8, port: u16) -> Cell {
        let key = ProductKey::new(identity, proto, port);
        PRODUCT.get(&Key::new(key.prefix_len, key.data)).copied().unwrap_or_default()
    }
}

impl Tables for TwoLpm {
    type Connection<'a> = &'a Shared<CtEntry>;

    const JUDGES_EVERY_PACKET: bool = true;

    #[inline(always)]
    fn judgement(&self, policy: &PolicyRecord, peer: Peer, proto: u8, port: u16) -> Judgement {
        let one = self.entry(peer.identity, proto, port);
        let all = self.entry(Identity::UNKNOWN, proto, port);
        // Denied by either is denied, allowed by either is allowed.
        let cell = if all.action == CellAction::Deny as u8 || one.action == CellAction::NoRule as u8 {
            all
        } else {
            one
        };
        Judgement { generation: policy.generation, peer_class: PeerClass(0), port_class: PortClass(0), cell }
    }

    #[inline(always)]
    fn checkpoint(&self) {
        KernelTables.checkpoint();
    }

    #[inline(always)]
    fn config(&self) -> Option<&Config> {
        KernelTables.config()
    }

    #[inline(always)]
    fn endpoint(&self, link: IfIndex) -> Option<&Endpoint> {
        KernelTables.endpoint(link)
    }

    #[inline(always)]
    fn address(&self, addr: &Addr) -> Option<&AddressRecord> {
        KernelTables.address(addr)
    }

    #[inline(always)]
    fn cidr(&self, addr: &Addr) -> Option<&CidrRecord> {
        KernelTables.cidr(addr)
    }

    #[inline(always)]
    fn policy(&self, slot: PolicySlot) -> Option<&PolicyRecord> {
        KernelTables.policy(slot)
    }

    #[inline(always)]
    fn peer_class(&self, key: &PeerKey) -> Option<PeerClass> {
        KernelTables.peer_class(key)
    }

    #[inline(always)]
    fn port_class(&self, key: &PortKey) -> Option<PortClass> {
        KernelTables.port_class(key)
    }

    #[inline(always)]
    fn range_class(&self, key: &PortRangeKey) -> Option<PortClass> {
        KernelTables.range_class(key)
    }

    #[inline(always)]
    fn cell(&self, index: u32) -> Option<Cell> {
        KernelTables.cell(index)
    }

    #[inline(always)]
    fn sparse_cell(&self, key: &SparseKey) -> Option<Cell> {
        KernelTables.sparse_cell(key)
    }

    #[inline(always)]
    fn connection<'a>(&'a self, table: CtTable, key: &CtKey) -> Option<Self::Connection<'a>> {
        KernelTables.connection(table, key)
    }

    #[inline(always)]
    fn insert_connection(&self, table: CtTable, key: &CtKey, entry: &CtEntry) -> bool {
        KernelTables.insert_connection(table, key, entry)
    }

    #[inline(always)]
    fn remove_connection(&self, table: CtTable, key: &CtKey) {
        KernelTables.remove_connection(table, key);
    }

    #[inline(always)]
    fn fragment(&self, key: &FragmentKey) -> Option<FragmentPorts> {
        KernelTables.fragment(key)
    }

    #[inline(always)]
    fn insert_fragment(&self, key: &FragmentKey, ports: &FragmentPorts) {
        KernelTables.insert_fragment(key, ports);
    }
}
