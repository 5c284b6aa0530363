//! Ways to enforce network policies, side by side: the same pods, hops and policies under each, in namespaces of this
//! machine.
//!
//! A [`setup`] is two nodes joined by a fabric, with [`pods`] that are the same in all. [`rules`] say what is enforced,
//! as plain data; a setup makes its own of them: chains, sets, or objects of Kubernetes. [`proof`] holds that all setups
//! judge alike before any is measured, and [`change`] measures how long one change takes.

pub mod change;
mod error;
pub mod pods;
pub mod proof;
pub mod rules;
pub mod setup;

pub use error::Error;
