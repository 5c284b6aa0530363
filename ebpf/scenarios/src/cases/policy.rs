//! What a compiled policy's tables say.

use abi::proto::{SCTP, TCP, TCP_SYN, UDP};
use abi::{CellAction, CidrSet, DropReason, Identity, Peer};
use datapath::PortPrefix;

use super::both;
use crate::case::{Case, PolicyRef};
use crate::engine::Outcome;
use crate::family::Family;
use crate::frame::Packet;
use crate::paint::{Paint, What, Who};
use crate::world::{OTHER, REMOTE};

pub(super) fn cases() -> Vec<Case> {
    both(&[
        cells,
        default_row,
        default_column,
        nobody_named,
        ports,
        ranges,
        protocols,
        icmp_types,
        ingress,
        both_directions,
        authenticated,
        sparse,
        cidr_sets,
        none,
        unwritten,
        allow_all,
    ])
}

fn syn(f: Family, port: u16) -> Packet {
    Packet::tcp(f.pod(), f.other(), (4000, port), TCP_SYN)
}

const OTHER_PEER: Who = Who::identity(OTHER);

fn cells(f: Family) -> Case {
    let policy = Paint::nothing()
        .allow(OTHER_PEER, What::Port(TCP, 80))
        .deny(OTHER_PEER, What::Port(TCP, 81))
        .line(OTHER_PEER, What::Port(TCP, 82), CellAction::Redirect);
    Case::new(format!("{f}: a cell allows, denies, redirects or says nothing"))
        .egress("policy")
        .policy("policy", &policy)
        .opens(&syn(f, 80), Outcome::Pass)
        .cannot_send(&syn(f, 81), DropReason::PolicyDeny)
        .cannot_send(&syn(f, 82), DropReason::RedirectUnsupported)
        .cannot_send(&syn(f, 83), DropReason::PolicyDenied)
}

fn default_row(f: Family) -> Case {
    let policy = Paint::nothing().allow(Who::Any, What::Port(TCP, 80)).deny(OTHER_PEER, What::Port(TCP, 80));
    let to = |peer| Packet::tcp(f.pod(), peer, (4000, 80), TCP_SYN);
    Case::new(format!("{f}: who is not named is in class zero"))
        .egress("policy")
        .policy("policy", &policy)
        .opens(&to(f.remote()), Outcome::Forward)
        .opens(&to(f.world()), Outcome::Pass)
        .cannot_send(&to(f.other()), DropReason::PolicyDeny)
}

fn default_column(f: Family) -> Case {
    let policy = Paint::nothing().allow(OTHER_PEER, What::Any).deny(OTHER_PEER, What::Port(TCP, 25));
    Case::new(format!("{f}: what is not named is in class zero"))
        .egress("policy")
        .policy("policy", &policy)
        .opens(&syn(f, 80), Outcome::Pass)
        .opens(&Packet::udp(f.pod(), f.other(), (4000, 25)), Outcome::Pass)
        .opens(&Packet::echo_request(f.pod(), f.other(), 5), Outcome::Pass)
        .opens(&Packet::other(f.pod(), f.other(), 47), Outcome::Pass)
        .cannot_send(&syn(f, 25), DropReason::PolicyDeny)
}

fn nobody_named(f: Family) -> Case {
    let policy = Paint::nothing().allow(Who::Any, What::Port(TCP, 80));
    Case::new(format!("{f}: a policy that names no peer"))
        .egress("policy")
        .policy("policy", &policy)
        .opens(&syn(f, 80), Outcome::Pass)
        .cannot_send(&syn(f, 81), DropReason::PolicyDenied)
}

fn ports(f: Family) -> Case {
    let policy = Paint::nothing()
        .allow(OTHER_PEER, What::Port(TCP, 53))
        .allow(OTHER_PEER, What::Port(SCTP, 132))
        .allow(OTHER_PEER, What::Port(UDP, 5353));
    Case::new(format!("{f}: a port is a protocol's, and the destination's"))
        .egress("policy")
        .policy("policy", &policy)
        .opens(&syn(f, 53), Outcome::Pass)
        .cannot_send(&Packet::udp(f.pod(), f.other(), (4000, 53)), DropReason::PolicyDenied)
        .cannot_send(&Packet::tcp(f.pod(), f.other(), (53, 4000), TCP_SYN), DropReason::PolicyDenied)
        .opens(&Packet::udp(f.pod(), f.other(), (4000, 5353)), Outcome::Pass)
        .opens(&Packet::sctp(f.pod(), f.other(), (4000, 132)), Outcome::Pass)
        .cannot_send(&Packet::sctp(f.pod(), f.other(), (4000, 133)), DropReason::PolicyDenied)
}

