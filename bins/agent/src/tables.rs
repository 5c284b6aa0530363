//! What policy says, in the form that the datapath installs.

use std::collections::{BTreeMap, BTreeSet};

use abi::{CidrKey, Peer, PeerClass, PortClass};
use datapath::{CompiledPolicy, PortPrefix, only_opens};
use imbl::ordmap::DiffItem;
use ipnetwork::IpNetwork;
use policy::Tables;

/// Compiled tables in the form that the datapath installs.
#[must_use]
pub fn compiled_policy(tables: &Tables) -> CompiledPolicy {
    let mut cells = tables.cells.to_vec();
    if cells.is_empty() {
        cells = vec![abi::Cell::default(); (tables.peer_classes() * tables.stride) as usize];
        for ((peer, port), cell) in tables.sparse.iter() {
            cells[(peer.0 * tables.stride + port.0) as usize] = *cell;
        }
    }
    // No proxy is there to be named.
    for cell in &mut cells {
        cell.proxy_port = 0;
    }
    CompiledPolicy {
        peers: tables.peers.iter().map(|(peer, class)| (*peer, *class)).collect(),
        ports: tables.ports.as_ref().clone(),
        ranges: tables
            .ranges
            .iter()
            .map(|range| (PortPrefix { proto: range.proto, port: range.port, bits: range.bits }, range.class))
            .collect(),
        other_ports: tables.other_ports,
        cells,
        stride: tables.stride,
        audit: tables.audit,
    }
}

/// What the rule that decides about a pair of classes wants reported.
#[must_use]
pub fn log(tables: &Tables, peer: PeerClass, port: PortClass) -> Option<&str> {
    let number = tables.cell(peer, port).cookie.checked_sub(1)?;
    tables.logs.get(number as usize).map(AsRef::as_ref)
}

/// Peers that come and peers that go, where that is all that changes, and those that come are allowed no less
/// than before.
#[must_use]
pub fn peer_changes(old: &Tables, new: &Tables) -> Option<(BTreeMap<Peer, PeerClass>, BTreeSet<Peer>)> {
    let alike = old.allow_all == new.allow_all
        && old.audit == new.audit
        && old.ports == new.ports
        && old.ranges == new.ranges
        && old.other_ports == new.other_ports
        && old.stride == new.stride
        && old.cells == new.cells
        && old.sparse == new.sparse
        && old.sparse.is_empty();
    if !alike {
        return None;
    }
    let (mut added, mut removed) = (BTreeMap::new(), BTreeSet::new());
    // What both share is passed over.
    for change in old.peers.diff(&new.peers) {
        match change {
            DiffItem::Add(peer, class) => {
                added.insert(*peer, *class);
            }
            DiffItem::Remove(peer, _) => {
                removed.insert(*peer);
            }
            DiffItem::Update { .. } => return None,
        }
    }
    if added.values().any(|class| !only_opens(&new.cells, new.stride, PeerClass(0), *class)) {
        return None;
    }
    Some((added, removed))
}

/// The key of a CIDR in the trie, where IPv4 lies behind 96 bits.
#[must_use]
pub fn cidr_key(cidr: IpNetwork) -> CidrKey {
    let fixed = if cidr.is_ipv4() { 96 } else { 0 };
    CidrKey { prefix_len: fixed + u32::from(cidr.prefix()), addr: cidr.network().into() }
}
