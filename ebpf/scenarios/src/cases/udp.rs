//! Exchanges of UDP, and of what has no ports.

use abi::DropReason;
use abi::proto::{SCTP, UDP};

use super::both;
use crate::case::{Case, Conn};
use crate::engine::Outcome;
use crate::family::Family;
use crate::frame::Packet;
use crate::paint::Paint;

pub(super) fn cases() -> Vec<Case> {
    both(&[third_packet, from_peer, unanswered, sctp, without_ports])
}

fn guarded(name: String) -> Case {
    Case::new(name).policy("nothing", &Paint::nothing()).ingress("nothing")
}

fn third_packet(f: Family) -> Case {
    let question = Packet::udp(f.pod(), f.other(), (4000, 53));
    let answer = Packet::udp(f.other(), f.pod(), (53, 4000));
    guarded(format!("{f}: a UDP exchange is established by its third packet"))
        .opens(&question, Outcome::Pass)
        .remembers(&[Conn::unconfirmed(UDP, f.other(), (4000, 53))])
        .receives(&answer)
        .remembers(&[Conn::unconfirmed(UDP, f.other(), (4000, 53))])
        .sends(&question, Outcome::Pass)
        .remembers(&[Conn::established(UDP, f.other(), (4000, 53))])
        .receives(&answer)
        .refuses(&Packet::udp(f.other(), f.pod(), (54, 4000)), DropReason::PolicyDenied)
}

fn from_peer(f: Family) -> Case {
    let question = Packet::udp(f.other(), f.pod(), (4000, 53));
    let answer = Packet::udp(f.pod(), f.other(), (53, 4000));
    Case::new(format!("{f}: a UDP exchange that the peer begins"))
        .policy("nothing", &Paint::nothing())
        .egress("nothing")
        .cannot_send(&answer, DropReason::PolicyDenied)
        .accepts(&question)
        .sends(&answer, Outcome::Pass)
        .receives(&question)
        .remembers(&[Conn::established(UDP, f.other(), (53, 4000)).peer_opened()])
}

fn unanswered(f: Family) -> Case {
    let question = Packet::udp(f.pod(), f.other(), (4000, 53));
    guarded(format!("{f}: without an answer no exchange is established"))
        .opens(&question, Outcome::Pass)
        .sends(&question, Outcome::Pass)
        .sends(&question, Outcome::Pass)
        .remembers(&[Conn::unconfirmed(UDP, f.other(), (4000, 53))])
}

fn sctp(f: Family) -> Case {
    let there = Packet::sctp(f.pod(), f.other(), (4000, 132));
    guarded(format!("{f}: SCTP is remembered by its ports"))
        .opens(&there, Outcome::Pass)
        .receives(&Packet::sctp(f.other(), f.pod(), (132, 4000)))
        .sends(&there, Outcome::Pass)
        .remembers(&[Conn::established(SCTP, f.other(), (4000, 132))])
        .refuses(&Packet::sctp(f.other(), f.pod(), (133, 4000)), DropReason::PolicyDenied)
}

fn without_ports(f: Family) -> Case {
    let there = Packet::other(f.pod(), f.other(), 47);
    guarded(format!("{f}: a protocol without ports is one exchange a peer"))
        .opens(&there, Outcome::Pass)
        .receives(&Packet::other(f.other(), f.pod(), 47))
        .sends(&there, Outcome::Pass)
        .remembers(&[Conn::established(47, f.other(), (0, 0))])
        .refuses(&Packet::other(f.other(), f.pod(), 50), DropReason::PolicyDenied)
        .refuses(&Packet::other(f.remote(), f.pod(), 47), DropReason::PolicyDenied)
}
