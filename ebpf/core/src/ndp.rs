//! Neighbour discovery and multicast listening between a pod and its node (RFC 4861, RFC 3810).

use abi::{DropReason, proto};

use crate::parse::Headers;

/// What a pod may say to its node below the network, or the reason to drop it; nothing where the packet is
/// no such message.
#[inline(always)]
pub(crate) fn from_pod(headers: &Headers) -> Option<Result<(), DropReason>> {
    if headers.is_v4() || headers.proto != proto::ICMPV6 {
        return None;
    }
    // What goes farther than the link is no housekeeping: the stack would forward it.
    let on_link = headers.dst.is_v6_link_local() || headers.dst.is_multicast();
    match headers.icmp_type {
        // Router solicitation, neighbour solicitation and advertisement come from the link itself.
        133 | 135 | 136 if headers.ttl == 255 && on_link => Some(Ok(())),
        // Listener reports stay on the link.
        130..=132 | 143 if headers.ttl == 1 => Some(Ok(())),
        130..=137 | 143 => Some(Err(DropReason::ForbiddenNdp)),
        _ => None,
    }
}

/// Whether the packet is what a node says to its pod below the network.
#[inline(always)]
pub(crate) fn from_node(headers: &Headers) -> bool {
    !headers.is_v4()
        && headers.proto == proto::ICMPV6
        && match headers.icmp_type {
            133..=136 => headers.ttl == 255,
            130..=132 | 143 => headers.ttl == 1,
            _ => false,
        }
}
