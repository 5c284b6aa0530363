//! Datagrams in pieces.

use abi::proto::{TCP_ACK, TCP_SYN, UDP};
use abi::{Direction, DropReason};

use super::both;
use crate::case::{Case, Conn, Expect};
use crate::engine::Outcome;
use crate::family::Family;
use crate::frame::{Extension, Packet};
use crate::paint::{Paint, What, Who};
use crate::world::OTHER;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = both(&[
        in_order,
        without_first,
        denied_port,
        ids_apart,
        overwriting,
        tiny,
        to_pod,
        from_wire,
        echo,
        other_protocol,
        overlay,
    ]);
    cases.extend([atomic(), behind_extensions()]);
    cases
}

/// Only UDP to port 53.
fn dns_only(name: String) -> Case {
    let policy = Paint::nothing().allow(Who::identity(OTHER), What::Port(UDP, 53));
    Case::new(name).policy("dns", &policy).egress("dns")
}

fn udp(f: Family, port: u16) -> Packet {
    Packet::udp(f.pod(), f.other(), (4000, port))
}

/// Identifications are a case's own: the table of fragments is never emptied.
fn in_order(f: Family) -> Case {
    let data = udp(f, 53);
    dns_only(format!("{f}: the pieces of a datagram follow the first"))
        .opens(&data.clone().first_fragment(0x1001, 3), Outcome::Pass)
        .sends(&data.last_fragment(0x1001, 3), Outcome::Pass)
        .remembers(&[Conn::unconfirmed(UDP, f.other(), (4000, 53))])
}

fn without_first(f: Family) -> Case {
    dns_only(format!("{f}: a piece whose first was never seen"))
        .cannot_send(&udp(f, 53).last_fragment(0x1002, 3), DropReason::FragmentUnknown)
        .refuses(
            &Packet::udp(f.other(), f.pod(), (4000, 53)).last_fragment(0x1002, 3),
            DropReason::FragmentUnknown,
        )
}

fn denied_port(f: Family) -> Case {
    let data = udp(f, 54);
    dns_only(format!("{f}: the pieces of a datagram to a closed port"))
        .cannot_send(&data.clone().first_fragment(0x1003, 3), DropReason::PolicyDenied)
        .cannot_send(&data.last_fragment(0x1003, 3), DropReason::PolicyDenied)
}

fn ids_apart(f: Family) -> Case {
    let data = udp(f, 53);
    let to_remote = Packet::udp(f.pod(), f.remote(), (4000, 53));
    dns_only(format!("{f}: a piece belongs to its own datagram"))
        .opens(&data.clone().first_fragment(0x1004, 3), Outcome::Pass)
        .cannot_send(&data.last_fragment(0x1005, 3), DropReason::FragmentUnknown)
        .cannot_send(&to_remote.last_fragment(0x1004, 3), DropReason::FragmentUnknown)
        .cannot_send(
            &Packet::sctp(f.pod(), f.other(), (4000, 53)).last_fragment(0x1004, 1),
            DropReason::Malformed,
        )
}

fn overwriting(f: Family) -> Case {
    let data = Packet::tcp(f.pod(), f.other(), (4000, 80), TCP_SYN);
    Case::new(format!("{f}: a piece that would overwrite the transport header"))
        .opens(&data.clone().first_fragment(0x1006, 2), Outcome::Pass)
        .cannot_send(&data.clone().last_fragment(0x1006, 1), DropReason::Malformed)
        .sends(&data.last_fragment(0x1006, 2), Outcome::Pass)
}

fn tiny(f: Family) -> Case {
    let data = Packet::tcp(f.pod(), f.other(), (4000, 80), TCP_ACK);
    Case::new(format!("{f}: a first piece without the TCP flags"))
        .cannot_send(&data.clone().first_fragment(0x1007, 1), DropReason::TruncatedTransport)
        .cannot_send(&data.last_fragment(0x1007, 2), DropReason::FragmentUnknown)
}

fn to_pod(f: Family) -> Case {
    let question = udp(f, 53);
    let answer = Packet::udp(f.other(), f.pod(), (53, 4000));
    dns_only(format!("{f}: an answer in pieces"))
        .policy("nothing", &Paint::nothing())
        .ingress("nothing")
        .opens(&question, Outcome::Pass)
        .receives(&answer.clone().first_fragment(0x1008, 3))
        .receives(&answer.last_fragment(0x1008, 3))
}

fn from_wire(f: Family) -> Case {
    let data = Packet::udp(f.remote(), f.pod(), (4000, 53));
    let delivered = Expect::reported(Outcome::Deliver, abi::EventKind::Allowed, Direction::Ingress);
    let unknown = Expect::dropped(DropReason::FragmentUnknown, Direction::Ingress);
    Case::new(format!("{f}: pieces from the wire"))
        .arrives(&data.clone().last_fragment(0x1009, 3), unknown)
        .arrives(&data.clone().first_fragment(0x1009, 3), delivered)
        .arrives(&data.last_fragment(0x1009, 3), Expect::quiet(Outcome::Deliver))
}

fn echo(f: Family) -> Case {
    let ask = Packet::echo_request(f.pod(), f.other(), 21);
    let answer = Packet::echo_reply(f.other(), f.pod(), 21);
    Case::new(format!("{f}: a large echo request and its answer"))
        .policy("nothing", &Paint::nothing())
        .ingress("nothing")
        .opens(&ask.clone().first_fragment(0x100a, 4), Outcome::Pass)
        .sends(&ask.last_fragment(0x100a, 4), Outcome::Pass)
        .receives(&answer.clone().first_fragment(0x100b, 4))
        .receives(&answer.last_fragment(0x100b, 4))
}

fn other_protocol(f: Family) -> Case {
    let data = Packet::other(f.pod(), f.other(), 47);
    Case::new(format!("{f}: pieces of a protocol without ports"))
        .cannot_send(&data.clone().last_fragment(0x100c, 3), DropReason::FragmentUnknown)
        .opens(&data.clone().first_fragment(0x100c, 3), Outcome::Pass)
        .sends(&data.last_fragment(0x100c, 3), Outcome::Pass)
}

fn overlay(f: Family) -> Case {
    let data = udp(f, 6081);
    let config = abi::Config { overlay_port: 6081, ..abi::Config::default() };
    Case::new(format!("{f}: the overlay's port is closed to pieces, too"))
        .config(config)
        .cannot_send(&data.clone().first_fragment(0x100d, 3), DropReason::OverlayProhibited)
        .cannot_send(&data.last_fragment(0x100d, 3), DropReason::OverlayProhibited)
}

fn atomic() -> Case {
    let f = Family::V6;
    dns_only("IPv6: a fragment that is whole is no fragment".into())
        .opens(&udp(f, 53).atomic_fragment(0x100e), Outcome::Pass)
        .cannot_send(&udp(f, 54).atomic_fragment(0x100e), DropReason::PolicyDenied)
        .cannot_send(&udp(f, 53).last_fragment(0x100e, 3), DropReason::FragmentUnknown)
}

fn behind_extensions() -> Case {
    let f = Family::V6;
    let data = udp(f, 53).extension(Extension::HopByHop(0)).extension(Extension::DestOptions(1));
    dns_only("IPv6: fragments behind extension headers".into())
        .opens(&data.clone().first_fragment(0x100f, 3), Outcome::Pass)
        .sends(&data.last_fragment(0x100f, 3), Outcome::Pass)
}
