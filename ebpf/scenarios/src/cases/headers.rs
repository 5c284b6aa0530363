//! Headers that are unusual, cut off or wrong.

use abi::DropReason;
use abi::proto::{ETH_HEADER, ETH_IPV4, ETH_IPV6, TCP_SYN};

use super::both;
use crate::case::{Case, Expect};
use crate::engine::{Entry, Outcome};
use crate::family::Family;
use crate::frame::{Extension, Packet, Routing, ethernet};
use crate::paint::{Paint, What, Who};
use crate::world::OTHER;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = both(&[truncated, wrong_version]);
    cases.extend([
        options(),
        wrong_ihl(),
        extensions(),
        too_many(),
        far(),
        routing(),
        cut_extension(),
        no_next(),
    ]);
    cases
}

/// Only TCP to port 80.
fn web_only(name: String) -> Case {
    let policy = Paint::nothing().allow(Who::identity(OTHER), What::Port(abi::proto::TCP, 80));
    Case::new(name).policy("web", &policy).egress("web")
}

fn syn(f: Family, port: u16) -> Packet {
    Packet::tcp(f.pod(), f.other(), (4000, port), TCP_SYN)
}

fn truncated(f: Family) -> Case {
    let cut = DropReason::TruncatedTransport;
    Case::new(format!("{f}: a transport header that is cut off"))
        .cannot_send(&syn(f, 80).cut(13), cut)
        .cannot_send(&syn(f, 80).cut(7), cut)
        .cannot_send(&syn(f, 80).cut(0), cut)
        .cannot_send(&Packet::udp(f.pod(), f.other(), (1, 2)).cut(7), cut)
        .cannot_send(&Packet::sctp(f.pod(), f.other(), (1, 2)).cut(3), cut)
        .cannot_send(&Packet::echo_request(f.pod(), f.other(), 1).cut(7), cut)
        .opens(&Packet::udp(f.pod(), f.other(), (1, 2)).cut(8), Outcome::Pass)
        .opens(&Packet::other(f.pod(), f.other(), 47).cut(0), Outcome::Pass)
        .refuses(&Packet::udp(f.other(), f.pod(), (1, 2)).cut(7), cut)
}

fn wrong_version(f: Family) -> Case {
    let mut frame = syn(f, 80).frame();
    frame[ETH_HEADER] ^= 0x70;
    // The other family's EtherType.
    let mut disguised = ethernet(f.pick(ETH_IPV6, ETH_IPV4));
    disguised.extend(syn(f, 80).datagram());
    let dropped = Expect::dropped(DropReason::Malformed, abi::Direction::Egress);
    Case::new(format!("{f}: a version that is not the EtherType's"))
        .frame(Entry::FromPod, frame, dropped)
        .frame(Entry::FromPod, disguised, dropped)
}

fn options() -> Case {
    let f = Family::V4;
    let mut case = web_only("IPv4: behind options of any length".into());
    for words in 1..=10 {
        // "No operation", as often as there is room.
        let options = vec![1; 4 * words];
        let port = 4000 + words as u16;
        let to = |dst_port| Packet::tcp(f.pod(), f.other(), (port, dst_port), TCP_SYN).options(&options);
        case = case.opens(&to(80), Outcome::Pass).cannot_send(&to(81), DropReason::PolicyDenied);
    }
    case
}

fn wrong_ihl() -> Case {
    let mut short = syn(Family::V4, 80).frame();
    short[ETH_HEADER] = 0x44;
    let mut long = syn(Family::V4, 80).cut(20).frame();
    // Forty bytes of options: the transport header would stand behind the packet's end.
    long[ETH_HEADER] = 0x4f;
    let dropped = |reason| Expect::dropped(reason, abi::Direction::Egress);
    Case::new("IPv4: a header length that cannot be")
        .frame(Entry::FromPod, short, dropped(DropReason::Malformed))
        .frame(Entry::FromPod, long, dropped(DropReason::TruncatedTransport))
}

fn extensions() -> Case {
    let f = Family::V6;
    let chain = |port: u16| {
        Packet::tcp(f.pod(), f.other(), (4000, port), TCP_SYN)
            .extension(Extension::HopByHop(1))
            .extension(Extension::DestOptions(0))
            .extension(Extension::Auth(4))
            .extension(Extension::DestOptions(2))
    };
    let last_segment = Extension::Routing(Routing { kind: 4, segments_left: 0 });
    web_only("IPv6: behind extension headers".into())
        .opens(&chain(80), Outcome::Pass)
        .cannot_send(&chain(81), DropReason::PolicyDenied)
        .cannot_send(&syn(f, 81).extension(last_segment.clone()), DropReason::PolicyDenied)
        .sends(&syn(f, 80).extension(last_segment), Outcome::Pass)
        .sends(&syn(f, 80).extension(Extension::Auth(1)), Outcome::Pass)
}

fn too_many() -> Case {
    let with = |count: usize| {
        (0..count).fold(syn(Family::V6, 80), |packet, _| packet.extension(Extension::DestOptions(0)))
    };
    web_only("IPv6: six extension headers are followed, no more".into())
        .opens(&with(6), Outcome::Pass)
        .cannot_send(&with(7), DropReason::InvalidExtension)
        .cannot_send(&with(12), DropReason::InvalidExtension)
}

fn far() -> Case {
    let far =
        |port| syn(Family::V6, port).extension(Extension::DestOptions(60)).extension(Extension::HopByHop(90));
    web_only("IPv6: a transport header that stands far behind".into())
        .opens(&far(80), Outcome::Pass)
        .cannot_send(&far(81), DropReason::PolicyDenied)
        .cannot_send(&far(80).cut(13), DropReason::TruncatedTransport)
}

fn routing() -> Case {
    let f = Family::V6;
    let through =
        |kind, segments_left| syn(f, 80).extension(Extension::Routing(Routing { kind, segments_left }));
    let arrives = Packet::udp(f.other(), f.pod(), (1, 2))
        .extension(Extension::Routing(Routing { kind: 0, segments_left: 0 }));
    Case::new("IPv6: no source routing")
        .cannot_send(&through(0, 0), DropReason::InvalidExtension)
        .cannot_send(&through(0, 1), DropReason::InvalidExtension)
        .cannot_send(&through(4, 1), DropReason::InvalidExtension)
        .refuses(&arrives, DropReason::InvalidExtension)
}

fn cut_extension() -> Case {
    let mut frame = syn(Family::V6, 80).extension(Extension::HopByHop(0)).frame();
    frame.truncate(ETH_HEADER + 40 + 5);
    let mut beyond = syn(Family::V6, 80).extension(Extension::HopByHop(0)).frame();
    // It says that it is longer than the packet.
    beyond[ETH_HEADER + 41] = 255;
    let dropped = |reason| Expect::dropped(reason, abi::Direction::Egress);
    Case::new("IPv6: an extension header that is cut off")
        .frame(Entry::FromPod, frame, dropped(DropReason::Malformed))
        .frame(Entry::FromPod, beyond, dropped(DropReason::TruncatedTransport))
}

fn no_next() -> Case {
    let nothing = Packet::other(Family::V6.pod(), Family::V6.other(), 59).cut(0);
    web_only("IPv6: no next header is a protocol like any other".into())
        .cannot_send(&nothing, DropReason::PolicyDenied)
}
