//! Who an address is.

use std::net::IpAddr;

use abi::{AddressRecord, CidrSet, DropReason, Identity, IfIndex, Peer};

use super::both;
use crate::case::{Case, Expect, Step};
use crate::engine::{Entry, Outcome};
use crate::family::Family;
use crate::frame::Packet;
use crate::paint::{Paint, What, Who};
use crate::world;

pub(super) fn cases() -> Vec<Case> {
    both(&[longest, exact_first, uncovered, families_apart])
}

fn network(f: Family, bits: u32) -> (IpAddr, u32) {
    match f {
        Family::V4 => {
            ([203, 0, if bits > 16 { 113 } else { 0 }, if bits == 32 { 7 } else { 0 }].into(), bits)
        }
        Family::V6 => {
            let last = if bits == 32 { 7 } else { 0 };
            ([0x2001u16, 0xdb8, 0, 0, 0, 0, 0, last].into(), if bits == 32 { 128 } else { bits + 20 })
        }
    }
}

fn covered(f: Family, bits: u32, identity: u32) -> Step {
    let (network, bits) = network(f, bits);
    let peer = Peer { identity: Identity(identity), cidrs: CidrSet(identity) };
    let (key, record) = world::cidr(network, bits, peer);
    Step::Cidr(key, record)
}

/// The pod asks somebody outside, and the report says who that is.
fn asks(case: Case, f: Family, port: u16, identity: u32) -> Case {
    let expect = Expect::reported(Outcome::Pass, abi::EventKind::Allowed, abi::Direction::Egress);
    let packet = Packet::udp(f.pod(), f.world(), (port, 53));
    case.frame(Entry::FromPod, packet.frame(), expect.peer(Identity(identity)))
}

fn longest(f: Family) -> Case {
    let mut case = Case::new(format!("{f}: the longest CIDR says who an address is"));
    case = asks(case, f, 1, f.pick(Identity::WORLD_IPV4, Identity::WORLD_IPV6).0);
    case = asks(case.then(covered(f, 16, 1016)), f, 2, 1016);
    case = asks(case.then(covered(f, 24, 1024)), f, 3, 1024);
    case = asks(case.then(covered(f, 20, 1020)), f, 4, 1024);
    asks(case.then(covered(f, 32, 1032)), f, 5, 1032)
}

fn exact_first(f: Family) -> Case {
    let record = AddressRecord { peer: world::peer(Identity(777)), local: IfIndex(0), forward: IfIndex(0) };
    let case = Case::new(format!("{f}: an exact address before any CIDR"))
        .then(covered(f, 32, 1032))
        .then(Step::Address(f.world().into(), record));
    asks(case, f, 1, 777)
}

fn uncovered(f: Family) -> Case {
    let everybody_known = Paint::nothing()
        .allow(Who::identity(Identity::WORLD_IPV4), What::Any)
        .allow(Who::identity(Identity::WORLD_IPV6), What::Any);
    Case::new(format!("{f}: whom nothing covers is nobody that a rule selects"))
        .with(|setup| setup.cidrs.clear())
        .policy("world", &everybody_known)
        .egress("world")
        .cannot_send(&Packet::udp(f.pod(), f.elsewhere(), (1, 53)), DropReason::PolicyDenied)
}

/// The whole of IPv6 (`::/0`) covers the keys of IPv4 too, so IPv4 needs an entry of its own.
fn families_apart(f: Family) -> Case {
    let case = Case::new(format!("{f}: each family has its own world"));
    let unspecified: IpAddr = f.pick([0, 0, 0, 0].into(), [0u16; 8].into());
    let (key, record) = world::cidr(unspecified, 0, world::peer(Identity(555)));
    let other = f.pick(Family::V6, Family::V4);
    let case = asks(case.then(Step::Cidr(key, record)), f, 1, 555);
    asks(case, other, 2, other.pick(Identity::WORLD_IPV4, Identity::WORLD_IPV6).0)
}
