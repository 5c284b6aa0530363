//! AssignPrivateIpAddresses and UnassignPrivateIpAddresses, and the choice of addresses.

use std::{collections::BTreeSet, net::Ipv4Addr};

use ipam::ec2::{Assigned, InstanceType, Interface};
use ipnetwork::Ipv4Network;

use crate::{
    Answer, Operation, Refusal, Region, Wanted,
    events::Change,
    instance_types,
    settings::Spelling,
    space::Space,
    state::{InterfaceState, holds, networks},
};

impl Region {
    pub(super) fn assign(&mut self, id: &str, wanted: &Wanted, reassign: bool) -> Result<Answer, Refusal> {
        wanted.check(Operation::AssignPrivateIpAddresses)?;
        let interface = self.mine(id)?.is.clone();
        self.check_room(&interface, wanted)?;
        let movable: BTreeSet<Ipv4Addr> =
            if reassign { self.movable(&interface, &wanted.exact) } else { BTreeSet::new() };
        let mut space = self.state.subnet(&interface.subnet_id)?.space.clone();
        let assigned = self.choose(&mut space, wanted, &movable, Operation::AssignPrivateIpAddresses)?;
        for address in &movable {
            self.take_away(&interface.vpc_id, *address);
        }
        self.state.subnet_mut(&interface.subnet_id)?.space = space;
        let has = &mut self.state.interface_mut(id)?.is;
        has.secondary_addresses.extend(&assigned.addresses);
        has.prefixes.extend(&assigned.prefixes);
        self.changed(id);
        self.tell(Change::Assigned {
            interface_id: id.to_owned(),
            addresses: assigned.addresses.clone(),
            prefixes: assigned.prefixes.clone(),
        });
        Ok(Answer::Assigned { interface_id: id.to_owned(), assigned })
    }

    pub(super) fn unassign(
        &mut self,
        id: &str,
        addresses: &[Ipv4Addr],
        prefixes: &[Ipv4Network],
    ) -> Result<Answer, Refusal> {
        if addresses.is_empty() && prefixes.is_empty() {
            return Err(Refusal::missing("PrivateIpAddress or Ipv4Prefix"));
        }
        let interface = self.mine(id)?.is.clone();
        if addresses.contains(&interface.primary_address) {
            let primary = interface.primary_address;
            return Err(Refusal::value(format!(
                "The primary address {primary} of {id} can not be unassigned"
            )));
        }
        // An address inside of a prefix is not the interface's alone: it goes with the prefix (cilium
        // #48125).
        let foreign = addresses.iter().find(|address| !interface.secondary_addresses.contains(address));
        let foreign = foreign.map(ToString::to_string);
        let unknown = prefixes.iter().find(|prefix| !interface.prefixes.contains(prefix));
        if let Some(what) = foreign.or_else(|| unknown.map(ToString::to_string)) {
            return Err(Refusal::value(format!("Some of [{what}] are not assigned to interface {id}")));
        }
        let gone = addresses.iter().map(|one| Ipv4Network::from(*one)).chain(prefixes.iter().copied());
        let gone: BTreeSet<Ipv4Network> = gone.collect();
        self.note_release(&interface, &gone, Operation::UnassignPrivateIpAddresses);
        for network in &gone {
            self.state.subnet_mut(&interface.subnet_id)?.space.release(*network);
        }
        let has = &mut self.state.interface_mut(id)?.is;
        has.secondary_addresses.retain(|address| !addresses.contains(address));
        has.prefixes.retain(|prefix| !prefixes.contains(prefix));
        self.changed(id);
        self.tell(Change::Unassigned {
            interface_id: id.to_owned(),
            addresses: addresses.to_vec(),
            prefixes: prefixes.to_vec(),
        });
        Ok(Answer::Done)
    }

    /// An interface that requests may name: it is there, has been so for long enough, and is nobody else's.
    pub(super) fn mine(&self, id: &str) -> Result<&InterfaceState, Refusal> {
        let interface = self.state.interface(id)?;
        if self.now.since(interface.created) < self.settings.lags.new_ids {
            return Err(Refusal::not_found(crate::refusal::Resource::Interface, id));
        }
        if interface.is.requester_managed {
            let message = "You do not have permission to access the specified resource.";
            return Err(Refusal::new("OperationNotPermitted", message));
        }
        Ok(interface)
    }

