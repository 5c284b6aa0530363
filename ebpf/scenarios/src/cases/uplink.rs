//! What arrives on the uplink, and what the node itself sends.

use abi::proto::{TCP, TCP_ACK, TCP_SYN};
use abi::{AddressRecord, Direction, DropReason, EndpointId, EventKind, Identity, IfIndex};

use super::both;
use crate::case::{Case, Conn, Expect, PolicyRef, Step};
use crate::engine::{Entry, Outcome};
use crate::family::Family;
use crate::frame::Packet;
use crate::paint::{Paint, What, Who};
use crate::world::{self, OTHER};

pub(super) fn cases() -> Vec<Case> {
    both(&[
        not_ours,
        delivered,
        judged,
        spoofed,
        last_hop,
        gone,
        moved,
        host_is_exempt,
        host_needs_a_policy,
        other_node_is_judged,
        stack_delivers,
        wrong_pod,
    ])
}

fn delivered_new() -> Expect {
    Expect::reported(Outcome::Deliver, EventKind::Allowed, Direction::Ingress)
}

fn refused(reason: DropReason) -> Expect {
    Expect::dropped(reason, Direction::Ingress)
}

fn not_ours(f: Family) -> Case {
    let passes = Expect::quiet(Outcome::Pass);
    Case::new(format!("{f}: what is for nobody here is the stack's"))
        .arrives(&Packet::udp(f.remote(), f.host(), (1, 2)), passes)
        .arrives(&Packet::udp(f.remote(), f.other(), (1, 2)), passes)
        .arrives(&Packet::udp(f.host(), f.world(), (1, 2)), passes)
        .arrives(&Packet::udp(f.remote(), f.host(), (1, 2)).cut(3), passes)
        .remembers(&[])
}

fn delivered(f: Family) -> Case {
    let syn = Packet::tcp(f.remote(), f.pod(), (5000, 80), TCP_SYN);
    let ack = Packet::tcp(f.remote(), f.pod(), (5000, 80), TCP_ACK);
    Case::new(format!("{f}: what is for a pod goes straight to it"))
        .policy("nothing", &Paint::nothing())
        .egress("nothing")
        .arrives(&syn, delivered_new().peer(world::REMOTE))
        .sends(&Packet::tcp(f.pod(), f.remote(), (80, 5000), TCP_SYN | TCP_ACK), Outcome::Forward)
        .arrives(&ack, Expect::quiet(Outcome::Deliver))
        .remembers(&[Conn::established(TCP, f.remote(), (80, 5000)).peer_opened()])
}

fn judged(f: Family) -> Case {
    let policy = Paint::nothing().allow(Who::identity(OTHER), What::Port(TCP, 80));
    let syn = |peer| Packet::tcp(peer, f.pod(), (5000, 80), TCP_SYN);
    Case::new(format!("{f}: what arrives is judged by the pod's policy"))
        .policy("policy", &policy)
        .ingress("policy")
        .arrives(&syn(f.other()), delivered_new())
        .arrives(&syn(f.remote()), refused(DropReason::PolicyDenied).peer(world::REMOTE))
        .arrives(&syn(f.world()), refused(DropReason::PolicyDenied))
        .arrives(&syn(f.node()), refused(DropReason::PolicyDenied).peer(Identity::REMOTE_NODE))
}

fn spoofed(f: Family) -> Case {
    let from = |source| Packet::udp(source, f.pod(), (1, 2));
    Case::new(format!("{f}: neither the node nor its pods are out there"))
        .arrives(&from(f.host()), refused(DropReason::InvalidSource))
        .arrives(&from(f.neighbour()), refused(DropReason::InvalidSource))
        .arrives(&from(f.pod()), refused(DropReason::InvalidSource))
        .remembers(&[])
}

