//! A model of the loop that the VPC CNI (1.23, prefix delegation, `WARM_PREFIX_TARGET=1`) runs on each node, at its best.
//!
//! | constant | source |
//! |---|---|
//! | a pass each 5 s, and one action a pass | `pkg/ipamd/ipamd.go`: `ipPoolMonitorInterval` |
//! | a prefix at a time, until one prefix more is there than is used | `increaseDatastorePool`, `WARM_PREFIX_TARGET` |
//! | an interface more: instance, subnets, create, instance, attach, modify | `pkg/awsutils/awsutils.go`: `AllocENI` |
//! | of the subnets that it discovers the one with most free addresses, then the others, until one has room | likewise: `createENI`, `ENABLE_SUBNET_DISCOVERY` |
//! | the new interface is waited for at the metadata service | likewise: `waitForENIAttached` |
//! | without a free /28: nothing for 120 s, and no single addresses | `pkg/ipamd/ipamd.go`: `insufficientCidrErrorCooldown` |
//! | each hour, begun within 5 minutes: interfaces that were left behind are looked for | `pkg/awsutils/awsutils.go`: `cleanUpLeakedENIs` |
//!
//! Nodes know nothing of each other: what EC2 refuses, they try again in the next pass.

use std::time::Duration;

use ipam::Timestamp;
use ipam::ec2::{Addresses, CreateInterface, DescribeInterfaces, ErrorKind, Reply, Request};
use ipam::eni::PREFIX_ADDRESSES;

use super::clock::Clock;
use super::world::World;
use super::{ATTACHING, LATENCY, PATIENCE, apart};

const PASS: Duration = Duration::from_secs(5);
const WARM_PREFIXES: u32 = 1;
const NO_PREFIX: Duration = Duration::from_secs(120);
const SWEEP: Duration = Duration::from_secs(3600);
const SWEEP_BEGINS: Duration = Duration::from_secs(300);

/// Runs until all pods have an address; after how many seconds that was.
pub(super) fn run(world: &mut World) -> Option<f64> {
    let mut clock = Clock::new();
    for node in 0..world.nodes.len() {
        clock.at(Timestamp(0), node);
    }
    let mut sweeps: Vec<Timestamp> = (0..world.nodes.len())
        .map(|node| Timestamp(0).after(SWEEP_BEGINS.mul_f64(node as f64 / world.nodes.len() as f64)))
        .collect();
    while world.goes_on(clock.now()) {
        let node = clock.next()?;
        let now = clock.now();
        if !world.goes_on(now) {
            break;
        }
        if now > Timestamp(0).after(PATIENCE) {
            return None;
        }
        world.advance(now);
        let addresses = world.addresses(node);
        world.nodes[node].place(addresses);
        if now >= sweeps[node] {
            sweeps[node] = now.after(SWEEP);
            sweep(world, now);
        }
        let took = pass(world, node, now);
        // After a common beginning, as Netloom's operator has it, nodes' passes are not in step.
        let wait = if now == Timestamp(0) { apart(PASS, node, world.nodes.len()) } else { PASS };
        clock.after(wait + took, node);
    }
    Some(clock.seconds())
}

/// One pass of a node's loop; how long it took.
fn pass(world: &mut World, node: usize, now: Timestamp) -> Duration {
    let used = world.nodes[node].placed.div_ceil(PREFIX_ADDRESSES);
    let has = world.addresses(node) / PREFIX_ADDRESSES;
    if has >= used + WARM_PREFIXES && world.nodes[node].pending == 0 {
        return Duration::ZERO;
    }
    let slots = world.limits().slots;
    let room = world.interfaces(node).into_iter().find(|interface| interface.slots() <= slots);
    if let Some(interface_id) = room.map(|interface| interface.id.clone()) {
        let assigned = world.ask(now, Request::Assign { interface_id, addresses: Addresses::PrefixCount(1) });
        return if assigned.is_err_and(|error| is_full(&error)) { NO_PREFIX } else { LATENCY };
    }
    new_interface(world, node, now)
}

fn is_full(error: &ipam::ec2::Error) -> bool {
    matches!(error.kind, ErrorKind::NoFreePrefix | ErrorKind::NoFreeAddress)
}

/// Looks for interfaces that nobody has.
fn sweep(world: &mut World, now: Timestamp) {
    let vpc_id = world.vpc_id.clone();
    let left = Request::DescribeInterfaces(DescribeInterfaces {
        filters: vec![
            ("vpc-id".to_owned(), vec![vpc_id]),
            ("status".to_owned(), vec!["available".to_owned()]),
        ],
        page: Some(1000),
        ..DescribeInterfaces::default()
    });
    let _ = world.ask(now, left);
}

/// The subnets in which an interface may be made, the one with most free addresses first: those that are found by their
/// tag, or the node's own.
fn candidates(world: &World, node: usize) -> Vec<String> {
    if world.scenario.first_interface_index == 0 {
        return vec![world.nodes[node].subnet_id.clone()];
    }
    let mut subnets = world.pod_subnets.clone();
    subnets.sort_by_key(|subnet| std::cmp::Reverse(world.available(subnet)));
    subnets
}

fn new_interface(world: &mut World, node: usize, now: Timestamp) -> Duration {
    let instance_id = world.nodes[node].instance_id.clone();
    let of_instance = Request::DescribeInterfaces(DescribeInterfaces {
        filters: vec![("attachment.instance-id".to_owned(), vec![instance_id.clone()])],
        ..DescribeInterfaces::default()
    });
    let Ok(Reply::Interfaces { interfaces, .. }) = world.ask(now, of_instance.clone()) else {
        return LATENCY;
    };
    let indices: Vec<u32> =
        interfaces.iter().filter_map(|one| Some(one.attachment.as_ref()?.device_index)).collect();
    let Some(device_index) = (1..world.instance_type.interfaces).find(|index| !indices.contains(index))
    else {
        return LATENCY;
    };
    let vpc_id = world.vpc_id.clone();
    let _ = world.ask(now, Request::DescribeSubnets { vpc_id, next_token: None });
    let mut took = 2 * LATENCY;
    let mut created = None;
    let mut full = true;
    for subnet_id in candidates(world, node) {
        let create = Request::CreateInterface(CreateInterface {
            client_token: format!("{node}-{}-{subnet_id}", now.0),
            subnet_id,
            security_groups: Vec::new(),
            description: "model".to_owned(),
            addresses: Some(Addresses::PrefixCount(1)),
            tags: Default::default(),
        });
        let result = world.ask(now.after(took), create);
        took += LATENCY;
        match result {
            Ok(Reply::Created(interface)) => {
                created = Some(interface);
                break;
            }
            Err(error) => full &= is_full(&error),
            _ => full = false,
        }
    }
    let Some(interface) = created else { return if full { NO_PREFIX } else { took } };
    let _ = world.ask(now.after(took), of_instance);
    took += LATENCY;
    let interface_id = interface.id.clone();
    // What EC2 refuses for want of tokens is asked for again, a second later.
    let attachment_id = loop {
        let attach = Request::Attach {
            interface_id: interface_id.clone(),
            instance_id: instance_id.clone(),
            device_index,
        };
        took += LATENCY;
        match world.ask(now.after(took), attach) {
            Ok(Reply::Attached { attachment_id }) => break attachment_id,
            _ if took > PATIENCE => return took,
            _ => took += Duration::from_secs(1),
        }
    };
    let _ = world
        .ask(now.after(took), Request::SetDeleteOnTermination { interface_id, attachment_id, delete: true });
    took + LATENCY + ATTACHING
}
