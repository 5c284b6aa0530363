//! What is remembered of a connection, and what a packet changes of it.
//!
//! ```text
//!                 judged               reply             opener again
//!   (nothing) -------------> opened ----------> replied --------------> confirmed
//!                               |                  |                        |
//!                               +--- unconfirmed table, 60 s ---+           +-- established table
//!
//!   FIN from both ends, or RST: closing, remembered for 10 s; then a SYN opens it anew.
//! ```
//!
//! An entry that has expired counts as absent, so nothing depends on anybody sweeping the tables.

use abi::{Config, CtEntry, CtFlags, CtKey, Direction, Endpoint, Generation, Peer, proto};

use crate::parse::{Headers, Quoted};

/// The key of the connection that a packet belongs to, for one of its endpoints.
#[inline(always)]
pub(crate) fn key(headers: &Headers, endpoint: &Endpoint, direction: Direction) -> CtKey {
    let (peer, local_port, peer_port) = match direction {
        Direction::Egress => (headers.dst, headers.src_port, headers.dst_port),
        Direction::Ingress => (headers.src, headers.dst_port, headers.src_port),
    };
    CtKey { peer, local_port, peer_port, endpoint: endpoint.id, proto: headers.proto, pad: 0 }
}

/// The key of the connection that an ICMP error is about, where the packet that it quotes is one between
/// this endpoint and somebody.
#[inline(always)]
pub(crate) fn quoted_key(
    quoted: &Quoted,
    headers: &Headers,
    endpoint: &Endpoint,
    direction: Direction,
) -> Option<CtKey> {
    let own = if headers.is_v4() { &endpoint.v4 } else { &endpoint.v6 };
    // An error goes to whom sent what it quotes. Else anybody with one connection could send anything to
    // anybody, dressed as an error.
    if !quoted.src.same(&headers.dst) {
        return None;
    }
    // The error travels against the packet that it quotes.
    let (local, peer, local_port, peer_port) = match direction {
        Direction::Egress => (&quoted.dst, quoted.src, quoted.dst_port, quoted.src_port),
        Direction::Ingress => (&quoted.src, quoted.dst, quoted.src_port, quoted.dst_port),
    };
    if !local.same(own) {
        return None;
    }
    Some(CtKey { peer, local_port, peer_port, endpoint: endpoint.id, proto: quoted.proto, pad: 0 })
}

/// Whether an entry is still valid. Ticks wrap after 146 years.
#[inline(always)]
pub(crate) fn is_live(entry: &CtEntry, now: u32) -> bool {
    entry.expires > now
}

/// Whether a packet goes the way that the connection was opened.
#[inline(always)]
pub(crate) fn is_original(entry: &CtEntry, direction: Direction) -> bool {
    entry.flags.has(CtFlags::FROM_PEER) == matches!(direction, Direction::Ingress)
}

/// Whether both ends closed the connection, or one of them broke it.
#[inline(always)]
pub(crate) fn is_closed(flags: CtFlags) -> bool {
    flags.has(CtFlags::BOTH_FIN) || flags.has(CtFlags::RESET)
}

/// Whether the packet asks to open a TCP connection.
#[inline(always)]
pub(crate) fn is_open_request(headers: &Headers) -> bool {
    headers.proto == proto::TCP
        && headers.tcp_flags & (proto::TCP_SYN | proto::TCP_ACK | proto::TCP_RST) == proto::TCP_SYN
}

/// The entry of a connection that has just been let in.
#[inline(always)]
pub(crate) fn open(
    direction: Direction,
    peer: Peer,
    generation: Generation,
    config: &Config,
    now: u32,
) -> CtEntry {
    CtEntry {
        generation,
        identity: peer.identity,
        cidrs: peer.cidrs,
        expires: now.wrapping_add(config.unconfirmed_ticks),
        flags: match direction {
            Direction::Ingress => CtFlags::FROM_PEER,
            Direction::Egress => CtFlags::default(),
        },
        rev_nat: 0,
        pad: 0,
    }
}

/// The entry after a packet of the connection.
#[inline(always)]
pub(crate) fn advance(
    entry: &CtEntry,
    headers: &Headers,
    original: bool,
    config: &Config,
    now: u32,
) -> CtEntry {
    let mut next = *entry;
    let is_tcp = headers.proto == proto::TCP;
    if !original {
        next.flags = next.flags.with(CtFlags::REPLIED);
    } else if next.flags.has(CtFlags::REPLIED) && (!is_tcp || headers.tcp_flags & proto::TCP_ACK != 0) {
        next.flags = next.flags.with(CtFlags::CONFIRMED);
    }
    if is_tcp {
        if headers.tcp_flags & proto::TCP_FIN != 0 {
            next.flags = next.flags.with(if original { CtFlags::ORIGINAL_FIN } else { CtFlags::REPLY_FIN });
        }
        if headers.tcp_flags & proto::TCP_RST != 0 {
            next.flags = next.flags.with(CtFlags::RESET);
        }
    }
    let ticks = if is_closed(next.flags) {
        config.closing_ticks
    } else if !next.flags.has(CtFlags::CONFIRMED) {
        config.unconfirmed_ticks
    } else if is_tcp {
        config.tcp_ticks
    } else {
        config.other_ticks
    };
    next.expires = now.wrapping_add(ticks);
    next
}
