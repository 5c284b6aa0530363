//! The emulator of EC2 as the tests see it: names that they choose, what it has as it is now, and what it refuses.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::Duration,
};

use ipam::{
    Timestamp,
    ec2::{Action, Error, InstanceType, Interface, Reply, Request},
};
use ipnetwork::Ipv4Network;
use vpc::{Call, CreateInterface, Fault, Operation, Region, ReservationKind, Settings};

pub const ZONE: &str = "eu-west-1a";
pub const TYPE: &str = "m5.large";
/// The tag of the security group for pods.
pub const PODS: (&str, &str) = ("for", "pods");

/// Whether a request is refused; it is told the interface that the request is about.
pub type Refused = Box<dyn Fn(&Request, Option<&Interface>) -> bool>;

pub struct Cloud {
    region: Region,
    pub vpc_id: String,
    /// The security group for pods.
    pub group: String,
    subnets: Vec<String>,
    /// The VPC's interfaces as they are, but for strangers'.
    pub interfaces: BTreeMap<String, Interface>,
    /// Addresses that somebody else uses, and the interfaces that they are of.
    foreign: BTreeMap<Ipv4Addr, String>,
    pub of: InstanceType,
    pub calls: BTreeMap<Action, u32>,
    /// Interfaces that a listing went through.
    pub listed: usize,
    /// So many lists leave out all interfaces but primary ones.
    pub hide: u32,
    /// What lists show otherwise than it is.
    pub distort: Option<fn(&mut Interface)>,
    /// Requests that are refused, and the code.
    pub refuse: Vec<(Refused, &'static str)>,
}

impl Cloud {
    /// A VPC with subnets in one zone. It shows at once what it did, unless a call says otherwise.
    pub fn new(subnets: &[&str]) -> Self {
        let (region, remembered) = ("eu-west-1".to_owned(), Duration::from_secs(30));
        let settings = Settings { region, remembered, seed: 7, throttled: true, ..Settings::default() };
        let mut region = Region::new(settings);
        let vpc_id = region.add_vpc("10.1.0.0/16".parse().unwrap()).unwrap();
        let group = region.add_security_group(&vpc_id, "pods").unwrap();
        region.add_tag(&group, PODS.0, PODS.1).unwrap();
        let subnet = |cidr: &&str| region.add_subnet(&vpc_id, cidr.parse().unwrap(), "a").unwrap();
        let subnets = subnets.iter().map(subnet).collect();
        Self {
            region,
            vpc_id,
            group,
            subnets,
            interfaces: BTreeMap::new(),
            foreign: BTreeMap::new(),
            of: vpc::instance_types()[TYPE].clone(),
            calls: BTreeMap::new(),
            listed: 0,
            hide: 0,
            distort: None,
            refuse: Vec::new(),
        }
    }

    /// For so long it does not know the ids of interfaces that it made.
    pub fn forgets_new_ids_for(&mut self, time: Duration) {
        self.region.settings_mut().lags.new_ids = time;
    }

    /// Lists have pages of so many where nothing is asked for.
    pub fn pages_of(&mut self, length: usize) {
        self.region.settings_mut().page = length;
    }

    /// The subnet of nodes.
    pub fn subnet(&self) -> &str {
        &self.subnets[0]
    }

    /// Prefixes come from there first, and nothing else does.
    pub fn reserve(&mut self, cidr: &str) {
        let subnet = self.subnets[0].clone();
        self.region.add_reservation(&subnet, cidr.parse().unwrap(), ReservationKind::Prefix).unwrap();
    }

    /// Somebody else uses an address, if it is free.
    pub fn occupy(&mut self, address: Ipv4Addr) {
        for subnet_id in self.subnets.clone() {
            let create =
                CreateInterface { subnet_id, primary_address: Some(address), ..CreateInterface::default() };
            let made = self.region.invoke(self.region.now(), &Call::CreateInterface(create), false);
            if let Ok(vpc::Answer::Created { interface, .. }) = made {
                self.foreign.insert(address, interface.interface.id.clone());
            }
        }
        self.refill();
    }

