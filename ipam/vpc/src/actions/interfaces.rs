//! CreateNetworkInterface, DeleteNetworkInterface and ModifyNetworkInterfaceAttribute.

use std::{collections::BTreeSet, sync::Arc};

use ipam::ec2::{Interface, InterfaceStatus};
use ipnetwork::Ipv4Network;

use crate::{
    Answer, CreateInterface, Modify, Operation, Refusal, Region,
    actions::addresses::{named, no_address},
    events::Change,
    instance_types::most_addresses,
    refusal::Resource,
    region::Made,
    state::{InterfaceState, networks},
};

/// Kinds of interfaces that may be asked for.
const KINDS: [&str; 3] = ["interface", "efa", "trunk"];

impl Region {
    pub(super) fn create_interface(&mut self, create: &CreateInterface) -> Result<Answer, Refusal> {
        let Some(token) = create.client_token.as_ref().filter(|token| !token.is_empty()) else {
            let interface_id = self.make_interface(create)?;
            return self.created(&interface_id, None);
        };
        if token.len() > 64 || !token.is_ascii() {
            return Err(Refusal::value("The client token must be at most 64 ASCII characters"));
        }
        if let Some(made) = self.made.get(token) {
            if made.by != *create {
                let message = "The same client token was used with different parameters.";
                return Err(Refusal::new("IdempotentParameterMismatch", message));
            }
            // As it is now; as it was, if it is no more.
            let now = self.created(&made.interface_id, Some(token));
            return now.or_else(|_gone| Ok(made.answer.clone()));
        }
        let interface_id = self.make_interface(create)?;
        let answer = self.created(&interface_id, Some(token))?;
        let made = Made { by: create.clone(), answer: answer.clone(), interface_id };
        self.made.insert(token.clone(), made);
        Ok(answer)
    }

    fn created(&self, interface_id: &str, client_token: Option<&String>) -> Result<Answer, Refusal> {
        let interface = Box::new(self.state.view(&Arc::new(self.state.interface(interface_id)?.is.clone())));
        Ok(Answer::Created { interface, client_token: client_token.cloned() })
    }

    /// Makes an interface and returns its id.
    pub(super) fn make_interface(&mut self, create: &CreateInterface) -> Result<String, Refusal> {
        create.wanted.check(Operation::CreateNetworkInterface)?;
        let subnet = self.state.subnet(&create.subnet_id)?;
        let (vpc_id, availability_zone) =
            (subnet.about.vpc_id.clone(), subnet.about.availability_zone.clone());
        let mut space = subnet.space.clone();
        let security_groups = self.groups_for(&vpc_id, &create.security_groups)?;
        let kind = create.kind.clone().unwrap_or_else(|| "interface".to_owned());
        if !KINDS.contains(&kind.as_str()) {
            return Err(Refusal::value(format!("Invalid value '{kind}' for InterfaceType.")));
        }
        if self.state.interfaces.len() >= self.settings.interface_quota {
            let message = "You have reached the limit of network interfaces in this region.";
            return Err(Refusal::new("NetworkInterfaceLimitExceeded", message));
        }
        if create.wanted.slots() >= u64::from(most_addresses()) {
            let message = "Number of private addresses will exceed limit.";
            return Err(Refusal::new("PrivateIpAddressLimitExceeded", message));
        }
        if let Some(primary) = create.primary_address {
            named(&space, primary, Operation::CreateNetworkInterface)?;
            space.take(primary.into());
        }
        let none = BTreeSet::new();
        let more = self.choose(&mut space, &create.wanted, &none, Operation::CreateNetworkInterface)?;
        let primary_address = match create.primary_address {
            Some(primary) => primary,
            // After the prefixes, so that it does not break the last free block.
            None => {
                let chosen = space.choose_addresses(1, &mut self.rng).ok_or_else(no_address)?[0];
                space.take(chosen.into());
                chosen
            }
        };
        let interface = Interface {
            id: self.id("eni"),
            description: create.description.clone(),
            subnet_id: create.subnet_id.clone(),
            vpc_id,
            availability_zone,
            mac: self.mac(),
            primary_address,
            secondary_addresses: more.addresses,
            prefixes: more.prefixes,
            security_groups,
            tags: create.tags.clone(),
            status: InterfaceStatus::Available,
            attachment: None,
            requester_managed: false,
            kind,
        };
        let id = interface.id.clone();
        self.state.subnet_mut(&create.subnet_id)?.space = space;
        let state = InterfaceState { is: interface.clone(), source_check: true, created: self.now };
        self.state.interfaces.insert(id.clone(), state);
        self.changed(&id);
        self.tell(Change::Created(Box::new(interface)));
        Ok(id)
    }

