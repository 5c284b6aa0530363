//! The tables that decisions are made from.

use core::cell::Cell as Shared;
use core::ops::Deref;

use abi::{
    Addr, AddressRecord, Cell, CidrRecord, Config, CtEntry, CtKey, Endpoint, FragmentKey, FragmentPorts,
    IfIndex, Peer, PeerClass, PeerKey, PolicyRecord, PolicySlot, PortClass, PortKey, PortRangeKey, SparseKey,
};

use crate::policy::{Judgement, lookup};

/// Which of the two connection tables.
///
/// Connections that no end has confirmed live apart, so that a flood of them can push out one another but
/// never an established connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CtTable {
    /// Both ends were heard, and the opener answered.
    Established,
    /// All others.
    Unconfirmed,
}

/// The node's tables: BPF maps in the kernel, collections on the host.
///
/// Lookups borrow; a connection's entry is shared and changed in place, as a map's value is.
pub trait Tables {
    /// A borrowed connection entry.
    type Connection<'a>: Deref<Target = Shared<CtEntry>>
    where
        Self: 'a;

    /// Whether each packet of a connection's original direction is judged, rather than only the first one
    /// after the policy or the peer changed. For tables that a benchmark compares with ours.
    const JUDGES_EVERY_PACKET: bool = false;

    /// What a policy says of a peer and a port (or ICMP type): three lookups, where policies are laid out as
    /// [`PolicyRecord`] says.
    #[inline(always)]
    fn judgement(&self, policy: &PolicyRecord, peer: Peer, proto: u8, port: u16) -> Judgement
    where
        Self: Sized,
    {
        lookup(self, policy, peer, proto, port)
    }

    /// A point on a packet's way where what is known of it is in memory, and nowhere else.
    ///
    /// The verifier follows every path on its own as long as any register differs. Where paths meet in memory
    /// it needs to follow one of them. Nothing happens here on the host.
    #[inline(always)]
    fn checkpoint(&self) {}

    /// The node's settings.
    fn config(&self) -> Option<&Config>;
    /// The pod behind a link.
    fn endpoint(&self, link: IfIndex) -> Option<&Endpoint>;
    /// What is known of exactly this address.
    fn address(&self, addr: &Addr) -> Option<&AddressRecord>;
    /// What is known of the longest CIDR in use that covers this address.
    fn cidr(&self, addr: &Addr) -> Option<&CidrRecord>;
    /// The head of a compiled policy.
    fn policy(&self, slot: PolicySlot) -> Option<&PolicyRecord>;
    /// The class of a peer that a policy names.
    fn peer_class(&self, key: &PeerKey) -> Option<PeerClass>;
    /// The class of a port that a policy names.
    fn port_class(&self, key: &PortKey) -> Option<PortClass>;
    /// The class of the narrowest range that a policy names and the port is in.
    fn range_class(&self, key: &PortRangeKey) -> Option<PortClass>;
    /// A cell by index.
    fn cell(&self, index: u32) -> Option<Cell>;
    /// A cell of a policy whose classes do not compress.
    fn sparse_cell(&self, key: &SparseKey) -> Option<Cell>;
    /// A connection.
    fn connection<'a>(&'a self, table: CtTable, key: &CtKey) -> Option<Self::Connection<'a>>;
    /// Remembers a connection, replacing what was there. False where there is no room.
    fn insert_connection(&self, table: CtTable, key: &CtKey, entry: &CtEntry) -> bool;
    /// Forgets a connection.
    fn remove_connection(&self, table: CtTable, key: &CtKey);
    /// The ports of a fragmented datagram whose first fragment was seen.
    fn fragment(&self, key: &FragmentKey) -> Option<FragmentPorts>;
    /// Remembers the ports of a fragmented datagram.
    fn insert_fragment(&self, key: &FragmentKey, ports: &FragmentPorts);
}
