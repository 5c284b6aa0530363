//! Arithmetic of addresses: ranges, prefixes, and what of a pod CIDR can be given to pods.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// How long its addresses are.
    pub(crate) fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    pub(crate) fn address(self, number: u128) -> IpAddr {
        match self {
            // Ranges never leave their family's numbers.
            Self::V4 => IpAddr::V4(Ipv4Addr::from_bits(number as u32)),
            Self::V6 => IpAddr::V6(Ipv6Addr::from_bits(number)),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The network with its host bits cleared: `10.0.1.9/24` is `10.0.1.0/24`.
///
/// ```
/// assert_eq!(ipam::canonical("10.0.1.9/24".parse()?).to_string(), "10.0.1.0/24");
/// # Ok::<(), ipnetwork::IpNetworkError>(())
/// ```
#[must_use]
pub fn canonical(network: IpNetwork) -> IpNetwork {
    IpNetwork::new(network.network(), network.prefix()).unwrap_or(network)
}

/// Whether every address of `inner` is one of `outer`.
#[must_use]
pub fn contains(outer: IpNetwork, inner: IpNetwork) -> bool {
    outer.prefix() <= inner.prefix() && outer.contains(inner.network())
}

/// Whether the networks have an address in common.
#[must_use]
pub fn overlap(one: IpNetwork, other: IpNetwork) -> bool {
    contains(one, other) || contains(other, one)
}

/// Addresses of one family from the first to the last, at least one.
///
/// ```
/// use ipam::AddressRange;
///
/// let usable = AddressRange::usable("10.0.1.0/29".parse()?);
/// assert_eq!(usable.to_string(), "10.0.1.1-10.0.1.6");
/// assert_eq!(usable.len(), 6);
/// assert_eq!(usable.iter().next(), Some("10.0.1.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressRange {
    family: Family,
    first: u128,
    last: u128,
}

impl AddressRange {
    /// All addresses of a network.
    #[must_use]
    pub fn of(network: IpNetwork) -> Self {
        let family = Family::of(network.ip());
        Self { family, first: number(network.network()), last: number(network.broadcast()) }
    }

    /// The addresses of a pod CIDR that pods may have. The first is not given away, nor an IPv4 network's
    /// last, except where too few would be left: of IPv4 /31 and /32 (RFC 3021) and of IPv6 /128 all are.
    #[must_use]
    pub fn usable(cidr: IpNetwork) -> Self {
        let mut range = Self::of(cidr);
        match range.family {
            Family::V4 if range.last - range.first > 1 => {
                range.first += 1;
                range.last -= 1;
            }
            Family::V6 if range.last > range.first => range.first += 1,
            _ => {}
        }
        range
    }

    /// Its family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// Its lowest address.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.family.address(self.first)
    }

    /// Its highest address.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        self.family.address(self.last)
    }

    /// Whether the address is one of the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Family::of(address) == self.family && (self.first..=self.last).contains(&number(address))
    }

    /// How many addresses there are. The one range that has one more than fits, all of IPv6, says
    /// [`u128::MAX`].
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a range has at least one address")]
    pub fn len(&self) -> u128 {
        (self.last - self.first).saturating_add(1)
    }

    /// The addresses, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let family = self.family;
        (self.first..=self.last).map(move |number| family.address(number))
    }

    /// The addresses from `start` on, lowest first.
    pub fn iter_from(&self, start: IpAddr) -> impl Iterator<Item = IpAddr> + use<> {
        let family = self.family;
        (number(start).max(self.first)..=self.last).map(move |number| family.address(number))
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first(), self.last())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usable(cidr: &str) -> AddressRange {
        AddressRange::usable(cidr.parse().unwrap())
    }

    #[test]
    fn what_pods_may_have() {
        for (cidr, range, count) in [
            ("10.0.1.9/24", "10.0.1.1-10.0.1.254", 254),
            ("10.0.0.0/28", "10.0.0.1-10.0.0.14", 14),
            ("10.0.0.0/30", "10.0.0.1-10.0.0.2", 2),
            ("10.0.0.0/31", "10.0.0.0-10.0.0.1", 2),
            ("10.0.0.3/32", "10.0.0.3-10.0.0.3", 1),
            ("0.0.0.0/0", "0.0.0.1-255.255.255.254", (1 << 32) - 2),
            ("fd00::/127", "fd00::1-fd00::1", 1),
            ("fd00::/128", "fd00::-fd00::", 1),
            ("fd00::/64", "fd00::1-fd00::ffff:ffff:ffff:ffff", (1 << 64) - 1),
            ("::/0", "::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", u128::MAX),
        ] {
            assert_eq!(usable(cidr).to_string(), range, "{cidr}");
            assert_eq!(usable(cidr).len(), count, "{cidr}");
        }
        assert_eq!(AddressRange::of("::/0".parse().unwrap()).len(), u128::MAX);
    }

    #[test]
    fn iteration_ends_at_the_last_address_there_is() {
        let end = AddressRange::of("255.255.255.254/31".parse().unwrap());
        assert_eq!(
            end.iter().map(|ip| ip.to_string()).collect::<Vec<_>>(),
            ["255.255.255.254", "255.255.255.255"]
        );
        let end = AddressRange::of("::/0".parse().unwrap());
        assert_eq!(end.iter_from(end.last()).count(), 1);
        assert_eq!(usable("10.0.1.0/24").iter_from("10.0.1.250".parse().unwrap()).count(), 5);
        assert_eq!(usable("10.0.1.0/24").iter_from("10.0.0.1".parse().unwrap()).count(), 254);
    }

    #[test]
    fn families_do_not_mix() {
        let all = AddressRange::of("::/0".parse().unwrap());
        assert!(!all.contains("10.0.0.1".parse().unwrap()));
        assert!(!contains("::/0".parse().unwrap(), "10.0.0.0/8".parse().unwrap()));
        assert!(overlap("10.0.0.0/8".parse().unwrap(), "10.1.0.0/16".parse().unwrap()));
        assert!(overlap("10.1.0.0/16".parse().unwrap(), "10.0.0.0/8".parse().unwrap()));
        assert!(!overlap("10.1.0.0/16".parse().unwrap(), "10.2.0.0/16".parse().unwrap()));
    }
}
