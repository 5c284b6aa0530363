//! What a VPC is made of: CreateVpc, AssociateVpcCidrBlock, CreateSubnet, CreateSubnetCidrReservation and
//! CreateSecurityGroup.

use ipam::ec2::{SecurityGroup, Subnet, Tags};
use ipnetwork::Ipv4Network;

use crate::{
    Answer, Refusal, Region, ReservationKind,
    answer::{CidrView, GroupView, Reservation},
    events::Change,
    refusal::Resource,
    region::Due,
    space::Space,
    state::{Network, SubnetState},
};

/// The shortest and the longest prefix of a VPC's CIDR, and of a subnet's.
const SIZES: std::ops::RangeInclusive<u8> = 16..=28;

impl Region {
    pub(super) fn create_vpc(&mut self, cidr: Ipv4Network, tags: &Tags) -> Result<Answer, Refusal> {
        if !SIZES.contains(&cidr.prefix()) || cidr.network() != cidr.ip() {
            return Err(Refusal::new("InvalidVpc.Range", format!("The CIDR '{cidr}' is invalid.")));
        }
        let id = self.id("vpc");
        let default_group = self.make_group(&id, "default", "default VPC security group", &Tags::new());
        let association_id = self.id("vpc-cidr-assoc");
        let cidrs = vec![CidrView { association_id, cidr, associated: true }];
        let network = Network { id: id.clone(), cidrs, default_group, tags: tags.clone() };
        let view = network.view();
        self.state.networks.insert(id, network);
        Ok(Answer::Vpc(view))
    }

    pub(super) fn associate_cidr(&mut self, vpc_id: &str, cidr: Ipv4Network) -> Result<Answer, Refusal> {
        let network = self.state.network(vpc_id)?;
        if !SIZES.contains(&cidr.prefix()) || cidr.network() != cidr.ip() {
            return Err(Refusal::new("InvalidVpc.Range", format!("The CIDR '{cidr}' is invalid.")));
        }
        if network.cidrs.iter().any(|one| one.cidr.overlaps(cidr)) {
            let message = format!("The CIDR '{cidr}' conflicts with another CIDR of the VPC");
            return Err(Refusal::new("InvalidVpc.Conflict", message));
        }
        let association_id = self.id("vpc-cidr-assoc");
        let view = CidrView { association_id: association_id.clone(), cidr, associated: false };
        let missing = || Refusal::not_found(Resource::Vpc, vpc_id);
        self.state.networks.get_mut(vpc_id).ok_or_else(missing)?.cidrs.push(view.clone());
        let vpc_id = vpc_id.to_owned();
        let due = Due::Associated { vpc_id: vpc_id.clone(), association_id };
        self.schedule(self.settings.lags.associate, due);
        Ok(Answer::Associated { vpc_id, cidr: view })
    }

    /// A CIDR is the VPC's now.
    pub(crate) fn associated(&mut self, vpc_id: &str, association_id: &str) {
        let Some(network) = self.state.networks.get_mut(vpc_id) else { return };
        let found = network.cidrs.iter_mut().find(|one| one.association_id == association_id);
        let Some(view) = found else { return };
        view.associated = true;
        let cidr = view.cidr;
        self.tell(Change::Associated { vpc_id: vpc_id.to_owned(), cidr });
    }

    pub(super) fn create_subnet(
        &mut self,
        vpc_id: &str,
        cidr: Ipv4Network,
        zone: Option<&str>,
        tags: &Tags,
    ) -> Result<Answer, Refusal> {
        let network = self.state.network(vpc_id)?;
        let inside = network.cidrs.iter().any(|one| one.associated && cidr.is_subnet_of(one.cidr));
        if !SIZES.contains(&cidr.prefix()) || cidr.network() != cidr.ip() || !inside {
            return Err(Refusal::new("InvalidSubnet.Range", format!("The CIDR '{cidr}' is invalid.")));
        }
        let mut others = self.state.subnets.values().filter(|one| one.about.vpc_id == *vpc_id);
        if others.any(|one| one.about.cidr.overlaps(cidr)) {
            let message = format!("The CIDR '{cidr}' conflicts with another subnet");
            return Err(Refusal::new("InvalidSubnet.Conflict", message));
        }
        let region = &self.settings.region;
        let availability_zone = zone.map_or_else(|| format!("{region}a"), str::to_owned);
        let letter = availability_zone.strip_prefix(region.as_str());
        if !letter.is_some_and(|letter| matches!(letter.as_bytes(), [b'a'..=b'f'])) {
            let message = format!("Value ({availability_zone}) for parameter availabilityZone is invalid.");
            return Err(Refusal::value(message));
        }
        let space = Space::new(cidr);
        let about = Subnet {
            id: self.id("subnet"),
            vpc_id: vpc_id.to_owned(),
            availability_zone,
            cidr,
            available_addresses: space.available(),
            tags: tags.clone(),
        };
        let state = SubnetState { about: about.clone(), space, reservations: Vec::new() };
        self.state.subnets.insert(about.id.clone(), state);
        Ok(Answer::Subnet(about))
    }

    pub(super) fn create_reservation(
        &mut self,
        subnet_id: &str,
        cidr: Ipv4Network,
        kind: ReservationKind,
        description: &str,
    ) -> Result<Answer, Refusal> {
        let subnet = self.state.subnet(subnet_id)?;
        if cidr.network() != cidr.ip() || !cidr.is_subnet_of(subnet.about.cidr) {
            let message = format!("The CIDR '{cidr}' is not within the subnet's.");
            return Err(Refusal::new("InvalidSubnet.Range", message));
        }
        if subnet.reservations.iter().any(|one| one.cidr.overlaps(cidr)) {
            let message = format!("The CIDR '{cidr}' overlaps with another reservation.");
            return Err(Refusal::new("InvalidCidrReservation.Conflict", message));
        }
        let reservation = Reservation {
            id: self.id("scr"),
            subnet_id: subnet_id.to_owned(),
            cidr,
            kind,
            description: description.to_owned(),
        };
        let subnet = self.state.subnet_mut(subnet_id)?;
        subnet.space.reserve(cidr, kind);
        subnet.reservations.push(reservation.clone());
        Ok(Answer::Reservation(reservation))
    }

    pub(super) fn create_security_group(
        &mut self,
        vpc_id: &str,
        name: &str,
        description: &str,
        tags: &Tags,
    ) -> Result<Answer, Refusal> {
        self.state.network(vpc_id)?;
        if name.is_empty() || name.starts_with("sg-") {
            return Err(Refusal::value(format!("Invalid security group name '{name}'")));
        }
        let mut groups = self.state.groups.values().filter(|view| view.group.vpc_id == *vpc_id);
        if groups.any(|view| view.group.name == name) {
            let message = format!("The security group '{name}' already exists for VPC '{vpc_id}'");
            return Err(Refusal::new("InvalidGroup.Duplicate", message));
        }
        let id = self.make_group(vpc_id, name, description, tags);
        let made = self.state.groups.get(&id).cloned();
        made.map(Answer::SecurityGroup).ok_or_else(|| Refusal::not_found(Resource::SecurityGroup, &id))
    }

    fn make_group(&mut self, vpc_id: &str, name: &str, description: &str, tags: &Tags) -> String {
        let id = self.id("sg");
        let group = SecurityGroup {
            id: id.clone(),
            vpc_id: vpc_id.to_owned(),
            name: name.to_owned(),
            tags: tags.clone(),
        };
        self.state.groups.insert(id.clone(), GroupView { group, description: description.to_owned() });
        id
    }
}
