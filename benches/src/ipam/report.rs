//! What was measured.

use serde::Serialize;

/// All scenarios with all planners.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// One for each scenario and planner.
    pub scenarios: Vec<Outcome>,
    /// One for each planner and each part of the subnets that others have.
    pub fragmentation: Vec<Fragmentation>,
    /// One for each planner and number of nodes.
    pub idle: Vec<Idle>,
}

/// What becomes of pods where others have addresses here and there in their subnets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fragmentation {
    /// Whose loop it is.
    pub planner: Planner,
    /// Of how many of the two subnets for pods others have some.
    pub occupied_subnets: u32,
    /// What they have of each of those, in percent of the addresses.
    pub occupied_percent: u32,
    /// Pods that were scheduled.
    pub pods: u32,
    /// Those that had an address at the end.
    pub pods_placed: u32,
    /// Their part of all.
    pub placed_share: f64,
    /// Prefixes that all nodes would need.
    pub prefixes_wanted: u64,
    /// Those that they had at the end.
    pub prefixes_obtained: u64,
    /// Their part, at most 1.
    pub prefixes_share: f64,
}

/// What is asked of EC2 in an hour in which nothing happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Idle {
    /// Whose loop it is.
    pub planner: Planner,
    /// Nodes.
    pub nodes: u32,
    /// Interfaces that carry pods.
    pub interfaces: u64,
    /// Requests that only read.
    pub reads_per_hour: u64,
    /// Requests that change something.
    pub mutations_per_hour: u64,
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
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Netloom, Self::CiliumModel, Self::VpcCniModel];

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
