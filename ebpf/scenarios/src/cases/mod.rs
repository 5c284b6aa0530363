//! The cases, by what they are about.

mod audit;
mod cidrs;
mod fragments;
mod headers;
mod icmp;
mod link;
mod policy;
mod protocols;
mod revocation;
mod routing;
mod source;
mod tcp;
mod udp;
mod uplink;

use crate::case::Case;
use crate::family::Family;

/// All cases.
#[must_use]
pub fn all() -> Vec<Case> {
    let mut all = Vec::new();
    for list in [
        source::cases,
        link::cases,
        policy::cases,
        protocols::cases,
        audit::cases,
        tcp::cases,
        udp::cases,
        icmp::cases,
        revocation::cases,
        fragments::cases,
        headers::cases,
        uplink::cases,
        routing::cases,
        cidrs::cases,
    ] {
        all.extend(list());
    }
    all
}

/// These cases for both families.
fn both(list: &[fn(Family) -> Case]) -> Vec<Case> {
    Family::ALL.into_iter().flat_map(|family| list.iter().map(move |make| make(family))).collect()
}
