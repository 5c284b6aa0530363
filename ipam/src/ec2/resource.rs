//! What EC2 keeps: VPCs, subnets, security groups and network interfaces.

use std::{collections::BTreeMap, net::Ipv4Addr};

use ipnetwork::Ipv4Network;

use crate::Timestamp;

/// Tags of a resource, by key.
pub type Tags = BTreeMap<String, String>;

/// A VPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vpc {
    /// `vpc-…`.
    pub id: String,
    /// The CIDR that it was made with.
    pub primary_cidr: Ipv4Network,
    /// All CIDRs that are associated, the primary one included.
    pub cidrs: Vec<Ipv4Network>,
    /// Its tags.
    pub tags: Tags,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// `subnet-…`.
    pub id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// The zone that it lies in: interfaces attach to instances of the same zone only.
    pub availability_zone: String,
    /// Its CIDR, of which the first four addresses and the last are EC2's own.
    pub cidr: Ipv4Network,
    /// Single addresses that are unused. It says nothing about how many free /28 there are.
    pub available_addresses: u32,
    /// Its tags.
    pub tags: Tags,
}

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityGroup {
    /// `sg-…`.
    pub id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tags: Tags,
}

/// What a network interface is about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InterfaceStatus {
    /// Attached to nothing.
    Available,
    /// Being attached.
    Attaching,
    /// Attached.
    InUse,
    /// Being detached.
    Detaching,
    /// Something that this version does not know.
    Unknown,
}

impl InterfaceStatus {
    /// What EC2 calls it.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            // What CreateNetworkInterface answers, for a moment, before it is available.
            "available" | "pending" => Self::Available,
            // It belongs to something that is not an attachment to an instance, or not only.
            "in-use" | "associated" => Self::InUse,
            "attaching" => Self::Attaching,
            "detaching" => Self::Detaching,
            _ => Self::Unknown,
        }
    }
}

/// How far an attachment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttachmentStatus {
    /// The instance does not see it yet.
    Attaching,
    /// The instance sees it.
    Attached,
    /// It is going away.
    Detaching,
    /// It is gone.
    Detached,
    /// Something that this version does not know.
    Unknown,
}

impl AttachmentStatus {
    /// What EC2 calls it.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "attaching" => Self::Attaching,
            "attached" => Self::Attached,
            "detaching" => Self::Detaching,
            "detached" => Self::Detached,
            _ => Self::Unknown,
        }
    }
}

/// An interface's attachment to an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// `eni-attach-…`.
    pub id: String,
    /// `i-…`.
    pub instance_id: String,
    /// The number of the device on its card: 0 is the primary interface of card 0.
    pub device_index: u32,
    /// The network card.
    pub network_card: u32,
    /// Whether the interface is deleted with the instance.
    pub delete_on_termination: bool,
    /// How far it is.
    pub status: AttachmentStatus,
    /// When it began, if EC2 says so.
    pub attached_at: Option<Timestamp>,
}

/// An elastic network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// `eni-…`.
    pub id: String,
    /// What it is for, in words.
    pub description: String,
    /// Its subnet.
    pub subnet_id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Its zone.
    pub availability_zone: String,
    /// Its MAC address as `02:…`, which the link on the instance has too.
    pub mac: String,
    /// Its primary address, which it keeps for life; [`Interface::NO_ADDRESS`] where it has none.
    pub primary_address: Ipv4Addr,
    /// Its other single addresses.
    pub secondary_addresses: Vec<Ipv4Addr>,
    /// Its delegated prefixes, /28 each.
    pub prefixes: Vec<Ipv4Network>,
    /// Its security groups.
    pub security_groups: Vec<String>,
    /// Its tags.
    pub tags: Tags,
    /// What it is about to be.
    pub status: InterfaceStatus,
    /// Its attachment, if it has one.
    pub attachment: Option<Attachment>,
    /// Whether another service of the account's made it, and alone may change it.
    pub requester_managed: bool,
    /// `interface`, or the name of a special kind: `trunk`, `branch`, `efa`.
    pub kind: String,
}

impl Interface {
    /// The primary address of what has no IPv4: an EFA-only interface, or one in a subnet that is IPv6-only. It is of no
    /// use to pods, but it takes one of its instance's interfaces, and a device index.
    pub const NO_ADDRESS: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

    /// Whether it has IPv4.
    #[must_use]
    pub fn has_ipv4(&self) -> bool {
        self.primary_address != Self::NO_ADDRESS
    }

    /// Whether it, or its attachment, is in a state that this version does not know.
    #[must_use]
    pub fn is_in_unknown_state(&self) -> bool {
        let attachment = self.attachment.as_ref().map(|attachment| attachment.status);
        self.status == InterfaceStatus::Unknown || attachment == Some(AttachmentStatus::Unknown)
    }

    /// Slots that it uses of those that its instance type allows: the primary address, each other one, and
    /// each prefix.
    #[must_use]
    pub fn slots(&self) -> u32 {
        let used = 1 + self.secondary_addresses.len() + self.prefixes.len();
        u32::try_from(used).unwrap_or(u32::MAX)
    }
}