    /// The limits of the instance that an interface is attached to.
    pub(crate) fn limits(&self, interface: &Interface) -> Option<&'static InstanceType> {
        let attachment = interface.attachment.as_ref()?;
        let instance = self.state.instances.get(&attachment.instance_id)?;
        instance_types().get(&instance.instance_type)
    }

    fn check_room(&self, interface: &Interface, wanted: &Wanted) -> Result<(), Refusal> {
        let limits = self.limits(interface);
        if let Some(limits) = limits.filter(|limits| wanted.has_prefixes() && !limits.has_prefixes()) {
            return Err(no_prefixes(limits));
        }
        let limit =
            limits.map_or_else(crate::instance_types::most_addresses, |limits| limits.ipv4_per_interface);
        if u64::from(interface.slots()) + wanted.slots() > u64::from(limit) {
            let message = "Number of private addresses will exceed limit.";
            return Err(Refusal::new("PrivateIpAddressLimitExceeded", message));
        }
        Ok(())
    }

    /// Of the addresses, those that other interfaces of the same subnet have as secondary ones.
    fn movable(&self, to: &Interface, addresses: &[Ipv4Addr]) -> BTreeSet<Ipv4Addr> {
        let secondary = |address: &Ipv4Addr| {
            let holder = self.state.holder(&to.vpc_id, *address);
            holder.is_some_and(|one| {
                one.is.id != to.id
                    && one.is.subnet_id == to.subnet_id
                    && one.is.secondary_addresses.contains(address)
            })
        };
        addresses.iter().copied().filter(secondary).collect()
    }

    /// Takes a secondary address from whoever has it; it stays used.
    fn take_away(&mut self, vpc_id: &str, address: Ipv4Addr) {
        let Some(from) = self.state.holder(vpc_id, address).map(|one| one.is.clone()) else { return };
        self.note_release(&from, &BTreeSet::from([address.into()]), Operation::AssignPrivateIpAddresses);
        if let Ok(one) = self.state.interface_mut(&from.id) {
            one.is.secondary_addresses.retain(|has| *has != address);
        }
        self.changed(&from.id);
        self.tell(Change::Unassigned {
            interface_id: from.id,
            addresses: vec![address],
            prefixes: Vec::new(),
        });
    }

    /// Chooses what is wanted, all of it or nothing, and marks it as used.
    pub(super) fn choose(
        &mut self,
        space: &mut Space,
        wanted: &Wanted,
        movable: &BTreeSet<Ipv4Addr>,
        operation: Operation,
    ) -> Result<Assigned, Refusal> {
        let mut assigned = Assigned::default();
        for address in &wanted.exact {
            if !movable.contains(address) {
                named(space, *address, operation)?;
            }
            space.take((*address).into());
            assigned.addresses.push(*address);
        }
        for prefix in &wanted.prefixes {
            if prefix.prefix() != 28 || prefix.network() != prefix.ip() {
                return Err(Refusal::value(format!("{prefix} is not a valid /28 prefix")));
            }
            for address in prefix.iter() {
                named(space, address, operation)?;
            }
            space.take(*prefix);
            assigned.prefixes.push(*prefix);
        }
        if let Some(count) = wanted.prefix_count {
            let prefixes = space.choose_prefixes(number(count), &mut self.rng);
            assigned.prefixes.extend(prefixes.ok_or_else(|| self.no_prefix(operation))?);
            assigned.prefixes.iter().for_each(|prefix| space.take(*prefix));
        }
        if let Some(count) = wanted.count {
            let addresses = space.choose_addresses(number(count), &mut self.rng).ok_or_else(no_address)?;
            addresses.iter().for_each(|address| space.take((*address).into()));
            assigned.addresses.extend(addresses);
        }
        Ok(assigned)
    }

    /// There is no free prefix, in one of the spellings.
    fn no_prefix(&mut self, operation: Operation) -> Refusal {
        if operation == Operation::CreateNetworkInterface && self.as_invalid_value() {
            return Refusal::value(
                "There aren't sufficient free Ipv4 addresses or prefixes in the specified subnet.",
            );
        }
        let message = "The specified subnet does not have enough free cidr blocks to satisfy the request.";
        Refusal::new("InsufficientCidrBlocks", message)
    }

    /// Whether an error that has two spellings is an invalid value this time.
    pub(super) fn as_invalid_value(&mut self) -> bool {
        match self.settings.spelling {
            Spelling::Code => false,
            Spelling::InvalidValue => true,
            Spelling::Either => self.luck.bool(),
        }
    }

    /// Addresses of an interface are about to be no longer its own: are pods using them?
    pub(super) fn note_release(
        &mut self,
        interface: &Interface,
        gone: &BTreeSet<Ipv4Network>,
        by: Operation,
    ) {
        let Some(attachment) = &interface.attachment else { return };
        let used = self.pods.of(&attachment.instance_id).filter(|pod| {
            holds(interface, pod.address) && gone.iter().any(|network| network.contains(pod.address))
        });
        let used: Vec<_> = used.cloned().collect();
        for pod in used {
            self.broken.push(crate::Violation::ReleasedInUse {
                interface_id: interface.id.clone(),
                address: pod.address,
                pod: pod.name,
                operation: by,
                at: self.now,
            });
        }
    }

    /// The same of all of its addresses.
    pub(super) fn note_release_of_all(&mut self, interface: &Interface, by: Operation) {
        self.note_release(interface, &networks(interface).collect(), by);
    }
}

