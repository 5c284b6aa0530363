//! The datapath's decisions: what becomes of a packet, given the node's tables.
//!
//! Everything here is generic over [`Tables`] and [`Packet`]. In the kernel the tables are BPF maps and
//! the packet is a socket buffer; under `cargo test` they are ordinary collections ([`host`]) and bytes.
//! The source is the same, so what is tested, fuzzed and explained on the host is what runs.
//!
//! A packet passes these stages, one module each:
//!
//! ```text
//!            parse -> source check -> translate -> conntrack -> policy -> route
//! from_pod     x           x              x            x           x        x     (a pod sends)
//! from_netdev  x           x                                                x     (the wire delivers)
//! to_pod       x                                                                  (the stack delivers)
//! to_endpoint                             x            x           x        x     (the last two go on here)
//! ```
//!
//! Every function that runs in the kernel is `#[inline(always)]`: BPF before 5.10, and other machines for
//! longer, cannot mix calls and tail calls in a program.
//!
//! ```
//! use abi::{Addr, Endpoint, EndpointId, Identity, IfIndex, PolicySlot};
//! use netloom_ebpf_core::host::{Bytes, HostTables};
//! use netloom_ebpf_core::{Action, Headers, Scratch, from_pod};
//!
//! let mut tables = HostTables::default();
//! tables.endpoints.insert(IfIndex(7), Endpoint {
//!     v4: Addr::v4([10, 0, 0, 1]), identity: Identity(300), egress: PolicySlot::ALLOW_ALL,
//!     ifindex: IfIndex(7), id: EndpointId(1), ..Endpoint::default()
//! });
//! // An IPv4 packet that claims another source is dropped, whatever it carries.
//! let mut frame = vec![0u8; 14];
//! frame[12..14].copy_from_slice(&[0x08, 0x00]);
//! frame.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 2, 10, 0, 0, 3, 0, 1, 0, 2, 0, 8, 0, 0]);
//! let mut scratch = Scratch::default();
//! let action = from_pod(&tables, &Bytes(&frame), IfIndex(7), 0, &mut scratch);
//! assert_eq!(action, Action::Drop(abi::DropReason::InvalidSource));
//! ```
//!
//! What this crate does not do: read a clock (callers pass ticks), touch maps or change packets.
#![cfg_attr(not(any(feature = "host", test)), no_std)]

mod admit;
mod arp;
mod conntrack;
mod from_netdev;
mod from_pod;
#[cfg(feature = "host")]
pub mod host;
mod ndp;
mod packet;
mod parse;
mod policy;
mod route;
mod scratch;
mod tables;
mod to_endpoint;
mod to_pod;
mod translate;

pub use arp::{ARP_LEN, arp_reply};
pub use from_netdev::from_netdev;
pub use from_pod::from_pod;
pub use packet::Packet;
pub use parse::{HeaderFlags, Headers, MAX_EXTENSIONS};
pub use policy::{Judgement, judge, lookup};
pub use route::Rewrite;
pub use scratch::{Action, Delivery, Report, Scratch};
pub use tables::{CtTable, Tables};
pub use to_endpoint::to_endpoint;
pub use to_pod::to_pod;
