//! The CIDRs that a pool gives addresses of, and how far each is used.

use std::net::IpAddr;

use ipnetwork::{IpNetwork, Ipv4Network};

use crate::{
    range::{AddressRange, Family, canonical},
    state::Epoch,
};

/// A CIDR of a pool, and which of its addresses pods may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolCidr {
    /// The CIDR, without host bits.
    pub(super) network: IpNetwork,
    /// Whether its first and its last address are given, too.
    pub(super) every_address: bool,
}

impl PoolCidr {
    /// A pod CIDR: a network, whose first address and, in IPv4, whose last are not given.
    #[must_use]
    pub fn network(cidr: IpNetwork) -> Self {
        Self { network: canonical(cidr), every_address: false }
    }

    /// A prefix or an address that a network interface was given: all of it can be used, since to the network it
    /// is a number of addresses and no network of its own.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ipam::{Family, Pool, PoolCidr};
    ///
    /// let mut pool = Pool::new([], Duration::from_secs(30))?;
    /// pool.set_prefixes([PoolCidr::delegated("100.64.0.16/28".parse()?)])?;
    /// assert_eq!(pool.capacity(Family::V4), 16);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn delegated(prefix: Ipv4Network) -> Self {
        Self { network: canonical(prefix.into()), every_address: true }
    }
}

/// A prefix of the pool.
#[derive(Clone, Debug)]
pub(super) struct Prefix {
    pub(super) cidr: IpNetwork,
    pub(super) range: AddressRange,
    /// No address below is fresh; nothing if no address is.
    pub(super) fresh_from: Option<IpAddr>,
    pub(super) used: u128,
}

impl Prefix {
    pub(super) fn new(cidr: PoolCidr, held: impl Iterator<Item = IpAddr>) -> Self {
        let network = cidr.network;
        let range =
            if cidr.every_address { AddressRange::of(network) } else { AddressRange::usable(network) };
        let used = held.filter(|address| range.contains(*address)).count() as u128;
        Self { cidr: network, range, fresh_from: Some(range.first()), used }
    }

    pub(super) fn is_of(&self, family: Family) -> bool {
        self.range.family() == family
    }
}

/// How far a prefix is used: the parts are all of its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixUse {
    /// The prefix.
    pub cidr: IpNetwork,
    /// Addresses that somebody has.
    pub used: u128,
    /// Addresses that nobody has, but not for long enough.
    pub cooling: u128,
    /// Addresses that can be given now.
    pub free: u128,
    /// Addresses that will not be given, since the prefix is promised back.
    pub draining: u128,
    /// When it was promised back, if it was.
    pub drained_in: Option<Epoch>,
}
