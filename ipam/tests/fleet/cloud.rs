//! An EC2 of a few hundred lines: one VPC, limits, prefixes, client tokens, and a memory of what it was a moment ago.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use ipam::{
    Timestamp,
    ec2::{
        Action, Addresses, Assigned, Attachment, AttachmentStatus, CreateInterface, DescribeInterfaces,
        Error, InstanceType, Interface, InterfaceStatus, Reply, Request, SecurityGroup, Subnet, Vpc,
    },
};
use ipnetwork::Ipv4Network;

pub const VPC: &str = "vpc-1";
pub const ZONE: &str = "eu-west-1a";

pub struct Cloud {
    pub interfaces: BTreeMap<String, Interface>,
    /// What the interfaces were, each time that they changed.
    past: Vec<(Timestamp, BTreeMap<String, Interface>)>,
    pub subnets: BTreeMap<String, Subnet>,
    /// Addresses that somebody else uses.
    pub foreign: BTreeSet<Ipv4Addr>,
    pub instances: BTreeSet<String>,
    pub of: InstanceType,
    tokens: BTreeMap<String, (CreateInterface, String)>,
    pub calls: BTreeMap<Action, u32>,
    /// Interfaces that a listing went through.
    pub listed: usize,
    /// So many lists leave out all interfaces but primary ones.
    pub hide: u32,
    /// Requests that are refused, and the code.
    pub refuse: Vec<(Refused, &'static str)>,
    last_id: u32,
}

/// Whether a request is refused; it is told the interface that the request is about.
pub type Refused = Box<dyn Fn(&Request, Option<&Interface>) -> bool>;

pub fn m5_large() -> InstanceType {
    InstanceType {
        name: "m5.large".to_owned(),
        interfaces: 3,
        ipv4_per_interface: 10,
        hypervisor: Some("nitro".to_owned()),
        bare_metal: false,
        vcpus: 2,
    }
}

impl Cloud {
    pub fn new(subnets: &[&str]) -> Self {
        let subnet = |(number, cidr): (usize, &&str)| {
            let id = format!("subnet-{number}");
            let cidr: Ipv4Network = cidr.parse().unwrap();
            let (vpc_id, availability_zone, tags) = (VPC.to_owned(), ZONE.to_owned(), BTreeMap::new());
            let of = Subnet { id, vpc_id, availability_zone, cidr, available_addresses: 0, tags };
            (of.id.clone(), of)
        };
        Self {
            interfaces: BTreeMap::new(),
            past: Vec::new(),
            subnets: subnets.iter().enumerate().map(subnet).collect(),
            foreign: BTreeSet::new(),
            instances: BTreeSet::new(),
            of: m5_large(),
            tokens: BTreeMap::new(),
            calls: BTreeMap::new(),
            listed: 0,
            hide: 0,
            refuse: Vec::new(),
            last_id: 0,
        }
    }

    /// Starts an instance with its primary interface in the first subnet.
    pub fn start(&mut self, instance_id: &str) {
        self.instances.insert(instance_id.to_owned());
        let create = CreateInterface {
            subnet_id: "subnet-0".to_owned(),
            security_groups: vec!["sg-1".to_owned()],
            description: String::new(),
            addresses: None,
            tags: BTreeMap::new(),
            client_token: format!("primary of {instance_id}"),
        };
        let id = self.create(&create).unwrap().id;
        self.attach(&id, instance_id, 0).unwrap();
        self.interfaces.get_mut(&id).unwrap().attachment.as_mut().unwrap().delete_on_termination = true;
    }

    /// Ends an instance, and the interfaces that are to end with it.
    pub fn terminate(&mut self, instance_id: &str) {
        self.instances.remove(instance_id);
        self.interfaces.retain(|_, of| {
            !of.attachment.as_ref().is_some_and(|a| a.instance_id == instance_id && a.delete_on_termination)
        });
        for of in self.interfaces.values_mut() {
            if of.attachment.as_ref().is_some_and(|a| a.instance_id == instance_id) {
                (of.attachment, of.status) = (None, InterfaceStatus::Available);
            }
        }
    }

