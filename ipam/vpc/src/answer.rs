//! Answers with all that they say.

use std::sync::Arc;

use ipam::{
    Timestamp,
    ec2::{Assigned, InstanceType, Interface, Reply, SecurityGroup, Subnet, Tags, Vpc},
};
use ipnetwork::Ipv4Network;

use crate::ReservationKind;

/// An answer; which one belongs to which call follows from its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// What an interface was given.
    Assigned {
        /// The interface.
        interface_id: String,
        /// The addresses.
        assigned: Assigned,
    },
    /// A new interface.
    Created {
        /// It.
        interface: Box<InterfaceView>,
        /// The token that it was asked for with.
        client_token: Option<String>,
    },
    /// A new attachment.
    Attached {
        /// `eni-attach-…`.
        attachment_id: String,
    },
    /// A page of interfaces.
    Interfaces(Page<InterfaceView>),
    /// A page of subnets.
    Subnets(Page<Subnet>),
    /// A page of VPCs.
    Vpcs(Page<VpcView>),
    /// A page of security groups.
    SecurityGroups(Page<GroupView>),
    /// A page of limits.
    InstanceTypes(Page<InstanceType>),
    /// A page of instances.
    Instances(Page<InstanceView>),
    /// A page of reservations.
    Reservations(Page<Reservation>),
    /// A new VPC.
    Vpc(VpcView),
    /// A CIDR that becomes a VPC's.
    Associated {
        /// The VPC.
        vpc_id: String,
        /// The CIDR.
        cidr: CidrView,
    },
    /// A new subnet.
    Subnet(Subnet),
    /// A new reservation.
    Reservation(Reservation),
    /// A new security group.
    SecurityGroup(GroupView),
    /// New instances.
    Running(Vec<InstanceView>),
    /// Instances that end: their ids, what they were, what they are.
    Terminating(Vec<(String, InstanceState, InstanceState)>),
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins, if there is one.
    pub next_token: Option<String>,
}

impl<T> Page<T> {
    fn map<U>(self, to: impl Fn(T) -> U) -> (Vec<U>, Option<String>) {
        (self.items.into_iter().map(to).collect(), self.next_token)
    }
}

/// An interface, and what planners don't ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceView {
    /// The interface.
    pub interface: Arc<Interface>,
    /// The names of its security groups, in their order.
    pub group_names: Vec<String>,
    /// Whether packets with foreign addresses are dropped.
    pub source_check: bool,
}

/// A VPC, and what planners don't ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VpcView {
    /// The VPC; CIDRs that are only about to be its own are not in its list.
    pub vpc: Vpc,
    /// All CIDRs.
    pub cidrs: Vec<CidrView>,
}

/// A CIDR of a VPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CidrView {
    /// `vpc-cidr-assoc-…`.
    pub association_id: String,
    /// The CIDR.
    pub cidr: Ipv4Network,
    /// Whether it is the VPC's already.
    pub associated: bool,
}

/// A security group, and what planners don't ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// The group.
    pub group: SecurityGroup,
    /// What it is for.
    pub description: String,
}

/// A part of a subnet that is kept for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// `scr-…`.
    pub id: String,
    /// The subnet.
    pub subnet_id: String,
    /// The part.
    pub cidr: Ipv4Network,
    /// What for.
    pub kind: ReservationKind,
    /// In words.
    pub description: String,
}

/// What an instance is about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InstanceState {
    /// It starts.
    Pending,
    /// It runs.
    Running,
    /// It ends.
    ShuttingDown,
    /// It is no more.
    Terminated,
}

impl InstanceState {
    /// EC2's name and number of it.
    #[must_use]
    pub fn name(self) -> (&'static str, u16) {
        match self {
            Self::Pending => ("pending", 0),
            Self::Running => ("running", 16),
            Self::ShuttingDown => ("shutting-down", 32),
            Self::Terminated => ("terminated", 48),
        }
    }
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceView {
    /// `i-…`.
    pub id: String,
    /// `r-…`: those that one request started share it.
    pub reservation_id: String,
    /// Its type.
    pub instance_type: String,
    /// What it is about to be.
    pub state: InstanceState,
    /// When it was started.
    pub launched: Timestamp,
    /// Its subnet.
    pub subnet_id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Its zone.
    pub availability_zone: String,
    /// Its tags.
    pub tags: Tags,
    /// How far away answers of the metadata service are heard.
    pub hop_limit: u8,
    /// Its interfaces.
    pub interfaces: Vec<InterfaceView>,
}

impl Answer {
    /// As who plans requests knows it; nothing for what planners don't ask for.
    #[must_use]
    pub fn reply(self) -> Option<Reply> {
        Some(match self {
            Self::Done => Reply::Done,
            Self::Assigned { assigned, .. } => Reply::Assigned(assigned),
            Self::Created { interface, .. } => {
                Reply::Created(Box::new(Arc::unwrap_or_clone(interface.interface)))
            }
            Self::Attached { attachment_id } => Reply::Attached { attachment_id },
            Self::Interfaces(page) => {
                let (interfaces, next_token) = page.map(|view| Arc::unwrap_or_clone(view.interface));
                Reply::Interfaces { interfaces, next_token }
            }
            Self::Subnets(page) => Reply::Subnets { subnets: page.items, next_token: page.next_token },
            Self::Vpcs(page) => Reply::Vpcs(page.map(|view| view.vpc).0),
            Self::SecurityGroups(page) => {
                let (groups, next_token) = page.map(|view| view.group);
                Reply::SecurityGroups { groups, next_token }
            }
            Self::InstanceTypes(page) => {
                Reply::InstanceTypes { types: page.items, next_token: page.next_token }
            }
            _ => return None,
        })
    }
}
