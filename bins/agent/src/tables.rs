//! What policy says, in the form that the datapath installs.

use std::collections::{BTreeMap, BTreeSet};

use abi::{CidrKey, Peer, PeerClass, PortClass};
use datapath::{CompiledPolicy, PortPrefix, only_opens};
use ipnetwork::IpNetwork;
use policy::Tables;

/// Compiled tables in the form that the datapath installs. `audit`: what would be denied is let through and reported.
#[must_use]
pub fn compiled_policy(tables: &Tables, audit: bool) -> CompiledPolicy {
    let mut cells = tables.cells.clone();
    if cells.is_empty() {
        cells = vec![abi::Cell::default(); (tables.peer_classes() * tables.stride) as usize];
        for ((peer, port), cell) in &tables.sparse {
            cells[(peer.0 * tables.stride + port.0) as usize] = *cell;
        }
    }
    for cell in &mut cells {
        // The number of a proxy; none of them exists yet, so there is no port to send anything to.
        cell.proxy_port = 0;
    }
    CompiledPolicy {
        peers: tables.peers.clone(),
        ports: tables.ports.clone(),
        ranges: tables
            .ranges
            .iter()
            .map(|range| (PortPrefix { proto: range.proto, port: range.port, bits: range.bits }, range.class))
            .collect(),
        other_ports: tables.other_ports,
        cells,
        stride: tables.stride,
        audit,
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
        && old.ports == new.ports
        && old.ranges == new.ranges
        && old.other_ports == new.other_ports
        && old.stride == new.stride
        && old.cells == new.cells
        && old.sparse == new.sparse
        && old.sparse.is_empty();
    if !alike || new.peers.iter().any(|(peer, class)| old.peers.get(peer).is_some_and(|known| known != class))
    {
        return None;
    }
    let added: BTreeMap<Peer, PeerClass> = new
        .peers
        .iter()
        .filter(|(peer, _)| !old.peers.contains_key(peer))
        .map(|(peer, class)| (*peer, *class))
        .collect();
    if added.values().any(|class| !only_opens(&new.cells, new.stride, PeerClass(0), *class)) {
        return None;
    }
    let removed = old.peers.keys().filter(|peer| !new.peers.contains_key(peer)).copied().collect();
    Some((added, removed))
}

/// The key of a CIDR in the trie, where IPv4 lies behind 96 bits.
#[must_use]
pub fn cidr_key(cidr: IpNetwork) -> CidrKey {
    let fixed = if cidr.is_ipv4() { 96 } else { 0 };
    CidrKey { prefix_len: fixed + u32::from(cidr.prefix()), addr: cidr.network().into() }
}
