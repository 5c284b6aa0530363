//! Netloom's cluster operator, as a library.
//!
//! It does what needs doing once in a cluster: gives nodes their pod CIDRs, keeps identities and slices, says whether
//! policies are valid, manages network interfaces of EC2, lets pods come to nodes whose network is up, and collects what was left behind. Several
//! processes may run; the one that holds the lease does it all, and the others wait.
//!
//! [`run`] composes it. Every duty is a module of decisions that know no clock and no server (`pod_cidrs`,
//! `identities`, `slices`, `readiness`, `validity`, `garbage`; of `eni`, [`ipam::eni::Fleet`]), and a loop in `controllers` that feeds it from shared
//! stores and writes what it decides. Every write names the version of the object that it was decided on, and is sent
//! only while the lease is surely held.
//!
//! What it does not do: it touches no datapath and no node; it needs nothing but the API server and, with `ipam: eni`, EC2.

mod conditions;
mod controllers;
mod eni;
mod garbage;
mod identities;
mod label_sets;
mod metrics;
mod options;
mod pod_cidrs;
mod problem;
mod pulse;
mod readiness;
mod rounds;
mod run;
mod slices;
mod store;
mod validity;
mod view;
mod writer;

pub use eni::EniKeys;
pub use metrics::Metrics;
pub use options::{Cidrs, IdentityManagement, IpamMode, Keys, Options};
pub use run::run;
