//! Loads, attaches, pins and feeds Netloom's eBPF datapath.
//!
//! [`Datapath::load`] brings the prebuilt programs into the kernel and takes over the maps that an earlier
//! process pinned. The tables are ordinary fields: [`Table`]s and [`LargeTable`]s write only what differs, [`Policies`] puts a
//! compiled policy beside the ones in force, and an endpoint's record takes it over with one word.
//!
//! ```no_run
//! use abi::{Addr, Endpoint, EndpointId, Identity, IfIndex, PolicySlot};
//! use netloom_datapath::{Datapath, Options};
//!
//! let mut datapath = Datapath::load(&Options::default())?;
//! datapath.endpoints.set(IfIndex(7), Endpoint {
//!     v4: Addr::v4([10, 0, 0, 1]), identity: Identity(300), id: EndpointId(1), ifindex: IfIndex(7),
//!     ingress: PolicySlot::ALLOW_ALL, egress: PolicySlot::ALLOW_ALL, ..Endpoint::default()
//! })?;
//! datapath.attach_pod("veth-of-the-pod")?;
//! # Ok::<(), netloom_datapath::Error>(())
//! ```
//!
//! What this crate does not do: make links (see `netloom-netcore`), resolve policies (`netloom-policy`) or
//! give meaning to events (`netloom-flow`).

mod attach;
mod compiled;
mod connections;
mod counters;
mod datapath;
mod error;
mod events;
mod fill;
mod large;
mod object;
mod pins;
mod policies;
mod program;
mod table;
mod verifier;

pub use attach::{AttachMode, Hook};
pub use compiled::{CompiledPolicy, Entries, PortPrefix, allow_all, only_opens};
pub use connections::Connections;
pub use counters::Counters;
pub use datapath::{Capacities, Datapath, Options, TestRunOutcome};
pub use error::Error;
pub use events::Events;
pub use fill::Fill;
pub use large::LargeTable;
pub use pins::Pins;
pub use policies::{GRACE, Policies};
pub use program::{Program, ProgramReport};
pub use table::{Changes, Table};
pub use verifier::{Verified, verify};
