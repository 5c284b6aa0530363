//! Requests with all that they may say, as they come from the wire. What a planner asks for is a part of it:
//! see [`ipam::ec2::Request`].

use std::net::Ipv4Addr;

use ipam::ec2::{Addresses, Request, Tags};
use ipnetwork::Ipv4Network;

use crate::{Operation, ReservationKind};

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// AssignPrivateIpAddresses.
    Assign {
        /// The interface.
        interface_id: String,
        /// The addresses.
        wanted: Wanted,
        /// Whether single addresses of other interfaces, named, move to this one.
        reassign: bool,
    },
    /// UnassignPrivateIpAddresses.
    Unassign {
        /// The interface.
        interface_id: String,
        /// Single addresses.
        addresses: Vec<Ipv4Addr>,
        /// Prefixes.
        prefixes: Vec<Ipv4Network>,
    },
    /// CreateNetworkInterface.
    CreateInterface(CreateInterface),
    /// AttachNetworkInterface.
    Attach {
        /// The interface.
        interface_id: String,
        /// The instance.
        instance_id: String,
        /// Its number on the card.
        device_index: u32,
        /// The card; only the default one, 0, is known.
        network_card: u32,
    },
    /// DetachNetworkInterface.
    Detach {
        /// The attachment.
        attachment_id: String,
    },
    /// DeleteNetworkInterface.
    DeleteInterface {
        /// The interface.
        interface_id: String,
    },
    /// ModifyNetworkInterfaceAttribute.
    ModifyInterface(Modify),
    /// CreateTags.
    CreateTags {
        /// The resources.
        resources: Vec<String>,
        /// Tags.
        tags: Tags,
    },
    /// DeleteTags.
    DeleteTags {
        /// The resources.
        resources: Vec<String>,
        /// Keys; with a value, only where the tag has it. None: all tags.
        tags: Vec<(String, Option<String>)>,
    },
    /// One of the operations that list.
    Describe(Listing, Query),
    /// CreateVpc.
    CreateVpc {
        /// Its CIDR.
        cidr: Ipv4Network,
        /// Tags.
        tags: Tags,
    },
    /// AssociateVpcCidrBlock.
    AssociateCidr {
        /// The VPC.
        vpc_id: String,
        /// Another CIDR.
        cidr: Ipv4Network,
    },
    /// CreateSubnet.
    CreateSubnet {
        /// The VPC.
        vpc_id: String,
        /// Its CIDR.
        cidr: Ipv4Network,
        /// The zone; the first one if nothing is said.
        zone: Option<String>,
        /// Tags.
        tags: Tags,
    },
    /// CreateSubnetCidrReservation.
    CreateReservation {
        /// The subnet.
        subnet_id: String,
        /// A part of it.
        cidr: Ipv4Network,
        /// What for.
        kind: ReservationKind,
        /// In words.
        description: String,
    },
    /// CreateSecurityGroup.
    CreateSecurityGroup {
        /// The VPC.
        vpc_id: String,
        /// Its name.
        name: String,
        /// What it is for.
        description: String,
        /// Tags.
        tags: Tags,
    },
    /// RunInstances.
    RunInstances(RunInstances),
    /// TerminateInstances.
    TerminateInstances {
        /// The instances.
        ids: Vec<String>,
    },
}

/// Addresses that are asked for, beside the primary one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// So many single ones.
    pub count: Option<u32>,
    /// These single ones.
    pub exact: Vec<Ipv4Addr>,
    /// So many prefixes.
    pub prefix_count: Option<u32>,
    /// These prefixes.
    pub prefixes: Vec<Ipv4Network>,
}

/// CreateNetworkInterface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateInterface {
    /// The subnet.
    pub subnet_id: String,
    /// Security groups; the VPC's default one if there are none.
    pub security_groups: Vec<String>,
    /// In words.
    pub description: String,
    /// The primary address, if not of EC2's choice.
    pub primary_address: Option<Ipv4Addr>,
    /// More addresses.
    pub wanted: Wanted,
    /// Tags.
    pub tags: Tags,
    /// `interface` if nothing is said.
    pub kind: Option<String>,
    /// Makes the request idempotent.
    pub client_token: Option<String>,
}

