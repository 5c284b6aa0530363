//! Benchmarks of the datapath, of policies, of the control plane and of addresses.
//!
//! [`datapath`] measures what a packet costs in the programs of a node, beside the same programs with another
//! layout of policies. [`policy`] measures what it costs to resolve and compile policies.
//! [`control_plane`] measures an agent in a large cluster. [`mod@ipam`] counts what it takes to give pods addresses on EC2.
//! [`cli`] is their command line, and [`mod@report`] a page of what they found.
//!
//! ```no_run
//! use netloom_benches::datapath::{Options, run};
//!
//! let report = run(&Options::quick())?;
//! println!("{report}");
//! # Ok::<(), netloom_benches::Error>(())
//! ```
//!
//! What this crate does not do: measure throughput, latency or anything else that needs links and hosts.

pub mod cli;
pub mod control_plane;
pub mod datapath;
mod error;
pub mod ipam;
pub mod policy;
pub mod report;

pub use error::Error;
