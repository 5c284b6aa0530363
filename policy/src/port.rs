//! Ports and protocols, and what selects them.

use std::collections::BTreeSet;
use std::fmt;

use abi::proto;
use serde::{Deserialize, Serialize};

/// The ports of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ports {
    /// Every port of every protocol, and protocols without ports such as ICMP.
    Any,
    /// Those that one of these selects; none where there is none.
    OneOf(Vec<PortSelector>),
}

impl Ports {
    /// Whether some of them are told by their names, which only their owner can resolve.
    #[must_use]
    pub fn have_names(&self) -> bool {
        match self {
            Self::Any => false,
            Self::OneOf(ports) => ports.iter().any(|port| matches!(port.port, PortMatch::Named(_))),
        }
    }
}

/// Selects ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortSelector {
    /// The protocols.
    pub protocols: BTreeSet<Protocol>,
    /// The ports of these protocols.
    pub port: PortMatch,
}

/// The ports of a [`PortSelector`]. Of ICMP and ICMPv6 the "port" is the message's type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortMatch {
    /// All of them; the only choice for protocols that have neither ports nor types.
    All,
    /// From the first to the last, both included.
    Range(u16, u16),
    /// The container port of this name, which may differ from pod to pod.
    Named(String),
}

/// A protocol that policies can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP of IPv4, by type.
    Icmp,
    /// ICMP of IPv6, by type.
    Icmpv6,
    /// VRRP.
    Vrrp,
    /// IGMP.
    Igmp,
    /// GRE.
    Gre,
    /// IPv4 in IP.
    Ipip,
    /// IPv6 in IP.
    Ipv6,
    /// IPsec's encapsulating security payload.
    Esp,
    /// IPsec's authentication header.
    Ah,
}

impl Protocol {
    /// Those with ports, which Kubernetes knows.
    pub const WITH_PORTS: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Tcp,
        Self::Udp,
        Self::Sctp,
        Self::Icmp,
        Self::Icmpv6,
        Self::Vrrp,
        Self::Igmp,
        Self::Gre,
        Self::Ipip,
        Self::Ipv6,
        Self::Esp,
        Self::Ah,
    ];

    /// The protocol's number (IANA).
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => proto::TCP,
            Self::Udp => proto::UDP,
            Self::Sctp => proto::SCTP,
            Self::Icmp => proto::ICMP,
            Self::Icmpv6 => proto::ICMPV6,
            Self::Vrrp => 112,
            Self::Igmp => 2,
            Self::Gre => 47,
            Self::Ipip => 4,
            Self::Ipv6 => 41,
            Self::Esp => 50,
            Self::Ah => 51,
        }
    }

    /// The protocol of this number, if policies can name it.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.number() == number)
    }

    /// The protocol of this name, in upper case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.as_str() == name)
    }

    /// The name, in upper case as in Kubernetes and Cilium.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
            Self::Icmp => "ICMP",
            Self::Icmpv6 => "ICMPV6",
            Self::Vrrp => "VRRP",
            Self::Igmp => "IGMP",
            Self::Gre => "GRE",
            Self::Ipip => "IPIP",
            Self::Ipv6 => "IPV6",
            Self::Esp => "ESP",
            Self::Ah => "AH",
        }
    }

    /// Whether its packets have a destination port.
    #[must_use]
    pub const fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp | Self::Sctp)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
