//! Why the pool does not give an address.

use std::{fmt, net::IpAddr};

use ipnetwork::IpNetwork;

use crate::{range::Family, state::Conflict};

/// Why the pool cannot do what it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// No address of the family can be given now.
    #[error(
        "no {family} address is free: {used} of {capacity} are used, {cooling} were released too recently{}",
        Draining(*draining)
    )]
    Exhausted {
        /// The family.
        family: Family,
        /// Addresses of the family that somebody has.
        used: u128,
        /// Addresses of the family that there are.
        capacity: u128,
        /// Addresses of the family that are free, but not for long enough.
        cooling: u128,
        /// Addresses of the family whose prefixes are being given back.
        draining: u128,
    },
    /// The address belongs to none of the pool's CIDRs, or is one that pods do not get.
    #[error("{address} is none of the pool's addresses")]
    Outside {
        /// The address.
        address: IpAddr,
    },
    /// It contradicts what was promised to somebody else.
    #[error(transparent)]
    Taken(#[from] Conflict),
    /// The owner has another address of the family.
    #[error("{owner} cannot be given {address}: it has {has} already")]
    HasAnother {
        /// Key of the attachment.
        owner: String,
        /// The address that was asked for.
        address: IpAddr,
        /// The address that it has.
        has: IpAddr,
    },
    /// Two of the pool's CIDRs share addresses.
    #[error("the pod CIDRs {one} and {other} overlap")]
    Overlap {
        /// One of them.
        one: IpNetwork,
        /// The other.
        other: IpNetwork,
    },
}

/// Says so only where there are some.
struct Draining(u128);

impl fmt::Display for Draining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, ", {} are being given back", self.0) }
    }
}
