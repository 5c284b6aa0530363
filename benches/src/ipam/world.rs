//! A VPC with nodes that wait for addresses.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipam::Timestamp;
use ipam::ec2::{AttachmentStatus, Error as Ec2Error, InstanceType, Interface, Reply, Request};
use ipam::eni::{Limits, PREFIX_ADDRESSES};
use vpc::{Lags, Operation, Region, ReservationKind, Settings};

use super::ATTACHING;
use super::report::{Outcome, Planner};
use super::scenario::Scenario;
use crate::Error;

/// When a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// All pods have an address.
    Placed,
    /// So much time has passed.
    Elapsed(Duration),
}

/// A VPC, its nodes, and the pods that have no address yet.
pub(super) struct World {
    region: Region,
    pub(super) vpc_id: String,
    pub(super) instance_type: InstanceType,
    pub(super) nodes: Vec<Node>,
    pub(super) scenario: Scenario,
    /// The subnets for pods.
    pub(super) pod_subnets: Vec<String>,
    /// When the run is over.
    pub(super) goal: Goal,
    /// From when on calls are counted.
    counts_from: Option<Timestamp>,
}

/// A node.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) instance_id: String,
    pub(super) subnet_id: String,
    /// Pods that wait for an address.
    pub(super) pending: u32,
    /// Pods that have one.
    pub(super) placed: u32,
    /// Whether the planner asks for no prefixes for it any more.
    pub(super) single_addresses: bool,
}

impl Node {
    /// Gives pods that wait an address, of so many that the node has.
    pub(super) fn place(&mut self, addresses: u32) {
        let placed = self.pending.min(addresses.saturating_sub(self.placed));
        self.pending -= placed;
        self.placed += placed;
    }
}

impl World {
    pub(super) fn new(scenario: &Scenario) -> Result<Self, Error> {
        Self::with_pod_subnets(scenario, 16)
    }

    /// With subnets for pods that have prefixes of this length.
    pub(super) fn with_pod_subnets(scenario: &Scenario, length: u8) -> Result<Self, Error> {
        let lags = Lags { attach: ATTACHING, ..Lags::default() };
        // The quota of interfaces is one that whoever has a thousand nodes asks for.
        let settings =
            Settings { seed: 1, lags, throttled: false, interface_quota: 50_000, ..Settings::default() };
        let mut region = Region::new(settings);
        let (vpc_id, pod_subnets, nodes) = build(&mut region, scenario, length)?;
        region.advance(Timestamp(1));
        region.settings_mut().throttled = true;
        region.reset_counters();
        let instance_type = vpc::instance_types()
            .get(scenario.instance_type)
            .ok_or(Error::UnknownType { name: scenario.instance_type })?
            .clone();
        let scenario = *scenario;
        let goal = Goal::Placed;
        Ok(Self { region, vpc_id, instance_type, nodes, scenario, pod_subnets, goal, counts_from: None })
    }

    /// Somebody else has so many percent of the first of the pods' subnets, each address by lot.
    pub(super) fn occupy(&mut self, subnets: usize, percent: u32, seed: u64) -> Result<(), Error> {
        let mut lot = fastrand::Rng::with_seed(seed);
        let occupied = &self.pod_subnets[..subnets.min(self.pod_subnets.len())];
        let subnets: Vec<_> = self.region.subnets().filter(|subnet| occupied.contains(&subnet.id)).collect();
        for subnet in subnets {
            // The first four and the last are EC2's own.
            let all: Vec<Ipv4Addr> = subnet.cidr.iter().collect();
            let mut free: Vec<Ipv4Addr> = all[4..all.len() - 1].to_vec();
            lot.shuffle(&mut free);
            free.truncate(free.len() * percent as usize / 100);
            for address in free {
                self.region
                    .add_reservation(&subnet.id, address.into(), ReservationKind::Explicit)
                    .map_err(|why| Error::building(format!("an occupied address {address}"), why))?;
            }
        }
        self.region.reset_counters();
        Ok(())
    }

    /// The run ends after this long, and calls are counted from the earlier moment on.
    pub(super) fn count_between(&mut self, from: Duration, to: Duration) {
        self.goal = Goal::Elapsed(to);
        self.counts_from = Some(Timestamp(0).after(from));
    }

    /// Whether the run goes on.
    pub(super) fn goes_on(&self, now: Timestamp) -> bool {
        match self.goal {
            Goal::Placed => self.unplaced() > 0,
            Goal::Elapsed(time) => now < Timestamp(0).after(time),
        }
    }

    /// Requests that change something, and those that only read, of those that are counted.
    pub(super) fn calls(&self) -> (u64, u64) {
        (self.region.counters().total(false), self.region.counters().total(true))
    }

