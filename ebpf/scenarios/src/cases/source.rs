//! Who a pod may say that it is.

use std::net::IpAddr;

use abi::{Addr, Direction, DropReason};

use super::both;
use crate::case::{Case, Expect, Step};
use crate::engine::{Entry, Outcome};
use crate::family::Family;
use crate::frame::{Packet, ethernet};
use crate::world;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = both(&[own, spoofed, link_local, unspecified, no_endpoint]);
    cases.extend([no_v6_address(), no_v4_address(), mapped(), other_network()]);
    cases
}

fn from(source: IpAddr, family: Family) -> Packet {
    Packet::udp(source, family.other(), (4000, 53))
}

fn own(f: Family) -> Case {
    Case::new(format!("{f}: a pod sends from its own address")).opens(&from(f.pod(), f), Outcome::Pass)
}

fn spoofed(f: Family) -> Case {
    let tcp = Packet::tcp(f.neighbour(), f.other(), (1, 2), abi::proto::TCP_SYN);
    Case::new(format!("{f}: a pod may not send from another's address"))
        .cannot_send(&from(f.neighbour(), f), DropReason::InvalidSource)
        .cannot_send(&from(f.host(), f), DropReason::InvalidSource)
        .cannot_send(&from(f.world(), f), DropReason::InvalidSource)
        .cannot_send(&tcp, DropReason::InvalidSource)
        .cannot_send(&Packet::echo_request(f.neighbour(), f.other(), 7), DropReason::InvalidSource)
        .remembers(&[])
}

fn link_local(f: Family) -> Case {
    let source: IpAddr = f.pick([169, 254, 0, 5].into(), [0xfe80, 0, 0, 0, 0, 0, 0, 5u16].into());
    Case::new(format!("{f}: a pod may not send from a link-local address"))
        .cannot_send(&from(source, f), DropReason::InvalidSource)
        .cannot_send(&Packet::echo_request(source, f.other(), 7), DropReason::InvalidSource)
}

fn unspecified(f: Family) -> Case {
    let source: IpAddr = f.pick([0, 0, 0, 0].into(), [0u16; 8].into());
    Case::new(format!("{f}: a pod may not send from no address"))
        .cannot_send(&from(source, f), DropReason::InvalidSource)
}

fn no_endpoint(f: Family) -> Case {
    Case::new(format!("{f}: without an endpoint behind the link nothing passes"))
        .then(Step::Remove(world::POD_LINK))
        .cannot_send(&from(f.pod(), f), DropReason::EndpointUnknown)
        .refuses(&Packet::udp(f.other(), f.pod(), (53, 4000)), DropReason::EndpointUnknown)
}

fn no_v6_address() -> Case {
    let unspecified: IpAddr = [0u16; 8].into();
    let f = Family::V6;
    Case::new("IPv6: a pod without an IPv6 address has none that is its own")
        .with(|setup| setup.pods[0].endpoint.v6 = Addr::UNSPECIFIED)
        .cannot_send(&from(unspecified, f), DropReason::InvalidSource)
        .cannot_send(&Packet::udp(unspecified, f.neighbour(), (4000, 53)), DropReason::InvalidSource)
        .cannot_send(&from(f.pod(), f), DropReason::InvalidSource)
        .opens(&from(Family::V4.pod(), Family::V4), Outcome::Pass)
}

fn no_v4_address() -> Case {
    let f = Family::V4;
    Case::new("IPv4: a pod without an IPv4 address has none that is its own")
        .with(|setup| setup.pods[0].endpoint.v4 = Addr::UNSPECIFIED)
        .cannot_send(&from([0, 0, 0, 0].into(), f), DropReason::InvalidSource)
        .cannot_send(&from(f.pod(), f), DropReason::InvalidSource)
}

fn mapped() -> Case {
    let v6 = |addr: IpAddr| match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped().into(),
        addr @ IpAddr::V6(_) => addr,
    };
    let (pod, other) = (v6(Family::V4.pod()), v6(Family::V4.other()));
    // On the wire they are nobody's: the stack, which judges them by its own rules, gets them from the wire.
    Case::new("IPv6: IPv4-mapped addresses are not those of IPv4")
        .cannot_send(&Packet::udp(pod, Family::V6.other(), (1, 2)), DropReason::Malformed)
        .cannot_send(&Packet::udp(Family::V6.pod(), other, (1, 2)), DropReason::Malformed)
        .refuses(&Packet::udp(other, Family::V6.pod(), (1, 2)), DropReason::Malformed)
        .arrives(&Packet::udp(other, pod, (1, 2)), Expect::quiet(Outcome::Pass))
}

fn other_network() -> Case {
    let mut frame = ethernet(0x88cc);
    frame.extend([0; 46]);
    let dropped = |direction| Expect::dropped(DropReason::UnsupportedNetwork, direction);
    Case::new("neither IP nor ARP passes between a pod and its node")
        .frame(Entry::FromPod, frame.clone(), dropped(Direction::Egress))
        .frame(Entry::ToPod, frame.clone(), dropped(Direction::Ingress))
        .frame(Entry::FromNetdev, frame, Expect::quiet(Outcome::Pass))
}
