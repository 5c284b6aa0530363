//! The contract between Netloom's eBPF programs and user space: map names, keys, values, events and
//! drop reasons.
//!
//! Every type is `repr(C)`, has no implicit padding and asserts its size at compile time, so that a
//! program built by the nightly BPF toolchain and a loader built by stable Rust agree byte for byte.
//! [`LAYOUT_VERSION`] names the whole set: pins of another version are never reused.
//!
//! Addresses of both families are 16 bytes, IPv4 as IPv4-mapped IPv6 ([`Addr`]), so that there is one
//! table of each kind and one code path. Byte order is in the type: [`Be16`] is as on the wire, plain
//! integers are the host's.
//!
//! ```
//! use netloom_abi::{Addr, Identity};
//! use std::net::IpAddr;
//!
//! let pod: IpAddr = "10.244.0.7".parse().unwrap();
//! assert_eq!(IpAddr::from(Addr::from(pod)), pod);
//! assert!(Identity::HOST.is_reserved());
//! ```
//!
//! What this crate does not do: decide anything (see `netloom-ebpf-core`) or touch the kernel (see
//! `netloom-datapath`).
#![no_std]

#[cfg(feature = "user")]
extern crate std;

mod addr;
pub mod bench;
mod config;
mod conntrack;
mod counter;
mod drop_reason;
mod endpoint;
mod event;
mod fragment;
mod identity;
mod layout;
pub mod maps;
pub mod mark;
mod policy;
pub mod proto;

pub use addr::{Addr, Be16};
pub use config::Config;
pub use conntrack::{CtEntry, CtFlags, CtKey};
pub use counter::{Counter, CounterKey};
pub use drop_reason::DropReason;
pub use endpoint::{AddressRecord, CidrKey, CidrRecord, Endpoint, EndpointId, IfIndex};
pub use event::{Event, EventKind};
pub use fragment::{FragmentKey, FragmentPorts};
pub use identity::{CidrSet, Identity, Peer};
pub use policy::{
    Cell, CellAction, Generation, PeerClass, PeerKey, PolicyFlags, PolicyRecord, PolicySlot, PortClass,
    PortKey, PortRangeKey, SparseKey,
};

/// The version of every layout in this crate, part of the directory where maps are pinned. Raised by
/// every change that an older program or loader would misread.
pub const LAYOUT_VERSION: u32 = 1;

/// The direction of a packet as its endpoint sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Direction {
    /// Towards the endpoint.
    Ingress = 0,
    /// From the endpoint.
    Egress = 1,
}

impl Direction {
    /// The other direction.
    #[inline(always)]
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::Ingress => Self::Egress,
            Self::Egress => Self::Ingress,
        }
    }
}
