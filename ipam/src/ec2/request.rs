//! What EC2 is asked for.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use super::{Action, Tags};

/// Addresses that EC2 is asked for, beside an interface's primary one. One request asks for one kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Addresses {
    /// So many single addresses of EC2's choice.
    Count(u32),
    /// These addresses.
    Exact(Vec<Ipv4Addr>),
    /// So many /28 prefixes of EC2's choice.
    PrefixCount(u32),
    /// These prefixes.
    ExactPrefixes(Vec<Ipv4Network>),
}

impl Addresses {
    /// Slots that they take on an interface.
    #[must_use]
    pub fn slots(&self) -> u32 {
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        match self {
            Self::Count(number) | Self::PrefixCount(number) => *number,
            Self::Exact(addresses) => count(addresses.len()),
            Self::ExactPrefixes(prefixes) => count(prefixes.len()),
        }
    }
}

/// CreateNetworkInterface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateInterface {
    /// The subnet.
    pub subnet_id: String,
    /// Its security groups; the VPC's default one if there are none.
    pub security_groups: Vec<String>,
    /// What it is for, in words.
    pub description: String,
    /// Addresses that it has from the start.
    pub addresses: Option<Addresses>,
    /// Its tags.
    pub tags: Tags,
    /// The same token with the same parameters makes one interface however often it is sent; at most 64
    /// ASCII characters.
    pub client_token: String,
}

/// DescribeNetworkInterfaces: all conditions hold of what is listed. Filters have the API's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeInterfaces {
    /// These only; excludes paging.
    pub ids: Vec<String>,
    /// Filters: a name (`vpc-id`, `attachment.instance-id`, `tag:…`, `status`) and the values of which one
    /// has to match.
    pub filters: Vec<(String, Vec<String>)>,
    /// At most so many on a page, 5 to 1,000.
    pub page: Option<u32>,
    /// Where the page before ended.
    pub next_token: Option<String>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Gives an interface more addresses.
    Assign {
        /// The interface.
        interface_id: String,
        /// The addresses.
        addresses: Addresses,
    },
    /// Takes addresses and prefixes from an interface.
    Unassign {
        /// The interface.
        interface_id: String,
        /// Single addresses.
        addresses: Vec<Ipv4Addr>,
        /// Prefixes.
        prefixes: Vec<Ipv4Network>,
    },
    /// Makes an interface.
    CreateInterface(CreateInterface),
    /// Attaches an interface.
    Attach {
        /// The interface.
        interface_id: String,
        /// The instance.
        instance_id: String,
        /// Its number on the default card.
        device_index: u32,
    },
    /// Detaches an interface.
    Detach {
        /// The attachment.
        attachment_id: String,
    },
    /// Deletes an interface.
    DeleteInterface {
        /// The interface.
        interface_id: String,
    },
    /// Says whether an interface is deleted with its instance.
    SetDeleteOnTermination {
        /// The interface.
        interface_id: String,
        /// The attachment.
        attachment_id: String,
        /// Whether it is.
        delete: bool,
    },
    /// Replaces an interface's security groups.
    SetSecurityGroups {
        /// The interface.
        interface_id: String,
        /// All that it has from now on.
        security_groups: Vec<String>,
    },
    /// Tags resources.
    CreateTags {
        /// The resources.
        resources: Vec<String>,
        /// Keys and their values.
        tags: Tags,
    },
    /// Removes tags.
    DeleteTags {
        /// The resources.
        resources: Vec<String>,
        /// The keys.
        keys: Vec<String>,
    },
    /// Lists interfaces.
    DescribeInterfaces(DescribeInterfaces),
    /// Lists the subnets of a VPC.
    DescribeSubnets {
        /// The VPC.
        vpc_id: String,
        /// Where the page before ended.
        next_token: Option<String>,
    },
    /// Tells about a VPC.
    DescribeVpcs {
        /// The VPCs.
        ids: Vec<String>,
    },
    /// Lists the security groups of a VPC.
    DescribeSecurityGroups {
        /// The VPC.
        vpc_id: String,
        /// Where the page before ended.
        next_token: Option<String>,
    },
    /// Tells limits of instance types, at most 100. They are asked for with the filter `instance-type` and not by
    /// name: one that EC2 does not know is absent from the answer, where a name would have all of it refused.
    DescribeInstanceTypes {
        /// Their names.
        names: Vec<String>,
        /// Where the page before ended.
        next_token: Option<String>,
    },
}

impl Request {
    /// The action that it is.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Self::Assign { .. } => Action::AssignPrivateIpAddresses,
            Self::Unassign { .. } => Action::UnassignPrivateIpAddresses,
            Self::CreateInterface(_) => Action::CreateNetworkInterface,
            Self::Attach { .. } => Action::AttachNetworkInterface,
            Self::Detach { .. } => Action::DetachNetworkInterface,
            Self::DeleteInterface { .. } => Action::DeleteNetworkInterface,
            Self::SetDeleteOnTermination { .. } | Self::SetSecurityGroups { .. } => {
                Action::ModifyNetworkInterfaceAttribute
            }
            Self::CreateTags { .. } => Action::CreateTags,
            Self::DeleteTags { .. } => Action::DeleteTags,
            Self::DescribeInterfaces(_) => Action::DescribeNetworkInterfaces,
            Self::DescribeSubnets { .. } => Action::DescribeSubnets,
            Self::DescribeVpcs { .. } => Action::DescribeVpcs,
            Self::DescribeSecurityGroups { .. } => Action::DescribeSecurityGroups,
            Self::DescribeInstanceTypes { .. } => Action::DescribeInstanceTypes,
        }
    }
}
