//! Benchmarks of the datapath.
//!
//! [`datapath`] measures what a packet costs in the programs of a node, beside the same programs with another
//! layout of policies. [`cli`] is its command line.
//!
//! ```no_run
//! use netloom_benches::datapath::{Options, run};
//!
//! let report = run(&Options::quick())?;
//! println!("{report}");
//! # Ok::<(), netloom_benches::datapath::Error>(())
//! ```
//!
//! What this crate does not do: measure throughput, latency or anything else that needs links and hosts.

pub mod cli;
pub mod datapath;
