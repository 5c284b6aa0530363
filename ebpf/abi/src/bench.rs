//! What the benchmark's programs and user space share. A node's datapath has nothing of it.

use crate::layout::layout;
use crate::{Identity, PolicySlot};

/// Tail calls: the program that a wrapper measures, in slot zero.
pub const TARGET: &str = "TARGET";
/// The single [`Course`].
pub const COURSE: &str = "COURSE";
/// `ProductKey -> Cell`, a trie: the policy as one entry for each pair of peer and port.
pub const PRODUCT: &str = "PRODUCT";

/// How a wrapper changes the packet from one run to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Course {
    /// The turn of the next run.
    pub next: u32,
    /// Turns before it starts over at zero; never where this is zero.
    pub turns: u32,
    /// How many peers there are.
    pub peers: u32,
    /// The policy that bare verdicts ask.
    pub slot: PolicySlot,
}

impl Course {
    /// The address of the first peer, 10.128.0.0; the others follow.
    pub const FIRST_PEER: u32 = 0x0a80_0000;
    /// The port and protocol that bare verdicts ask about.
    pub const PORT: u16 = 80;

    /// The peer of a turn.
    ///
    /// Peers take turns, and a port comes back with each of them once in `65536 * peers` turns, unless the
    /// number of peers is a multiple of the prime 65537.
    #[inline(always)]
    #[must_use]
    pub const fn peer(&self, turn: u32) -> u32 {
        if self.peers == 0 { 0 } else { turn.wrapping_add(turn >> 16) % self.peers }
    }

    /// The source port of a turn.
    #[inline(always)]
    #[must_use]
    pub const fn port(turn: u32) -> u16 {
        turn as u16
    }

    /// The identity of a peer: those of the cluster, then those of the node alone.
    #[inline(always)]
    #[must_use]
    pub const fn identity(peer: u32) -> Identity {
        let number = Identity::CLUSTER_MIN.0 + peer;
        Identity(if number > Identity::CLUSTER_MAX.0 { Identity::LOCAL_SCOPE | number } else { number })
    }
}

/// Key of a policy that has one entry for each pair of peer and port.
///
/// In words rather than bytes, as BPF writes them best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct ProductKey {
    /// Bits that count of what follows.
    pub prefix_len: u32,
    /// The peer's identity, big endian, or zero for every peer; then, big endian too, eight zero bits, the IP
    /// protocol number and the destination port.
    pub data: [u32; 2],
}

impl ProductKey {
    /// Bits of a key that names a single port.
    pub const BITS: u32 = 64;

    /// The key of one peer and one port.
    #[inline(always)]
    #[must_use]
    pub const fn new(identity: Identity, proto: u8, port: u16) -> Self {
        let port = ((proto as u32) << 16) | port as u32;
        Self { prefix_len: Self::BITS, data: [identity.0.to_be(), port.to_be()] }
    }
}

layout! { Course => 16, ProductKey => 12 }

#[cfg(test)]
mod tests {
    extern crate std;

    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_peer_and_port_come_back_before_all_peers_had_all_ports() {
        for peers in [1, 2, 3, 10] {
            let course = Course { peers, ..Course::default() };
            let seen: HashSet<(u32, u16)> =
                (0..65_536 * peers).map(|turn| (course.peer(turn), Course::port(turn))).collect();
            assert_eq!(seen.len(), 65_536 * peers as usize, "{peers} peers");
        }
    }

    #[test]
    fn identities_of_peers_are_distinct() {
        let seen: HashSet<u32> = (0..100_000).map(|peer| Course::identity(peer).0).collect();
        assert_eq!(seen.len(), 100_000);
        assert_eq!(Course::identity(65_280), Identity(Identity::LOCAL_SCOPE | 65_536));
    }
}