fn ranges(f: Family) -> Case {
    let range = |proto, port, bits| What::Range(PortPrefix { proto, port, bits });
    // 8000-8063, of them 8016-8031 otherwise, and 8020 otherwise again.
    let policy = Paint::nothing()
        .allow(OTHER_PEER, range(TCP, 0x1f40, 10))
        .deny(OTHER_PEER, range(TCP, 0x1f50, 12))
        .allow(OTHER_PEER, What::Port(TCP, 0x1f54))
        .deny(OTHER_PEER, What::Port(TCP, 0x1f41))
        .allow(OTHER_PEER, range(UDP, 0, 0));
    Case::new(format!("{f}: an exact port before the longest prefix of a range"))
        .egress("policy")
        .policy("policy", &policy)
        .opens(&syn(f, 0x1f40), Outcome::Pass)
        .opens(&syn(f, 0x1f7f), Outcome::Pass)
        .cannot_send(&syn(f, 0x1f80), DropReason::PolicyDenied)
        .cannot_send(&syn(f, 0x1f3f), DropReason::PolicyDenied)
        .cannot_send(&syn(f, 0x1f50), DropReason::PolicyDeny)
        .cannot_send(&syn(f, 0x1f5f), DropReason::PolicyDeny)
        .opens(&syn(f, 0x1f54), Outcome::Pass)
        .cannot_send(&syn(f, 0x1f41), DropReason::PolicyDeny)
        .opens(&Packet::udp(f.pod(), f.other(), (4000, 1)), Outcome::Pass)
        .opens(&Packet::udp(f.pod(), f.other(), (4000, 65_535)), Outcome::Pass)
}

fn protocols(f: Family) -> Case {
    let policy = Paint::nothing()
        .allow(OTHER_PEER, What::Protocol(UDP))
        .allow(OTHER_PEER, What::Port(TCP, 80))
        .deny(OTHER_PEER, What::Port(UDP, 69))
        .allow(OTHER_PEER, What::Protocol(47));
    Case::new(format!("{f}: ports without an entry of their own are in their protocol's class"))
        .egress("policy")
        .policy("policy", &policy)
        .opens(&Packet::udp(f.pod(), f.other(), (4000, 1000)), Outcome::Pass)
        .cannot_send(&Packet::udp(f.pod(), f.other(), (4000, 69)), DropReason::PolicyDeny)
        .cannot_send(&syn(f, 1000), DropReason::PolicyDenied)
        .cannot_send(&Packet::sctp(f.pod(), f.other(), (4000, 1000)), DropReason::PolicyDenied)
        .cannot_send(&Packet::echo_request(f.pod(), f.other(), 3), DropReason::PolicyDenied)
        .opens(&Packet::other(f.pod(), f.other(), 47), Outcome::Pass)
        .opens(&Packet::other(f.pod(), f.other(), 50), Outcome::Pass)
}

fn icmp_types(f: Family) -> Case {
    let (protocol, request, error) = f.pick((abi::proto::ICMP, 8, 3), (abi::proto::ICMPV6, 128, 1));
    let policy = Paint::nothing()
        .allow(OTHER_PEER, What::Port(protocol, request))
        .deny(OTHER_PEER, What::Port(protocol, error));
    let quoted = Packet::udp(f.other(), f.pod(), (1, 2));
    Case::new(format!("{f}: what stands for the port of an ICMP message is its type"))
        .egress("policy")
        .policy("policy", &policy)
        .opens(&Packet::echo_request(f.pod(), f.other(), 3), Outcome::Pass)
        .cannot_send(&Packet::echo_reply(f.pod(), f.other(), 4), DropReason::PolicyDenied)
        .cannot_send(&quoted.error(f.pod(), error as u8, 3), DropReason::PolicyDeny)
}

fn ingress(f: Family) -> Case {
    let policy = Paint::nothing().allow(OTHER_PEER, What::Port(TCP, 80));
    let from = |peer, port| Packet::tcp(peer, f.pod(), (4000, port), TCP_SYN);
    Case::new(format!("{f}: what a pod receives is judged by who sends it"))
        .ingress("policy")
        .policy("policy", &policy)
        .accepts(&from(f.other(), 80))
        .refuses(&from(f.other(), 81), DropReason::PolicyDenied)
        .refuses(&from(f.remote(), 80), DropReason::PolicyDenied)
        .refuses(&from(f.world(), 80), DropReason::PolicyDenied)
}

fn both_directions(f: Family) -> Case {
    Case::new(format!("{f}: the directions have policies of their own"))
        .policy("nothing", &Paint::nothing())
        .ingress("nothing")
        .opens(&syn(f, 80), Outcome::Pass)
        .refuses(&Packet::tcp(f.other(), f.pod(), (4000, 80), TCP_SYN), DropReason::PolicyDenied)
        .ingress_becomes(PolicyRef::AllowAll)
        .egress_becomes("nothing")
        .accepts(&Packet::tcp(f.other(), f.pod(), (4001, 80), TCP_SYN))
        .cannot_send(&Packet::tcp(f.pod(), f.other(), (4001, 81), TCP_SYN), DropReason::PolicyDenied)
}

