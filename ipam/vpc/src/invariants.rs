//! What must hold whatever happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use ipam::{Timestamp, ec2::InterfaceStatus};
use ipnetwork::Ipv4Network;

use crate::{
    InstanceState, Operation, Region, instance_types,
    space::Space,
    state::{holds, networks, status},
};

/// Something that must not be. The first kinds would be mistakes of the emulator's, those about pods are
/// mistakes of who uses it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two interfaces have an address.
    #[error("{address} is on {first} and on {second}")]
    GivenTwice {
        /// The address.
        address: Ipv4Addr,
        /// An interface.
        first: String,
        /// Another one.
        second: String,
    },
    /// An interface has what it can't have.
    #[error("{interface_id} has {network}, which is not aligned, not its subnet's, or EC2's own")]
    Misplaced {
        /// The interface.
        interface_id: String,
        /// What it has.
        network: Ipv4Network,
    },
    /// A subnet's books are wrong.
    #[error("{subnet_id} thinks that {booked} addresses are available, but {counted} are")]
    NotConserved {
        /// The subnet.
        subnet_id: String,
        /// What DescribeSubnets says.
        booked: u32,
        /// What follows from the interfaces.
        counted: u32,
    },
    /// More than an instance type allows.
    #[error("{id} has {has} {what}, {most} are allowed")]
    OverLimit {
        /// The instance or the interface.
        id: String,
        /// Of what.
        what: &'static str,
        /// How many it has.
        has: u32,
        /// How many it may have.
        most: u32,
    },
    /// Two interfaces have a device index, or an instance and an interface don't agree.
    #[error("{instance_id} and {interface_id} are wrongly attached: {why}")]
    BadAttachment {
        /// The instance.
        instance_id: String,
        /// The interface.
        interface_id: String,
        /// Why.
        why: &'static str,
    },
    /// An address was taken from an instance while a pod used it.
    #[error("{operation} took {address} of {interface_id} from the pod {pod} at {}", at.0)]
    ReleasedInUse {
        /// The interface.
        interface_id: String,
        /// The address.
        address: Ipv4Addr,
        /// The pod.
        pod: String,
        /// What did it.
        operation: Operation,
        /// When.
        at: Timestamp,
    },
    /// A pod uses an address that its instance does not have.
    #[error("the pod {pod} uses {address}, which {instance_id} does not have")]
    NotBacked {
        /// The pod.
        pod: String,
        /// The address.
        address: Ipv4Addr,
        /// Its instance.
        instance_id: String,
    },
    /// Two pods use an address.
    #[error("the pods {first} and {second} both use {address} in {vpc_id}")]
    SharedByPods {
        /// The address.
        address: Ipv4Addr,
        /// The VPC.
        vpc_id: String,
        /// A pod.
        first: String,
        /// Another one.
        second: String,
    },
}

impl Region {
    /// Looks at everything and returns what must not be, and what was done to pods since the beginning.
    #[must_use]
    pub fn check(&self) -> Vec<Violation> {
        let mut found = self.broken.clone();
        self.check_addresses(&mut found);
        self.check_books(&mut found);
        self.check_instances(&mut found);
        self.check_pods(&mut found);
        found
    }

    fn check_addresses(&self, found: &mut Vec<Violation>) {
        let mut holders: BTreeMap<(&str, Ipv4Addr), &str> = BTreeMap::new();
        for interface in self.state.interfaces.values().map(|one| &one.is) {
            let Some(subnet) = self.state.subnets.get(&interface.subnet_id) else { continue };
            for network in networks(interface) {
                let aligned = network.network() == network.ip() && matches!(network.prefix(), 28 | 32);
                if !aligned
                    || network.iter().any(|one| !subnet.space.contains(one) || subnet.space.is_own(one))
                {
                    found.push(Violation::Misplaced { interface_id: interface.id.clone(), network });
                }
                for address in network.iter() {
                    if let Some(first) = holders.insert((&interface.vpc_id, address), &interface.id) {
                        found.push(Violation::GivenTwice {
                            address,
                            first: first.to_owned(),
                            second: interface.id.clone(),
                        });
                    }
                }
            }
        }
    }

