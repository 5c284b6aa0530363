//! Ways to enforce network policies, side by side: the same pods, hops and policies under each, in namespaces of this
//! machine.
//!
//! A [`setup`] is two nodes joined by a fabric, with [`pods`] that are the same in all. [`rules`] say what is enforced,
//! as plain data; a setup makes its own of them: chains, sets, or objects of Kubernetes. [`proof`] holds that all setups
//! judge alike before any is measured, and [`change`] measures how long one change takes.
//!
//! [`plan`] says what is measured, [`run`](fn@run) does it: rounds in which each setup has its turn right after the other, so that
//! what disturbs the machine disturbs all. `traffic` is our own, `tools` are others' beside it. What comes of it is a
//! [`report`], told in `facets` as `markdown`, as a `page` with plots and in `blocks` of other pages; how netloom stands beside
//! the others is in `standing`, `targets` and `findings`. Two reports are [compared](compare).

mod blocks;
pub mod change;
pub(crate) mod cli;
pub mod compare;
mod cpu;
mod error;
mod facets;
mod findings;
pub mod machine;
mod markdown;
mod offloads;
mod page;
pub mod plan;
pub mod pods;
mod progress;
pub mod proof;
pub mod report;
pub mod rules;
mod run;
pub mod setup;
mod standing;
mod stats;
mod stop;
mod targets;
mod tools;
pub mod traffic;

pub use error::Error;
pub(crate) use page::page;
pub use plan::Options;
pub use run::run;
pub use stop::Stop;