/// ModifyNetworkInterfaceAttribute; exactly one attribute is to be given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modify {
    /// The interface.
    pub interface_id: String,
    /// An attachment, and whether the interface is deleted with its instance.
    pub delete_on_termination: Option<(String, bool)>,
    /// Security groups.
    pub security_groups: Option<Vec<String>>,
    /// A description.
    pub description: Option<String>,
    /// Whether packets with foreign addresses are dropped.
    pub source_check: Option<bool>,
}

/// RunInstances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunInstances {
    /// Its name, `m5.large`.
    pub instance_type: String,
    /// Where.
    pub subnet_id: String,
    /// How many.
    pub count: u32,
    /// Security groups of the primary interface.
    pub security_groups: Vec<String>,
    /// The address of the primary interface, if not of EC2's choice; for one instance only.
    pub primary_address: Option<Ipv4Addr>,
    /// Tags of the instance.
    pub tags: Tags,
    /// Tags of its interface.
    pub interface_tags: Tags,
    /// How far away answers of the metadata service are heard; 2 if nothing is said.
    pub hop_limit: Option<u8>,
    /// Makes the request idempotent.
    pub client_token: Option<String>,
}

/// What is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Instances.
    Instances,
    /// Limits of instance types.
    InstanceTypes,
    /// Interfaces.
    Interfaces,
    /// Security groups.
    SecurityGroups,
    /// Subnets.
    Subnets,
    /// VPCs.
    Vpcs,
    /// The reservations of a subnet.
    Reservations {
        /// The subnet.
        subnet_id: String,
    },
}

/// Which ones, and how many at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Query {
    /// These only.
    pub ids: Vec<String>,
    /// Names, and values of which one has to match; `*` and `?` are wildcards.
    pub filters: Vec<(String, Vec<String>)>,
    /// The length of a page.
    pub max_results: Option<i64>,
    /// Where the page before ended.
    pub next_token: Option<String>,
}

impl Call {
    /// The operation that it is.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match self {
            Self::Assign { .. } => Operation::AssignPrivateIpAddresses,
            Self::Unassign { .. } => Operation::UnassignPrivateIpAddresses,
            Self::CreateInterface(_) => Operation::CreateNetworkInterface,
            Self::Attach { .. } => Operation::AttachNetworkInterface,
            Self::Detach { .. } => Operation::DetachNetworkInterface,
            Self::DeleteInterface { .. } => Operation::DeleteNetworkInterface,
            Self::ModifyInterface(_) => Operation::ModifyNetworkInterfaceAttribute,
            Self::CreateTags { .. } => Operation::CreateTags,
            Self::DeleteTags { .. } => Operation::DeleteTags,
            Self::Describe(Listing::Instances, _) => Operation::DescribeInstances,
            Self::Describe(Listing::InstanceTypes, _) => Operation::DescribeInstanceTypes,
            Self::Describe(Listing::Interfaces, _) => Operation::DescribeNetworkInterfaces,
            Self::Describe(Listing::SecurityGroups, _) => Operation::DescribeSecurityGroups,
            Self::Describe(Listing::Subnets, _) => Operation::DescribeSubnets,
            Self::Describe(Listing::Vpcs, _) => Operation::DescribeVpcs,
            Self::Describe(Listing::Reservations { .. }, _) => Operation::GetSubnetCidrReservations,
            Self::CreateVpc { .. } => Operation::CreateVpc,
            Self::AssociateCidr { .. } => Operation::AssociateVpcCidrBlock,
            Self::CreateSubnet { .. } => Operation::CreateSubnet,
            Self::CreateReservation { .. } => Operation::CreateSubnetCidrReservation,
            Self::CreateSecurityGroup { .. } => Operation::CreateSecurityGroup,
            Self::RunInstances(_) => Operation::RunInstances,
            Self::TerminateInstances { .. } => Operation::TerminateInstances,
        }
    }

    /// Whether it lists everything there is, at once: EC2 allows that less often.
    #[must_use]
    pub fn is_unfiltered(&self) -> bool {
        match self {
            Self::Describe(Listing::Reservations { .. }, _) => false,
            Self::Describe(_, query) => {
                query.ids.is_empty()
                    && query.filters.is_empty()
                    && query.max_results.is_none()
                    && query.next_token.is_none()
            }
            _ => false,
        }
    }
}