fn authenticated(f: Family) -> Case {
    let policy = Paint::nothing()
        .authenticated(OTHER_PEER, What::Port(TCP, 80), CellAction::Allow)
        .authenticated(OTHER_PEER, What::Port(TCP, 81), CellAction::Redirect)
        .authenticated(OTHER_PEER, What::Port(TCP, 82), CellAction::Deny)
        .authenticated(OTHER_PEER, What::Port(TCP, 83), CellAction::NoRule)
        .allow(OTHER_PEER, What::Port(TCP, 84));
    Case::new(format!("{f}: nobody can prove who they are yet, and a denial needs no proof"))
        .egress("policy")
        .policy("policy", &policy)
        .cannot_send(&syn(f, 80), DropReason::AuthRequired)
        .cannot_send(&syn(f, 81), DropReason::AuthRequired)
        .cannot_send(&syn(f, 82), DropReason::PolicyDeny)
        .cannot_send(&syn(f, 83), DropReason::PolicyDenied)
        .opens(&syn(f, 84), Outcome::Pass)
}

fn sparse(f: Family) -> Case {
    let policy = Paint::nothing()
        .allow(OTHER_PEER, What::Port(TCP, 80))
        .deny(OTHER_PEER, What::Port(TCP, 81))
        .allow(Who::identity(REMOTE), What::Port(TCP, 81))
        .spare(300, 300);
    Case::new(format!("{f}: a policy whose cells are kept sparse"))
        .egress("policy")
        .policy("policy", &policy)
        .opens(&syn(f, 80), Outcome::Pass)
        .cannot_send(&syn(f, 81), DropReason::PolicyDeny)
        .cannot_send(&syn(f, 82), DropReason::PolicyDenied)
        .opens(&Packet::tcp(f.pod(), f.remote(), (4000, 81), TCP_SYN), Outcome::Forward)
        .cannot_send(&Packet::tcp(f.pod(), f.remote(), (4000, 80), TCP_SYN), DropReason::PolicyDenied)
}

fn cidr_sets(f: Family) -> Case {
    let covered = Peer { identity: OTHER, cidrs: CidrSet(7) };
    let policy = Paint::nothing().allow(Who::Peer(covered), What::Any);
    Case::new(format!("{f}: a peer is an identity together with the CIDRs that cover it"))
        .egress("policy")
        .policy("policy", &policy)
        .cannot_send(&syn(f, 80), DropReason::PolicyDenied)
        .with(|setup| {
            let addr = f.remote().into();
            for (_, record) in setup.addresses.iter_mut().filter(|(other, _)| *other == addr) {
                record.peer = covered;
            }
        })
        .opens(&Packet::tcp(f.pod(), f.remote(), (4000, 80), TCP_SYN), Outcome::Forward)
}

fn none(f: Family) -> Case {
    Case::new(format!("{f}: while no policy is known nothing passes"))
        .ingress(PolicyRef::None)
        .egress(PolicyRef::None)
        .cannot_send(&syn(f, 80), DropReason::NoPolicy)
        .refuses(&Packet::tcp(f.other(), f.pod(), (4000, 80), TCP_SYN), DropReason::NoPolicy)
        .remembers(&[])
}

fn unwritten(f: Family) -> Case {
    Case::new(format!("{f}: a slot that nobody has written is no policy"))
        .ingress(PolicyRef::Unwritten)
        .egress(PolicyRef::Unwritten)
        .cannot_send(&syn(f, 80), DropReason::NoPolicy)
        .refuses(&Packet::tcp(f.other(), f.pod(), (4000, 80), TCP_SYN), DropReason::NoPolicy)
}

fn allow_all(f: Family) -> Case {
    // The identity that no rule can select.
    let unknown = |setup: &mut crate::Setup| setup.cidrs.clear();
    let mut opened = Case::new(format!("{f}: where no policy selects a pod everything passes"))
        .with(unknown)
        .opens(&syn(f, 80), Outcome::Pass)
        .opens(&Packet::other(f.pod(), f.other(), 50), Outcome::Pass)
        .accepts(&Packet::udp(f.other(), f.pod(), (9, 9)));
    let expect = crate::Expect::reported(Outcome::Pass, abi::EventKind::Allowed, abi::Direction::Egress);
    let frame = Packet::udp(f.pod(), f.world(), (4000, 53)).frame();
    opened = opened.frame(crate::Entry::FromPod, frame, expect.peer(Identity::UNKNOWN));
    opened
}
