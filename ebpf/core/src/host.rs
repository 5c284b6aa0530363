//! The tables as ordinary collections, and a packet as bytes.

use std::cell::{Cell as Shared, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use abi::{
    Addr, AddressRecord, Cell, CidrKey, CidrRecord, Config, CtEntry, CtKey, Endpoint, FragmentKey,
    FragmentPorts, IfIndex, PeerClass, PeerKey, PolicyRecord, PolicySlot, PortClass, PortKey, PortRangeKey,
    SparseKey,
};

use crate::packet::Packet;
use crate::tables::{CtTable, Tables};

/// A frame in memory.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Packet for Bytes<'_> {
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.0.get(offset..offset.checked_add(N)?)?.try_into().ok()
    }

    fn load_far<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.load(offset)
    }

    fn ether_type(&self) -> u16 {
        self.load::<2>(12).map_or(0, u16::from_be_bytes)
    }

    fn len(&self) -> u32 {
        self.0.len() as u32
    }

    fn is_gso(&self) -> bool {
        false
    }

    fn is_tagged(&self) -> bool {
        false
    }

    fn is_from_here(&self) -> bool {
        true
    }
}

/// A connection table.
pub type Connections = RefCell<HashMap<CtKey, Rc<Shared<CtEntry>>>>;

/// The node's tables in memory. Fields carry the names of the maps.
#[derive(Debug, Default)]
pub struct HostTables {
    /// See [`abi::maps::CONFIG`].
    pub config: Config,
    /// See [`abi::maps::ENDPOINTS`].
    pub endpoints: HashMap<IfIndex, Endpoint>,
    /// See [`abi::maps::ADDRESSES`].
    pub addresses: HashMap<Addr, AddressRecord>,
    /// See [`abi::maps::CIDRS`].
    pub cidrs: HashMap<CidrKey, CidrRecord>,
    /// See [`abi::maps::POLICIES`].
    pub policies: HashMap<PolicySlot, PolicyRecord>,
    /// See [`abi::maps::POLICY_PEERS`].
    pub peers: HashMap<PeerKey, PeerClass>,
    /// See [`abi::maps::POLICY_PORTS`].
    pub ports: HashMap<PortKey, PortClass>,
    /// See [`abi::maps::POLICY_RANGES`].
    pub ranges: HashMap<PortRangeKey, PortClass>,
    /// See [`abi::maps::POLICY_CELLS`].
    pub cells: HashMap<u32, Cell>,
    /// See [`abi::maps::POLICY_SPARSE`].
    pub sparse: HashMap<SparseKey, Cell>,
    /// See [`abi::maps::CT_ESTABLISHED`].
    pub established: Connections,
    /// See [`abi::maps::CT_UNCONFIRMED`].
    pub unconfirmed: Connections,
    /// See [`abi::maps::FRAGMENTS`].
    pub fragments: RefCell<HashMap<FragmentKey, FragmentPorts>>,
}

impl HostTables {
    fn connections(&self, table: CtTable) -> &Connections {
        match table {
            CtTable::Established => &self.established,
            CtTable::Unconfirmed => &self.unconfirmed,
        }
    }
}

/// The first `bits` bits of `bytes`, the others zero.
fn masked<const N: usize>(mut bytes: [u8; N], bits: u32) -> [u8; N] {
    for (index, byte) in bytes.iter_mut().enumerate() {
        let kept = bits.saturating_sub(index as u32 * 8).min(8);
        *byte &= (0xff00u32 >> kept) as u8;
    }
    bytes
}

impl Tables for HostTables {
    type Connection<'a> = Rc<Shared<CtEntry>>;

    fn config(&self) -> Option<&Config> {
        Some(&self.config)
    }

    fn endpoint(&self, link: IfIndex) -> Option<&Endpoint> {
        self.endpoints.get(&link)
    }

    fn address(&self, addr: &Addr) -> Option<&AddressRecord> {
        self.addresses.get(addr)
    }

    fn cidr(&self, addr: &Addr) -> Option<&CidrRecord> {
        (0..=128).rev().find_map(|bits| {
            self.cidrs
                .get(&CidrKey { prefix_len: bits, addr: Addr::from_octets(masked(addr.octets(), bits)) })
        })
    }

    fn policy(&self, slot: PolicySlot) -> Option<&PolicyRecord> {
        self.policies.get(&slot)
    }

    fn peer_class(&self, key: &PeerKey) -> Option<PeerClass> {
        self.peers.get(key).copied()
    }

    fn port_class(&self, key: &PortKey) -> Option<PortClass> {
        self.ports.get(key).copied()
    }

    fn range_class(&self, key: &PortRangeKey) -> Option<PortClass> {
        (0..=16).rev().find_map(|bits| {
            let port = masked(key.port, bits);
            let prefix_len = PortRangeKey::FIXED_BITS + bits;
            self.ranges.get(&PortRangeKey { prefix_len, port, ..*key }).copied()
        })
    }

    fn cell(&self, index: u32) -> Option<Cell> {
        self.cells.get(&index).copied()
    }

    fn sparse_cell(&self, key: &SparseKey) -> Option<Cell> {
        self.sparse.get(key).copied()
    }

    fn connection<'a>(&'a self, table: CtTable, key: &CtKey) -> Option<Self::Connection<'a>> {
        self.connections(table).borrow().get(key).cloned()
    }

    fn insert_connection(&self, table: CtTable, key: &CtKey, entry: &CtEntry) -> bool {
        self.connections(table).borrow_mut().insert(*key, Rc::new(Shared::new(*entry)));
        true
    }

    fn remove_connection(&self, table: CtTable, key: &CtKey) {
        self.connections(table).borrow_mut().remove(key);
    }

    fn fragment(&self, key: &FragmentKey) -> Option<FragmentPorts> {
        self.fragments.borrow().get(key).copied()
    }

    fn insert_fragment(&self, key: &FragmentKey, ports: &FragmentPorts) {
        self.fragments.borrow_mut().insert(*key, *ports);
    }
}
