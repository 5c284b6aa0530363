//! What a region holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
};

use ipam::{
    Timestamp,
    ec2::{Interface, InterfaceStatus, SecurityGroup, Subnet, Tags, Vpc},
};
use ipnetwork::Ipv4Network;

use crate::{
    Refusal,
    answer::{CidrView, GroupView, InstanceState, InterfaceView, Reservation, VpcView},
    refusal::Resource,
    space::Space,
};

/// A VPC.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) id: String,
    pub(crate) cidrs: Vec<CidrView>,
    pub(crate) default_group: String,
    pub(crate) tags: Tags,
}

impl Network {
    pub(crate) fn view(&self) -> VpcView {
        let associated = self.cidrs.iter().filter(|cidr| cidr.associated).map(|cidr| cidr.cidr);
        let vpc = Vpc {
            id: self.id.clone(),
            primary_cidr: self.cidrs[0].cidr,
            cidrs: associated.collect(),
            tags: self.tags.clone(),
        };
        VpcView { vpc, cidrs: self.cidrs.clone() }
    }
}

/// A subnet.
#[derive(Clone, Debug)]
pub(crate) struct SubnetState {
    /// All but the count of free addresses is right in it.
    pub(crate) about: Subnet,
    pub(crate) space: Space,
    pub(crate) reservations: Vec<Reservation>,
}

impl SubnetState {
    pub(crate) fn view(&self) -> Subnet {
        Subnet { available_addresses: self.space.available(), ..self.about.clone() }
    }
}

/// An interface.
#[derive(Clone, Debug)]
pub(crate) struct InterfaceState {
    pub(crate) is: Interface,
    pub(crate) source_check: bool,
    pub(crate) created: Timestamp,
}

/// An instance.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) reservation_id: String,
    pub(crate) instance_type: String,
    pub(crate) state: InstanceState,
    pub(crate) launched: Timestamp,
    pub(crate) subnet_id: String,
    pub(crate) vpc_id: String,
    pub(crate) availability_zone: String,
    pub(crate) tags: Tags,
    pub(crate) hop_limit: u8,
    /// Attached, being attached, or being detached.
    pub(crate) interfaces: BTreeSet<String>,
}

/// Everything there is.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) networks: BTreeMap<String, Network>,
    pub(crate) subnets: BTreeMap<String, SubnetState>,
    pub(crate) groups: BTreeMap<String, GroupView>,
    pub(crate) interfaces: BTreeMap<String, InterfaceState>,
    pub(crate) instances: BTreeMap<String, Instance>,
    /// Interfaces by their attachments.
    pub(crate) attachments: BTreeMap<String, String>,
}

impl State {
    pub(crate) fn network(&self, id: &str) -> Result<&Network, Refusal> {
        self.networks.get(id).ok_or_else(|| Refusal::not_found(Resource::Vpc, id))
    }

    pub(crate) fn subnet(&self, id: &str) -> Result<&SubnetState, Refusal> {
        self.subnets.get(id).ok_or_else(|| Refusal::not_found(Resource::Subnet, id))
    }

    pub(crate) fn subnet_mut(&mut self, id: &str) -> Result<&mut SubnetState, Refusal> {
        self.subnets.get_mut(id).ok_or_else(|| Refusal::not_found(Resource::Subnet, id))
    }

    pub(crate) fn group(&self, id: &str) -> Result<&SecurityGroup, Refusal> {
        let found = self.groups.get(id).map(|view| &view.group);
        found.ok_or_else(|| Refusal::not_found(Resource::SecurityGroup, id))
    }

    pub(crate) fn interface(&self, id: &str) -> Result<&InterfaceState, Refusal> {
        self.interfaces.get(id).ok_or_else(|| Refusal::not_found(Resource::Interface, id))
    }

    pub(crate) fn interface_mut(&mut self, id: &str) -> Result<&mut InterfaceState, Refusal> {
        self.interfaces.get_mut(id).ok_or_else(|| Refusal::not_found(Resource::Interface, id))
    }

    pub(crate) fn instance(&self, id: &str) -> Result<&Instance, Refusal> {
        self.instances.get(id).ok_or_else(|| Refusal::not_found(Resource::Instance, id))
    }

    /// The tags of a resource of any kind.
    pub(crate) fn tags_mut(&mut self, id: &str) -> Result<&mut Tags, Refusal> {
        let Some(kind) = Resource::of(id) else {
            return Err(Refusal::new("InvalidID", format!("The ID '{id}' is not valid")));
        };
        let tags = match kind {
            Resource::Vpc => self.networks.get_mut(id).map(|one| &mut one.tags),
            Resource::Subnet => self.subnets.get_mut(id).map(|one| &mut one.about.tags),
            Resource::SecurityGroup => self.groups.get_mut(id).map(|one| &mut one.group.tags),
            Resource::Interface => self.interfaces.get_mut(id).map(|one| &mut one.is.tags),
            Resource::Instance => self.instances.get_mut(id).map(|one| &mut one.tags),
            Resource::Attachment | Resource::Reservation => None,
        };
        tags.ok_or_else(|| Refusal::not_found(kind, id))
    }

    /// An interface as it was, with names of its groups as they are.
    pub(crate) fn view(&self, interface: &Arc<Interface>) -> InterfaceView {
        let name = |id: &String| self.groups.get(id).map(|view| view.group.name.clone()).unwrap_or_default();
        InterfaceView {
            group_names: interface.security_groups.iter().map(name).collect(),
            source_check: self.interfaces.get(&interface.id).is_none_or(|one| one.source_check),
            interface: Arc::clone(interface),
        }
    }

    /// The interface that has an address, alone or in a prefix, in a VPC.
    pub(crate) fn holder(&self, vpc_id: &str, address: Ipv4Addr) -> Option<&InterfaceState> {
        self.interfaces.values().find(|one| one.is.vpc_id == vpc_id && holds(&one.is, address))
    }
}

/// Whether an interface has an address, alone or in a prefix.
pub(crate) fn holds(interface: &Interface, address: Ipv4Addr) -> bool {
    networks(interface).any(|network| network.contains(address))
}

/// All that an interface has, single addresses as /32.
pub(crate) fn networks(interface: &Interface) -> impl Iterator<Item = Ipv4Network> {
    let single = std::iter::once(&interface.primary_address).chain(&interface.secondary_addresses);
    single.map(|address| Ipv4Network::from(*address)).chain(interface.prefixes.iter().copied())
}

/// What the state of an interface is by that of its attachment.
pub(crate) fn status(interface: &Interface) -> InterfaceStatus {
    use ipam::ec2::AttachmentStatus::{Attached, Attaching, Detached, Detaching, Unknown};
    match interface.attachment.as_ref().map(|attachment| attachment.status) {
        None | Some(Detached) => InterfaceStatus::Available,
        Some(Attaching) => InterfaceStatus::Attaching,
        Some(Attached) => InterfaceStatus::InUse,
        Some(Detaching) => InterfaceStatus::Detaching,
        Some(Unknown) => InterfaceStatus::Unknown,
    }
}
