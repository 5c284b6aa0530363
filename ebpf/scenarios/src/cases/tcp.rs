//! TCP connections.

use abi::proto::{TCP, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN};
use abi::{Config, DropReason, EndpointId};

use super::both;
use crate::case::{Case, Conn, Step};
use crate::engine::Outcome;
use crate::family::Family;
use crate::frame::Packet;
use crate::paint::Paint;
use crate::world;

const SYN_ACK: u8 = TCP_SYN | TCP_ACK;
const FIN_ACK: u8 = TCP_FIN | TCP_ACK;
const RST_ACK: u8 = TCP_RST | TCP_ACK;

pub(super) fn cases() -> Vec<Case> {
    both(&[
        handshake_out,
        handshake_in,
        half_open,
        stray_reply,
        repeated_syn,
        ports_apart,
        closed_by_fin,
        broken_by_reset,
        refused,
        opened_the_other_way,
        reset_opens_nothing,
        middle_of_stream,
        new_pod,
        expired,
        denied_leaves_nothing,
    ])
}

fn out(f: Family, flags: u8) -> Packet {
    Packet::tcp(f.pod(), f.other(), (4000, 80), flags)
}

fn back(f: Family, flags: u8) -> Packet {
    Packet::tcp(f.other(), f.pod(), (80, 4000), flags)
}

fn established(f: Family) -> Conn {
    Conn::established(TCP, f.other(), (4000, 80))
}

fn unconfirmed(f: Family) -> Conn {
    Conn::unconfirmed(TCP, f.other(), (4000, 80))
}

/// Nothing may come in but answers.
fn guarded(name: String) -> Case {
    Case::new(name).policy("nothing", &Paint::nothing()).ingress("nothing")
}

/// A connection that the pod has opened, of a pod that nobody may connect to.
fn connected(f: Family, name: &str) -> Case {
    guarded(format!("{f}: {name}"))
        .opens(&out(f, TCP_SYN), Outcome::Pass)
        .receives(&back(f, SYN_ACK))
        .sends(&out(f, TCP_ACK), Outcome::Pass)
}

fn handshake_out(f: Family) -> Case {
    guarded(format!("{f}: a handshake that a pod begins, and answers although nobody may connect"))
        .opens(&out(f, TCP_SYN), Outcome::Pass)
        .remembers(&[unconfirmed(f)])
        .receives(&back(f, SYN_ACK))
        .remembers(&[unconfirmed(f)])
        .sends(&out(f, TCP_ACK), Outcome::Pass)
        .remembers(&[established(f)])
        .receives(&back(f, TCP_ACK))
        .sends(&out(f, TCP_ACK), Outcome::Pass)
        .remembers(&[established(f)])
}

fn handshake_in(f: Family) -> Case {
    let server = |flags| Packet::tcp(f.pod(), f.other(), (443, 5000), flags);
    let client = |flags| Packet::tcp(f.other(), f.pod(), (5000, 443), flags);
    Case::new(format!("{f}: a handshake that the peer begins, and answers although the pod may not connect"))
        .policy("nothing", &Paint::nothing())
        .egress("nothing")
        .accepts(&client(TCP_SYN))
        .sends(&server(SYN_ACK), Outcome::Pass)
        .remembers(&[Conn::unconfirmed(TCP, f.other(), (443, 5000)).peer_opened()])
        .receives(&client(TCP_ACK))
        .remembers(&[Conn::established(TCP, f.other(), (443, 5000)).peer_opened()])
        .cannot_send(&Packet::tcp(f.pod(), f.other(), (444, 5000), TCP_SYN), DropReason::PolicyDenied)
}

fn half_open(f: Family) -> Case {
    guarded(format!("{f}: what only one end knows of stays apart"))
        .opens(&out(f, TCP_SYN), Outcome::Pass)
        .sends(&out(f, TCP_SYN), Outcome::Pass)
        .sends(&out(f, TCP_ACK), Outcome::Pass)
        .remembers(&[unconfirmed(f)])
        // The answer alone confirms nothing: the opener may not be there.
        .receives(&back(f, SYN_ACK))
        .receives(&back(f, TCP_ACK))
        .remembers(&[unconfirmed(f)])
}

fn stray_reply(f: Family) -> Case {
    guarded(format!("{f}: an answer to nothing is judged as what it is"))
        .refuses(&back(f, SYN_ACK), DropReason::PolicyDenied)
        .refuses(&back(f, TCP_ACK), DropReason::PolicyDenied)
        .remembers(&[])
}

fn repeated_syn(f: Family) -> Case {
    connected(f, "a SYN again is of the same connection")
        .sends(&out(f, TCP_SYN), Outcome::Pass)
        .remembers(&[established(f)])
}

