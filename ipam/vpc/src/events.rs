//! What changed: for who plugs the region with real interfaces.

use std::net::Ipv4Addr;

use ipam::{Timestamp, ec2::Interface};
use ipnetwork::Ipv4Network;

/// A change of the region, in the order in which changes happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub change: Change,
}

/// What changed. Events tell the truth, whatever Describe shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An instance runs; its primary interface is attached next.
    Started {
        /// `i-…`.
        instance_id: String,
    },
    /// An instance is gone; its interfaces were detached before.
    Terminated {
        /// `i-…`.
        instance_id: String,
    },
    /// An interface was made, with the addresses that it has from the start.
    Created(Box<Interface>),
    /// An interface was deleted.
    Deleted(Box<Interface>),
    /// The instance sees the interface from now on; its attachment says where.
    Attached(Box<Interface>),
    /// The instance lost the interface.
    Detached {
        /// `i-…`.
        instance_id: String,
        /// The interface, which has no attachment any more.
        interface: Box<Interface>,
    },
    /// An interface was given addresses or prefixes.
    Assigned {
        /// `eni-…`.
        interface_id: String,
        /// Single addresses.
        addresses: Vec<Ipv4Addr>,
        /// Prefixes.
        prefixes: Vec<Ipv4Network>,
    },
    /// Addresses or prefixes were taken from an interface.
    Unassigned {
        /// `eni-…`.
        interface_id: String,
        /// Single addresses.
        addresses: Vec<Ipv4Addr>,
        /// Prefixes.
        prefixes: Vec<Ipv4Network>,
    },
    /// Whether packets with foreign addresses are dropped at an interface; they are, unless this says otherwise.
    SourceCheck {
        /// `eni-…`.
        interface_id: String,
        /// Whether they are.
        on: bool,
    },
    /// A VPC has another CIDR.
    Associated {
        /// `vpc-…`.
        vpc_id: String,
        /// The CIDR.
        cidr: Ipv4Network,
    },
}
