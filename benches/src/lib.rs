//! Benchmarks of the datapath, of policies and of the control plane.
//!
//! [`datapath`] measures what a packet costs in the programs of a node, beside the same programs with another
//! layout of policies. [`policy`] measures what it costs to resolve and compile policies.
//! [`control_plane`] measures an agent in a large cluster. [`cli`] is their command line.
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
pub mod policy;

pub use error::Error;
