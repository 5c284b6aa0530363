//! Network interfaces of EC2 for pods: how many addresses a node should have, how it gets them with the fewest calls,
//! and how it gives them back without any pod losing one.
//!
//! - [`needed`], [`wanted`] and [`excess`] are the formulas of Cilium's operator.
//! - [`plan`] is the cheapest way to more addresses within an instance's [`Limits`]; a [`Reason`] says why there is
//!   none.
//! - [`Buckets`] hold a token bucket for each action; [`Backoff`] waits longer after each failure.
//! - [`handshake`] takes prefixes back, [`garbage`] interfaces that nobody attached.
//! - [`Fleet`] is all of it together for the nodes of a cluster: events in, requests and writes out.
//!
//! None of it does I/O or knows a clock.

mod backoff;
mod bucket;
mod demand;
mod fleet;
pub mod garbage;
pub mod handshake;
mod limits;
mod planner;
mod reason;
mod record;
mod settings;
mod subnet;

pub use backoff::Backoff;
pub use bucket::{Bucket, Buckets, figures};
pub use demand::{Count, Watermarks, excess, needed, used, wanted};
pub use fleet::{Figures, Fleet, Outgoing, RequestId, WriteError};
pub use limits::{Limits, MaxPodsOptions, NoRoom, PREFIX_ADDRESSES, max_pods, max_pods_with_addresses};
pub use planner::{Plan, Situation, Step, is_usable, plan};
pub use reason::Reason;
pub use record::{ListedInterface, NodeRecord, NodeStatus};
pub use settings::{Config, NodeSettings};
pub use subnet::{History, Kind, candidates, room};
