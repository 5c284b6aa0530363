//! Leader election on a `coordination.k8s.io/v1` Lease, with the meaning that client-go gives its fields.
//!
//! Whoever leads renews the lease every retry period, and stops leading when that has not worked for the renew
//! deadline, counted from when the last renewal that worked was *sent*. Others take a lease over when they have seen
//! no change of it for its whole duration, which is longer. Nobody compares wall clocks. Time is `CLOCK_BOOTTIME`,
//! which goes on while the machine sleeps; a process that was stopped finds its term over when it goes on.
//!
//! [`Elector`] decides and does no I/O; [`Election`] runs it. [`Leadership`] is the proof that writers show:
//! [`Leadership::check`] looks at the clock each time.

/// The name of the operators' Lease, which is the reference's: while its operator leads, ours does not.
pub const OPERATORS: &str = "cilium-operator-resource-lock";

mod driver;
mod elector;
mod term;

#[cfg(test)]
mod model;

pub use driver::{Election, Settings};
pub use elector::{Answer, Elector, Record, Request, Step, Timing};
pub use term::{Leadership, NotLeader, since_boot};