    /// P11: no interface has more than it can, no instance more than it can, each at a number of its own.
    pub fn check(&self) {
        let mut numbers = BTreeSet::new();
        for of in self.interfaces.values() {
            assert!(of.slots() <= self.of.ipv4_per_interface, "P11: {of:?}");
            if let Some(to) = &of.attachment {
                assert!(to.device_index < self.of.interfaces, "P11: {of:?}");
                assert!(numbers.insert((&to.instance_id, to.device_index)), "P11: {of:?}");
            }
        }
    }

    pub fn mutating(&self) -> u32 {
        self.calls.iter().filter(|(action, _)| !action.reads()).map(|(_, count)| count).sum()
    }

    pub fn reading(&self) -> u32 {
        self.calls.iter().filter(|(action, _)| action.reads()).map(|(_, count)| count).sum()
    }

    /// What an instance has: whatever its pods use must be in it.
    pub fn assigned(&self, instance_id: &str) -> Vec<Ipv4Network> {
        self.assigned_from(instance_id, 0)
    }

    /// What its interfaces from a number on have.
    pub fn assigned_from(&self, instance_id: &str, first: u32) -> Vec<Ipv4Network> {
        let on = |of: &&Interface| {
            of.attachment.as_ref().is_some_and(|a| a.instance_id == instance_id && a.device_index >= first)
        };
        let of = |of: &Interface| {
            let singles = of.secondary_addresses.iter().map(|address| Ipv4Network::from(*address));
            of.prefixes.iter().copied().chain(singles).collect::<Vec<_>>()
        };
        self.interfaces.values().filter(on).flat_map(of).collect()
    }

    /// Carries a request out. What it shows is as old as `lag` says.
    pub fn call(&mut self, request: &Request, now: Timestamp, lag: u64) -> Result<Reply, Error> {
        *self.calls.entry(request.action()).or_default() += 1;
        let before = (!request.action().reads()).then(|| self.interfaces.clone());
        let reply = self.perform(request, now, lag);
        if let Some(before) = before.filter(|before| *before != self.interfaces) {
            self.past.push((now, before));
            self.past.retain(|(at, _)| now.since(*at).as_secs() < 30);
        }
        reply
    }

    fn perform(&mut self, request: &Request, now: Timestamp, lag: u64) -> Result<Reply, Error> {
        let about = match request {
            Request::Assign { interface_id, .. }
            | Request::Unassign { interface_id, .. }
            | Request::Attach { interface_id, .. } => self.interfaces.get(interface_id),
            _ => None,
        };
        if let Some((_, code)) = self.refuse.iter().find(|(refused, _)| refused(request, about)) {
            return Err(Error::answered(request.action(), *code, "so it was decided"));
        }
        match request {
            Request::Assign { interface_id, addresses } => {
                self.assign(Action::AssignPrivateIpAddresses, interface_id, addresses).map(Reply::Assigned)
            }
            Request::Unassign { interface_id, addresses, prefixes } => {
                let of = self.get(Action::UnassignPrivateIpAddresses, interface_id)?;
                of.secondary_addresses.retain(|address| !addresses.contains(address));
                of.prefixes.retain(|prefix| !prefixes.contains(prefix));
                Ok(Reply::Done)
            }
            Request::CreateInterface(create) => self.create(create).map(|of| Reply::Created(Box::new(of))),
            Request::Attach { interface_id, instance_id, device_index } => {
                self.attach(interface_id, instance_id, *device_index)
            }
            Request::SetDeleteOnTermination { interface_id, delete, .. } => {
                let of = self.get(Action::ModifyNetworkInterfaceAttribute, interface_id)?;
                if let Some(attachment) = &mut of.attachment {
                    attachment.delete_on_termination = *delete;
                }
                Ok(Reply::Done)
            }
            Request::DeleteInterface { interface_id } => {
                let action = Action::DeleteNetworkInterface;
                if self.get(action, interface_id)?.attachment.is_some() {
                    return Err(Error::answered(action, "InvalidNetworkInterface.InUse", "attached"));
                }
                self.interfaces.remove(interface_id);
                Ok(Reply::Done)
            }
            Request::DescribeInterfaces(describe) => Ok(self.list(describe, now, lag)),
            Request::DescribeSubnets { .. } => {
                let subnets = self.subnets.values().cloned().map(|mut subnet| {
                    subnet.available_addresses = self.free(&subnet.id).len() as u32;
                    subnet
                });
                Ok(Reply::Subnets { subnets: subnets.collect(), next_token: None })
            }
            Request::DescribeVpcs { .. } => {
                let cidr: Ipv4Network = "10.0.0.0/8".parse().unwrap();
                let (id, tags) = (VPC.to_owned(), BTreeMap::new());
                Ok(Reply::Vpcs(vec![Vpc { id, primary_cidr: cidr, cidrs: vec![cidr], tags }]))
            }
            Request::DescribeInstanceTypes { names } => {
                let known = names.iter().filter(|name| **name == self.of.name);
                Ok(Reply::InstanceTypes(known.map(|_| self.of.clone()).collect()))
            }
            Request::DescribeSecurityGroups { .. } => {
                let tags = [("for".to_owned(), "pods".to_owned())].into();
                let (id, vpc_id, name) = ("sg-pods".to_owned(), VPC.to_owned(), "pods".to_owned());
                let groups = vec![SecurityGroup { id, vpc_id, name, tags }];
                Ok(Reply::SecurityGroups { groups, next_token: None })
            }
            other => panic!("{other:?}"),
        }
    }

