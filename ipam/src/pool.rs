//! The pool of a node's pod addresses.

use std::{cmp::Reverse, net::IpAddr, time::Duration};

use ipnetwork::IpNetwork;

use crate::{
    range::{AddressRange, Family, canonical, overlap},
    state::{Allocation, Conflict, Record, State, Timestamp},
};

/// Vacant addresses of a CIDR that are kept waiting before fresh ones are left alone, so that a large
/// prefix does not remember every address that it ever gave.
const MOST_VACANT: usize = 4096;

/// Why the pool cannot do what it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// No address of the family can be given now.
    #[error(
        "no {family} address is free: {used} of {capacity} are used, {cooling} were released too recently"
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
    },
    /// The address belongs to none of the pool's CIDRs, or is one that pods do not get.
    #[error("{address} is none of the pool's addresses")]
    Outside {
        /// The address.
        address: IpAddr,
    },
    /// Somebody else has the address.
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

/// A prefix of the pool.
#[derive(Clone, Debug)]
struct Prefix {
    cidr: IpNetwork,
    range: AddressRange,
    /// No address below is fresh; nothing if no address is.
    fresh_from: Option<IpAddr>,
    used: u128,
}

/// The addresses of a prefix that somebody had and nobody has.
#[derive(Clone, Default)]
struct Waiting {
    count: usize,
    /// The one that is free for longest; the lowest of several.
    longest: Option<(Timestamp, IpAddr)>,
}

/// The addresses of a node's pod CIDRs, and who has them.
///
/// An owner is the key of an attachment (container and interface); it has at most one address of each
/// family. Of the prefixes that have room, the one with the most used addresses is filled first, so that
/// others become free. Within it the lowest address that nobody ever had comes first; where there is none,
/// the one that is free for longest. An address is not given again before the cooldown is over: peers may
/// still have its former owner's connections, names and policy in mind.
///
/// Addresses that somebody has outside of today's CIDRs are kept: unknown is not stale. They are
/// [quarantined](Pool::quarantined) until their owners release them.
///
/// ```
/// use std::time::Duration;
/// use ipam::{Family, Pool, Timestamp};
///
/// let mut pool = Pool::new(["10.0.1.0/24".parse()?], Duration::from_secs(30))?;
/// let given = pool.allocate("c1/eth0", "default/web", &[Family::V4], Timestamp(0))?;
/// assert_eq!(given, ["10.0.1.1".parse::<std::net::IpAddr>()?]);
/// // Asked again, it gives the same.
/// assert_eq!(pool.allocate("c1/eth0", "default/web", &[Family::V4], Timestamp(9))?, given);
/// pool.release("c1/eth0", Timestamp(10));
/// let next = pool.allocate("c2/eth0", "default/web", &[Family::V4], Timestamp(11))?;
/// assert_eq!(next, ["10.0.1.2".parse::<std::net::IpAddr>()?]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pool {
    prefixes: Vec<Prefix>,
    cooldown: Duration,
    most_vacant: usize,
    state: State,
}

impl Pool {
    /// A pool that nobody has an address of.
    ///
    /// # Errors
    /// [`PoolError::Overlap`].
    pub fn new(cidrs: impl IntoIterator<Item = IpNetwork>, cooldown: Duration) -> Result<Self, PoolError> {
        Self::restore(cidrs, cooldown, State::default(), Timestamp::default())
    }

    /// A pool with what its journal knows.
    ///
    /// # Errors
    /// [`PoolError::Overlap`].
    pub fn restore(
        cidrs: impl IntoIterator<Item = IpNetwork>,
        cooldown: Duration,
        mut state: State,
        now: Timestamp,
    ) -> Result<Self, PoolError> {
        state.no_later_than(now);
        let mut pool = Self { prefixes: Vec::new(), cooldown, most_vacant: MOST_VACANT, state };
        pool.set_cidrs(cidrs)?;
        Ok(pool)
    }