impl From<Addresses> for Wanted {
    fn from(addresses: Addresses) -> Self {
        match addresses {
            Addresses::Count(count) => Self { count: Some(count), ..Self::default() },
            Addresses::Exact(exact) => Self { exact, ..Self::default() },
            Addresses::PrefixCount(count) => Self { prefix_count: Some(count), ..Self::default() },
            Addresses::ExactPrefixes(prefixes) => Self { prefixes, ..Self::default() },
        }
    }
}

impl From<Request> for Call {
    fn from(request: Request) -> Self {
        let modify = |interface_id| Modify { interface_id, ..Modify::default() };
        match request {
            Request::Assign { interface_id, addresses } => {
                Self::Assign { interface_id, wanted: addresses.into(), reassign: false }
            }
            Request::Unassign { interface_id, addresses, prefixes } => {
                Self::Unassign { interface_id, addresses, prefixes }
            }
            Request::CreateInterface(create) => Self::CreateInterface(CreateInterface {
                subnet_id: create.subnet_id,
                security_groups: create.security_groups,
                description: create.description,
                primary_address: None,
                wanted: create.addresses.map(Wanted::from).unwrap_or_default(),
                tags: create.tags,
                kind: None,
                client_token: Some(create.client_token),
            }),
            Request::Attach { interface_id, instance_id, device_index } => {
                Self::Attach { interface_id, instance_id, device_index, network_card: 0 }
            }
            Request::Detach { attachment_id } => Self::Detach { attachment_id },
            Request::DeleteInterface { interface_id } => Self::DeleteInterface { interface_id },
            Request::SetDeleteOnTermination { interface_id, attachment_id, delete } => {
                let delete_on_termination = Some((attachment_id, delete));
                Self::ModifyInterface(Modify { delete_on_termination, ..modify(interface_id) })
            }
            Request::SetSecurityGroups { interface_id, security_groups } => {
                let security_groups = Some(security_groups);
                Self::ModifyInterface(Modify { security_groups, ..modify(interface_id) })
            }
            Request::CreateTags { resources, tags } => Self::CreateTags { resources, tags },
            Request::DeleteTags { resources, keys } => {
                Self::DeleteTags { resources, tags: keys.into_iter().map(|key| (key, None)).collect() }
            }
            Request::DescribeInterfaces(describe) => Self::Describe(
                Listing::Interfaces,
                Query {
                    ids: describe.ids,
                    filters: describe.filters,
                    max_results: describe.page.map(i64::from),
                    next_token: describe.next_token,
                },
            ),
            Request::DescribeSubnets { vpc_id, next_token } => {
                Self::Describe(Listing::Subnets, Query::of_vpc(vpc_id, next_token))
            }
            Request::DescribeSecurityGroups { vpc_id, next_token } => {
                Self::Describe(Listing::SecurityGroups, Query::of_vpc(vpc_id, next_token))
            }
            Request::DescribeVpcs { ids } => Self::Describe(Listing::Vpcs, Query { ids, ..Query::default() }),
            Request::DescribeInstanceTypes { names, next_token } => {
                let filters = vec![("instance-type".to_owned(), names)];
                Self::Describe(Listing::InstanceTypes, Query { filters, next_token, ..Query::default() })
            }
        }
    }
}

impl Query {
    fn of_vpc(vpc_id: String, next_token: Option<String>) -> Self {
        let filters = vec![("vpc-id".to_owned(), vec![vpc_id])];
        Self { filters, next_token, ..Self::default() }
    }
}
