//! What EC2 answers.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use super::{InstanceType, Interface, SecurityGroup, Subnet, Vpc};

/// What an interface was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assigned {
    /// Single addresses.
    pub addresses: Vec<Ipv4Addr>,
    /// Prefixes.
    pub prefixes: Vec<Ipv4Network>,
}

/// The answer to a request that was carried out; which one belongs to which request follows from its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done; there is no more to tell.
    Done,
    /// The addresses that an interface was given by this request.
    Assigned(Assigned),
    /// The new interface.
    Created(Box<Interface>),
    /// The new attachment's id.
    Attached {
        /// `eni-attach-…`.
        attachment_id: String,
    },
    /// A page of interfaces.
    Interfaces {
        /// The interfaces.
        interfaces: Vec<Interface>,
        /// Where the next page begins, if there is one.
        next_token: Option<String>,
    },
    /// A page of subnets.
    Subnets {
        /// The subnets.
        subnets: Vec<Subnet>,
        /// Where the next page begins, if there is one.
        next_token: Option<String>,
    },
    /// VPCs.
    Vpcs(Vec<Vpc>),
    /// A page of security groups.
    SecurityGroups {
        /// The groups.
        groups: Vec<SecurityGroup>,
        /// Where the next page begins, if there is one.
        next_token: Option<String>,
    },
    /// A page of limits. An entry that cannot be read is left out.
    InstanceTypes {
        /// The types.
        types: Vec<InstanceType>,
        /// Where the next page begins, if there is one.
        next_token: Option<String>,
    },
}
