//! Connections whose policy or peer changes.

use abi::proto::{TCP, TCP_ACK, TCP_SYN, UDP};
use abi::{AddressRecord, CidrSet, DropReason, Identity, IfIndex, Peer};

use super::both;
use crate::case::{Case, Conn, PolicyRef, Step};
use crate::engine::Outcome;
use crate::family::Family;
use crate::frame::Packet;
use crate::paint::{Paint, What, Who};
use crate::world::{self, OTHER};

const SYN_ACK: u8 = TCP_SYN | TCP_ACK;

pub(super) fn cases() -> Vec<Case> {
    both(&[
        still_allowed,
        denied,
        denied_for_peer,
        replies_wait_for_opener,
        policy_lost,
        relabelled,
        covered_otherwise,
        cidr_relabelled,
        unconfirmed_too,
    ])
}

fn out(f: Family, flags: u8) -> Packet {
    Packet::tcp(f.pod(), f.other(), (4000, 80), flags)
}

fn back(f: Family, flags: u8) -> Packet {
    Packet::tcp(f.other(), f.pod(), (80, 4000), flags)
}

/// An established connection of a pod that may connect to one peer and be connected to by nobody.
fn connected(f: Family, name: &str) -> Case {
    let policy = Paint::nothing().allow(Who::identity(OTHER), What::Port(TCP, 80));
    Case::new(format!("{f}: {name}"))
        .policy("one peer", &policy)
        .policy("the same", &policy)
        .policy("nothing", &Paint::nothing())
        .egress("one peer")
        .ingress("nothing")
        .opens(&out(f, TCP_SYN), Outcome::Pass)
        .receives(&back(f, SYN_ACK))
        .sends(&out(f, TCP_ACK), Outcome::Pass)
}

fn still_allowed(f: Family) -> Case {
    connected(f, "a new policy that allows the same is asked once")
        .egress_becomes("the same")
        .receives(&back(f, TCP_ACK))
        .opens(&out(f, TCP_ACK), Outcome::Pass)
        .sends(&out(f, TCP_ACK), Outcome::Pass)
        .remembers(&[Conn::established(TCP, f.other(), (4000, 80))])
}

fn denied(f: Family) -> Case {
    connected(f, "a policy that no longer allows a connection cuts its opener")
        .egress_becomes("nothing")
        .cannot_send(&out(f, TCP_ACK), DropReason::PolicyDenied)
        .remembers(&[Conn::established(TCP, f.other(), (4000, 80))])
        .receives(&back(f, TCP_ACK))
        .cannot_send(&out(f, TCP_ACK), DropReason::PolicyDenied)
        .egress_becomes("one peer")
        .sends(&out(f, TCP_ACK), Outcome::Pass)
}

fn denied_for_peer(f: Family) -> Case {
    let ask = Packet::udp(f.other(), f.pod(), (4000, 53));
    Case::new(format!(
        "{f}: a connection that the peer opened is cut at its next packet, and no answer opens it again"
    ))
    .policy("nothing", &Paint::nothing())
    .egress("nothing")
    .accepts(&ask)
    .sends(&Packet::udp(f.pod(), f.other(), (53, 4000)), Outcome::Pass)
    .ingress_becomes("nothing")
    .refuses(&ask, DropReason::PolicyDenied)
    .sends(&Packet::udp(f.pod(), f.other(), (53, 4000)), Outcome::Pass)
    .refuses(&ask, DropReason::PolicyDenied)
}

fn replies_wait_for_opener(f: Family) -> Case {
    connected(f, "answers pass without the opener being judged")
        .egress_becomes("nothing")
        .receives(&back(f, TCP_ACK))
        .cannot_send(&out(f, TCP_ACK), DropReason::PolicyDenied)
        .receives(&back(f, TCP_ACK))
}

fn policy_lost(f: Family) -> Case {
    connected(f, "without a policy an open connection rests")
        .egress_becomes(PolicyRef::None)
        .cannot_send(&out(f, TCP_ACK), DropReason::NoPolicy)
        .egress_becomes("one peer")
        .sends(&out(f, TCP_ACK), Outcome::Pass)
}

fn is(addr: std::net::IpAddr, peer: Peer) -> Step {
    Step::Address(addr.into(), AddressRecord { peer, local: IfIndex(0), forward: IfIndex(0) })
}

fn relabelled(f: Family) -> Case {
    connected(f, "a peer that becomes somebody else is judged again")
        .then(is(f.other(), world::peer(Identity(999))))
        .cannot_send(&out(f, TCP_ACK), DropReason::PolicyDenied)
}

fn covered_otherwise(f: Family) -> Case {
    let covered = Peer { identity: OTHER, cidrs: CidrSet(3) };
    let policy = Paint::nothing()
        .allow(Who::identity(OTHER), What::Port(TCP, 80))
        .allow(Who::Peer(covered), What::Port(TCP, 80));
    connected(f, "a peer that other CIDRs cover is judged again")
        .policy("both", &policy)
        .egress_becomes("both")
        .opens(&out(f, TCP_ACK), Outcome::Pass)
        .then(is(f.other(), covered))
        .opens(&out(f, TCP_ACK), Outcome::Pass)
        .sends(&out(f, TCP_ACK), Outcome::Pass)
        .then(is(f.other(), Peer { cidrs: CidrSet(4), ..covered }))
        .cannot_send(&out(f, TCP_ACK), DropReason::PolicyDenied)
}

fn cidr_relabelled(f: Family) -> Case {
    let world_peer = world::peer(f.pick(Identity::WORLD_IPV4, Identity::WORLD_IPV6));
    let policy = Paint::nothing().allow(Who::Peer(world_peer), What::Protocol(UDP));
    let data = Packet::udp(f.pod(), f.world(), (4000, 53));
    let network = f.pick([203, 0, 113, 0].into(), [0x2001u16, 0xdb8, 0, 0, 0, 0, 0, 0].into());
    let (key, record) = world::cidr(network, f.pick(24, 48), Peer { cidrs: CidrSet(9), ..world_peer });
    Case::new(format!("{f}: a peer whom a CIDR covers from now on is judged again"))
        .policy("world", &policy)
        .egress("world")
        .opens(&data, Outcome::Pass)
        .sends(&data, Outcome::Pass)
        .then(Step::Cidr(key, record))
        .cannot_send(&data, DropReason::PolicyDenied)
}

fn unconfirmed_too(f: Family) -> Case {
    Case::new(format!("{f}: what is not confirmed is cut, too"))
        .policy("nothing", &Paint::nothing())
        .ingress("nothing")
        .opens(&out(f, TCP_SYN), Outcome::Pass)
        .egress_becomes("nothing")
        .cannot_send(&out(f, TCP_SYN), DropReason::PolicyDenied)
        .receives(&back(f, SYN_ACK))
        .cannot_send(&out(f, TCP_ACK), DropReason::PolicyDenied)
}
