//! The stack delivers.

use abi::{Direction, DropReason, IfIndex, proto};

use crate::packet::Packet;
use crate::scratch::{Action, Delivery, Scratch};
use crate::tables::Tables;
use crate::{ndp, route};

/// What becomes of a packet that the node's stack sends to the pod behind `link`: the node's own, and what
/// it forwards because the datapath left it to it.
#[inline(always)]
pub fn to_pod<T: Tables, P: Packet>(tables: &T, packet: &P, link: IfIndex, scratch: &mut Scratch) -> Action {
    scratch.report.direction = Direction::Ingress as u8;
    match packet.ether_type() {
        proto::ETH_IPV4 | proto::ETH_IPV6 => {}
        proto::ETH_ARP => return Action::Pass,
        _ => return Action::Drop(DropReason::UnsupportedNetwork),
    }
    let headers = &mut scratch.headers;
    if let Err(reason) = headers.parse_network(packet) {
        return Action::Drop(reason);
    }
    if let Err(reason) = headers.parse_transport(packet, tables) {
        return Action::Drop(reason);
    }
    if ndp::from_node(headers) {
        return Action::Pass;
    }
    let from = route::resolve(tables, &headers.src);
    scratch.target = link;
    scratch.delivery = if packet.is_from_here() { Delivery::Node as u32 } else { Delivery::Stack as u32 };
    scratch.sender = from.peer;
    Action::ToEndpoint
}
