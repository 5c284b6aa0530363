//! Echo, and errors that belong to a connection.

use abi::proto::{ICMP, ICMPV6, TCP_ACK, TCP_SYN};
use abi::{Config, DropReason};

use super::both;
use crate::case::{Case, Conn};
use crate::engine::Outcome;
use crate::family::Family;
use crate::frame::Packet;
use crate::paint::Paint;

pub(super) fn cases() -> Vec<Case> {
    both(&[
        echo_out,
        echo_in,
        echo_back,
        error_to_pod,
        error_from_pod,
        error_about_echo,
        unrelated_to_pod,
        unrelated_from_pod,
        error_to_somebody_else,
        error_opens_nothing,
        cut_quotation,
    ])
}

const fn protocol(f: Family) -> u8 {
    match f {
        Family::V4 => ICMP,
        Family::V6 => ICMPV6,
    }
}

/// Types and codes of errors: unreachable by port, too big, time exceeded, parameter problem.
fn errors(f: Family) -> [(u8, u8); 4] {
    f.pick([(3, 3), (3, 4), (11, 0), (12, 0)], [(1, 4), (2, 0), (3, 0), (4, 0)])
}

fn closed(name: String) -> Case {
    Case::new(name).policy("nothing", &Paint::nothing())
}

fn echo_out(f: Family) -> Case {
    let ask = Packet::echo_request(f.pod(), f.other(), 9);
    let id = Conn::established(protocol(f), f.other(), (9, f.pick(8, 128)));
    closed(format!("{f}: a pod's echo request is answered"))
        .ingress("nothing")
        .refuses(&Packet::echo_reply(f.other(), f.pod(), 9), DropReason::PolicyDenied)
        .opens(&ask, Outcome::Pass)
        .receives(&Packet::echo_reply(f.other(), f.pod(), 9))
        .refuses(&Packet::echo_reply(f.other(), f.pod(), 10), DropReason::PolicyDenied)
        .sends(&ask, Outcome::Pass)
        .remembers(&[id])
}

fn echo_in(f: Family) -> Case {
    let ask = Packet::echo_request(f.other(), f.pod(), 9);
    closed(format!("{f}: a peer's echo request is answered"))
        .egress("nothing")
        .cannot_send(&Packet::echo_reply(f.pod(), f.other(), 9), DropReason::PolicyDenied)
        .accepts(&ask)
        .sends(&Packet::echo_reply(f.pod(), f.other(), 9), Outcome::Pass)
        .receives(&ask)
        .remembers(&[Conn::established(protocol(f), f.other(), (f.pick(8, 128), 9)).peer_opened()])
}

fn echo_back(f: Family) -> Case {
    closed(format!("{f}: who was asked may answer, but not ask with the same identifier"))
        .ingress("nothing")
        .opens(&Packet::echo_request(f.pod(), f.other(), 9), Outcome::Pass)
        .refuses(&Packet::echo_request(f.other(), f.pod(), 9), DropReason::PolicyDenied)
        .receives(&Packet::echo_reply(f.other(), f.pod(), 9))
}

fn error_to_pod(f: Family) -> Case {
    let syn = Packet::tcp(f.pod(), f.other(), (4000, 80), TCP_SYN);
    let mut case = closed(format!("{f}: errors about what a pod sent reach it, from wherever they come"))
        .ingress("nothing")
        .opens(&syn, Outcome::Pass);
    for (kind, code) in errors(f) {
        case = case
            .receives(&syn.error(f.other(), kind, code))
            .receives(&syn.error(f.world(), kind, code))
            .receives(&syn.error(f.node(), kind, code));
    }
    let known = Conn::unconfirmed(abi::proto::TCP, f.other(), (4000, 80));
    case.remembers(&[known])
}

fn error_from_pod(f: Family) -> Case {
    let data = Packet::udp(f.other(), f.pod(), (4000, 80));
    let mut case =
        closed(format!("{f}: errors about what a pod received leave it")).egress("nothing").accepts(&data);
    for (kind, code) in errors(f) {
        case = case.sends(&data.error(f.pod(), kind, code), Outcome::Pass);
    }
    case.remembers(&[Conn::unconfirmed(abi::proto::UDP, f.other(), (80, 4000)).peer_opened()])
}

