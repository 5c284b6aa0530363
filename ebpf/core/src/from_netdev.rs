//! The wire delivers.

use abi::{Direction, DropReason, Identity, IfIndex, proto};

use crate::packet::Packet;
use crate::route;
use crate::scratch::{Action, Delivery, Scratch};
use crate::tables::Tables;

/// What becomes of a packet that arrived on the node's uplink. What is not for a pod of this node is the
/// stack's.
#[inline(always)]
pub fn from_netdev<T: Tables, P: Packet>(tables: &T, packet: &P, scratch: &mut Scratch) -> Action {
    scratch.report.direction = Direction::Ingress as u8;
    if !matches!(packet.ether_type(), proto::ETH_IPV4 | proto::ETH_IPV6) || packet.is_tagged() {
        return Action::Pass;
    }
    let headers = &mut scratch.headers;
    if headers.parse_network(packet).is_err() {
        return Action::Pass;
    }
    let target = match tables.address(&headers.dst) {
        Some(record) if record.local != IfIndex(0) => record.local,
        _ => return Action::Pass,
    };
    let from = route::resolve(tables, &headers.src);
    scratch.report.peer = from.peer;
    // Neither this node nor its pods are out there.
    if from.local != IfIndex(0) || from.peer.identity == Identity::HOST {
        return Action::Drop(DropReason::InvalidSource);
    }
    if let Err(reason) = headers.parse_transport(packet, tables) {
        return Action::Drop(reason);
    }
    if !route::has_hop(headers) {
        return Action::Pass;
    }
    scratch.target = target;
    scratch.delivery = Delivery::Peer as u32;
    scratch.sender = from.peer;
    Action::ToEndpoint
}
