//! The two address families, and who has which addresses in the world of the scenarios.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address family. Most cases exist once for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// One of two values.
    pub fn pick<T>(self, v4: T, v6: T) -> T {
        match self {
            Self::V4 => v4,
            Self::V6 => v6,
        }
    }

    fn ip(self, v4: [u8; 4], v6: [u16; 8]) -> IpAddr {
        self.pick(Ipv4Addr::from(v4).into(), Ipv6Addr::from(v6).into())
    }

    /// The pod under test, behind link 1.
    #[must_use]
    pub fn pod(self) -> IpAddr {
        self.ip([10, 244, 1, 10], [0xfd00, 1, 0, 0, 0, 0, 0, 0x10])
    }

    /// Another pod of the same node, behind link 2.
    #[must_use]
    pub fn neighbour(self) -> IpAddr {
        self.ip([10, 244, 1, 11], [0xfd00, 1, 0, 0, 0, 0, 0, 0x11])
    }

    /// A pod of another node; packets to it may leave without the stack.
    #[must_use]
    pub fn remote(self) -> IpAddr {
        self.ip([10, 244, 2, 20], [0xfd00, 2, 0, 0, 0, 0, 0, 0x20])
    }

    /// Another pod of another node, with another identity; packets to it take the stack.
    #[must_use]
    pub fn other(self) -> IpAddr {
        self.ip([10, 244, 2, 21], [0xfd00, 2, 0, 0, 0, 0, 0, 0x21])
    }

    /// The node that the pod runs on.
    #[must_use]
    pub fn host(self) -> IpAddr {
        self.ip([192, 168, 0, 1], [0xfd00, 0xffff, 0, 0, 0, 0, 0, 1])
    }

    /// Another node.
    #[must_use]
    pub fn node(self) -> IpAddr {
        self.ip([192, 168, 0, 2], [0xfd00, 0xffff, 0, 0, 0, 0, 0, 2])
    }

    /// Somebody outside the cluster.
    #[must_use]
    pub fn world(self) -> IpAddr {
        self.ip([203, 0, 113, 7], [0x2001, 0xdb8, 0, 0, 0, 0, 0, 7])
    }

    /// Somebody else outside the cluster.
    #[must_use]
    pub fn elsewhere(self) -> IpAddr {
        self.ip([198, 51, 100, 9], [0x2001, 0xdb8, 0xbeef, 0, 0, 0, 0, 9])
    }
}
