//! Audit mode: what policy would drop passes, and is reported.

use abi::proto::{TCP, TCP_ACK, TCP_SYN};
use abi::{CellAction, Direction, DropReason, EventKind};

use super::both;
use crate::case::{Case, Expect, PolicyRef};
use crate::engine::{Entry, Outcome};
use crate::family::Family;
use crate::frame::Packet;
use crate::paint::{Paint, What, Who};
use crate::world::OTHER;

pub(super) fn cases() -> Vec<Case> {
    both(&[from_pod, to_pod, delivered, errors, other_reasons, ends])
}

const OTHER_PEER: Who = Who::identity(OTHER);

/// Says something else of each of five ports, and nothing of any other.
fn policy() -> Paint {
    Paint::nothing()
        .allow(OTHER_PEER, What::Port(TCP, 80))
        .deny(OTHER_PEER, What::Port(TCP, 81))
        .line(OTHER_PEER, What::Port(TCP, 82), CellAction::Redirect)
        .authenticated(OTHER_PEER, What::Port(TCP, 83), CellAction::Allow)
        .authenticated(OTHER_PEER, What::Port(TCP, 84), CellAction::Redirect)
}

/// What the policy would drop.
const DROPPED: [(u16, DropReason); 5] = [
    (81, DropReason::PolicyDeny),
    (82, DropReason::RedirectUnsupported),
    (83, DropReason::AuthRequired),
    (84, DropReason::AuthRequired),
    (85, DropReason::PolicyDenied),
];

fn case(name: String) -> Case {
    Case::new(name).policy("audited", &policy().audited()).policy("enforced", &policy())
}

fn audited(case: Case, entry: Entry, packet: &Packet, outcome: Outcome, direction: Direction) -> Case {
    case.frame(entry, packet.frame(), Expect::reported(outcome, EventKind::Audited, direction))
}

fn syn(f: Family, port: u16) -> Packet {
    Packet::tcp(f.pod(), f.other(), (4000, port), TCP_SYN)
}

fn from_pod(f: Family) -> Case {
    let mut case =
        case(format!("{f}: in audit mode a pod sends what policy denies, redirects or wants proof of"))
            .egress("audited")
            .ingress("enforced")
            .opens(&syn(f, 80), Outcome::Pass);
    for (port, _) in DROPPED {
        case = audited(case, Entry::FromPod, &syn(f, port), Outcome::Pass, Direction::Egress);
        // A connection like any other: answered, and not reported again.
        case = case
            .receives(&Packet::tcp(f.other(), f.pod(), (port, 4000), TCP_SYN | TCP_ACK))
            .sends(&Packet::tcp(f.pod(), f.other(), (4000, port), TCP_ACK), Outcome::Pass);
    }
    case
}

fn to_pod(f: Family) -> Case {
    let from = |port| Packet::tcp(f.other(), f.pod(), (4000, port), TCP_SYN);
    let mut case = case(format!("{f}: in audit mode a pod receives what policy would keep from it"))
        .ingress("audited")
        .accepts(&from(80));
    for (port, _) in DROPPED {
        case = audited(case, Entry::ToPod, &from(port), Outcome::Pass, Direction::Ingress);
    }
    case
}

fn delivered(f: Family) -> Case {
    let syn = Packet::tcp(f.pod(), f.neighbour(), (4000, 80), TCP_SYN);
    let case = case(format!("{f}: what audit mode lets out goes the way of all others"))
        .egress("audited")
        .with(|setup| setup.pods[1].ingress = PolicyRef::None);
    // The neighbour has no policy yet, and drops it.
    case.then(crate::Step::Frame(
        Entry::FromPod,
        syn.frame(),
        Expect::dropped(DropReason::NoPolicy, Direction::Ingress),
    ))
}

fn errors(f: Family) -> Case {
    let (kind, code) = f.pick((3, 1), (1, 0));
    let quoted = Packet::udp(f.pod(), f.other(), (1, 2));
    let case = case(format!("{f}: in audit mode errors about nothing that is known pass")).ingress("audited");
    audited(case, Entry::ToPod, &quoted.error(f.other(), kind, code), Outcome::Pass, Direction::Ingress)
        .remembers(&[])
}

fn other_reasons(f: Family) -> Case {
    case(format!("{f}: audit mode is about policy alone"))
        .egress("audited")
        .cannot_send(&syn(f, 81).cut(7), DropReason::TruncatedTransport)
        .cannot_send(&Packet::tcp(f.world(), f.other(), (4000, 81), TCP_SYN), DropReason::InvalidSource)
        .egress_becomes(PolicyRef::None)
        .cannot_send(&syn(f, 81), DropReason::NoPolicy)
}

fn ends(f: Family) -> Case {
    let mut case =
        case(format!("{f}: when audit mode ends, so do the connections that it let in")).egress("audited");
    for (port, _) in DROPPED {
        case = audited(case, Entry::FromPod, &syn(f, port), Outcome::Pass, Direction::Egress);
    }
    case = case.egress_becomes("enforced");
    for (port, reason) in DROPPED {
        case = case.cannot_send(&syn(f, port), reason);
    }
    case
}
