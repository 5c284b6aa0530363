//! Marks that tell the node's stack about a packet. They use the bits that Cilium's do.

/// The bits that are ours.
pub const MASK: u32 = 0x0f00;
/// The packet answers somebody whose packets went past the stack: it keeps its source address.
pub const ANSWER: u32 = 0x0300;
