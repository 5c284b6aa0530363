//! A packet as the decisions read it.

/// Read access to a packet that begins with an Ethernet header.
pub trait Packet {
    /// `N` bytes from `offset` on; nothing where the packet is shorter. For the headers that every packet
    /// has, within the first 128 bytes.
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// As [`Packet::load`], at any offset, and slower.
    fn load_far<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// The EtherType, in the host's order.
    fn ether_type(&self) -> u16;

    /// Length in bytes, link header included. A segmentation-offload packet is longer than any on the
    /// wire.
    fn len(&self) -> u32;

    /// Whether the packet will be cut into segments later, so that its length says nothing about MTUs.
    fn is_gso(&self) -> bool;

    /// Whether it carries a VLAN tag beside its bytes.
    fn is_tagged(&self) -> bool;

    /// Whether this node made it, rather than received it from a link.
    fn is_from_here(&self) -> bool;

    /// Whether there is nothing in it.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