    fn get(&mut self, action: Action, id: &str) -> Result<&mut Interface, Error> {
        let missing = || Error::answered(action, "InvalidNetworkInterfaceID.NotFound", id);
        self.interfaces.get_mut(id).ok_or_else(missing)
    }

    fn free(&self, subnet_id: &str) -> BTreeSet<Ipv4Addr> {
        let cidr = self.subnets[subnet_id].cidr;
        let size = cidr.size();
        let mut free: BTreeSet<Ipv4Addr> = cidr
            .iter()
            .enumerate()
            .filter(|(n, _)| (4..size as usize - 1).contains(n))
            .map(|(_, a)| a)
            .collect();
        for of in self.interfaces.values() {
            free.remove(&of.primary_address);
            of.secondary_addresses.iter().for_each(|address| _ = free.remove(address));
            of.prefixes.iter().flat_map(|prefix| prefix.iter()).for_each(|address| _ = free.remove(&address));
        }
        free.retain(|address| !self.foreign.contains(address));
        free
    }

    fn assign(&mut self, action: Action, id: &str, wanted: &Addresses) -> Result<Assigned, Error> {
        let slots = self.of.ipv4_per_interface;
        let of = self.get(action, id)?;
        if of.slots() + wanted.slots() > slots {
            return Err(Error::answered(action, "PrivateIpAddressLimitExceeded", "too many"));
        }
        let subnet_id = of.subnet_id.clone();
        let assigned = self.choose(action, &subnet_id, wanted)?;
        let of = self.get(action, id)?;
        of.secondary_addresses.extend(&assigned.addresses);
        of.prefixes.extend(&assigned.prefixes);
        Ok(assigned)
    }

    fn choose(&self, action: Action, subnet_id: &str, wanted: &Addresses) -> Result<Assigned, Error> {
        let free = self.free(subnet_id);
        let mut assigned = Assigned::default();
        match wanted {
            Addresses::Count(count) => {
                assigned.addresses = free.into_iter().rev().take(*count as usize).collect();
                if assigned.addresses.len() < *count as usize {
                    return Err(Error::answered(action, "InsufficientFreeAddressesInSubnet", subnet_id));
                }
            }
            Addresses::PrefixCount(count) => {
                let blocks = free.iter().filter(|address| address.octets()[3] % 16 == 0);
                let blocks = blocks.map(|address| Ipv4Network::new(*address, 28).unwrap());
                let whole = blocks.filter(|block| block.iter().all(|address| free.contains(&address)));
                assigned.prefixes = whole.take(*count as usize).collect();
                if assigned.prefixes.len() < *count as usize {
                    return Err(Error::answered(action, "InsufficientCidrBlocks", subnet_id));
                }
            }
            other => panic!("{other:?}"),
        }
        Ok(assigned)
    }

