//! The CIDRs that policies name, and what they say of an address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use abi::{CidrSet, Identity, Peer};
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

use crate::peer_selector::CidrSelector;

/// The CIDRs in use, and the interned sets of them that cover an address.
///
/// CIDRs nest, so the set of CIDRs that cover an address is told by the longest of them: a [`CidrSet`]
/// is the number of a CIDR, and stands for it and for all those in use that contain it. Its number stays
/// while the CIDR is in use; a shorter one that comes or goes does not change it. Numbers are not used
/// again, for connections may remember them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "CidrNumbers", into = "CidrNumbers")]
pub struct CidrRegistry {
    cidrs: BTreeMap<IpNetwork, Entry>,
    by_set: BTreeMap<u32, IpNetwork>,
    /// How many CIDRs there are of each family (0 is IPv4) and prefix length.
    lengths: BTreeMap<(u8, std::cmp::Reverse<u8>), usize>,
    last: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    set: CidrSet,
    users: usize,
}

/// Numbers as they are stored. Loaded CIDRs have no user until one comes, or [`CidrRegistry::forget_unused`].
#[derive(Clone, Debug, Serialize, Deserialize)]
struct CidrNumbers {
    last: u32,
    cidrs: BTreeMap<u32, IpNetwork>,
}

impl From<CidrRegistry> for CidrNumbers {
    fn from(registry: CidrRegistry) -> Self {
        Self { last: registry.last, cidrs: registry.by_set }
    }
}

impl From<CidrNumbers> for CidrRegistry {
    fn from(numbers: CidrNumbers) -> Self {
        let mut registry = Self { last: numbers.last, ..Self::default() };
        for (number, cidr) in numbers.cidrs {
            registry.insert(canonical(cidr), CidrSet(number), 0);
        }
        registry
    }
}

/// The same network with its host bits cleared.
#[must_use]
pub fn canonical(cidr: IpNetwork) -> IpNetwork {
    IpNetwork::new(cidr.network(), cidr.prefix()).unwrap_or(cidr)
}

/// Whether all of `inner` lies in `outer`, whatever their host bits.
#[must_use]
pub fn contains(outer: IpNetwork, inner: IpNetwork) -> bool {
    outer.prefix() <= inner.prefix() && outer.contains(inner.ip())
}

/// `0.0.0.0/0` and `::/0`, each with the identity of what lies outside the cluster.
fn roots() -> [(IpNetwork, Identity); 2] {
    let root = |addr: IpAddr| IpNetwork::new(addr, 0).unwrap_or(addr.into());
    let (v4, v6) = (Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into());
    [(root(v4), Identity::WORLD_IPV4), (root(v6), Identity::WORLD_IPV6)]
}

/// The identity of addresses outside the cluster.
pub(crate) fn world(cidr: &IpNetwork) -> Identity {
    if cidr.is_ipv4() { Identity::WORLD_IPV4 } else { Identity::WORLD_IPV6 }
}

fn family(cidr: &IpNetwork) -> u8 {
    u8::from(cidr.is_ipv6())
}

