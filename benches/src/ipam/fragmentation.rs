//! Whether pods get addresses where others have many of a subnet's, here and there.

use std::time::Duration;

use ipam::eni::PREFIX_ADDRESSES;

use super::report::{Fragmentation, Planner};
use super::scenario::Scenario;
use super::world::{Goal, World};
use crate::Error;

/// How much of the subnets others have, in percent.
const OCCUPIED: [u32; 5] = [0, 25, 50, 75, 90];
/// The lot that says which addresses these are.
const SEED: u64 = 28;
/// The pods' two subnets: 1,024 addresses each.
const SUBNETS: u8 = 22;
/// Whoever has no address by then has none for long.
const TIME: Duration = Duration::from_secs(900);

/// Slots are plenty, so that only the subnets are short.
const NODES: Scenario = Scenario {
    name: "fragmentation",
    nodes: 10,
    pods: 40,
    instance_type: "m5.4xlarge",
    first_interface_index: 1,
    pre_allocate: 8,
};

/// Runs a planner in subnets of which others have more and more: first of one of them, then of both.
pub(super) fn run(planner: Planner) -> Result<Vec<Fragmentation>, Error> {
    let mut all = Vec::new();
    for occupied_subnets in [1, 2] {
        for occupied_percent in OCCUPIED {
            all.push(survive(planner, occupied_subnets, occupied_percent)?);
        }
    }
    Ok(all)
}

fn survive(planner: Planner, occupied_subnets: u32, occupied_percent: u32) -> Result<Fragmentation, Error> {
    let mut world = World::with_pod_subnets(&NODES, SUBNETS)?;
    world.occupy(occupied_subnets as usize, occupied_percent, SEED)?;
    world.goal = Goal::Elapsed(TIME);
    planner.run(&mut world);
    world.check()?;
    let pods = NODES.nodes * NODES.pods;
    let pods_placed = pods - world.unplaced();
    let of_node = (NODES.pods + NODES.pre_allocate).div_ceil(PREFIX_ADDRESSES);
    let prefixes_wanted = u64::from(NODES.nodes * of_node);
    let (prefixes_obtained, _) = world.prefixes_and_interfaces();
    Ok(Fragmentation {
        planner,
        occupied_subnets,
        occupied_percent,
        pods,
        pods_placed,
        placed_share: f64::from(pods_placed) / f64::from(pods),
        prefixes_wanted,
        prefixes_obtained,
        prefixes_share: (prefixes_obtained as f64 / prefixes_wanted as f64).min(1.0),
    })
}
