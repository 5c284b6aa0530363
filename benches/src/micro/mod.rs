//! What the micro-benchmarks do, for whatever harness runs it: each piece makes its input once, and repeats one operation.
//!
//! | piece | operation |
//! |---|---|
//! | [`Policies`] | compile a node's policies from the start; after one identity more |
//! | [`Addresses`] | give every address of a node and take it back; replay a journal |
//! | [`Interfaces`] | plan the next calls of EC2 for a node |
//! | [`Events`] | decode a batch of the datapath's events |
//!
//! `cargo bench -p netloom-benches --bench time` measures time, `--bench instructions` counts instructions.

mod addresses;
mod events;
mod interfaces;

pub use crate::policy::Scene as Policies;
pub use addresses::Addresses;
pub use events::Events;
pub use interfaces::Interfaces;
