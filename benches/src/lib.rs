//! Benchmarks of the datapath, of policies, of the control plane, of addresses and of pod networks.
//!
//! [`datapath`] measures what a packet costs in the programs of a node, beside the same programs with another
//! layout of policies. [`policy`] measures what it costs to resolve and compile policies.
//! [`control_plane`] measures an agent in a large cluster. [`mod@ipam`] counts what it takes to give pods addresses on EC2.
//! [`network`] measures traffic between pods under several ways to enforce policies. [`micro`] has single operations for
//! `cargo bench`. [`cli`] is their command line, and [`mod@report`] a page of what they found.
//!
//! ```no_run
//! use netloom_benches::datapath::{Options, run};
//!
//! let report = run(&Options::quick())?;
//! println!("{report}");
//! # Ok::<(), netloom_benches::Error>(())
//! ```
//!
//! What this crate does not do: measure anything that needs several hosts, or links that cost time.

pub mod cli;
pub mod control_plane;
pub mod datapath;
mod error;
pub mod ipam;
pub mod micro;
pub mod network;
mod objects;
pub mod policy;
pub mod report;

pub use error::Error;
