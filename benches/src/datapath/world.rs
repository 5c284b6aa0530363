//! What the maps hold: two pods of this node, their peers elsewhere, one policy in both layouts.

use std::net::Ipv4Addr;
use std::time::Instant;

use abi::bench::{Course, PRODUCT, ProductKey};
use abi::{
    Addr, AddressRecord, Cell, CellAction, CidrSet, CounterKey, Direction, DropReason, Endpoint, EndpointId,
    IfIndex, Peer, PeerClass, PolicySlot, PortClass, proto,
};
use aya::maps::lpm_trie::Key;
use datapath::{CompiledPolicy, GRACE};

use super::Error;
use super::report::{Layout, TableSize};
use super::stage::Stage;

/// The ports that every peer may use, and be used on.
pub(crate) const PORTS: [u16; 5] = [Course::PORT, 443, 8080, 8443, 9090];
/// A port that nobody may.
pub(crate) const CLOSED: u16 = 81;
/// Peers that the trie of the two-LPM layout has room for.
pub(crate) const MOST_PEERS: u32 = 524_288 / PORTS.len() as u32;

/// The pod that packets come from and go to. Test runs seem to happen on the loopback device.
pub(crate) const POD: Pod =
    Pod { address: Ipv4Addr::new(10, 0, 0, 1), link: IfIndex(1), id: EndpointId(1), peer: 1 };
/// Another pod of the same node.
pub(crate) const NEIGHBOUR: Pod =
    Pod { address: Ipv4Addr::new(10, 0, 0, 2), link: IfIndex(2), id: EndpointId(2), peer: 0 };

/// A pod of this node. It has the identity of one of the peers, so that the policy allows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pod {
    pub(crate) address: Ipv4Addr,
    link: IfIndex,
    id: EndpointId,
    peer: u32,
}

impl Pod {
    fn peer(self) -> Peer {
        peer(self.peer)
    }
}

/// The address of a peer.
pub(crate) fn address(peer: u32) -> Ipv4Addr {
    Ipv4Addr::from(Course::FIRST_PEER + peer)
}

fn peer(peer: u32) -> Peer {
    Peer { identity: Course::identity(peer), cidrs: CidrSet::EMPTY }
}

/// How many peers there are, and where their policy is.
pub(crate) struct World {
    peers: u32,
    slot: PolicySlot,
}

/// What the datapath has counted, and how many connections it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) forwarded: i64,
    pub(crate) denied: i64,
    pub(crate) established: i64,
    pub(crate) unconfirmed: i64,
}

impl World {
    /// A world without peers.
    pub(crate) const fn new() -> Self {
        Self { peers: 0, slot: PolicySlot::ALLOW_ALL }
    }

    /// The policy in force.
    pub(crate) const fn slot(&self) -> PolicySlot {
        self.slot
    }

    /// Peers so far.
    pub(crate) const fn peers(&self) -> u32 {
        self.peers
    }

    /// Adds peers up to this number, and replaces the policy by one that names them all.
    pub(crate) fn grow(&mut self, stage: &mut Stage, peers: u32) -> Result<[TableSize; 2], Error> {
        let allow = Cell { action: CellAction::Allow as u8, ..Cell::default() };
        for new in self.peers..peers {
            // Packets for it leave by a link without the stack, as on a network of routed nodes.
            let record = AddressRecord { peer: peer(new), local: IfIndex(0), forward: POD.link };
            stage.node.addresses.set(Addr::from(address(new)), record)?;
            for port in PORTS {
                set_product(stage, new, port, allow)?;
            }
        }
        self.peers = self.peers.max(peers);
        let policy = CompiledPolicy {
            peers: (0..peers).map(|number| (peer(number), PeerClass(1))).collect(),
            ports: PORTS.into_iter().map(|port| ((proto::TCP, port), PortClass(1))).collect(),
            cells: vec![Cell::default(), Cell::default(), Cell::default(), allow],
            stride: 2,
            ..CompiledPolicy::default()
        };
        let (slot, _) = stage.node.policies.install(&policy)?;
        let old = std::mem::replace(&mut self.slot, slot);
        self.place_pods(stage, POD, NEIGHBOUR)?;
        stage.node.policies.retire(old, Instant::now());
        // No packet is under way that could still read the old one.
        stage.node.policies.collect(Instant::now() + GRACE)?;
        let [peer_entries, port_entries, range_entries, cells] = stage.node.policies.sizes();
        Ok([
            TableSize {
                layout: Layout::Netloom,
                peers,
                ports: PORTS.len(),
                entries: peer_entries + port_entries + range_entries,
                cells,
            },
            TableSize {
                layout: Layout::TwoLpm,
                peers,
                ports: PORTS.len(),
                entries: peers as usize * PORTS.len(),
                cells: 0,
            },
        ])
    }

    /// Lets `first` be behind the link on which test runs seem to happen, and `second` behind the other.
    pub(crate) fn place_pods(&self, stage: &mut Stage, first: Pod, second: Pod) -> Result<(), Error> {
        for (pod, link) in [(first, POD.link), (second, NEIGHBOUR.link)] {
            let endpoint = Endpoint {
                v4: Addr::from(pod.address),
                identity: pod.peer().identity,
                ingress: self.slot,
                egress: self.slot,
                ifindex: link,
                id: pod.id,
                macs: Endpoint::macs_to([2, 0, 0, 0, 0, 1]),
                ..Endpoint::default()
            };
            stage.node.endpoints.set(link, endpoint)?;
            let record = AddressRecord { peer: pod.peer(), local: link, forward: IfIndex(0) };
            stage.node.addresses.set(Addr::from(pod.address), record)?;
        }
        Ok(())
    }

    /// Opens or closes, in the two-LPM layout alone, what established connections use.
    pub(crate) fn open_in_trie(&self, stage: &mut Stage, open: bool) -> Result<(), Error> {
        let action = if open { CellAction::Allow } else { CellAction::Deny };
        for number in [POD.peer, NEIGHBOUR.peer] {
            set_product(stage, number, Course::PORT, Cell { action: action as u8, ..Cell::default() })?;
        }
        Ok(())
    }

    /// What was counted and remembered until now.
    pub(crate) fn tally(stage: &Stage) -> Result<Tally, Error> {
        let count = |key| -> Result<i64, Error> { Ok(stage.node.counters.get(key)?.packets as i64) };
        let mut tally = Tally { forwarded: 0, denied: 0, established: 0, unconfirmed: 0 };
        for direction in [Direction::Ingress, Direction::Egress] {
            tally.forwarded += count(CounterKey::Forwarded(direction))?;
            for reason in [DropReason::PolicyDenied, DropReason::PolicyDeny] {
                tally.denied += count(CounterKey::Dropped(reason, direction))?;
            }
        }
        [tally.established, tally.unconfirmed] = stage.node.connections.list().map(|list| list.len() as i64);
        Ok(tally)
    }
}

fn set_product(stage: &mut Stage, number: u32, port: u16, cell: Cell) -> Result<(), Error> {
    let key = ProductKey::new(Course::identity(number), proto::TCP, port);
    stage.product.insert(&Key::new(key.prefix_len, key.data), cell, 0).map_err(Error::map("writing", PRODUCT))
}