fn last_hop(f: Family) -> Case {
    let data = Packet::udp(f.remote(), f.pod(), (1, 2));
    Case::new(format!("{f}: what has no hop to spare is the stack's"))
        .arrives(&data.clone().ttl(1), Expect::quiet(Outcome::Pass))
        .arrives(&data.clone().ttl(0), Expect::quiet(Outcome::Pass))
        .remembers(&[])
        .arrives(&data.ttl(2), delivered_new())
}

fn gone(f: Family) -> Case {
    Case::new(format!("{f}: a pod that is gone"))
        .then(Step::Remove(world::POD_LINK))
        .arrives(&Packet::udp(f.remote(), f.pod(), (1, 2)), refused(DropReason::EndpointUnknown))
}

fn moved(f: Family) -> Case {
    let elsewhere = AddressRecord { peer: world::peer(world::POD), local: IfIndex(2), forward: IfIndex(0) };
    Case::new(format!("{f}: an address that leads to another pod's link"))
        .then(Step::Address(f.pod().into(), elsewhere))
        .arrives(&Packet::udp(f.remote(), f.pod(), (1, 2)), refused(DropReason::UnroutableAddress))
}

/// A pod that may neither send nor receive.
fn isolated(name: String) -> Case {
    Case::new(name).policy("nothing", &Paint::nothing()).ingress("nothing").egress("nothing")
}

fn host_is_exempt(f: Family) -> Case {
    let probe = |flags| Packet::tcp(f.host(), f.pod(), (5000, 8080), flags);
    let answer = |flags| Packet::tcp(f.pod(), f.host(), (8080, 5000), flags);
    isolated(format!("{f}: the node reaches its pods whatever their policy, and is answered"))
        .accepts(&probe(TCP_SYN))
        .sends(&answer(TCP_SYN | TCP_ACK), Outcome::Pass)
        .receives(&probe(TCP_ACK))
        .remembers(&[Conn::established(TCP, f.host(), (8080, 5000)).peer_opened()])
        .cannot_send(&Packet::tcp(f.pod(), f.host(), (1, 22), TCP_SYN), DropReason::PolicyDenied)
        // A new policy changes nothing of that.
        .policy("nothing more", &Paint::nothing())
        .ingress_becomes("nothing more")
        .accepts(&probe(TCP_ACK))
        .sends(&answer(TCP_ACK), Outcome::Pass)
}

fn host_needs_a_policy(f: Family) -> Case {
    let probe = Packet::tcp(f.host(), f.pod(), (5000, 8080), TCP_SYN);
    Case::new(format!("{f}: before a pod's policy is known not even its node reaches it"))
        .ingress(PolicyRef::None)
        .refuses(&probe, DropReason::NoPolicy)
}

fn other_node_is_judged(f: Family) -> Case {
    let probe = Packet::tcp(f.node(), f.pod(), (5000, 8080), TCP_SYN);
    let policy = Paint::nothing().allow(Who::identity(Identity::REMOTE_NODE), What::Port(TCP, 8080));
    isolated(format!("{f}: another node is judged like anybody"))
        .policy("nodes", &policy)
        .refuses(&probe, DropReason::PolicyDenied)
        .ingress_becomes("nodes")
        .accepts(&probe)
}

fn stack_delivers(f: Family) -> Case {
    let expect = Expect::reported(Outcome::Pass, EventKind::Allowed, Direction::Ingress);
    let one_hop = Packet::udp(f.neighbour(), f.pod(), (1, 2)).ttl(1);
    Case::new(format!("{f}: what the stack forwards stays with it"))
        .frame(Entry::ToPod, one_hop.frame(), expect.peer(world::NEIGHBOUR))
        .remembers(&[Conn::unconfirmed(abi::proto::UDP, f.neighbour(), (2, 1))
            .peer_opened()
            .of(EndpointId(1))])
}

fn wrong_pod(f: Family) -> Case {
    Case::new(format!("{f}: what is not for the pod does not reach it"))
        .refuses(&Packet::udp(f.other(), f.neighbour(), (1, 2)), DropReason::UnroutableAddress)
        .refuses(&Packet::udp(f.other(), f.world(), (1, 2)), DropReason::UnroutableAddress)
}