impl CidrRegistry {
    /// No CIDR in use.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn insert(&mut self, cidr: IpNetwork, set: CidrSet, users: usize) {
        self.cidrs.insert(cidr, Entry { set, users });
        self.by_set.insert(set.0, cidr);
        *self.lengths.entry((family(&cidr), std::cmp::Reverse(cidr.prefix()))).or_default() += 1;
    }

    fn remove(&mut self, cidr: IpNetwork) {
        if let Some(entry) = self.cidrs.remove(&cidr) {
            self.by_set.remove(&entry.set.0);
            let length = (family(&cidr), std::cmp::Reverse(cidr.prefix()));
            if let Some(count) = self.lengths.get_mut(&length) {
                *count -= 1;
                if *count == 0 {
                    self.lengths.remove(&length);
                }
            }
        }
    }

    /// Adds a user of a CIDR. True where the CIDR was not in use, so that addresses change their sets.
    pub fn acquire(&mut self, cidr: IpNetwork) -> bool {
        let cidr = canonical(cidr);
        if let Some(entry) = self.cidrs.get_mut(&cidr) {
            entry.users += 1;
            return false;
        }
        self.last += 1;
        self.insert(cidr, CidrSet(self.last), 1);
        true
    }

    /// Takes a user of a CIDR away. True where it was the last, so that addresses change their sets.
    pub fn release(&mut self, cidr: IpNetwork) -> bool {
        let cidr = canonical(cidr);
        let Some(entry) = self.cidrs.get_mut(&cidr) else { return false };
        entry.users = entry.users.saturating_sub(1);
        let gone = entry.users == 0;
        if gone {
            self.remove(cidr);
        }
        gone
    }

    /// Whether the CIDR goes out of use when it is released.
    pub(crate) fn is_last_use(&self, cidr: IpNetwork) -> bool {
        self.cidrs.get(&canonical(cidr)).is_some_and(|entry| entry.users <= 1)
    }

    /// Takes a CIDR out of use: no address has its set any more. The set is still known until
    /// [`CidrRegistry::forget_set`], for what had it.
    pub(crate) fn retire(&mut self, cidr: IpNetwork) -> Option<Peer> {
        let cidr = canonical(cidr);
        let peer = self.entry(cidr)?;
        self.remove(cidr);
        self.by_set.insert(peer.cidrs.0, cidr);
        Some(peer)
    }

    /// Forgets a set whose CIDR is out of use.
    pub(crate) fn forget_set(&mut self, set: CidrSet) {
        self.by_set.remove(&set.0);
    }

    /// Forgets CIDRs that were loaded and found no user. True where there were any.
    pub fn forget_unused(&mut self) -> bool {
        let unused = self.unused();
        for cidr in &unused {
            self.remove(*cidr);
        }
        !unused.is_empty()
    }

    /// The CIDRs that were loaded and found no user.
    pub(crate) fn unused(&self) -> Vec<IpNetwork> {
        self.cidrs.iter().filter(|(_, entry)| entry.users == 0).map(|(cidr, _)| *cidr).collect()
    }

    /// The set of CIDRs in use that cover an address.
    #[must_use]
    pub fn set_of(&self, addr: IpAddr) -> CidrSet {
        let family = u8::from(addr.is_ipv6());
        self.lengths
            .range((family, std::cmp::Reverse(u8::MAX))..=(family, std::cmp::Reverse(0)))
            .filter_map(|((_, length), _)| IpNetwork::new(addr, length.0).ok())
            .find_map(|cidr| self.cidrs.get(&canonical(cidr)))
            .map_or(CidrSet::EMPTY, |entry| entry.set)
    }

    /// The longest CIDR of a set; none for the empty set and for sets that are gone.
    #[must_use]
    pub fn longest(&self, set: CidrSet) -> Option<IpNetwork> {
        self.by_set.get(&set.0).copied()
    }

    /// Whether addresses of this set lie in `cidr`, which must be in use.
    #[must_use]
    pub fn covers(&self, cidr: IpNetwork, set: CidrSet) -> bool {
        self.longest(set).is_some_and(|longest| contains(cidr, longest))
    }

    /// All CIDRs in use that cover the addresses of a set, the longest first.
    pub(crate) fn covering(&self, set: CidrSet) -> impl Iterator<Item = IpNetwork> + '_ {
        let longest = self.longest(set);
        let family = longest.map_or(0, |longest| family(&longest));
        let from = longest.map_or(0, |longest| longest.prefix());
        self.lengths
            .range((family, std::cmp::Reverse(from))..=(family, std::cmp::Reverse(0)))
            .filter_map(move |((_, length), _)| IpNetwork::new(longest?.network(), length.0).ok())
            .map(canonical)
            .filter(|cidr| self.cidrs.contains_key(cidr))
    }

    /// Whether a selector selects the addresses of a set, whoever has them.
    pub(crate) fn selects(&self, selector: &CidrSelector, set: CidrSet) -> bool {
        self.covers(selector.cidr, set) && !selector.except.iter().any(|except| self.covers(*except, set))
    }

    /// What addresses are that are nobody's in particular, and of which this CIDR, which is in use, is the longest.
    pub(crate) fn entry(&self, cidr: IpNetwork) -> Option<Peer> {
        let cidr = canonical(cidr);
        self.cidrs.get(&cidr).map(|entry| Peer { identity: world(&cidr), cidrs: entry.set })
    }

    /// What is known of addresses that are nobody's in particular: the entries of a longest-prefix table. The
    /// roots of both families are always among them.
    #[must_use]
    pub fn entries(&self) -> Vec<(IpNetwork, Peer)> {
        let [(root4, world4), (root6, world6)] = roots();
        let mut entries: BTreeMap<IpNetwork, Peer> = [
            (root4, Peer { identity: world4, cidrs: CidrSet::EMPTY }),
            (root6, Peer { identity: world6, cidrs: CidrSet::EMPTY }),
        ]
        .into();
        for (cidr, entry) in &self.cidrs {
            let identity = if cidr.is_ipv4() { world4 } else { world6 };
            entries.insert(*cidr, Peer { identity, cidrs: entry.set });
        }
        entries.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNetwork {
        text.parse().unwrap()
    }

    #[test]
    fn the_longest_cidr_tells_the_set() {
        let mut registry = CidrRegistry::new();
        assert!(registry.acquire(net("10.1.0.0/16")));
        let narrow = registry.set_of("10.1.2.3".parse().unwrap());
        assert_ne!(narrow, CidrSet::EMPTY);
        assert_eq!(registry.set_of("10.2.0.1".parse().unwrap()), CidrSet::EMPTY);
        // A wider one comes: the narrow set keeps its number and is covered by both.
        assert!(registry.acquire(net("10.9.9.9/8")));
        assert_eq!(registry.set_of("10.1.2.3".parse().unwrap()), narrow);
        assert!(registry.covers(net("10.0.0.0/8"), narrow));
        let wide = registry.set_of("10.2.0.1".parse().unwrap());
        assert!(registry.covers(net("10.9.9.9/8"), narrow), "host bits do not count");
        assert!(registry.covers(net("10.0.0.0/8"), wide) && !registry.covers(net("10.1.0.0/16"), wide));
        // Users are counted; numbers are not used again.
        assert!(!registry.acquire(net("10.1.0.0/16")));
        assert!(!registry.release(net("10.1.0.0/16")));
        assert!(registry.release(net("10.1.0.0/16")));
        assert_eq!(registry.set_of("10.1.2.3".parse().unwrap()), wide);
        registry.acquire(net("10.1.0.0/16"));
        assert_ne!(registry.set_of("10.1.2.3".parse().unwrap()), narrow);
    }

    #[test]
    fn families_are_apart_and_roots_always_there() {
        let mut registry = CidrRegistry::new();
        let world = |identity, cidrs| Peer { identity, cidrs };
        assert_eq!(
            registry.entries(),
            [
                (net("0.0.0.0/0"), world(Identity::WORLD_IPV4, CidrSet::EMPTY)),
                (net("::/0"), world(Identity::WORLD_IPV6, CidrSet::EMPTY)),
            ]
        );
        registry.acquire(net("::/0"));
        assert_eq!(registry.set_of("1.2.3.4".parse().unwrap()), CidrSet::EMPTY);
        let set = registry.set_of("2001:db8::1".parse().unwrap());
        assert_eq!(registry.entries()[1], (net("::/0"), world(Identity::WORLD_IPV6, set)));
        assert!(!registry.covers(net("0.0.0.0/0"), set));
    }

    #[test]
    fn numbers_survive_storage() {
        let mut registry = CidrRegistry::new();
        registry.acquire(net("10.0.0.0/8"));
        registry.acquire(net("fd00::/8"));
        let set = registry.set_of("fd00::1".parse().unwrap());
        let text = serde_json::to_string(&registry).unwrap();
        let mut again: CidrRegistry = serde_json::from_str(&text).unwrap();
        again.acquire(net("fd00::/8"));
        assert_eq!(again.set_of("fd00::1".parse().unwrap()), set);
        assert!(again.forget_unused());
        assert_eq!(again.set_of("10.0.0.1".parse().unwrap()), CidrSet::EMPTY);
        again.acquire(net("10.0.0.0/8"));
        assert_eq!(again.set_of("10.0.0.1".parse().unwrap()), CidrSet(3));
    }
}
