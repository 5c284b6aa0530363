//! From `aws-node`, the VPC CNI of Amazon EKS, to Netloom, node by node.
//!
//! Two programs must never manage the same node's interfaces, and a pod must never lose its address under its feet.
//! So every node belongs to one of them: first a label is put on all nodes and `aws-node` is confined to those that
//! have it, which changes nothing yet; then one node after another is emptied, loses the label, and takes pods again
//! once its new network is up.
//!
//! - [`Survey`] is what the API says.
//! - [`Plan`] is what is left to be done, or why it must not be. It is made of a survey and nothing else, so that the
//!   same command goes on wherever an earlier one was cut off: there is no state but the cluster's own.
//! - [`apply()`] does it, a step at a time, each of which may be done twice.
//!
//! What it does not do: it installs nothing, and it touches nothing on a node itself.

mod apply;
pub mod cli;
mod drain;
mod names;
mod plan;
mod step;
mod survey;

pub use apply::{Patience, apply};
pub use drain::{Eviction, Kept};
pub use plan::{Note, Options, Plan, Refusal, plan};
pub use step::Step;
pub use survey::{Agent, AwsNode, NodeFacts, PodFacts, Survey};
