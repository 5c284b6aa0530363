//! Rules about ICMP types, and about protocols without ports.

use abi::DropReason;
use abi::proto::{ICMP, ICMPV6, SCTP, TCP, TCP_SYN, UDP};
use datapath::PortPrefix;

use super::both;
use crate::case::{Case, Conn};
use crate::engine::Outcome;
use crate::family::Family;
use crate::frame::Packet;
use crate::paint::{Paint, What, Who};
use crate::world::OTHER;

pub(super) fn cases() -> Vec<Case> {
    both(&[
        icmp_type,
        icmp_types_of_a_range,
        icmp_of_the_other_family,
        icmp_queries_apart,
        icmp_without_an_answer,
        too_big,
        without_ports,
        without_ports_in,
        all_but_one,
    ])
}

const OTHER_PEER: Who = Who::identity(OTHER);

/// GRE, ESP, IP in IP, VRRP, IGMP, and AH where it is no extension header.
fn portless(f: Family) -> Vec<u8> {
    let mut all = vec![2, 4, 47, 50, 112];
    all.extend(f.pick(Some(51), None));
    all
}

const fn icmp(f: Family) -> u8 {
    match f {
        Family::V4 => ICMP,
        Family::V6 => ICMPV6,
    }
}

fn echo(f: Family) -> u16 {
    f.pick(8, 128)
}

fn case(name: String, policy: &Paint) -> Case {
    Case::new(name).policy("policy", policy).policy("nothing", &Paint::nothing())
}

/// A message that is neither a query nor an error about a packet.
fn message(f: Family, kind: u8) -> Packet {
    Packet::icmp(f.pod(), f.other(), kind, 0, [0, 9, 0, 0], &[0; 24])
}

fn icmp_type(f: Family) -> Case {
    let policy = Paint::nothing().allow(OTHER_PEER, What::Port(icmp(f), echo(f)));
    case(format!("{f}: a rule about an ICMP type"), &policy)
        .egress("policy")
        .ingress("policy")
        .opens(&Packet::echo_request(f.pod(), f.other(), 9), Outcome::Pass)
        .receives(&Packet::echo_reply(f.other(), f.pod(), 9))
        .accepts(&Packet::echo_request(f.other(), f.pod(), 10))
        .sends(&Packet::echo_reply(f.pod(), f.other(), 10), Outcome::Pass)
        .cannot_send(&Packet::echo_reply(f.pod(), f.other(), 11), DropReason::PolicyDenied)
        .cannot_send(&message(f, 200), DropReason::PolicyDenied)
        .cannot_send(&Packet::echo_request(f.pod(), f.remote(), 9), DropReason::PolicyDenied)
        // A port of the same number is something else.
        .cannot_send(&Packet::udp(f.pod(), f.other(), (4000, echo(f))), DropReason::PolicyDenied)
        .cannot_send(&Packet::tcp(f.pod(), f.other(), (4000, echo(f)), TCP_SYN), DropReason::PolicyDenied)
}

fn icmp_types_of_a_range(f: Family) -> Case {
    // 200 to 207, of which 202 is denied.
    let policy = Paint::nothing()
        .allow(OTHER_PEER, What::Range(PortPrefix { proto: icmp(f), port: 200, bits: 13 }))
        .deny(OTHER_PEER, What::Port(icmp(f), 202));
    case(format!("{f}: a rule about a range of ICMP types"), &policy)
        .egress("policy")
        .opens(&message(f, 200), Outcome::Pass)
        .opens(&message(f, 207), Outcome::Pass)
        .cannot_send(&message(f, 202), DropReason::PolicyDeny)
        .cannot_send(&message(f, 199), DropReason::PolicyDenied)
        .cannot_send(&message(f, 208), DropReason::PolicyDenied)
}

fn icmp_of_the_other_family(f: Family) -> Case {
    let other = f.pick(ICMPV6, ICMP);
    let policy = Paint::nothing().allow(OTHER_PEER, What::Port(other, echo(f)));
    case(format!("{f}: an ICMP type is one family's"), &policy)
        .egress("policy")
        .cannot_send(&Packet::echo_request(f.pod(), f.other(), 9), DropReason::PolicyDenied)
}

fn icmp_queries_apart(f: Family) -> Case {
    let policy = Paint::nothing().allow(OTHER_PEER, What::Port(icmp(f), echo(f)));
    let mut case = case(format!("{f}: an echo request lets out nothing of another type"), &policy)
        .egress("policy")
        .ingress("nothing");
    // What other messages have instead of an identifier is zero.
    for id in [0, 9] {
        case = case
            .opens(&Packet::echo_request(f.pod(), f.other(), id), Outcome::Pass)
            .receives(&Packet::echo_reply(f.other(), f.pod(), id))
            .sends(&Packet::echo_request(f.pod(), f.other(), id), Outcome::Pass);
    }
    // A timestamp request, of the same identifier in IPv4.
    for kind in [13, 200] {
        case = case.cannot_send(&message(f, kind), DropReason::PolicyDenied);
    }
    let echoes = [0, 9].map(|id| Conn::established(icmp(f), f.other(), (id, echo(f))));
    case.remembers(&echoes)
}

