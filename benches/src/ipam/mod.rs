//! What it takes to give a cluster's pods their addresses on EC2: calls and time, on a virtual clock.
//!
//! Nodes start, and their pods are scheduled to them, at the same moment. The region is an emulator with EC2's token
//! buckets; every request takes [`LATENCY`], an interface is there [`ATTACHING`] after it was attached. What runs beside
//! Netloom's own code are **models** of other programs' loops, made of published constants, each with its source: they
//! say what those loops cost at best, not how those programs fare.

mod cilium_model;
mod clock;
mod netloom;
mod report;
mod scenario;
mod text;
mod vpc_cni_model;
mod world;

use std::time::Duration;

use crate::Error;

pub use report::{Outcome, Planner, Report};
pub use scenario::{SCENARIOS, Scenario};

/// From a request to its answer: of EC2, and of the API server.
pub const LATENCY: Duration = Duration::from_millis(200);
/// From AttachNetworkInterface's answer until the instance has the interface.
pub const ATTACHING: Duration = Duration::from_secs(2);
/// Whoever has not placed all pods by then never will.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

/// What to measure.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only the small scenarios.
    pub quick: bool,
}

/// Runs all scenarios with all planners.
///
/// # Errors
/// A region that cannot be built, or pods that were never placed.
pub fn run(options: &Options) -> Result<Report, Error> {
    let mut scenarios = Vec::new();
    for scenario in SCENARIOS.iter().filter(|scenario| !options.quick || scenario.nodes <= 10) {
        for planner in [Planner::Netloom, Planner::CiliumModel, Planner::VpcCniModel] {
            let mut world = world::World::new(scenario)?;
            let placed = match planner {
                Planner::Netloom => netloom::run(&mut world),
                Planner::CiliumModel => cilium_model::run(&mut world),
                Planner::VpcCniModel => vpc_cni_model::run(&mut world),
            };
            let seconds = placed.ok_or_else(|| Error::NeverPlaced {
                scenario: scenario.name,
                planner: planner.name(),
                left: world.unplaced(),
            })?;
            scenarios.push(world.outcome(scenario, planner, seconds)?);
        }
    }
    Ok(Report { scenarios })
}
