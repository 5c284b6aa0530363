//! The operations of the API.

use std::fmt;

use ipam::ec2::Action;

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $kind:ident,)*) => {
        /// An operation that the emulator knows: those of [`Action`], and what it takes to build a VPC.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation {
            $($(#[$doc])* $name,)*
        }

        impl Operation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name on the wire.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// Whether it only reads.
            #[must_use]
            pub fn reads(self) -> bool {
                let kind = match self {
                    $(Self::$name => Kind::$kind,)*
                };
                kind == Kind::Read
            }
        }
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

operations! {
    /// Gives an interface more addresses or prefixes.
    AssignPrivateIpAddresses = Write,
    /// Gives a VPC another CIDR.
    AssociateVpcCidrBlock = Write,
    /// Attaches an interface.
    AttachNetworkInterface = Write,
    /// Makes an interface.
    CreateNetworkInterface = Write,
    /// Makes a security group.
    CreateSecurityGroup = Write,
    /// Makes a subnet.
    CreateSubnet = Write,
    /// Keeps a part of a subnet for prefixes, or for what is asked for by address.
    CreateSubnetCidrReservation = Write,
    /// Tags resources.
    CreateTags = Write,
    /// Makes a VPC.
    CreateVpc = Write,
    /// Deletes an interface.
    DeleteNetworkInterface = Write,
    /// Removes tags.
    DeleteTags = Write,
    /// Lists instances.
    DescribeInstances = Read,
    /// Tells limits of instance types.
    DescribeInstanceTypes = Read,
    /// Lists interfaces.
    DescribeNetworkInterfaces = Read,
    /// Lists security groups.
    DescribeSecurityGroups = Read,
    /// Lists subnets.
    DescribeSubnets = Read,
    /// Lists VPCs.
    DescribeVpcs = Read,
    /// Detaches an interface.
    DetachNetworkInterface = Write,
    /// Lists a subnet's reservations.
    GetSubnetCidrReservations = Read,
    /// Changes an interface's attribute.
    ModifyNetworkInterfaceAttribute = Write,
    /// Starts instances.
    RunInstances = Write,
    /// Ends instances.
    TerminateInstances = Write,
    /// Takes addresses or prefixes from an interface.
    UnassignPrivateIpAddresses = Write,
}

impl Operation {
    /// The operation of a name on the wire.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.name() == name)
    }
}

impl From<Action> for Operation {
    fn from(action: Action) -> Self {
        match action {
            Action::AssignPrivateIpAddresses => Self::AssignPrivateIpAddresses,
            Action::AttachNetworkInterface => Self::AttachNetworkInterface,
            Action::CreateNetworkInterface => Self::CreateNetworkInterface,
            Action::CreateTags => Self::CreateTags,
            Action::DeleteNetworkInterface => Self::DeleteNetworkInterface,
            Action::DeleteTags => Self::DeleteTags,
            Action::DescribeInstanceTypes => Self::DescribeInstanceTypes,
            Action::DescribeNetworkInterfaces => Self::DescribeNetworkInterfaces,
            Action::DescribeSecurityGroups => Self::DescribeSecurityGroups,
            Action::DescribeSubnets => Self::DescribeSubnets,
            Action::DescribeVpcs => Self::DescribeVpcs,
            Action::DetachNetworkInterface => Self::DetachNetworkInterface,
            Action::ModifyNetworkInterfaceAttribute => Self::ModifyNetworkInterfaceAttribute,
            Action::UnassignPrivateIpAddresses => Self::UnassignPrivateIpAddresses,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_an_operation_of_the_same_name() {
        for action in Action::ALL {
            let operation = Operation::from(*action);
            assert_eq!(operation.name(), action.name());
            assert_eq!(operation.reads(), action.reads());
            assert_eq!(Operation::named(action.name()), Some(operation));
        }
        assert_eq!(Operation::named("RebootInstances"), None);
    }
}
