//! Netloom's operator on the virtual clock: the code that runs in clusters, with its I/O played.

use std::collections::BTreeSet;

use ipam::Timestamp;
use ipam::ec2::{Error as Ec2Error, Reply, Request};
use ipam::eni::handshake::Drained;
use ipam::eni::{
    Config, Fleet, NodeRecord, NodeSettings, NodeStatus, Outgoing, RequestId, Watermarks, WriteError,
};

use super::clock::Clock;
use super::world::World;
use super::{ATTACHING, LATENCY, PATIENCE};

/// What happens.
enum Event {
    /// An answer of EC2's.
    Answered(RequestId, Box<Result<Reply, Ec2Error>>),
    /// A write arrives at the API server, and its answer comes back.
    Wrote(usize, RequestId, Written),
    /// The API server is asked for an object.
    Read(usize, RequestId),
    /// A node has something new, an object or an interface, and its agent looks at it.
    Noticed(usize),
    /// A watch tells what an object is.
    Told(Box<NodeRecord>),
    /// The fleet wants to be asked.
    Wake,
}

enum Written {
    Status { resource_version: String, status: NodeStatus },
    Drain { resource_version: String, value: String },
}

/// Runs until all pods have an address; after how many seconds that was.
pub(super) fn run(world: &mut World) -> Option<f64> {
    let mut clock = Clock::new();
    let config = Config {
        vpc_id: world.vpc_id.clone(),
        cluster_name: "bench".to_owned(),
        prefix_delegation: true,
        ..Config::default()
    };
    let mut fleet = Fleet::new(config, 1);
    fleet.leads_until(Some(Timestamp(0).after(2 * PATIENCE)), clock.now());
    let mut objects: Vec<NodeRecord> = (0..world.nodes.len()).map(|node| object(world, node)).collect();
    for object in &objects {
        fleet.observe(object.clone());
    }
    clock.at(clock.now(), Event::Wake);
    // The one wake-up that is awaited.
    let mut awaited: Option<Timestamp> = None;
    while world.goes_on(clock.now()) {
        let event = clock.next()?;
        let now = clock.now();
        if !world.goes_on(now) {
            break;
        }
        if now > Timestamp(0).after(PATIENCE) {
            return None;
        }
        world.advance(now);
        match event {
            Event::Wake => awaited = awaited.filter(|at| *at > now),
            Event::Answered(id, result) => fleet.complete(id, *result, now),
            Event::Told(record) => fleet.observe(*record),
            Event::Read(node, id) => fleet.read(id, Ok(Some(objects[node].clone())), now),
            Event::Wrote(node, id, written) => {
                let result = write(&mut objects[node], written);
                let changed = result.is_ok();
                fleet.written(id, result, now);
                if changed {
                    clock.at(now, Event::Noticed(node));
                }
            }
            Event::Noticed(node) => {
                // The agent gives its pods addresses, and says what it wants next.
                use_addresses(world, node, &mut objects[node]);
                clock.after(LATENCY, Event::Told(Box::new(objects[node].clone())));
            }
        }
        for outgoing in fleet.poll(now) {
            send(world, &mut clock, outgoing);
        }
        if let Some(wake) = fleet.wake().map(|at| at.max(now))
            && awaited.is_none_or(|at| wake < at)
        {
            clock.at(wake, Event::Wake);
            awaited = Some(wake);
        }
    }
    Some(clock.seconds())
}

fn send(world: &mut World, clock: &mut Clock<Event>, outgoing: Outgoing) {
    let node = |name: &str| world.nodes.iter().position(|node| node.name == name);
    match outgoing {
        Outgoing::Request { id, request, .. } => {
            let attached = match &request {
                Request::Attach { instance_id, .. } => {
                    world.nodes.iter().position(|node| node.instance_id == *instance_id)
                }
                _ => None,
            };
            let result = world.ask(clock.now(), request);
            if let (Some(node), Ok(_)) = (attached, &result) {
                clock.after(ATTACHING, Event::Noticed(node));
            }
            clock.after(LATENCY, Event::Answered(id, Box::new(result)));
        }
        Outgoing::WriteStatus { id, node: name, resource_version, status, .. } => {
            if let Some(node) = node(&name) {
                clock.after(LATENCY, Event::Wrote(node, id, Written::Status { resource_version, status }));
            }
        }
        Outgoing::WriteDrain { id, node: name, resource_version, value, .. } => {
            if let Some(node) = node(&name) {
                clock.after(LATENCY, Event::Wrote(node, id, Written::Drain { resource_version, value }));
            }
        }
        Outgoing::Read { id, node: name } => {
            if let Some(node) = node(&name) {
                clock.after(LATENCY, Event::Read(node, id));
            }
        }
    }
}

/// The CiliumNode of a node that has just started.
fn object(world: &World, node: usize) -> NodeRecord {
    let scenario = &world.scenario;
    let apart = scenario.first_interface_index > 0;
    let settings = NodeSettings {
        instance_type: scenario.instance_type.to_owned(),
        first_interface_index: scenario.first_interface_index,
        subnet_ids: if apart { world.pod_subnets.clone() } else { Vec::new() },
        node_subnet_id: Some(world.nodes[node].subnet_id.clone()),
        availability_zone: "eu-central-1a".to_owned(),
        watermarks: Watermarks { pre_allocate: scenario.pre_allocate, ..Watermarks::default() },
        ..NodeSettings::default()
    };
    NodeRecord {
        name: world.nodes[node].name.clone(),
        uid: format!("uid-{node}"),
        resource_version: "1".to_owned(),
        instance_id: world.nodes[node].instance_id.clone(),
        settings,
        requested: Some(scenario.pre_allocate),
        // A new agent has promised nothing.
        drained: serde_json::to_string(&Drained::default()).ok(),
        pending_pods: world.nodes[node].pending,
        ..NodeRecord::default()
    }
}

/// What the API server does with a write.
fn write(object: &mut NodeRecord, written: Written) -> Result<String, WriteError> {
    let (Written::Status { resource_version, .. } | Written::Drain { resource_version, .. }) = &written;
    if *resource_version != object.resource_version {
        return Err(WriteError::Conflict);
    }
    match written {
        Written::Status { status, .. } => object.status = status,
        Written::Drain { value, .. } => object.drain = Some(value),
    }
    next_version(object);
    Ok(object.resource_version.clone())
}

/// The agent takes the prefixes that it was given, and the object says what is used of them.
fn use_addresses(world: &mut World, node: usize, object: &mut NodeRecord) {
    let usable = object.status.usable();
    let listed: u32 = usable.iter().map(|prefix| prefix.size()).sum();
    // Of an interface that is not there yet the agent gives nothing.
    let there = world.addresses(node);
    world.nodes[node].place(listed.min(there));
    let used = world.nodes[node].placed;
    let mut covered = 0;
    object.requested = Some(used + world.scenario.pre_allocate);
    object.allocated = usable
        .into_iter()
        .take_while(|prefix| {
            let is_used = covered < used;
            covered += prefix.size();
            is_used
        })
        .collect::<BTreeSet<_>>();
    object.pending_pods = world.nodes[node].pending;
    next_version(object);
}

fn next_version(object: &mut NodeRecord) {
    let number: u64 = object.resource_version.parse().unwrap_or_default();
    object.resource_version = (number + 1).to_string();
}
