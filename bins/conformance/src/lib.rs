//! Runs other people's policy cases, and compares who reaches whom.
//!
//! A case is data: a cluster's objects, steps that change them, and what each step expects of connections. It runs
//! at up to three [levels](Level), which must all give the expected answers:
//!
//! | level | what answers |
//! |---|---|
//! | [`level::Oracle`] | the reference evaluator, over the objects |
//! | [`level::Core`] | policies compiled to tables, and packets as bytes through the datapath's code, on nodes in memory |
//! | [`level::Lab`] | packets on links: the agent, the plugin and the programs in the kernel |
//!
//! ```
//! use conformance::{check, choose, level, run, Report, SuiteFile};
//!
//! # let directory = tempfile::tempdir()?;
//! let path = directory.path().join("deny.json");
//! std::fs::write(&path, r#"{
//!   "cases": [{
//!     "name": "nobody reaches a pod that is in default deny",
//!     "cluster": {"pods": {"x/a": {}, "x/b": {}}},
//!     "steps": [{
//!       "apply": [{
//!         "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
//!         "metadata": {"name": "deny", "namespace": "x"}, "spec": {"podSelector": {}}
//!       }],
//!       "matrix": [{"port": 80, "default": "DENY"}]
//!     }]
//!   }]
//! }"#)?;
//! let files = SuiteFile::read_all(&[path])?;
//! let cases = choose(&files, &[])?;
//! check(&cases)?;
//! let report = Report::new(run(&cases, &mut level::Core::default(), |_| ())?);
//! assert!(report.ok);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The format of case files and of reports is described in `docs/conformance.md`.
//!
//! # What it does not do
//!
//! It decides nothing: what a case says is what is expected. Only pods' policies are asked: of a node or somebody
//! outside nothing is asked, whatever they could refuse.

pub mod cli;
mod error;
pub mod expect;
mod file;
pub mod level;
pub mod objects;
pub mod place;
mod placeholder;
mod port;
pub mod report;
mod run;
pub mod suite;

pub use error::{Error, Mistake};
pub use file::SuiteFile;
pub use level::Level;
pub use port::Port;
pub use report::Report;
pub use run::{Chosen, check, choose, run, skip};
