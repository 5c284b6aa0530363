//! What a CiliumNode says, in types of our own: the operator's shell converts.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use ipnetwork::Ipv4Network;

use super::NodeSettings;

/// A CiliumNode, as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeRecord {
    /// Its name.
    pub name: String,
    /// Its uid: another object of the name is another node.
    pub uid: String,
    /// Its resource version, to be handed back with a write and not to be understood.
    pub resource_version: String,
    /// `spec.instance-id`; nothing happens to a node that has none yet.
    pub instance_id: String,
    /// `spec.eni` and the numbers of `spec.ipam`.
    pub settings: NodeSettings,
    /// IPv4 addresses that the agent asks for: in use and `pre-allocate` (`spec.ipam.pools.requested`).
    pub requested: Option<u32>,
    /// Prefixes that have an address that is used or rests (`spec.ipam.pools.allocated`).
    pub allocated: BTreeSet<Ipv4Network>,
    /// Pods of the node that have no address yet. It comes from elsewhere than the object.
    pub pending_pods: u32,
    /// The annotation [`DRAIN`](super::handshake::DRAIN).
    pub drain: Option<String>,
    /// The annotation [`DRAINED`](super::handshake::DRAINED).
    pub drained: Option<String>,
    /// Its status.
    pub status: NodeStatus,
}

/// The part of a CiliumNode's status that is the operator's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeStatus {
    /// `eni.enis`, by id.
    pub interfaces: BTreeMap<String, ListedInterface>,
    /// `ipam.operator-status.error`.
    pub error: Option<String>,
}

impl NodeStatus {
    /// What the node may use: prefixes and, as /32, single addresses.
    #[must_use]
    pub fn usable(&self) -> BTreeSet<Ipv4Network> {
        let of = |interface: &ListedInterface| {
            let singles = interface.addresses.iter().map(|address| Ipv4Network::from(*address));
            singles.chain(interface.prefixes.iter().copied()).collect::<Vec<_>>()
        };
        self.interfaces.values().flat_map(of).collect()
    }
}

/// An interface as `status.eni.enis` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedInterface {
    /// Its primary address.
    pub ip: Ipv4Addr,
    /// Its MAC address, by which the agent finds the link.
    pub mac: String,
    /// Its zone.
    pub availability_zone: String,
    /// What it is for.
    pub description: String,
    /// Its number on the instance.
    pub number: u32,
    /// Its subnet's id.
    pub subnet_id: String,
    /// Its subnet's CIDR, if the subnet is known.
    pub subnet_cidr: Option<Ipv4Network>,
    /// Its VPC's id.
    pub vpc_id: String,
    /// The CIDR that the VPC was made with.
    pub vpc_primary_cidr: Option<Ipv4Network>,
    /// All CIDRs of the VPC.
    pub vpc_cidrs: Vec<Ipv4Network>,
    /// Single addresses that pods may have: the addresses of prefixes are not among them.
    pub addresses: Vec<Ipv4Addr>,
    /// Prefixes that pods may have addresses of.
    pub prefixes: Vec<Ipv4Network>,
    /// Its security groups.
    pub security_groups: Vec<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}
