//! The ports of a fragmented datagram, kept from its first fragment for the others.

use crate::layout::layout;
use crate::{Addr, Be16};

/// Names a fragmented datagram (RFC 791 §3.2, RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FragmentKey {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// The identification field as on the wire; IPv4's is in the low 16 bits.
    pub id: u32,
    /// IP protocol number of the datagram.
    pub proto: u32,
}

/// The ports that its first fragment carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FragmentPorts {
    /// Source port.
    pub src: Be16,
    /// Destination port.
    pub dst: Be16,
}

layout! { FragmentKey => 40, FragmentPorts => 4 }
