//! The actions.

use std::fmt;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// An action of the EC2 API. Each has a token bucket of its own in every account and region.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name on the wire.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

actions! {
    /// Gives an interface more addresses or prefixes. Has no client token: a repeated one assigns twice.
    AssignPrivateIpAddresses,
    /// Attaches an interface to an instance.
    AttachNetworkInterface,
    /// Makes an interface; idempotent by its client token.
    CreateNetworkInterface,
    /// Tags resources.
    CreateTags,
    /// Deletes an interface that is not attached.
    DeleteNetworkInterface,
    /// Removes tags.
    DeleteTags,
    /// Tells limits of instance types.
    DescribeInstanceTypes,
    /// Lists interfaces.
    DescribeNetworkInterfaces,
    /// Lists security groups.
    DescribeSecurityGroups,
    /// Lists subnets.
    DescribeSubnets,
    /// Lists VPCs and their CIDRs.
    DescribeVpcs,
    /// Detaches an interface from its instance.
    DetachNetworkInterface,
    /// Changes an interface's attribute, one a call.
    ModifyNetworkInterfaceAttribute,
    /// Takes addresses or prefixes from an interface.
    UnassignPrivateIpAddresses,
}

impl Action {
    /// Whether it only reads.
    #[must_use]
    pub fn reads(self) -> bool {
        matches!(
            self,
            Self::DescribeInstanceTypes
                | Self::DescribeNetworkInterfaces
                | Self::DescribeSecurityGroups
                | Self::DescribeSubnets
                | Self::DescribeVpcs
        )
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
