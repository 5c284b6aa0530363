//! Protocol numbers and their names.

use std::fmt;

use abi::proto;

/// An IP protocol number, displayed by its IANA name where it is a common one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// Whether it has ports.
    #[must_use]
    pub const fn has_ports(self) -> bool {
        matches!(self.0, proto::TCP | proto::UDP | proto::SCTP)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            proto::TCP => "TCP",
            proto::UDP => "UDP",
            proto::SCTP => "SCTP",
            proto::ICMP => "ICMP",
            proto::ICMPV6 => "ICMPv6",
            number => return write!(f, "protocol {number}"),
        })
    }
}