    /// Others give up what they use.
    pub fn vacate(&mut self) {
        for interface_id in std::mem::take(&mut self.foreign).into_values() {
            let delete = Call::DeleteInterface { interface_id };
            self.region.invoke(self.region.now(), &delete, false).unwrap();
        }
        self.refill();
    }

    /// So many interfaces are in another VPC.
    pub fn crowd(&mut self, count: usize) {
        let vpc_id = self.region.add_vpc("10.2.0.0/16".parse().unwrap()).unwrap();
        let subnet_id = self.region.add_subnet(&vpc_id, "10.2.0.0/16".parse().unwrap(), "a").unwrap();
        for _ in 0..count {
            let create = CreateInterface { subnet_id: subnet_id.clone(), ..CreateInterface::default() };
            self.region.invoke(self.region.now(), &Call::CreateInterface(create), false).unwrap();
            self.refill();
        }
    }

    /// What the tests do themselves is not throttled.
    fn refill(&mut self) {
        *self.region.buckets() = Default::default();
    }

    /// Starts an instance and returns its id.
    pub fn start(&mut self) -> String {
        let subnet = self.subnets[0].clone();
        let id = self.region.add_instance(TYPE, &subnet).unwrap();
        self.region.advance(self.region.now());
        self.look();
        id
    }

    /// Ends an instance, and the interfaces that are to end with it.
    pub fn terminate(&mut self, instance_id: &str) {
        let (now, ids) = (self.region.now(), vec![instance_id.to_owned()]);
        self.region.invoke(now, &Call::TerminateInstances { ids }, false).unwrap();
        self.region.advance(now);
        self.refill();
        self.look();
    }

    /// P11, and whatever else EC2 never is: nothing is assigned twice, no interface and no instance has more than it
    /// can, each interface has a number of its own.
    fn look(&mut self) {
        let strangers: BTreeSet<&String> = self.foreign.values().collect();
        let ours =
            self.region.interfaces().filter(|of| of.vpc_id == self.vpc_id && !strangers.contains(&of.id));
        let interfaces = ours.map(|of| (of.id.clone(), of.clone())).collect();
        if interfaces != self.interfaces {
            assert_eq!(self.region.check(), [], "P11");
            self.interfaces = interfaces;
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

    /// Carries a request out. What it shows is as old as `lag` says, in milliseconds.
    pub fn call(&mut self, request: &Request, now: Timestamp, lag: u64) -> Result<Reply, Error> {
        let action = request.action();
        *self.calls.entry(action).or_default() += 1;
        let about = match request {
            Request::Assign { interface_id, .. }
            | Request::Unassign { interface_id, .. }
            | Request::Attach { interface_id, .. } => self.interfaces.get(interface_id),
            _ => None,
        };
        if let Some((_, code)) = self.refuse.iter().find(|(refused, _)| refused(request, about)) {
            return Err(Error::answered(action, *code, "so it was decided"));
        }
        if lag > 0 && action == Action::DescribeNetworkInterfaces {
            let stale = Fault::Stale(Duration::from_millis(lag));
            self.region.faults().next(Operation::DescribeNetworkInterfaces, stale);
        }
        let mut reply = self.region.call(now, request.clone());
        self.region.advance(now);
        if !action.reads() {
            self.look();
        }
        if let Ok(Reply::Interfaces { interfaces, .. }) = &mut reply {
            self.listed += interfaces.len();
            if let Some(distort) = self.distort {
                interfaces.iter_mut().for_each(distort);
            }
            if self.hide > 0 {
                self.hide -= 1;
                let primary = |of: &Interface| of.attachment.as_ref().is_some_and(|to| to.device_index == 0);
                interfaces.retain(primary);
            }
        }
        reply
    }
}
