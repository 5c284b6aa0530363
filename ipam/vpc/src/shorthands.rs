//! Shorthands that build a VPC as a test or a lab wants it: no faults, no throttles, nothing counted.

use std::time::Duration;

use ipam::ec2::{Interface, Tags};
use ipnetwork::Ipv4Network;

use crate::{Answer, Call, Refusal, Region, ReservationKind, RunInstances};

impl Region {
    /// Makes a VPC and returns its id.
    ///
    /// # Errors
    ///
    /// CreateVpc's.
    pub fn add_vpc(&mut self, cidr: Ipv4Network) -> Result<String, Refusal> {
        match self.build(&Call::CreateVpc { cidr, tags: Tags::new() })? {
            Answer::Vpc(view) => Ok(view.vpc.id),
            other => Err(odd(&other)),
        }
    }

    /// Gives a VPC another CIDR; it is the VPC's at the next call, or later if the settings say so.
    ///
    /// # Errors
    ///
    /// AssociateVpcCidrBlock's.
    pub fn add_cidr(&mut self, vpc_id: &str, cidr: Ipv4Network) -> Result<(), Refusal> {
        self.build(&Call::AssociateCidr { vpc_id: vpc_id.to_owned(), cidr })?;
        self.advance(self.now());
        Ok(())
    }

    /// Makes a subnet in a zone, named by its letter, and returns its id.
    ///
    /// # Errors
    ///
    /// CreateSubnet's.
    pub fn add_subnet(&mut self, vpc_id: &str, cidr: Ipv4Network, zone: &str) -> Result<String, Refusal> {
        let zone = Some(format!("{}{zone}", self.settings.region));
        match self.build(&Call::CreateSubnet { vpc_id: vpc_id.to_owned(), cidr, zone, tags: Tags::new() })? {
            Answer::Subnet(subnet) => Ok(subnet.id),
            other => Err(odd(&other)),
        }
    }

    /// Keeps a part of a subnet for something.
    ///
    /// # Errors
    ///
    /// CreateSubnetCidrReservation's.
    pub fn add_reservation(
        &mut self,
        subnet_id: &str,
        cidr: Ipv4Network,
        kind: ReservationKind,
    ) -> Result<(), Refusal> {
        let (subnet_id, description) = (subnet_id.to_owned(), String::new());
        self.build(&Call::CreateReservation { subnet_id, cidr, kind, description })?;
        Ok(())
    }

    /// Makes a security group and returns its id.
    ///
    /// # Errors
    ///
    /// CreateSecurityGroup's.
    pub fn add_security_group(&mut self, vpc_id: &str, name: &str) -> Result<String, Refusal> {
        let call = Call::CreateSecurityGroup {
            vpc_id: vpc_id.to_owned(),
            name: name.to_owned(),
            description: name.to_owned(),
            tags: Tags::new(),
        };
        match self.build(&call)? {
            Answer::SecurityGroup(view) => Ok(view.group.id),
            other => Err(odd(&other)),
        }
    }

    /// Starts an instance and returns its id; it runs at the next call, or later if the settings say so.
    ///
    /// # Errors
    ///
    /// RunInstances'.
    pub fn add_instance(&mut self, instance_type: &str, subnet_id: &str) -> Result<String, Refusal> {
        let run = RunInstances {
            instance_type: instance_type.to_owned(),
            subnet_id: subnet_id.to_owned(),
            count: 1,
            ..RunInstances::default()
        };
        match self.build(&Call::RunInstances(run))? {
            Answer::Running(mut views) if views.len() == 1 => Ok(views.remove(0).id),
            other => Err(odd(&other)),
        }
    }

    /// Adds tags.
    ///
    /// # Errors
    ///
    /// CreateTags'.
    pub fn add_tag(&mut self, resource: &str, key: &str, value: &str) -> Result<(), Refusal> {
        let tags = Tags::from([(key.to_owned(), value.to_owned())]);
        self.build(&Call::CreateTags { resources: vec![resource.to_owned()], tags })?;
        Ok(())
    }

    /// An instance's interface at device index 0, as it is.
    #[must_use]
    pub fn primary_interface(&self, instance_id: &str) -> Option<&Interface> {
        self.interfaces_of(instance_id)
            .find(|one| one.attachment.as_ref().is_some_and(|attachment| attachment.device_index == 0))
    }

    /// An instance's interfaces, as they are.
    pub fn interfaces_of(&self, instance_id: &str) -> impl Iterator<Item = &Interface> {
        let ids = self.state.instances.get(instance_id).into_iter().flat_map(|one| &one.interfaces);
        ids.filter_map(|id| self.state.interfaces.get(id)).map(|one| &one.is)
    }

    fn build(&mut self, call: &Call) -> Result<Answer, Refusal> {
        self.perform(call, Duration::ZERO)
    }
}

/// An answer of another kind; [`Region::perform`] gives none.
fn odd(answer: &Answer) -> Refusal {
    Refusal::new("InternalError", format!("unexpected answer {answer:?}"))
}
