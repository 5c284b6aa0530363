//! Outsiders that stand for all whom rules tell apart.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::cidr::contains;
use crate::cluster::{Cluster, End, free_address};
use crate::judge::{cidrs, outsider};

/// Addresses outside both clusters, each with what it is called: one for each CIDR that rules name, without what lies in
/// narrower ones; one for each known set of DNS names; and one for all others, of each family that is in use.
pub(super) fn outsiders(old: &Cluster, new: &Cluster) -> Vec<(String, IpAddr)> {
    let named: BTreeSet<IpNetwork> = cidrs(old).into_iter().chain(cidrs(new)).collect();
    let named: Vec<IpNetwork> = named.into_iter().collect();
    let owned: Vec<IpNetwork> =
        old.owned().chain(new.owned()).map(|(addr, _)| IpNetwork::from(addr)).collect();
    let has_ipv6 = named.iter().chain(&owned).any(IpNetwork::is_ipv6);
    let mut found = Vec::new();
    for ipv4 in [true, false] {
        if !ipv4 && !has_ipv6 {
            continue;
        }
        // Whoever is outside one cluster and in the other is nobody's example.
        let mut taken = named.clone();
        taken.extend(&owned);
        let name = if has_ipv6 && !ipv4 { "world (IPv6)" } else { "world" };
        found.extend(outsider(ipv4, old, &taken).map(|addr| (name.to_owned(), addr)));
    }
    for cidr in named.iter().filter(|cidr| cidr.prefix() > 0) {
        let narrower = named.iter().filter(|other| *other != cidr && contains(*cidr, **other));
        let taken: Vec<IpNetwork> = narrower.chain(&owned).copied().collect();
        found.extend(free_address(*cidr, &taken).map(|addr| (format!("world ({cidr})"), addr)));
    }
    let mut by_names: BTreeMap<&BTreeSet<String>, IpAddr> = BTreeMap::new();
    for (addr, names) in old.names().iter().chain(new.names().iter()) {
        if old.owner(addr) == End::Outside && new.owner(addr) == End::Outside {
            by_names.entry(names).or_insert(addr);
        }
    }
    for (names, addr) in by_names {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        found.push((format!("world ({})", names.join(", ")), addr));
    }
    found
}
