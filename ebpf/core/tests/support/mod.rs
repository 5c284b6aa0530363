//! Frames and tables that the tests share.
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part of it")]

use abi::{
    Addr, AddressRecord, Cell, CellAction, CidrSet, Endpoint, EndpointId, Generation, Identity, IfIndex,
    Peer, PeerClass, PeerKey, PolicyFlags, PolicyRecord, PolicySlot, PortClass, PortKey, proto,
};
use etherparse::PacketBuilder;
use netloom_ebpf_core::host::{Bytes, HostTables};
use netloom_ebpf_core::{Action, Scratch, from_pod, to_endpoint, to_pod};

pub(crate) const LINK: IfIndex = IfIndex(1);
pub(crate) const POD: [u8; 4] = [10, 0, 0, 1];

/// The slot of what the pod may send.
pub(crate) const EGRESS: PolicySlot = PolicySlot(2);
/// The slot of what it may receive.
pub(crate) const INGRESS: PolicySlot = PolicySlot(3);

/// Tables with one pod, whose two policies are not written yet.
pub(crate) fn tables() -> HostTables {
    let mut tables = HostTables::default();
    place(&mut tables, EndpointId(1));
    tables
}

/// Puts a pod with this number behind the link.
pub(crate) fn place(tables: &mut HostTables, id: EndpointId) {
    let endpoint = Endpoint {
        v4: Addr::v4(POD),
        identity: Identity(300),
        egress: EGRESS,
        ingress: INGRESS,
        ifindex: LINK,
        id,
        ..Endpoint::default()
    };
    tables.endpoints.insert(LINK, endpoint);
}

/// Says who an address is.
pub(crate) fn know(tables: &mut HostTables, addr: [u8; 4], identity: u32) {
    let peer = Peer { identity: Identity(identity), cidrs: CidrSet::EMPTY };
    tables.addresses.insert(Addr::v4(addr), AddressRecord { peer, ..AddressRecord::default() });
}

/// Writes a policy that allows these identities these ports of TCP and UDP.
pub(crate) fn allow(tables: &mut HostTables, slot: PolicySlot, generation: u32, pairs: &[(u32, u16)]) {
    let generation = Generation(generation);
    // A class for each pair's peer and one for its port.
    let stride = pairs.len() as u32 + 1;
    let first = tables.cells.len() as u32;
    for index in 0..stride * stride {
        tables.cells.insert(first + index, Cell::default());
    }
    let mut peers = std::collections::BTreeMap::new();
    let mut ports = std::collections::BTreeMap::new();
    for (identity, port) in pairs {
        let next = peers.len() as u32 + 1;
        let row = *peers.entry(*identity).or_insert(next);
        let next = ports.len() as u32 + 1;
        let column = *ports.entry(*port).or_insert(next);
        let cell = Cell { action: CellAction::Allow as u8, ..Cell::default() };
        tables.cells.insert(first + row * stride + column, cell);
    }
    for (identity, row) in peers {
        let key = PeerKey { generation, identity: Identity(identity), cidrs: CidrSet::EMPTY };
        tables.peers.insert(key, PeerClass(row));
    }
    for (port, column) in ports {
        for proto in [proto::TCP, proto::UDP] {
            tables.ports.insert(PortKey { generation, port, proto, pad: 0 }, PortClass(column));
        }
    }
    let flags = PolicyFlags::PEERS.with(PolicyFlags::PORTS);
    let record = PolicyRecord { generation, cells: first, stride, flags, ..PolicyRecord::default() };
    tables.policies.insert(slot, record);
}

/// Lets everything pass.
pub(crate) fn allow_all(tables: &mut HostTables, slot: PolicySlot) {
    let flags = PolicyFlags::ALLOW_ALL;
    let record = PolicyRecord { generation: Generation::ALLOW_ALL, flags, ..PolicyRecord::default() };
    tables.policies.insert(slot, record);
}

/// A TCP segment with these flags.
pub(crate) fn tcp(src: [u8; 4], dst: [u8; 4], ports: (u16, u16), flags: u8) -> Vec<u8> {
    let mut builder =
        PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(src, dst, 64).tcp(ports.0, ports.1, 1, 1000);
    if flags & proto::TCP_SYN != 0 {
        builder = builder.syn();
    }
    if flags & proto::TCP_ACK != 0 {
        builder = builder.ack(1);
    }
    if flags & proto::TCP_FIN != 0 {
        builder = builder.fin();
    }
    if flags & proto::TCP_RST != 0 {
        builder = builder.rst();
    }
    let mut frame = Vec::new();
    builder.write(&mut frame, &[]).unwrap();
    frame
}

/// A UDP datagram.
pub(crate) fn udp(src: [u8; 4], dst: [u8; 4], ports: (u16, u16)) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(src, dst, 64).udp(ports.0, ports.1);
    builder.write(&mut frame, b"data").unwrap();
    frame
}

/// What becomes of a frame that the pod sends.
pub(crate) fn send(tables: &HostTables, frame: &[u8], now: u32) -> (Action, Scratch) {
    let mut scratch = Scratch::default();
    scratch.begin();
    (from_pod(tables, &Bytes(frame), LINK, now, &mut scratch), scratch)
}

/// What becomes of a frame that the stack has for the pod.
pub(crate) fn receive(tables: &HostTables, frame: &[u8], now: u32) -> (Action, Scratch) {
    let mut scratch = Scratch::default();
    scratch.begin();
    let action = match to_pod(tables, &Bytes(frame), LINK, &mut scratch) {
        Action::ToEndpoint => to_endpoint(tables, &Bytes(frame), now, &mut scratch),
        action => action,
    };
    (action, scratch)
}

/// Whether a packet goes on.
pub(crate) fn passes(action: Action) -> bool {
    !matches!(action, Action::Drop(_))
}
