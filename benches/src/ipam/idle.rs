//! What planners ask EC2 while nothing happens.

use std::time::Duration;

use super::report::{Idle, Planner};
use super::scenario::Scenario;
use super::world::World;
use crate::Error;

/// All pods have their addresses by then, and what follows of that is done. It is no whole number of anybody's rounds,
/// of which one more would count otherwise.
const SETTLED: Duration = Duration::from_secs(3630);
/// So long calls are counted.
const COUNTED: Duration = Duration::from_secs(3600);

/// Runs a planner on so many nodes with 30 pods each, and counts the calls of a later hour.
pub(super) fn run(planner: Planner, nodes: u32) -> Result<Idle, Error> {
    let scenario = Scenario {
        name: "idle",
        nodes,
        pods: 30,
        instance_type: "m5.large",
        first_interface_index: 1,
        pre_allocate: 8,
    };
    let mut world = World::new(&scenario)?;
    world.count_between(SETTLED, SETTLED + COUNTED);
    planner.run(&mut world);
    world.check()?;
    if world.unplaced() > 0 {
        let (scenario, planner, left) = (scenario.name, planner.name(), world.unplaced());
        return Err(Error::NeverPlaced { scenario, planner, left });
    }
    let (mutations, reads) = world.calls();
    let (_, interfaces) = world.prefixes_and_interfaces();
    Ok(Idle { planner, nodes, interfaces, reads_per_hour: reads, mutations_per_hour: mutations })
}
