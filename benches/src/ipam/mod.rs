//! What it takes to give a cluster's pods their addresses on EC2: calls and time, on a virtual clock.
//!
//! Nodes start, and their pods are scheduled to them, at the same moment. The region is an emulator with EC2's token
//! buckets; every request takes [`LATENCY`], an interface is there [`ATTACHING`] after it was attached. What runs beside
//! Netloom's own code are **models** of other programs' loops, made of published constants, each with its source: they
//! say what those loops cost at best, not how those programs fare.

mod cilium_model;
mod clock;
mod fragmentation;
mod idle;
mod netloom;
mod page;
mod report;
mod scenario;
mod text;
mod vpc_cni_model;
mod world;

use std::time::Duration;

use crate::Error;

pub use report::{Fragmentation, Idle, Outcome, Planner, Report};
pub use scenario::{SCENARIOS, Scenario};

/// From a request to its answer: of EC2, and of the API server.
pub const LATENCY: Duration = Duration::from_millis(200);
/// From AttachNetworkInterface's answer until the instance has the interface.
pub const ATTACHING: Duration = Duration::from_secs(2);
/// Whoever has not placed all pods by then never will.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

/// A part of the period for each node, by which what all do periodically after a common beginning is spread over it.
fn apart(period: Duration, node: usize, nodes: usize) -> Duration {
    period.mul_f64((node + 1) as f64 / nodes as f64)
}

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
        for planner in Planner::ALL {
            let mut world = world::World::new(scenario)?;
            let seconds = planner.run(&mut world).ok_or_else(|| Error::NeverPlaced {
                scenario: scenario.name,
                planner: planner.name(),
                left: world.unplaced(),
            })?;
            scenarios.push(world.outcome(scenario, planner, seconds)?);
        }
    }
    let (mut fragmentation, mut idle) = (Vec::new(), Vec::new());
    for planner in Planner::ALL {
        fragmentation.extend(fragmentation::run(planner)?);
    }
    for nodes in [10, 1000].into_iter().filter(|nodes| !options.quick || *nodes <= 10) {
        for planner in Planner::ALL {
            idle.push(idle::run(planner, nodes)?);
        }
    }
    Ok(Report { scenarios, fragmentation, idle })
}

impl Planner {
    /// Lets the loop run until the world's goal; after how many seconds that was, or nothing if that never was.
    fn run(self, world: &mut world::World) -> Option<f64> {
        match self {
            Self::Netloom => netloom::run(world),
            Self::CiliumModel => cilium_model::run(world),
            Self::VpcCniModel => vpc_cni_model::run(world),
        }
    }
}
