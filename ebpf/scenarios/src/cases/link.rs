//! What a pod and its node say to one another below the network: ARP, neighbour discovery, multicast
//! listening.

use std::net::Ipv6Addr;

use abi::DropReason;

use crate::case::{Case, Expect};
use crate::engine::{Entry, Outcome};
use crate::family::Family;
use crate::frame::{Extension, Packet, arp};

/// The pod's link-local address.
const POD: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x10);
/// The gateway's.
const GATEWAY: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// The gateway's solicited-node group.
const SOLICITED: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 1);
/// All routers of a link.
const ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// Routers that listen to listeners (RFC 3810).
const LISTENERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

pub(super) fn cases() -> Vec<Case> {
    vec![
        arp_request(),
        arp_others(),
        arp_to_pod(),
        solicitations(),
        housekeeping_needs_no_policy(),
        listener_reports(),
        advertised_routes(),
        from_afar(),
        to_afar(),
        from_node(),
    ]
}

fn v4(address: std::net::IpAddr) -> std::net::Ipv4Addr {
    match address {
        std::net::IpAddr::V4(address) => address,
        std::net::IpAddr::V6(_) => std::net::Ipv4Addr::UNSPECIFIED,
    }
}

fn arp_request() -> Case {
    let pod = v4(Family::V4.pod());
    let answered = Expect::quiet(Outcome::Arp);
    Case::new("ARP: whatever address a pod asks for, the gateway answers")
        .frame(Entry::FromPod, arp(1, pod, [169, 254, 1, 1].into()), answered)
        .frame(Entry::FromPod, arp(1, pod, v4(Family::V4.neighbour())), answered)
}

fn arp_others() -> Case {
    let pod = v4(Family::V4.pod());
    let mut short = arp(1, pod, [169, 254, 1, 1].into());
    short.truncate(40);
    let dropped = Expect::quiet(Outcome::Drop(DropReason::UnsupportedNetwork));
    Case::new("ARP: nothing but a pod's request")
        .frame(Entry::FromPod, arp(2, pod, [169, 254, 1, 1].into()), dropped)
        .frame(Entry::FromPod, arp(3, pod, [169, 254, 1, 1].into()), dropped)
        .frame(Entry::FromPod, short, dropped)
}

fn arp_to_pod() -> Case {
    let asks = arp(1, [192, 168, 0, 1].into(), v4(Family::V4.pod()));
    Case::new("ARP: the node may ask a pod").frame(Entry::ToPod, asks, Expect::quiet(Outcome::Pass))
}

fn solicitations() -> Case {
    let none = Ipv6Addr::UNSPECIFIED;
    Case::new("ND: solicitations and advertisements of a pod pass")
        .sends(&Packet::link_message(POD, ROUTERS, 133), Outcome::Pass)
        .sends(&Packet::link_message(none, ROUTERS, 133), Outcome::Pass)
        .sends(&Packet::link_message(POD, SOLICITED, 135), Outcome::Pass)
        .sends(&Packet::link_message(POD, GATEWAY, 135), Outcome::Pass)
        .sends(&Packet::link_message(none, SOLICITED, 135), Outcome::Pass)
        .sends(&Packet::link_message(POD, GATEWAY, 136), Outcome::Pass)
        .remembers(&[])
}

fn housekeeping_needs_no_policy() -> Case {
    Case::new("ND: a pod without a policy can still talk to its node")
        .ingress(crate::PolicyRef::None)
        .egress(crate::PolicyRef::None)
        .sends(&Packet::link_message(POD, SOLICITED, 135), Outcome::Pass)
        .receives(&Packet::link_message(GATEWAY, POD, 136))
}

fn listener_reports() -> Case {
    let report = |kind| Packet::link_message(POD, LISTENERS, kind).extension(Extension::HopByHop(0)).ttl(1);
    Case::new("MLD: what a pod listens to stays on its link")
        .sends(&report(143), Outcome::Pass)
        .sends(&report(131), Outcome::Pass)
        .sends(&report(132), Outcome::Pass)
        .cannot_send(&report(143).ttl(2), DropReason::ForbiddenNdp)
}

fn advertised_routes() -> Case {
    Case::new("ND: a pod is no router")
        .cannot_send(&Packet::link_message(POD, GATEWAY, 134), DropReason::ForbiddenNdp)
        .cannot_send(&Packet::link_message(POD, GATEWAY, 137), DropReason::ForbiddenNdp)
}

fn from_afar() -> Case {
    Case::new("ND: with a hop limit below 255 it is not from the link")
        .cannot_send(&Packet::link_message(POD, GATEWAY, 136).ttl(254), DropReason::ForbiddenNdp)
        .cannot_send(&Packet::link_message(POD, SOLICITED, 135).ttl(64), DropReason::ForbiddenNdp)
}

fn to_afar() -> Case {
    let send = |to: std::net::IpAddr, kind| match to {
        std::net::IpAddr::V6(to) => Packet::link_message(POD, to, kind),
        std::net::IpAddr::V4(_) => Packet::link_message(POD, GATEWAY, kind),
    };
    let f = Family::V6;
    Case::new("ND: what would be forwarded is no housekeeping")
        .egress("nothing")
        .policy("nothing", &crate::Paint::nothing())
        .cannot_send(&send(f.world(), 135), DropReason::ForbiddenNdp)
        .cannot_send(&send(f.remote(), 136), DropReason::ForbiddenNdp)
        .cannot_send(&send(f.neighbour(), 133), DropReason::ForbiddenNdp)
}

fn from_node() -> Case {
    let pod = match Family::V6.pod() {
        std::net::IpAddr::V6(pod) => pod,
        std::net::IpAddr::V4(_) => POD,
    };
    Case::new("ND: what the node says to its pod passes, what was forwarded is judged")
        .ingress("nothing")
        .policy("nothing", &crate::Paint::nothing())
        .receives(&Packet::link_message(GATEWAY, POD, 135))
        .receives(&Packet::link_message(GATEWAY, pod, 136))
        .refuses(&Packet::link_message(GATEWAY, pod, 136).ttl(254), DropReason::PolicyDenied)
}