    /// Changes the CIDRs. Nobody loses an address.
    ///
    /// # Errors
    /// [`PoolError::Overlap`], and nothing has changed.
    pub fn set_cidrs(&mut self, cidrs: impl IntoIterator<Item = IpNetwork>) -> Result<(), PoolError> {
        let mut cidrs: Vec<_> = cidrs.into_iter().map(canonical).collect();
        cidrs.sort_unstable();
        cidrs.dedup();
        for (position, one) in cidrs.iter().enumerate() {
            if let Some(other) = cidrs[..position].iter().find(|other| overlap(*one, **other)) {
                return Err(PoolError::Overlap { one: *other, other: *one });
            }
        }
        self.prefixes = cidrs
            .into_iter()
            .map(|cidr| {
                let range = AddressRange::usable(cidr);
                let used = self.state.held().filter(|address| range.contains(*address)).count() as u128;
                Prefix { cidr, range, fresh_from: Some(range.first()), used }
            })
            .collect();
        Ok(())
    }

    /// The CIDRs, sorted.
    pub fn cidrs(&self) -> impl Iterator<Item = IpNetwork> + '_ {
        self.prefixes.iter().map(|prefix| prefix.cidr)
    }

    /// Gives `owner` an address of each family in `families`; tells all that it has. What it has already
    /// it keeps. `pod` is `namespace/name`.
    ///
    /// Where a journal has to know first, [`Pool::decide`] and [`Pool::apply`] are the two halves.
    ///
    /// # Errors
    /// [`PoolError::Exhausted`], and nothing has changed.
    pub fn allocate(
        &mut self,
        owner: &str,
        pod: &str,
        families: &[Family],
        now: Timestamp,
    ) -> Result<Vec<IpAddr>, PoolError> {
        if let Some(record) = self.decide(owner, pod, families, now)? {
            self.apply(&record)?;
        }
        Ok(self.addresses_of(owner))
    }

    /// What [`Pool::allocate`] would do, as a record to be journalled and then [applied](Pool::apply);
    /// nothing if the owner has all that it asks for.
    ///
    /// # Errors
    /// [`PoolError::Exhausted`].
    pub fn decide(
        &mut self,
        owner: &str,
        pod: &str,
        families: &[Family],
        now: Timestamp,
    ) -> Result<Option<Record>, PoolError> {
        let mut addresses = self.addresses_of(owner);
        let had = addresses.len();
        for family in families {
            if addresses.iter().all(|address| Family::of(*address) != *family) {
                addresses.push(self.choose(*family, now)?);
            }
        }
        Ok((addresses.len() > had).then(|| Record::Allocated {
            owner: owner.to_owned(),
            addresses,
            pod: pod.to_owned(),
            at: now,
        }))
    }

    /// Gives `owner` this very address, cooldown or not.
    ///
    /// # Errors
    /// [`PoolError::Outside`], [`PoolError::Taken`], [`PoolError::HasAnother`]; nothing has changed.
    pub fn allocate_exact(
        &mut self,
        owner: &str,
        pod: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), PoolError> {
        if let Some(record) = self.decide_exact(owner, pod, address, now)? {
            self.apply(&record)?;
        }
        Ok(())
    }

    /// What [`Pool::allocate_exact`] would do, as [`Pool::decide`].
    ///
    /// # Errors
    /// As [`Pool::allocate_exact`].
    pub fn decide_exact(
        &self,
        owner: &str,
        pod: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Option<Record>, PoolError> {
        let mut addresses = self.addresses_of(owner);
        if addresses.contains(&address) {
            return Ok(None);
        }
        let owner = owner.to_owned();
        if let Some(&has) = addresses.iter().find(|has| Family::of(**has) == Family::of(address)) {
            return Err(PoolError::HasAnother { owner, address, has });
        }
        if !self.prefixes.iter().any(|prefix| prefix.range.contains(address)) {
            return Err(PoolError::Outside { address });
        }
        if let Some(holder) = self.state.owner_of(address) {
            return Err(Conflict { address, owner, holder: holder.to_owned() }.into());
        }
        addresses.push(address);
        Ok(Some(Record::Allocated { owner, addresses, pod: pod.to_owned(), at: now }))
    }

    /// Takes back what `owner` has, and tells what it was: nothing if it had none. Where a journal has to
    /// know first, apply a [`Record::Released`].
    pub fn release(&mut self, owner: &str, now: Timestamp) -> Vec<IpAddr> {
        let addresses = self.addresses_of(owner);
        let released = self.apply(&Record::Released { owner: owner.to_owned(), at: now });
        debug_assert!(released.is_ok(), "a release contradicts nothing");
        addresses
    }

    /// Takes a decision into account that the journal knows by now.
    ///
    /// # Errors
    /// [`PoolError::Taken`] if it was overtaken by another, and nothing has changed.
    pub fn apply(&mut self, record: &Record) -> Result<(), PoolError> {
        let owner = match record {
            Record::Allocated { owner, .. } | Record::Released { owner, .. } => owner.as_str(),
            // Nobody has these.
            Record::Vacant { .. } => "",
        };
        let had = self.addresses_of(owner);
        self.state.apply(record)?;
        let has = self.addresses_of(owner);
        for prefix in &mut self.prefixes {
            let inside = |addresses: &[IpAddr]| {
                addresses.iter().filter(|address| prefix.range.contains(**address)).count() as u128
            };
            prefix.used = prefix.used + inside(&has) - inside(&had);
        }
        Ok(())
    }

    fn addresses_of(&self, owner: &str) -> Vec<IpAddr> {
        self.state.allocation(owner).map(|has| has.addresses.clone()).unwrap_or_default()
    }

    /// The address that is next to be given.
    fn choose(&mut self, family: Family, now: Timestamp) -> Result<IpAddr, PoolError> {
        let mut order: Vec<usize> =
            (0..self.prefixes.len()).filter(|&index| self.prefixes[index].range.family() == family).collect();
        // Stable: the lowest of equally full ones.
        order.sort_by_key(|&index| Reverse(self.prefixes[index].used));
        let waiting = self.waiting();
        for &index in &order {
            let waiting = &waiting[index];
            let cooled = waiting.longest.filter(|(since, _)| now.since(*since) >= self.cooldown);
            let reuse = cooled.map(|(_, address)| address);
            let crowded = waiting.count >= self.most_vacant;
            let address =
                if crowded { reuse.or_else(|| self.fresh(index)) } else { self.fresh(index).or(reuse) };
            if let Some(address) = address {
                return Ok(address);
            }
        }
        let (used, capacity) = (self.used(family), self.capacity(family));
        Err(PoolError::Exhausted { family, used, capacity, cooling: capacity.saturating_sub(used) })
    }

    /// The lowest address of a prefix that nobody ever had.
    fn fresh(&mut self, index: usize) -> Option<IpAddr> {
        let prefix = &mut self.prefixes[index];
        let found = prefix.range.iter_from(prefix.fresh_from?).find(|address| self.state.is_fresh(*address));
        prefix.fresh_from = found;
        found
    }

    /// The vacant addresses of each prefix.
    fn waiting(&self) -> Vec<Waiting> {
        let mut found = vec![Waiting::default(); self.prefixes.len()];
        for (address, since) in self.state.vacant() {
            if let Some(index) = self.prefixes.iter().position(|prefix| prefix.range.contains(address)) {
                let waiting = &mut found[index];
                waiting.count += 1;
                let this = (since, address);
                waiting.longest = Some(waiting.longest.map_or(this, |longest| longest.min(this)));
            }
        }
        found
    }

    /// Who has the address.
    #[must_use]
    pub fn owner_of(&self, address: IpAddr) -> Option<&str> {
        self.state.owner_of(address)
    }

    /// What an owner has.
    #[must_use]
    pub fn allocation(&self, owner: &str) -> Option<&Allocation> {
        self.state.allocation(owner)
    }

    /// How many of the pool's addresses of a family somebody has, without quarantined ones.
    #[must_use]
    pub fn used(&self, family: Family) -> u128 {
        self.of(family).map(|prefix| prefix.used).sum()
    }

    /// How many addresses of a family the pool has.
    #[must_use]
    pub fn capacity(&self, family: Family) -> u128 {
        self.of(family).fold(0, |sum: u128, prefix| sum.saturating_add(prefix.range.len()))
    }

    fn of(&self, family: Family) -> impl Iterator<Item = &Prefix> {
        self.prefixes.iter().filter(move |prefix| prefix.range.family() == family)
    }

    /// Addresses that somebody has although they are outside of today's CIDRs, lowest first.
    pub fn quarantined(&self) -> impl Iterator<Item = (IpAddr, &str)> {
        let outside = |address: &IpAddr| !self.prefixes.iter().any(|prefix| prefix.range.contains(*address));
        self.state.held().filter(outside).filter_map(|address| Some((address, self.state.owner_of(address)?)))
    }

    /// Who has what.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOLDOWN: Duration = Duration::from_secs(30);
    const LATER: Timestamp = Timestamp(30_000);

    fn pool(cidrs: &[&str]) -> Pool {
        Pool::new(cidrs.iter().map(|cidr| cidr.parse().unwrap()), COOLDOWN).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn v4(pool: &mut Pool, owner: &str, now: u64) -> Result<String, PoolError> {
        pool.allocate(owner, "default/pod", &[Family::V4], Timestamp(now)).map(|given| given[0].to_string())
    }

    #[test]
    fn fresh_addresses_first_then_the_longest_free() {
        let mut pool = pool(&["10.0.0.0/29"]);
        for number in 1..=5 {
            assert_eq!(v4(&mut pool, &format!("c{number}"), 0).unwrap(), format!("10.0.0.{number}"));
        }
        assert_eq!(pool.release("c4", Timestamp(1)), [ip("10.0.0.4")]);
        assert_eq!(pool.release("c2", Timestamp(2)), [ip("10.0.0.2")]);
        assert_eq!(v4(&mut pool, "c6", 90_000).unwrap(), "10.0.0.6");
        assert_eq!(v4(&mut pool, "c7", 90_000).unwrap(), "10.0.0.4");
        assert_eq!(v4(&mut pool, "c8", 90_000).unwrap(), "10.0.0.2");
        let exhausted = v4(&mut pool, "c9", 90_000).unwrap_err();
        assert_eq!(exhausted, PoolError::Exhausted { family: Family::V4, used: 6, capacity: 6, cooling: 0 });
    }

    #[test]
    fn not_before_the_cooldown_is_over() {
        let mut pool = pool(&["10.0.0.0/30"]);
        v4(&mut pool, "a", 0).unwrap();
        v4(&mut pool, "b", 0).unwrap();
        pool.release("a", Timestamp(1000));
        let early = v4(&mut pool, "c", 30_999).unwrap_err();
        assert_eq!(
            early.to_string(),
            "no IPv4 address is free: 1 of 2 are used, 1 were released too recently"
        );
        assert_eq!(v4(&mut pool, "c", 31_000).unwrap(), "10.0.0.1");
    }

    #[test]
    fn the_fullest_prefix_first() {
        let mut pool = pool(&["10.0.0.0/30", "10.0.1.0/29", "10.0.2.0/29"]);
        pool.allocate_exact("x", "default/x", ip("10.0.2.3"), Timestamp(0)).unwrap();
        let given: Vec<_> = (0..8).map(|n| v4(&mut pool, &format!("c{n}"), 0).unwrap()).collect();
        assert_eq!(
            given,
            ["10.0.2.1", "10.0.2.2", "10.0.2.4", "10.0.2.5", "10.0.2.6", "10.0.0.1", "10.0.0.2", "10.0.1.1"]
        );
    }

    #[test]
    fn both_families_or_none() {
        let mut pool = pool(&["10.0.0.0/24", "fd00::/128"]);
        let both = [Family::V4, Family::V6];
        assert_eq!(pool.allocate("a", "p", &both, Timestamp(0)).unwrap(), [ip("10.0.0.1"), ip("fd00::")]);
        assert!(pool.allocate("b", "p", &both, Timestamp(0)).is_err());
        assert_eq!((pool.used(Family::V4), pool.used(Family::V6)), (1, 1));
        assert_eq!(pool.allocation("b"), None);
        // A family that comes later is added.
        v4(&mut pool, "c", 0).unwrap();
        pool.release("a", Timestamp(0));
        assert_eq!(pool.allocate("c", "p", &both, LATER).unwrap(), [ip("10.0.0.2"), ip("fd00::")]);
    }

    #[test]
    fn exact_addresses() {
        let mut pool = pool(&["10.0.0.0/29"]);
        let mut exact = |owner: &str, address| pool.allocate_exact(owner, "p", ip(address), Timestamp(0));
        exact("a", "10.0.0.3").unwrap();
        exact("a", "10.0.0.3").unwrap();
        assert!(matches!(exact("a", "10.0.0.4"), Err(PoolError::HasAnother { .. })));
        let taken = exact("b", "10.0.0.3").unwrap_err();
        assert_eq!(taken.to_string(), "10.0.0.3 cannot be given to b: a has it");
        for outside in ["10.0.0.0", "10.0.0.7", "10.0.1.1", "fd00::1"] {
            assert!(matches!(exact("b", outside), Err(PoolError::Outside { .. })), "{outside}");
        }
        assert_eq!(pool.owner_of(ip("10.0.0.3")), Some("a"));
    }

    #[test]
    fn addresses_outside_of_the_cidrs_are_quarantined() {
        let mut old = pool(&["10.0.0.0/29"]);
        v4(&mut old, "a", 0).unwrap();
        let cidr = ["10.0.1.0/29".parse().unwrap()];
        let mut new = Pool::restore(cidr, COOLDOWN, old.state().clone(), Timestamp(0)).unwrap();
        assert_eq!(new.quarantined().collect::<Vec<_>>(), [(ip("10.0.0.1"), "a")]);
        assert_eq!((new.used(Family::V4), new.capacity(Family::V4)), (0, 6));
        // Its owner keeps it.
        assert_eq!(v4(&mut new, "a", 0).unwrap(), "10.0.0.1");
        // Back within, it is an address like others.
        new.set_cidrs(["10.0.0.0/29".parse().unwrap()]).unwrap();
        assert_eq!((new.quarantined().count(), new.used(Family::V4)), (0, 1));
        assert_eq!(v4(&mut new, "b", 0).unwrap(), "10.0.0.2");
        new.set_cidrs(cidr).unwrap();
        new.release("a", Timestamp(1));
        assert_eq!(new.quarantined().collect::<Vec<_>>(), [(ip("10.0.0.2"), "b")]);
    }

    #[test]
    fn overlapping_cidrs_are_refused() {
        let overlap = Pool::new(["10.0.0.0/16", "10.0.1.0/24"].map(|cidr| cidr.parse().unwrap()), COOLDOWN);
        assert_eq!(overlap.unwrap_err().to_string(), "the pod CIDRs 10.0.0.0/16 and 10.0.1.0/24 overlap");
        let twice = Pool::new(["10.0.0.0/24", "10.0.0.9/24"].map(|cidr| cidr.parse().unwrap()), COOLDOWN);
        assert_eq!(twice.unwrap().cidrs().count(), 1);
    }

    #[test]
    fn a_clock_set_back_delays_no_longer_than_the_cooldown() {
        let mut old = pool(&["10.0.0.0/32"]);
        v4(&mut old, "a", 0).unwrap();
        old.release("a", Timestamp(u64::MAX));
        let cidr = ["10.0.0.0/32".parse().unwrap()];
        let mut pool = Pool::restore(cidr, COOLDOWN, old.state().clone(), Timestamp(5)).unwrap();
        assert!(v4(&mut pool, "b", 6).is_err());
        assert_eq!(v4(&mut pool, "b", 30_005).unwrap(), "10.0.0.0");
    }

    #[test]
    fn a_large_prefix_does_not_remember_all_that_it_gave() {
        let mut pool = pool(&["fd00::/64"]);
        pool.most_vacant = 10;
        for turn in 0..1000u64 {
            let now = Timestamp(turn * 60_000);
            pool.allocate("a", "p", &[Family::V6], now).unwrap();
            pool.release("a", now);
        }
        assert_eq!(pool.state().vacant().count(), 10);
    }
}