fn icmp_without_an_answer(f: Family) -> Case {
    let back = Packet::icmp(f.other(), f.pod(), 200, 0, [0; 4], &[0; 24]);
    case(format!("{f}: nothing answers an ICMP message that is no query"), &Paint::nothing())
        .ingress("policy")
        .opens(&message(f, 200), Outcome::Pass)
        .refuses(&back, DropReason::PolicyDenied)
}

fn too_big(f: Family) -> Case {
    let policy = Paint::nothing().allow(OTHER_PEER, What::Port(TCP, 80));
    let syn = Packet::tcp(f.pod(), f.other(), (4000, 80), TCP_SYN);
    let (kind, code) = f.pick((3, 4), (2, 0));
    case(
        format!("{f}: where ICMP is closed, a connection still learns that its packets are too big"),
        &policy,
    )
    .egress("policy")
    .ingress("nothing")
    .opens(&syn, Outcome::Pass)
    .receives(&syn.error(f.node(), kind, code))
    .refuses(
        &Packet::tcp(f.pod(), f.other(), (4001, 80), TCP_SYN).error(f.node(), kind, code),
        DropReason::PolicyDenied,
    )
}

fn without_ports(f: Family) -> Case {
    let policy = portless(f)
        .into_iter()
        .fold(Paint::nothing(), |policy, protocol| policy.allow(OTHER_PEER, What::Port(protocol, 0)));
    let mut case =
        case(format!("{f}: protocols without ports, allowed one by one"), &policy).egress("policy");
    for protocol in portless(f) {
        case = case.opens(&Packet::other(f.pod(), f.other(), protocol), Outcome::Pass);
    }
    case.cannot_send(&Packet::other(f.pod(), f.other(), 89), DropReason::PolicyDenied)
        .cannot_send(&Packet::other(f.pod(), f.remote(), 47), DropReason::PolicyDenied)
        .cannot_send(&Packet::udp(f.pod(), f.other(), (1, 0)), DropReason::PolicyDenied)
        .cannot_send(&Packet::sctp(f.pod(), f.other(), (1, 0)), DropReason::PolicyDenied)
        .cannot_send(&Packet::echo_request(f.pod(), f.other(), 0), DropReason::PolicyDenied)
}

fn without_ports_in(f: Family) -> Case {
    let policy = Paint::nothing().allow(OTHER_PEER, What::Port(47, 0)).deny(OTHER_PEER, What::Port(50, 0));
    let from = |protocol| Packet::other(f.other(), f.pod(), protocol);
    case(format!("{f}: a pod receives protocols without ports"), &policy)
        .ingress("policy")
        .egress("nothing")
        .accepts(&from(47))
        .sends(&Packet::other(f.pod(), f.other(), 47), Outcome::Pass)
        .refuses(&from(50), DropReason::PolicyDeny)
        .refuses(&from(4), DropReason::PolicyDenied)
        // A later fragment has its datagram's protocol, and no port either.
        .receives(&Packet::other(f.other(), f.pod(), 47).size(1000).first_fragment(7, 80))
        .receives(&Packet::other(f.other(), f.pod(), 47).size(1000).last_fragment(7, 80))
}

fn all_but_one(f: Family) -> Case {
    let policy = Paint::nothing()
        .allow(OTHER_PEER, What::Any)
        .deny(OTHER_PEER, What::Port(47, 0))
        .deny(OTHER_PEER, What::Port(icmp(f), echo(f)));
    case(format!("{f}: everything but one protocol without ports and one ICMP type"), &policy)
        .egress("policy")
        .opens(&Packet::other(f.pod(), f.other(), 50), Outcome::Pass)
        .opens(&message(f, 200), Outcome::Pass)
        .opens(&Packet::udp(f.pod(), f.other(), (1, 2)), Outcome::Pass)
        .opens(&Packet::sctp(f.pod(), f.other(), (1, 2)), Outcome::Pass)
        .cannot_send(&Packet::other(f.pod(), f.other(), 47), DropReason::PolicyDeny)
        .cannot_send(&Packet::echo_request(f.pod(), f.other(), 9), DropReason::PolicyDeny)
        .remembers(&[
            Conn::unconfirmed(icmp(f), f.other(), (0, 200)),
            Conn::unconfirmed(UDP, f.other(), (1, 2)),
            Conn::unconfirmed(50, f.other(), (0, 0)),
            Conn::unconfirmed(SCTP, f.other(), (1, 2)),
        ])
}
