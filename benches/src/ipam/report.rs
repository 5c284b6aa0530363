//! What was measured.

use serde::Serialize;

/// All scenarios with all planners.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// One for each scenario and planner.
    pub scenarios: Vec<Outcome>,
}

/// Whose loop it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Planner {
    /// Netloom's operator: the code that runs in clusters.
    Netloom,
    /// A model of the loop of Cilium's operator.
    CiliumModel,
    /// A model of the loop of the VPC CNI on each node.
    VpcCniModel,
}

impl Planner {
    /// Its name, as in the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Netloom => "netloom",
            Self::CiliumModel => "cilium-model",
            Self::VpcCniModel => "vpc-cni-model",
        }
    }
}

/// A scenario's outcome with a planner.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The scenario.
    pub name: &'static str,
    /// Whose loop it is.
    pub planner: Planner,
    /// The type of all instances.
    pub instance_type: &'static str,
    /// Interfaces with a lower number carry no pods.
    pub first_interface_index: u32,
    /// Addresses that each node holds free.
    pub pre_allocate: u32,
    /// Interfaces that were made.
    pub new_enis: u64,
    /// Interfaces that have as many prefixes as they take.
    pub full_enis: u64,
    /// Batches of prefixes that interfaces were given which were there.
    pub full_batches: u64,
    /// Requests that change something, those that failed included.
    pub mutating_calls: u64,
    /// The fewest that would do.
    pub minimum_calls: u64,
    /// Requests that only read.
    pub describe_calls: u64,
    /// Of all requests those that EC2 refused because there were too many.
    pub throttled_calls: u64,
    /// From the start of the nodes until the last pod has an address, of virtual time.
    pub virtual_seconds: f64,
}