fn error_about_echo(f: Family) -> Case {
    let ask = Packet::echo_request(f.pod(), f.other(), 9);
    let [(unreachable, port), ..] = errors(f);
    closed(format!("{f}: errors about an echo request belong to it"))
        .ingress("nothing")
        .opens(&ask, Outcome::Pass)
        .receives(&ask.error(f.node(), unreachable, port))
        .refuses(
            &Packet::echo_request(f.pod(), f.other(), 10).error(f.node(), unreachable, port),
            DropReason::PolicyDenied,
        )
}

fn unrelated_to_pod(f: Family) -> Case {
    let syn = Packet::tcp(f.pod(), f.other(), (4000, 80), TCP_SYN);
    let mut case = closed(format!("{f}: errors about nothing that is known are judged"))
        .ingress("nothing")
        .opens(&syn, Outcome::Pass);
    for (kind, code) in errors(f) {
        // Other ports, another peer, and what the pod has never sent.
        for quoted in [
            Packet::tcp(f.pod(), f.other(), (4001, 80), TCP_SYN),
            Packet::tcp(f.pod(), f.remote(), (4000, 80), TCP_SYN),
            Packet::udp(f.pod(), f.other(), (4000, 80)),
        ] {
            case = case.refuses(&quoted.error(f.other(), kind, code), DropReason::PolicyDenied);
        }
        let of_others = Packet::tcp(f.neighbour(), f.other(), (4000, 80), TCP_SYN);
        case = case.refuses(&of_others.error_to(f.other(), f.pod(), kind, code), DropReason::PolicyDenied);
        // Quoted the wrong way round.
        let back = Packet::tcp(f.other(), f.pod(), (80, 4000), TCP_ACK);
        case = case.refuses(&back.error_to(f.other(), f.pod(), kind, code), DropReason::PolicyDenied);
    }
    case
}

fn unrelated_from_pod(f: Family) -> Case {
    let quoted = Packet::udp(f.other(), f.pod(), (4000, 80));
    let mut case = closed(format!("{f}: a pod may not send errors about nothing")).egress("nothing");
    for (kind, code) in errors(f) {
        case = case.cannot_send(&quoted.error(f.pod(), kind, code), DropReason::PolicyDenied);
    }
    case
}

fn error_to_somebody_else(f: Family) -> Case {
    let data = Packet::udp(f.other(), f.pod(), (4000, 80));
    let mut case = closed(format!("{f}: an error goes to whom sent what it is about, not to anybody"))
        .egress("nothing")
        .accepts(&data);
    for (kind, code) in errors(f) {
        case = case
            .cannot_send(&data.error_to(f.pod(), f.world(), kind, code), DropReason::PolicyDenied)
            .cannot_send(&data.error_to(f.pod(), f.remote(), kind, code), DropReason::PolicyDenied);
    }
    case
}

fn error_opens_nothing(f: Family) -> Case {
    let quoted = Packet::udp(f.pod(), f.other(), (4000, 80));
    let [(kind, code), ..] = errors(f);
    Case::new(format!("{f}: an error that policy lets in opens nothing"))
        .accepts(&quoted.error(f.other(), kind, code))
        .remembers(&[])
}

fn cut_quotation(f: Family) -> Case {
    let syn = Packet::tcp(f.pod(), f.other(), (4000, 80), TCP_SYN);
    let [(kind, code), ..] = errors(f);
    let header = f.pick(20, 40);
    closed(format!("{f}: an error that quotes too little is judged"))
        .config(Config { mtu: 9000, ..Config::default() })
        .ingress("nothing")
        .opens(&syn, Outcome::Pass)
        .receives(&syn.error(f.other(), kind, code).cut(8 + header + 4))
        .refuses(&syn.error(f.other(), kind, code).cut(8 + header + 3), DropReason::PolicyDenied)
        .refuses(&syn.error(f.other(), kind, code).cut(8 + header - 1), DropReason::PolicyDenied)
        .refuses(&syn.error(f.other(), kind, code).cut(8), DropReason::PolicyDenied)
        .refuses(&syn.error(f.other(), kind, code).cut(7), DropReason::TruncatedTransport)
}