/// A number of things; on all machines that this runs on it fits.
fn number(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Whether an address that was asked for by name may be had.
pub(super) fn named(space: &Space, address: Ipv4Addr, operation: Operation) -> Result<(), Refusal> {
    if !space.contains(address) {
        let message = format!("Address {address} does not fall within the subnet's address range");
        return Err(Refusal::value(message));
    }
    if space.is_own(address) {
        return Err(Refusal::value(format!("Address {address} is in subnet's reserved address range")));
    }
    if space.may_have(address) {
        return Ok(());
    }
    Err(if operation == Operation::AssignPrivateIpAddresses {
        Refusal::new("Resource.AlreadyAssigned", format!("[{address}] is already assigned to an interface"))
    } else {
        Refusal::new("InvalidIPAddress.InUse", format!("Address {address} is in use."))
    })
}

pub(super) fn no_address() -> Refusal {
    let message = "The specified subnet does not have enough free addresses to satisfy the request.";
    Refusal::new("InsufficientFreeAddressesInSubnet", message)
}

pub(super) fn no_prefixes(limits: &InstanceType) -> Refusal {
    let message = format!("The instance type {} does not support prefix assignment.", limits.name);
    Refusal::new("UnsupportedOperation", message)
}

impl Wanted {
    pub(super) fn has_prefixes(&self) -> bool {
        self.prefix_count.is_some() || !self.prefixes.is_empty()
    }

    /// Slots that it takes on an interface.
    pub(super) fn slots(&self) -> u64 {
        let named = u64::try_from(self.exact.len() + self.prefixes.len()).unwrap_or(u64::MAX);
        named + u64::from(self.count.unwrap_or(0)) + u64::from(self.prefix_count.unwrap_or(0))
    }

    /// What excludes what, and that something is asked for.
    pub(super) fn check(&self, operation: Operation) -> Result<(), Refusal> {
        let singles = self.count.is_some() || !self.exact.is_empty();
        if self.count.is_some() && !self.exact.is_empty() {
            return Err(Refusal::combination(
                "SecondaryPrivateIpAddressCount and specific private addresses can not both be specified.",
            ));
        }
        if self.prefix_count.is_some() && !self.prefixes.is_empty() {
            return Err(Refusal::combination("Ipv4PrefixCount and Ipv4Prefix can not both be specified."));
        }
        if self.count == Some(0) || self.prefix_count == Some(0) {
            return Err(Refusal::value("The number of addresses or prefixes must be at least 1"));
        }
        let create = operation == Operation::CreateNetworkInterface;
        if create && singles && self.has_prefixes() {
            return Err(Refusal::combination(
                "Prefixes and secondary private addresses can not both be specified.",
            ));
        }
        if !create && !singles && !self.has_prefixes() {
            return Err(Refusal::missing(
                "SecondaryPrivateIpAddressCount, PrivateIpAddress, Ipv4PrefixCount or Ipv4Prefix",
            ));
        }
        Ok(())
    }
}
