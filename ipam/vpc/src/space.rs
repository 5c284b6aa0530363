//! Which addresses of a subnet are used, kept back, or free.

use std::net::Ipv4Addr;

use fastrand::Rng;
use ipnetwork::Ipv4Network;

/// Addresses of a delegated prefix.
pub(crate) const BLOCK: usize = 16;

/// An interface has it.
const USED: u8 = 1;
/// EC2's own: the first four and the last of a subnet.
const OWN: u8 = 2;
/// In a reservation for prefixes.
const FOR_PREFIXES: u8 = 4;
/// In a reservation for what is asked for by address.
const EXPLICIT: u8 = 8;

/// What a reservation of a part of a subnet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReservationKind {
    /// EC2 takes prefixes from it, and nothing else.
    Prefix,
    /// EC2 takes nothing from it that was not asked for by address.
    Explicit,
}

/// The addresses of a subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    network: Ipv4Network,
    /// One for each address.
    flags: Vec<u8>,
    /// How many have no flag.
    free: usize,
}

impl Space {
    /// A subnet's addresses; it has 16 to 65,536.
    pub(crate) fn new(network: Ipv4Network) -> Self {
        let size = usize::try_from(network.size()).unwrap_or(usize::MAX);
        let mut flags = vec![0; size];
        for own in [0, 1, 2, 3, size - 1] {
            flags[own] = OWN;
        }
        Self { network, free: size - 5, flags }
    }

    /// Free single addresses: neither used nor reserved. EC2 calls it AvailableIpAddressCount.
    pub(crate) fn available(&self) -> u32 {
        u32::try_from(self.free).unwrap_or(u32::MAX)
    }

    /// Where in the subnet an address is.
    fn index(&self, address: Ipv4Addr) -> Option<usize> {
        let offset = address.to_bits().checked_sub(self.network.network().to_bits())?;
        usize::try_from(offset).ok().filter(|index| *index < self.flags.len())
    }

    fn address(&self, index: usize) -> Ipv4Addr {
        let offset = u32::try_from(index).unwrap_or(u32::MAX);
        Ipv4Addr::from_bits(self.network.network().to_bits().wrapping_add(offset))
    }

    /// Whether an address is one of the subnet's.
    pub(crate) fn contains(&self, address: Ipv4Addr) -> bool {
        self.index(address).is_some()
    }

    /// Whether somebody who names the address may have it.
    pub(crate) fn may_have(&self, address: Ipv4Addr) -> bool {
        self.index(address).is_some_and(|index| self.flags[index] & (USED | OWN) == 0)
    }

    /// Whether it is one of EC2's five.
    pub(crate) fn is_own(&self, address: Ipv4Addr) -> bool {
        self.index(address).is_some_and(|index| self.flags[index] & OWN != 0)
    }

    /// Marks addresses as used.
    pub(crate) fn take(&mut self, network: Ipv4Network) {
        self.set(network, USED);
    }

    /// Marks addresses as no longer used.
    pub(crate) fn release(&mut self, network: Ipv4Network) {
        self.change(network, |flags| flags & !USED);
    }

    /// Keeps a part for prefixes, or for what is asked for by address. What is used in it stays used.
    pub(crate) fn reserve(&mut self, network: Ipv4Network, kind: ReservationKind) {
        self.set(network, if kind == ReservationKind::Prefix { FOR_PREFIXES } else { EXPLICIT });
    }

    fn set(&mut self, network: Ipv4Network, flag: u8) {
        self.change(network, |flags| flags | flag);
    }

    fn change(&mut self, network: Ipv4Network, to: impl Fn(u8) -> u8) {
        for address in network.iter() {
            if let Some(index) = self.index(address) {
                let old = self.flags[index];
                self.flags[index] = to(old);
                self.free = self.free + usize::from(self.flags[index] == 0) - usize::from(old == 0);
            }
        }
    }

    /// So many free addresses at random places, which is what fragments a subnet (cilium #38499). Nothing if
    /// there are fewer.
    pub(crate) fn choose_addresses(&self, count: usize, rng: &mut Rng) -> Option<Vec<Ipv4Addr>> {
        if count > self.free {
            return None;
        }
        let mut chosen = std::collections::BTreeSet::new();
        let mut addresses = Vec::with_capacity(count);
        while addresses.len() < count {
            let free = |index: &usize| self.flags[*index] == 0 && !chosen.contains(index);
            // In a nearly full subnet luck is slow: walk from a random place then.
            let lucky = (0..64).map(|_| rng.usize(..self.flags.len())).find(free);
            let start = rng.usize(..self.flags.len());
            let index = lucky.or_else(|| (start..self.flags.len()).chain(0..start).find(free))?;
            chosen.insert(index);
            addresses.push(self.address(index));
        }
        Some(addresses)
    }

