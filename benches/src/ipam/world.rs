//! A VPC with nodes that wait for addresses.

use ipam::Timestamp;
use ipam::ec2::{AttachmentStatus, Error as Ec2Error, InstanceType, Interface, Reply, Request};
use ipam::eni::{Limits, PREFIX_ADDRESSES};
use vpc::{Lags, Operation, Region, Settings};

use super::ATTACHING;
use super::report::{Outcome, Planner};
use super::scenario::Scenario;
use crate::Error;

/// A VPC, its nodes, and the pods that have no address yet.
pub(super) struct World {
    region: Region,
    pub(super) vpc_id: String,
    pub(super) instance_type: InstanceType,
    pub(super) nodes: Vec<Node>,
    pub(super) scenario: Scenario,
    /// The subnets for pods.
    pub(super) pod_subnets: Vec<String>,
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
        let lags = Lags { attach: ATTACHING, ..Lags::default() };
        // The quota of interfaces is one that whoever has a thousand nodes asks for.
        let settings =
            Settings { seed: 1, lags, throttled: false, interface_quota: 50_000, ..Settings::default() };
        let mut region = Region::new(settings);
        let (vpc_id, pod_subnets, nodes) = build(&mut region, scenario)?;
        region.advance(Timestamp(1));
        region.settings_mut().throttled = true;
        region.reset_counters();
        let instance_type = vpc::instance_types()
            .get(scenario.instance_type)
            .ok_or(Error::UnknownType { name: scenario.instance_type })?
            .clone();
        Ok(Self { region, vpc_id, instance_type, nodes, scenario: *scenario, pod_subnets })
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
        if let Some(violation) = self.region.check().first() {
            return Err(Error::Violated { what: violation.to_string() });
        }
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
fn build(region: &mut Region, scenario: &Scenario) -> Result<Built, Error> {
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
        pod_subnets.push(subnet(region, cidr)?);
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
        });
    }
    Ok((vpc_id, pod_subnets, nodes))
}
