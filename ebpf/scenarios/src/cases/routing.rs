//! Where a pod's packets go.

use abi::proto::{TCP, TCP_ACK, TCP_SYN, UDP};
use abi::{Config, Direction, DropReason, EventKind};

use super::both;
use crate::case::{Case, Conn, Expect};
use crate::engine::{Entry, Outcome};
use crate::family::Family;
use crate::frame::Packet;
use crate::paint::{Paint, What, Who};
use crate::world::{self, NEIGHBOUR_ID};

pub(super) fn cases() -> Vec<Case> {
    both(&[destinations, to_neighbour, to_closed_neighbour, to_itself, last_hop, too_big, multicast, overlay])
}

fn destinations(f: Family) -> Case {
    let to = |peer| Packet::udp(f.pod(), peer, (4000, 53));
    Case::new(format!("{f}: where packets go"))
        .opens(&to(f.remote()), Outcome::Forward)
        .opens(&to(f.other()), Outcome::Pass)
        .opens(&to(f.world()), Outcome::Pass)
        .opens(&to(f.host()), Outcome::Pass)
        .opens(&to(f.node()), Outcome::Pass)
        .sends(&to(f.remote()), Outcome::Forward)
}

/// Both pods have a connection of their own, so what is reported is the last one's.
fn delivered_new() -> Expect {
    Expect::reported(Outcome::Deliver, EventKind::Allowed, Direction::Ingress)
}

fn to_neighbour(f: Family) -> Case {
    let syn = Packet::tcp(f.pod(), f.neighbour(), (4000, 80), TCP_SYN);
    let ack = Packet::tcp(f.pod(), f.neighbour(), (4000, 80), TCP_ACK);
    let here = Conn::unconfirmed(TCP, f.neighbour(), (4000, 80));
    let there = Conn::unconfirmed(TCP, f.pod(), (80, 4000)).of(NEIGHBOUR_ID).peer_opened();
    Case::new(format!("{f}: to a pod of the same node"))
        .frame(Entry::FromPod, syn.frame(), delivered_new().peer(world::POD))
        .remembers(&[here, there])
        .sends(&ack, Outcome::Deliver)
}

fn to_closed_neighbour(f: Family) -> Case {
    let policy = Paint::nothing().allow(Who::identity(world::POD), What::Port(TCP, 80));
    let to = |port| Packet::tcp(f.pod(), f.neighbour(), (4000, port), TCP_SYN);
    let refused = Expect::dropped(DropReason::PolicyDenied, Direction::Ingress).peer(world::POD);
    Case::new(format!("{f}: to a pod of the same node that has a policy"))
        .policy("web", &policy)
        .with(|setup| setup.pods[1].ingress = "web".into())
        .frame(Entry::FromPod, to(80).frame(), delivered_new())
        .frame(Entry::FromPod, to(81).frame(), refused)
        .frame(Entry::FromPod, Packet::udp(f.pod(), f.neighbour(), (1, 2)).frame(), refused)
}

fn to_itself(f: Family) -> Case {
    let data = Packet::udp(f.pod(), f.pod(), (4000, 53));
    Case::new(format!("{f}: to itself")).frame(Entry::FromPod, data.frame(), delivered_new().peer(world::POD))
}

fn last_hop(f: Family) -> Case {
    let to = |peer, ttl| Packet::udp(f.pod(), peer, (4000, 53)).ttl(ttl);
    Case::new(format!("{f}: without a hop to spare the stack answers"))
        .opens(&to(f.remote(), 1), Outcome::Pass)
        .sends(&to(f.remote(), 0), Outcome::Pass)
        .sends(&to(f.remote(), 2), Outcome::Forward)
        .opens(&to(f.neighbour(), 1), Outcome::Pass)
        .sends(&to(f.remote(), 255), Outcome::Forward)
}

fn too_big(f: Family) -> Case {
    let config = Config { mtu: 1400, ..Config::default() };
    let data = Packet::udp(f.pod(), f.remote(), (4000, 53));
    Case::new(format!("{f}: what does not fit the uplink is the stack's"))
        .config(config)
        .opens(&data.clone().size(1400), Outcome::Forward)
        .sends(&data.clone().size(1401), Outcome::Pass)
        .sends(&data.size(1500), Outcome::Pass)
        // A pod's link is not the uplink.
        .frame(
            Entry::FromPod,
            Packet::udp(f.pod(), f.neighbour(), (4000, 53)).size(1500).frame(),
            delivered_new(),
        )
}

fn multicast(f: Family) -> Case {
    let to = |peer| Packet::udp(f.pod(), peer, (4000, 5353));
    let mut case = Case::new(format!("{f}: nothing to groups, nor beyond the link"));
    let groups: Vec<std::net::IpAddr> = f.pick(
        vec![[224, 0, 0, 251].into(), [239, 255, 255, 250].into(), [255, 255, 255, 255].into()],
        vec![
            [0xff02u16, 0, 0, 0, 0, 0, 0, 0xfb].into(),
            [0xff0eu16, 0, 0, 0, 0, 0, 0, 1].into(),
            [0xfe80u16, 0, 0, 0, 0, 0, 0, 1].into(),
        ],
    );
    for group in groups {
        case = case.cannot_send(&to(group), DropReason::UnroutableAddress);
    }
    case.remembers(&[])
}

fn overlay(f: Family) -> Case {
    let config = Config { overlay_port: 6081, ..Config::default() };
    let to = |peer, ports| Packet::udp(f.pod(), peer, ports);
    Case::new(format!("{f}: pods may not send overlay packets"))
        .config(config)
        .cannot_send(&to(f.node(), (4000, 6081)), DropReason::OverlayProhibited)
        .cannot_send(&to(f.neighbour(), (4000, 6081)), DropReason::OverlayProhibited)
        .opens(&to(f.node(), (6081, 4000)), Outcome::Pass)
        .opens(&Packet::tcp(f.pod(), f.node(), (4000, 6081), TCP_SYN), Outcome::Pass)
        .remembers(&[
            Conn::unconfirmed(UDP, f.node(), (6081, 4000)),
            Conn::unconfirmed(TCP, f.node(), (4000, 6081)),
        ])
}