    /// So many free /28: from reservations for prefixes first, then from what nobody reserved; which of them,
    /// by chance. Nothing if there are fewer.
    pub(crate) fn choose_prefixes(&self, count: usize, rng: &mut Rng) -> Option<Vec<Ipv4Network>> {
        let (mut reserved, mut open) = (Vec::new(), Vec::new());
        for (number, block) in self.flags.chunks_exact(BLOCK).enumerate() {
            if block.iter().all(|flags| *flags == FOR_PREFIXES) {
                reserved.push(number);
            } else if block.iter().all(|flags| *flags == 0) {
                open.push(number);
            }
        }
        if reserved.len() + open.len() < count {
            return None;
        }
        rng.shuffle(&mut reserved);
        rng.shuffle(&mut open);
        let chosen = reserved.into_iter().chain(open).take(count);
        Some(chosen.filter_map(|number| Ipv4Network::new(self.address(number * BLOCK), 28).ok()).collect())
    }

    /// Free /28 blocks, reserved for prefixes or not reserved at all. EC2 tells nobody.
    pub(crate) fn free_blocks(&self) -> usize {
        let free = |block: &&[u8]| {
            block.iter().all(|flags| *flags == FOR_PREFIXES) || block.iter().all(|flags| *flags == 0)
        };
        self.flags.chunks_exact(BLOCK).filter(free).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(cidr: &str) -> Ipv4Network {
        cidr.parse().expect("a CIDR")
    }

    fn single(address: Ipv4Addr) -> Ipv4Network {
        Ipv4Network::new(address, 32).expect("a /32")
    }

    #[test]
    fn five_addresses_are_ec2s() {
        let space = Space::new(net("10.0.0.0/26"));
        assert_eq!(space.available(), 59);
        assert_eq!(space.free_blocks(), 2, "the first and the last block hold addresses of EC2's");
        let mut rng = Rng::with_seed(1);
        let all = space.choose_addresses(59, &mut rng).expect("59 are free");
        for own in ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.63"] {
            assert!(!all.contains(&own.parse().expect("an address")), "{own}");
        }
        assert_eq!(space.choose_addresses(60, &mut rng), None);
    }

    #[test]
    fn a_prefix_is_aligned_and_wholly_free() {
        let mut space = Space::new(net("10.0.0.0/25"));
        let mut rng = Rng::with_seed(7);
        assert_eq!(space.free_blocks(), 6);
        space.take(single("10.0.0.40".parse().expect("an address")));
        let prefixes = space.choose_prefixes(5, &mut rng).expect("5 are free");
        assert!(prefixes.iter().all(|prefix| u32::from(prefix.network()).trailing_zeros() >= 4));
        assert!(!prefixes.contains(&net("10.0.0.32/28")));
        assert_eq!(space.choose_prefixes(6, &mut rng), None, "one is fragmented");
        assert_eq!(space.available(), 122, "which the count of addresses does not tell");
    }

    #[test]
    fn reservations_are_used_first_and_for_nothing_else() {
        let mut space = Space::new(net("10.0.0.0/24"));
        let mut rng = Rng::with_seed(3);
        space.reserve(net("10.0.0.64/27"), ReservationKind::Prefix);
        space.reserve(net("10.0.0.128/27"), ReservationKind::Explicit);
        assert_eq!(space.available(), 251 - 64);
        let mut first = space.choose_prefixes(2, &mut rng).expect("two are free");
        first.sort_unstable();
        assert_eq!(first, [net("10.0.0.64/28"), net("10.0.0.80/28")]);
        for prefix in first {
            space.take(prefix);
        }
        let next = space.choose_prefixes(1, &mut rng).expect("one outside of the reservation");
        assert!(
            !net("10.0.0.64/27").contains(next[0].network())
                && !net("10.0.0.128/27").contains(next[0].network())
        );
        let addresses = space.choose_addresses(187, &mut rng).expect("all that are open");
        assert!(addresses.iter().all(|address| !net("10.0.0.128/27").contains(*address)));
        assert!(space.may_have("10.0.0.130".parse().expect("an address")), "who names it may have it");
        space.release(net("10.0.0.64/28"));
        assert_eq!(space.available(), 251 - 64, "what is reserved is not available");
    }

    #[test]
    fn single_addresses_lie_anywhere() {
        let mut space = Space::new(net("10.0.0.0/22"));
        let mut rng = Rng::with_seed(11);
        for address in space.choose_addresses(200, &mut rng).expect("200 are free") {
            space.take(single(address));
        }
        assert_eq!(space.available(), 1_019 - 200);
        assert!(space.free_blocks() < 10, "{} free blocks of 64", space.free_blocks());
    }
}