fn ports_apart(f: Family) -> Case {
    connected(f, "other ports are another connection")
        .refuses(&Packet::tcp(f.other(), f.pod(), (81, 4000), TCP_ACK), DropReason::PolicyDenied)
        .refuses(&Packet::tcp(f.other(), f.pod(), (80, 4001), TCP_ACK), DropReason::PolicyDenied)
        .refuses(&Packet::tcp(f.remote(), f.pod(), (80, 4000), TCP_ACK), DropReason::PolicyDenied)
        .refuses(&Packet::udp(f.other(), f.pod(), (80, 4000)), DropReason::PolicyDenied)
}

fn closed_by_fin(f: Family) -> Case {
    connected(f, "after FIN from both ends, a SYN opens anew")
        .sends(&out(f, FIN_ACK), Outcome::Pass)
        .remembers(&[established(f)])
        .receives(&back(f, FIN_ACK))
        .remembers(&[established(f).closed()])
        .sends(&out(f, TCP_ACK), Outcome::Pass)
        .opens(&out(f, TCP_SYN), Outcome::Pass)
        .remembers(&[unconfirmed(f)])
        // And is judged.
        .receives(&back(f, RST_ACK))
        .egress_becomes("nothing")
        .cannot_send(&out(f, TCP_SYN), DropReason::PolicyDenied)
}

fn broken_by_reset(f: Family) -> Case {
    connected(f, "after a reset, a SYN opens anew")
        .receives(&back(f, TCP_RST))
        .remembers(&[established(f).closed()])
        .opens(&out(f, TCP_SYN), Outcome::Pass)
        .remembers(&[unconfirmed(f)])
}

fn refused(f: Family) -> Case {
    guarded(format!("{f}: a refused connection is closed"))
        .opens(&out(f, TCP_SYN), Outcome::Pass)
        .receives(&back(f, RST_ACK))
        .remembers(&[unconfirmed(f).closed()])
        .opens(&out(f, TCP_SYN), Outcome::Pass)
        .remembers(&[unconfirmed(f)])
}

fn opened_the_other_way(f: Family) -> Case {
    let from_peer = Conn::unconfirmed(TCP, f.other(), (4000, 80)).peer_opened();
    connected(f, "a SYN of the other end is a connection of its own")
        .refuses(&back(f, TCP_SYN), DropReason::PolicyDenied)
        .remembers(&[established(f)])
        .receives(&back(f, TCP_ACK))
        .ingress_becomes(crate::PolicyRef::AllowAll)
        .accepts(&back(f, TCP_SYN))
        .remembers(&[from_peer])
}

fn reset_opens_nothing(f: Family) -> Case {
    Case::new(format!("{f}: a reset opens nothing"))
        .opens(&out(f, TCP_RST), Outcome::Pass)
        .opens(&out(f, RST_ACK), Outcome::Pass)
        .remembers(&[])
}

fn middle_of_stream(f: Family) -> Case {
    guarded(format!("{f}: a stream that nothing is known of is judged, and goes on"))
        .opens(&out(f, TCP_ACK), Outcome::Pass)
        .receives(&back(f, TCP_ACK))
        .sends(&out(f, TCP_ACK), Outcome::Pass)
        .remembers(&[established(f)])
}

fn new_pod(f: Family) -> Case {
    let mut successor = world::pod();
    successor.endpoint.id = EndpointId(77);
    successor.ingress = "nothing".into();
    connected(f, "a new pod with a used address inherits no connection")
        .then(Step::Place(successor))
        .refuses(&back(f, TCP_ACK), DropReason::PolicyDenied)
        .opens(&out(f, TCP_SYN), Outcome::Pass)
        .remembers(&[established(f), unconfirmed(f).of(EndpointId(77))])
}

fn expired(f: Family) -> Case {
    let config = Config { unconfirmed_ticks: 0, ..Config::default() };
    guarded(format!("{f}: what has expired is not there"))
        .config(config)
        .opens(&out(f, TCP_SYN), Outcome::Pass)
        .remembers(&[])
        .refuses(&back(f, SYN_ACK), DropReason::PolicyDenied)
        .opens(&out(f, TCP_SYN), Outcome::Pass)
}

fn denied_leaves_nothing(f: Family) -> Case {
    Case::new(format!("{f}: what is denied is not remembered"))
        .policy("nothing", &Paint::nothing())
        .egress("nothing")
        .ingress("nothing")
        .cannot_send(&out(f, TCP_SYN), DropReason::PolicyDenied)
        .cannot_send(&out(f, TCP_ACK), DropReason::PolicyDenied)
        .refuses(&back(f, SYN_ACK), DropReason::PolicyDenied)
        .remembers(&[])
}
