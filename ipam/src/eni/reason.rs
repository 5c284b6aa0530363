//! Why a node does not get what it wants.

use super::subnet::Kind;

/// A reason, which names what it is about. It says the same as long as it holds, so that a status that shows it is not
/// written again and again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// EC2 tells no limits of the type.
    #[error("the limits of instance type {0:?} are unknown")]
    UnknownLimits(String),
    /// No interface with number 0 is attached.
    #[error("EC2 shows no primary interface of the instance: it is gone, or not there yet")]
    NoPrimaryInterface,
    /// The instance cannot have more interfaces with the numbers that are allowed.
    #[error(
        "{instance_type} has {interfaces} interfaces, and none from number {first} on can be added, \
         nor have those that are there room"
    )]
    NoFreeInterface {
        /// Its type.
        instance_type: String,
        /// How many it may have.
        interfaces: u32,
        /// The lowest number that pods may use.
        first: u32,
    },
    /// A subnet has no room.
    #[error("subnet {subnet} has no free {}", kind_name(*kind))]
    SubnetFull {
        /// The subnet.
        subnet: String,
        /// What it was asked for.
        kind: Kind,
    },
    /// No subnet is what the settings ask for.
    #[error("no subnet of zone {zone:?} is what the settings allow: {looked_for}")]
    NoSubnet {
        /// The zone.
        zone: String,
        /// What was looked for.
        looked_for: String,
    },
    /// No security group is what the settings ask for.
    #[error("no security group has the tags {0}")]
    NoSecurityGroup(String),
    /// The type takes no prefixes; single addresses are used.
    #[error("interfaces of {0} take no prefixes")]
    PrefixesUnsupported(String),
    /// EC2 says of an interface what this version does not know. It is used as if nothing were the matter.
    #[error("EC2 shows interface {0} in a state that this version does not know")]
    UnknownState(String),
    /// An interface has more than can be attached.
    #[error("interface {0} has more addresses than the instance type allows")]
    TooManyAddresses(String),
    /// An annotation of the handshake cannot be read.
    #[error("{0}")]
    Annotation(String),
    /// EC2 does not list what has to be known.
    #[error("{action} fails: {code}")]
    NotListed {
        /// The action's name.
        action: &'static str,
        /// EC2's code.
        code: String,
    },
    /// EC2 refused.
    #[error("EC2 refused {action} for {subject}: {code}")]
    Refused {
        /// The action's name.
        action: &'static str,
        /// What it was for.
        subject: String,
        /// EC2's code.
        code: String,
    },
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Prefix => "/28",
        Kind::Address => "address",
    }
}