    /// A MAC address that no other interface has.
    fn mac(&mut self) -> String {
        loop {
            let bytes = self.rng.u64(..).to_be_bytes();
            let mac = format!(
                "02:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}",
                bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]
            );
            if self.state.interfaces.values().all(|one| one.is.mac != mac) {
                return mac;
            }
        }
    }

    /// Checks security groups that an interface is to have; without any it is the VPC's default one.
    pub(super) fn groups_for(&self, vpc_id: &str, groups: &[String]) -> Result<Vec<String>, Refusal> {
        if groups.is_empty() {
            return Ok(vec![self.state.network(vpc_id)?.default_group.clone()]);
        }
        for id in groups {
            if self.state.group(id)?.vpc_id != *vpc_id {
                let message = format!("The security group '{id}' is not in the VPC '{vpc_id}'");
                return Err(Refusal::new("InvalidGroup.NotFound", message));
            }
        }
        if groups.len() > self.settings.groups_per_interface {
            return Err(Refusal::new(
                "SecurityGroupsPerInterfaceLimitExceeded",
                "The maximum number of security groups per interface has been reached.",
            ));
        }
        Ok(groups.to_vec())
    }

    pub(super) fn delete_interface(&mut self, id: &str) -> Result<Answer, Refusal> {
        let interface = self.mine(id)?.is.clone();
        if interface.attachment.is_some() {
            return Err(self.in_use(id));
        }
        self.erase_interface(&interface);
        Ok(Answer::Done)
    }

    /// It is attached, in one of the spellings.
    fn in_use(&mut self, id: &str) -> Refusal {
        if self.as_invalid_value() {
            return Refusal::value(format!("Network interface '{id}' is currently in use."));
        }
        Refusal::new("InvalidNetworkInterface.InUse", format!("Interface: [{id}] in use."))
    }

    /// Forgets an interface and frees its addresses.
    pub(super) fn erase_interface(&mut self, interface: &Interface) {
        self.state.interfaces.remove(&interface.id);
        let all: Vec<Ipv4Network> = networks(interface).collect();
        if let Ok(subnet) = self.state.subnet_mut(&interface.subnet_id) {
            all.into_iter().for_each(|network| subnet.space.release(network));
        }
        self.changed(&interface.id);
        self.tell(Change::Deleted(Box::new(interface.clone())));
    }

    pub(super) fn modify_interface(&mut self, modify: &Modify) -> Result<Answer, Refusal> {
        let given = [
            modify.delete_on_termination.is_some(),
            modify.security_groups.is_some(),
            modify.description.is_some(),
            modify.source_check.is_some(),
        ];
        match given.into_iter().filter(|given| *given).count() {
            0 => return Err(Refusal::missing("of an attribute to modify")),
            1 => {}
            _ => return Err(Refusal::combination("Only one attribute can be modified at a time.")),
        }
        let id = &modify.interface_id;
        let interface = self.mine(id)?.is.clone();
        if let Some((attachment_id, _)) = &modify.delete_on_termination
            && interface.attachment.as_ref().is_none_or(|attachment| attachment.id != *attachment_id)
        {
            return Err(Refusal::not_found(Resource::Attachment, attachment_id));
        }
        let groups = match &modify.security_groups {
            Some(groups) => Some(self.groups_for(&interface.vpc_id, groups)?),
            None => None,
        };
        let state = self.state.interface_mut(id)?;
        if let Some((attachment, (_, delete))) =
            state.is.attachment.as_mut().zip(modify.delete_on_termination.as_ref())
        {
            attachment.delete_on_termination = *delete;
        }
        if let Some(groups) = groups {
            state.is.security_groups = groups;
        }
        if let Some(description) = &modify.description {
            state.is.description.clone_from(description);
        }
        if let Some(check) = modify.source_check {
            state.source_check = check;
            self.tell(Change::SourceCheck { interface_id: id.clone(), on: check });
        }
        self.changed(id);
        Ok(Answer::Done)
    }

    /// Makes an interface somebody else's of the account's: a service's, which alone may change it.
    ///
    /// # Errors
    ///
    /// If there is no such interface.
    pub fn hand_over(&mut self, interface_id: &str) -> Result<(), Refusal> {
        self.state.interface_mut(interface_id)?.is.requester_managed = true;
        self.changed(interface_id);
        Ok(())
    }
}