    /// Conservation: what is booked is what interfaces have and reservations keep.
    fn check_books(&self, found: &mut Vec<Violation>) {
        let mut books: BTreeMap<&str, Space> = BTreeMap::new();
        for (id, subnet) in &self.state.subnets {
            let mut space = Space::new(subnet.about.cidr);
            for reservation in &subnet.reservations {
                space.reserve(reservation.cidr, reservation.kind);
            }
            books.insert(id, space);
        }
        for interface in self.state.interfaces.values().map(|one| &one.is) {
            if let Some(space) = books.get_mut(interface.subnet_id.as_str()) {
                networks(interface).for_each(|network| space.take(network));
            }
        }
        for (id, subnet) in &self.state.subnets {
            let counted = &books[id.as_str()];
            if *counted != subnet.space {
                found.push(Violation::NotConserved {
                    subnet_id: id.clone(),
                    booked: subnet.space.available(),
                    counted: counted.available(),
                });
            }
        }
    }

    fn check_instances(&self, found: &mut Vec<Violation>) {
        let mut attached: BTreeSet<(&str, &str)> = BTreeSet::new();
        for instance in self.state.instances.values() {
            let Some(limits) = instance_types().get(&instance.instance_type) else { continue };
            let has = u32::try_from(instance.interfaces.len()).unwrap_or(u32::MAX);
            let over =
                |id: &str, what, has, most| Violation::OverLimit { id: id.to_owned(), what, has, most };
            if has > limits.interfaces {
                found.push(over(&instance.id, "interfaces", has, limits.interfaces));
            }
            let mut indexes = BTreeSet::new();
            for id in &instance.interfaces {
                let bad = |why| Violation::BadAttachment {
                    instance_id: instance.id.clone(),
                    interface_id: id.clone(),
                    why,
                };
                let Some(interface) = self.state.interfaces.get(id).map(|one| &one.is) else {
                    found.push(bad("there is no such interface"));
                    continue;
                };
                let Some(attachment) = &interface.attachment else {
                    found.push(bad("the interface is not attached"));
                    continue;
                };
                attached.insert((&instance.id, id));
                if !indexes.insert((attachment.network_card, attachment.device_index)) {
                    found.push(bad("another interface has its device index"));
                }
                if attachment.instance_id != instance.id
                    || self.state.attachments.get(&attachment.id) != Some(id)
                {
                    found.push(bad("the attachment is another's"));
                }
                if interface.availability_zone != instance.availability_zone {
                    found.push(bad("they are in different zones"));
                }
                if instance.state == InstanceState::Terminated {
                    found.push(bad("the instance is terminated"));
                }
                if interface.slots() > limits.ipv4_per_interface {
                    found.push(over(id, "addresses", interface.slots(), limits.ipv4_per_interface));
                }
                if !interface.prefixes.is_empty() && !limits.has_prefixes() {
                    found.push(over(id, "prefixes", 1, 0));
                }
            }
        }
        for interface in self.state.interfaces.values().map(|one| &one.is) {
            let instance_id = interface.attachment.as_ref().map_or("", |one| &one.instance_id);
            let known = instance_id.is_empty() || attached.contains(&(instance_id, interface.id.as_str()));
            let is_free = interface.status == InterfaceStatus::Available;
            if !known || interface.status != status(interface) || is_free != interface.attachment.is_none() {
                found.push(Violation::BadAttachment {
                    instance_id: instance_id.to_owned(),
                    interface_id: interface.id.clone(),
                    why: "the interface's state is wrong",
                });
            }
        }
    }

    fn check_pods(&self, found: &mut Vec<Violation>) {
        let mut users: BTreeMap<(&str, Ipv4Addr), &str> = BTreeMap::new();
        for (instance_id, pod) in self.pods.iter() {
            let instance = self.state.instances.get(instance_id);
            let mut interfaces = instance
                .into_iter()
                .flat_map(|instance| &instance.interfaces)
                .filter_map(|id| self.state.interfaces.get(id));
            if !interfaces.any(|one| holds(&one.is, pod.address)) {
                found.push(Violation::NotBacked {
                    pod: pod.name.clone(),
                    address: pod.address,
                    instance_id: instance_id.clone(),
                });
            }
            let vpc_id = instance.map_or("", |instance| &instance.vpc_id);
            if let Some(first) = users.insert((vpc_id, pod.address), &pod.name) {
                found.push(Violation::SharedByPods {
                    address: pod.address,
                    vpc_id: vpc_id.to_owned(),
                    first: first.to_owned(),
                    second: pod.name.clone(),
                });
            }
        }
    }
}
