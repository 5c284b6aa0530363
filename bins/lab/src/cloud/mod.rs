//! A VPC of EC2 that carries packets: what nodes of `lab up --mode eni` are instances of.
//!
//! It is a program of its own (`netloom lab-cloud`) beside the lab's API server, so that what EC2 knows outlives the
//! lab's daemon, its operators and its agents.
//!
//! | file | what |
//! |---|---|
//! | [`plan`] | zones, subnets and addresses, as the first commands of a cluster's administrator would choose them |
//! | [`values`] | what operators and agents are told of it |
//! | [`region`] | makes all that in the emulator |
//! | [`links`] | the network namespaces: a router instead of a switch, and instances without interfaces |
//! | [`plug`] | what EC2 does to interfaces is done to links and routes |
//! | [`rules`] | what EC2's network drops |
//! | [`control`] | what others ask of the program, and its client |
//! | [`program`] | the program |
//!
//! The fabric is no switch here. It is the VPC's router: every interface's other end is in its namespace, it answers
//! ARP for every address that it has a route to, and it has routes to what EC2 assigned and to nothing else.

pub mod control;
pub mod links;
pub mod plan;
pub mod plug;
pub mod program;
pub mod region;
pub mod rules;
pub mod values;

use serde::{Deserialize, Serialize};

/// What VPC a lab has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Setup {
    /// What its nodes are.
    pub instance_type: String,
    /// What ids and chosen addresses follow from.
    pub seed: u64,
}