    fn create(&mut self, create: &CreateInterface) -> Result<Interface, Error> {
        let action = Action::CreateNetworkInterface;
        if let Some((before, id)) = self.tokens.get(&create.client_token) {
            if before != create {
                return Err(Error::answered(action, "IdempotentParameterMismatch", ""));
            }
            if let Some(of) = self.interfaces.get(id) {
                return Ok(of.clone());
            }
        }
        let primary = self.free(&create.subnet_id).pop_first();
        let full = || Error::answered(action, "InsufficientFreeAddressesInSubnet", "");
        let primary_address = primary.ok_or_else(full)?;
        self.foreign.insert(primary_address);
        let assigned = match &create.addresses {
            Some(wanted) => self.choose(action, &create.subnet_id, wanted),
            None => Ok(Assigned::default()),
        };
        self.foreign.remove(&primary_address);
        let assigned = assigned?;
        self.last_id += 1;
        let of = Interface {
            id: format!("eni-{:03}", self.last_id),
            description: create.description.clone(),
            subnet_id: create.subnet_id.clone(),
            vpc_id: VPC.to_owned(),
            availability_zone: ZONE.to_owned(),
            mac: format!("02:00:00:00:00:{:02x}", self.last_id),
            primary_address,
            secondary_addresses: assigned.addresses,
            prefixes: assigned.prefixes,
            security_groups: create.security_groups.clone(),
            tags: create.tags.clone(),
            status: InterfaceStatus::Available,
            attachment: None,
            requester_managed: false,
            kind: "interface".to_owned(),
        };
        self.tokens.insert(create.client_token.clone(), (create.clone(), of.id.clone()));
        self.interfaces.insert(of.id.clone(), of.clone());
        Ok(of)
    }

    fn attach(&mut self, id: &str, instance_id: &str, device_index: u32) -> Result<Reply, Error> {
        let action = Action::AttachNetworkInterface;
        if !self.instances.contains(instance_id) {
            return Err(Error::answered(action, "InvalidInstanceID.NotFound", instance_id));
        }
        let on: Vec<u32> = self
            .interfaces
            .values()
            .filter_map(|of| of.attachment.as_ref())
            .filter(|attachment| attachment.instance_id == instance_id)
            .map(|attachment| attachment.device_index)
            .collect();
        if on.contains(&device_index) {
            let message =
                format!("Instance already has an interface attached at device index {device_index}");
            return Err(Error::answered(action, "InvalidParameterValue", message));
        }
        if on.len() as u32 >= self.of.interfaces {
            return Err(Error::answered(
                action,
                "AttachmentLimitExceeded",
                "Interface count exceeds the limit",
            ));
        }
        let of = self.get(action, id)?;
        if of.attachment.is_some() {
            return Err(Error::answered(action, "InvalidNetworkInterface.InUse", id));
        }
        of.status = InterfaceStatus::InUse;
        let attachment_id = format!("eni-attach-{}", of.id);
        of.attachment = Some(Attachment {
            id: attachment_id.clone(),
            instance_id: instance_id.to_owned(),
            device_index,
            network_card: 0,
            delete_on_termination: false,
            status: AttachmentStatus::Attached,
            attached_at: None,
        });
        Ok(Reply::Attached { attachment_id })
    }

    fn list(&mut self, describe: &DescribeInterfaces, now: Timestamp, lag: u64) -> Reply {
        let then = now.0.saturating_sub(lag);
        let past = self.past.iter().find(|(until, _)| until.0 > then).map(|(_, past)| past);
        let matches = |of: &&Interface| {
            describe.filters.iter().all(|(name, values)| match name.as_str() {
                "vpc-id" => values.contains(&of.vpc_id),
                "attachment.instance-id" => {
                    of.attachment.as_ref().is_some_and(|to| values.contains(&to.instance_id))
                }
                other => panic!("filter {other}"),
            })
        };
        let from = describe.next_token.as_ref().map_or(0, |token| token.parse::<usize>().unwrap());
        let page = describe.page.unwrap_or(u32::MAX) as usize;
        let mut all: Vec<Interface> =
            past.unwrap_or(&self.interfaces).values().filter(matches).cloned().collect();
        if self.hide > 0 {
            self.hide -= 1;
            all.retain(|of| of.attachment.as_ref().is_some_and(|to| to.device_index == 0));
        }
        self.listed += all.len();
        let next_token = (from + page < all.len()).then(|| (from + page).to_string());
        Reply::Interfaces { interfaces: all.into_iter().skip(from).take(page).collect(), next_token }
    }
}
