//! Packets, and what must become of them.
//!
//! A [`Case`] is data: a node's tables, then steps, each a packet (or a change of the tables) with what is
//! expected of it. The same cases run on every [`Engine`]: [`HostEngine`], where the datapath's decisions
//! are plain functions over plain collections, and [`KernelEngine`], where the committed programs run in the
//! kernel by `BPF_PROG_TEST_RUN`. What holds for one holds for the other.
//!
//! ```
//! use scenarios::{HostEngine, all, run};
//!
//! let mut engine = HostEngine::default();
//! for case in all() {
//!     run(&case, &mut engine).unwrap();
//! }
//! ```
//!
//! What this crate does not do: send anything, or attach programs to links. Test runs happen on the loopback
//! device, whose index is 1, so the pod under test is always the one behind link 1. And test runs refuse frames
//! that are shorter than their network header, so no case has one.

mod case;
mod cases;
mod check;
mod engine;
mod family;
mod frame;
mod host;
mod kernel;
mod paint;
mod world;

pub use case::{Case, Conn, Event, Expect, PolicyRef, Setup, Step};
pub use cases::all;
pub use check::{Difference, Mismatch, run};
pub use engine::{Connection, Counted, Engine, EngineError, Entry, Outcome, Run};
pub use family::Family;
pub use frame::{Extension, Packet, Routing};
pub use host::HostEngine;
pub use kernel::KernelEngine;
pub use paint::{Paint, What, Who};
