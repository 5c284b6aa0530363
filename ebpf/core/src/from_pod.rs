//! A pod sends.

use abi::{Addr, Direction, DropReason, IfIndex, proto};

use crate::admit::Gate;
use crate::packet::Packet;
use crate::parse::Headers;
use crate::scratch::{Action, Delivery, Scratch};
use crate::tables::Tables;
use crate::{ndp, route, translate};

/// What becomes of a packet that came out of the pod behind `link`.
#[inline(always)]
pub fn from_pod<T: Tables, P: Packet>(
    tables: &T,
    packet: &P,
    link: IfIndex,
    now: u32,
    scratch: &mut Scratch,
) -> Action {
    scratch.report.direction = Direction::Egress as u8;
    match packet.ether_type() {
        // The tag would stay on the packet, and put it into whatever VLAN the uplink carries.
        _ if packet.is_tagged() => return Action::Drop(DropReason::UnsupportedNetwork),
        proto::ETH_IPV4 | proto::ETH_IPV6 => {}
        proto::ETH_ARP => return Action::Arp,
        _ => return Action::Drop(DropReason::UnsupportedNetwork),
    }
    match inspect(tables, packet, link, now, scratch) {
        Ok(action) => action,
        Err(reason) => Action::Drop(reason),
    }
}

#[inline(always)]
fn inspect<T: Tables, P: Packet>(
    tables: &T,
    packet: &P,
    link: IfIndex,
    now: u32,
    scratch: &mut Scratch,
) -> Result<Action, DropReason> {
    let headers = &mut scratch.headers;
    headers.parse_network(packet)?;
    tables.checkpoint();
    let endpoint = tables.endpoint(link).ok_or(DropReason::EndpointUnknown)?;
    scratch.report.endpoint = endpoint.id;
    scratch.report.own = endpoint.peer(headers.is_v4());

    let own = if headers.is_v4() { &endpoint.v4 } else { &endpoint.v6 };
    // A pod without an address of this family has none that is its own.
    let is_own = headers.src.same(own) && !own.same(&Addr::UNSPECIFIED);
    // Only the link's own housekeeping may come from another address than the pod's.
    if !is_own && (headers.is_v4() || headers.proto != proto::ICMPV6) {
        return Err(DropReason::InvalidSource);
    }
    headers.parse_transport(packet, tables)?;
    tables.checkpoint();
    if let Some(verdict) = ndp::from_pod(headers) {
        return verdict.map(|()| Action::Pass);
    }
    if !is_own {
        return Err(DropReason::InvalidSource);
    }
    if headers.dst.is_multicast() || headers.dst.is_v6_link_local() {
        return Err(DropReason::UnroutableAddress);
    }

    translate::translate(headers);
    let to = route::resolve(tables, &headers.dst);
    scratch.report.peer = to.peer;
    scratch.target = to.local;
    scratch.uplink = to.forward;
    tables.checkpoint();
    let config = tables.config().ok_or(DropReason::NoPolicy)?;
    if is_overlay(headers, config.overlay_port) {
        return Err(DropReason::OverlayProhibited);
    }
    let gate = Gate {
        tables,
        config,
        endpoint,
        direction: Direction::Egress,
        peer: scratch.report.peer,
        exempt: false,
        now,
    };
    gate.admit(packet, headers, &mut scratch.report)?;
    tables.checkpoint();

    if scratch.target != IfIndex(0) && route::has_hop(headers) {
        scratch.delivery = Delivery::Peer as u32;
        scratch.sender = endpoint.peer(headers.is_v4());
        return Ok(Action::ToEndpoint);
    }
    if scratch.uplink != IfIndex(0) && route::fits(packet, headers, config) {
        return Ok(Action::Forward(scratch.uplink));
    }
    Ok(if scratch.report.answers != 0 { Action::PassAnswer } else { Action::Pass })
}

/// Whether the packet is one that only nodes may send.
#[inline(always)]
fn is_overlay(headers: &Headers, port: u32) -> bool {
    port != 0 && headers.proto == proto::UDP && u32::from(headers.dst_port.get()) == port
}
