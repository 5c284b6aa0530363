//! The last step to a pod of this node: its ingress policy, then delivery.

use abi::{Direction, DropReason, Generation, Identity};

use crate::admit::Gate;
use crate::packet::Packet;
use crate::scratch::{Action, Delivery, Scratch};
use crate::tables::Tables;

/// What becomes of a packet that is for the pod named by `scratch`, which an earlier stage filled in.
#[inline(always)]
pub fn to_endpoint<T: Tables, P: Packet>(tables: &T, packet: &P, now: u32, scratch: &mut Scratch) -> Action {
    match inspect(tables, packet, now, scratch) {
        Ok(action) => action,
        Err(reason) => Action::Drop(reason),
    }
}

#[inline(always)]
fn inspect<T: Tables, P: Packet>(
    tables: &T,
    packet: &P,
    now: u32,
    scratch: &mut Scratch,
) -> Result<Action, DropReason> {
    let headers = &scratch.headers;
    let peer = scratch.sender;
    scratch.report.direction = Direction::Ingress as u8;
    scratch.report.peer = peer;
    scratch.report.generation = Generation(0);
    let endpoint = tables.endpoint(scratch.target).ok_or(DropReason::EndpointUnknown)?;
    scratch.report.endpoint = endpoint.id;
    scratch.report.own = endpoint.peer(headers.is_v4());
    let own = if headers.is_v4() { &endpoint.v4 } else { &endpoint.v6 };
    if !headers.dst.same(own) {
        return Err(DropReason::UnroutableAddress);
    }
    let config = tables.config().ok_or(DropReason::NoPolicy)?;
    // The node reaches its own pods (kubelet's probes). Its address as the source is not enough: on the wire
    // anybody can write it.
    let exempt = scratch.delivery == Delivery::Node as u32 && peer.identity == Identity::HOST;
    let gate = Gate { tables, config, endpoint, direction: Direction::Ingress, peer, exempt, now };
    gate.admit(packet, headers, &mut scratch.report)?;
    Ok(if scratch.delivery == Delivery::Peer as u32 { Action::Deliver(scratch.target) } else { Action::Pass })
}