    /// What must never be, if something is.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.region.check().first() {
            Some(violation) => Err(Error::Violated { what: violation.to_string() }),
            None => Ok(()),
        }
    }

    /// Single addresses that are unused in a subnet, as EC2 says.
    pub(super) fn available(&self, subnet_id: &str) -> u32 {
        self.region.subnets().find(|one| one.id == subnet_id).map_or(0, |one| one.available_addresses)
    }

    /// Prefixes and interfaces that all nodes have for pods.
    pub(super) fn prefixes_and_interfaces(&self) -> (u64, u64) {
        let all = (0..self.nodes.len()).flat_map(|node| self.interfaces(node));
        all.fold((0, 0), |(prefixes, count), one| (prefixes + one.prefixes.len() as u64, count + 1))
    }

    /// Asks EC2. Who asked hears the answer [`LATENCY`](super::LATENCY) later.
    pub(super) fn ask(&mut self, now: Timestamp, request: Request) -> Result<Reply, Ec2Error> {
        self.region.call(now, request)
    }

    pub(super) fn limits(&self) -> Limits {
        Limits::from(&self.instance_type)
    }

    /// The interfaces of a node that it can use now, by device index, those without pods left out.
    pub(super) fn interfaces(&self, node: usize) -> Vec<&Interface> {
        let mut usable: Vec<(u32, &Interface)> = self
            .region
            .interfaces_of(&self.nodes[node].instance_id)
            .filter_map(|interface| {
                let attachment = interface.attachment.as_ref()?;
                let there = attachment.status == AttachmentStatus::Attached
                    && attachment.device_index >= self.scenario.first_interface_index;
                there.then_some((attachment.device_index, interface))
            })
            .collect();
        usable.sort_by_key(|(index, _)| *index);
        usable.into_iter().map(|(_, interface)| interface).collect()
    }

    /// Lets what is due at EC2 happen.
    pub(super) fn advance(&mut self, now: Timestamp) {
        self.region.advance(now);
        if self.counts_from.take_if(|from| now >= *from).is_some() {
            self.region.reset_counters();
        }
    }

    /// Addresses for pods that a node has.
    pub(super) fn addresses(&self, node: usize) -> u32 {
        let of = |interface: &&Interface| {
            let prefixes = u32::try_from(interface.prefixes.len()).unwrap_or(u32::MAX);
            let singles = u32::try_from(interface.secondary_addresses.len()).unwrap_or(u32::MAX);
            prefixes * PREFIX_ADDRESSES + singles
        };
        self.interfaces(node).iter().map(of).sum()
    }

    /// Pods without an address.
    pub(super) fn unplaced(&self) -> u32 {
        self.nodes.iter().map(|node| node.pending).sum()
    }

    pub(super) fn outcome(
        &self,
        scenario: &Scenario,
        planner: Planner,
        seconds: f64,
    ) -> Result<Outcome, Error> {
        self.check()?;
        let counters = self.region.counters();
        let done = |operation| counters.ended(operation, &vpc::Outcome::Done);
        let full = |interface: &&Interface| interface.slots() == self.limits().slots + 1;
        let all = (0..self.nodes.len()).flat_map(|node| self.interfaces(node));
        Ok(Outcome {
            name: scenario.name,
            planner,
            instance_type: scenario.instance_type,
            first_interface_index: scenario.first_interface_index,
            pre_allocate: scenario.pre_allocate,
            new_enis: done(Operation::CreateNetworkInterface),
            full_enis: all.filter(full).count() as u64,
            full_batches: done(Operation::AssignPrivateIpAddresses),
            mutating_calls: counters.total(false),
            minimum_calls: u64::from(scenario.minimum_calls(&self.instance_type)),
            describe_calls: counters.total(true),
            throttled_calls: counters
                .iter()
                .filter(|(_, how, _)| **how == vpc::Outcome::Refused("RequestLimitExceeded"))
                .map(|(_, _, number)| number)
                .sum(),
            virtual_seconds: seconds,
        })
    }
}

type Built = (String, Vec<String>, Vec<Node>);

/// Nodes in 10.0.0.0/16; pods in subnets of two other CIDRs, where they are apart. All lie in one zone.
fn build(region: &mut Region, scenario: &Scenario, length: u8) -> Result<Built, Error> {
    let net =
        |text: &str| text.parse().map_err(|source| Error::building(format!("the network {text}"), source));
    let vpc_id = region.add_vpc(net("10.0.0.0/16")?).map_err(|why| Error::building("the VPC", why))?;
    let subnet = |region: &mut Region, cidr: &str| {
        region
            .add_subnet(&vpc_id, net(cidr)?, "a")
            .map_err(|why| Error::building(format!("subnet {cidr}"), why))
    };
    let node_subnet = subnet(region, "10.0.0.0/16")?;
    let mut pod_subnets = Vec::new();
    for cidr in ["100.64.0.0/16", "100.65.0.0/16"] {
        region.add_cidr(&vpc_id, net(cidr)?).map_err(|why| Error::building(format!("CIDR {cidr}"), why))?;
        region.advance(Timestamp(0));
        pod_subnets.push(subnet(region, &cidr.replace("/16", &format!("/{length}")))?);
    }
    let mut nodes = Vec::new();
    for number in 0..scenario.nodes {
        nodes.push(Node {
            name: format!("node-{number:04}"),
            instance_id: region
                .add_instance(scenario.instance_type, &node_subnet)
                .map_err(|why| Error::building(format!("node {number}"), why))?,
            subnet_id: node_subnet.clone(),
            pending: scenario.pods,
            placed: 0,
            single_addresses: false,
        });
    }
    Ok((vpc_id, pod_subnets, nodes))
}
