//! The pool of a node's pod addresses.

use std::{cmp::Reverse, net::IpAddr, time::Duration};

use ipnetwork::IpNetwork;

use crate::{
    range::{Family, overlap},
    state::{Allocation, Conflict, Record, State, Timestamp},
};

mod drain;
mod error;
mod prefix;
#[cfg(test)]
mod tests;

pub use drain::{DrainDecision, Refusal};
pub use error::PoolError;
use prefix::Prefix;
pub use prefix::{PoolCidr, PrefixUse};

/// Vacant addresses of a CIDR that are kept waiting before fresh ones are left alone, so that a large
/// prefix does not remember every address that it ever gave.
const MOST_VACANT: usize = 4096;

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
/// others become free, and can be [given back](Pool::decide_drain). Within it the lowest address that nobody ever had comes first; where there is none,
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
        self.set_prefixes(cidrs.into_iter().map(PoolCidr::network))
    }

    /// Changes the CIDRs, each with its own rule of which addresses can be given. Nobody loses an address.
    ///
    /// # Errors
    /// [`PoolError::Overlap`], and nothing has changed.
    pub fn set_prefixes(&mut self, cidrs: impl IntoIterator<Item = PoolCidr>) -> Result<(), PoolError> {
        let mut cidrs: Vec<_> = cidrs.into_iter().collect();
        cidrs.sort_unstable();
        cidrs.dedup();
        for (position, one) in cidrs.iter().map(|cidr| cidr.network).enumerate() {
            let mut before = cidrs[..position].iter().map(|cidr| cidr.network);
            if let Some(other) = before.find(|other| overlap(one, *other)) {
                return Err(PoolError::Overlap { one: other, other: one });
            }
        }
        self.prefixes = cidrs.into_iter().map(|cidr| Prefix::new(cidr, self.state.held())).collect();
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
            return Err(Conflict::Held { address, owner, holder: holder.to_owned() }.into());
        }
        if let Some((prefix, epoch)) = self.state.drain_around(address) {
            return Err(Conflict::Draining { address, owner, prefix, epoch }.into());
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
            Record::Vacant { .. } | Record::Drained { .. } | Record::Epoch { .. } => "",
        };
        let had = self.addresses_of(owner);
        self.state.apply(record)?;
        if matches!(record, Record::Epoch { .. }) {
            // What the state forgot of prefixes that are gone is fresh again if they come back.
            self.prefixes.iter_mut().for_each(|prefix| prefix.fresh_from = Some(prefix.range.first()));
        }
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
            (0..self.prefixes.len()).filter(|&index| self.prefixes[index].is_of(family)).collect();
        order.retain(|&index| self.drain_over(self.prefixes[index].cidr).is_none());
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
        let drained = self.of(family).filter(|prefix| self.drain_over(prefix.cidr).is_some());
        let draining = drained.map(|prefix| prefix.range.len() - prefix.used).sum();
        let cooling = capacity.saturating_sub(used).saturating_sub(draining);
        Err(PoolError::Exhausted { family, used, capacity, cooling, draining })
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
        self.prefixes.iter().filter(move |prefix| prefix.is_of(family))
    }

    /// How far each prefix is used, lowest first.
    pub fn report(&self, now: Timestamp) -> impl Iterator<Item = PrefixUse> + '_ {
        self.prefixes.iter().map(move |prefix| {
            let resting = self.state.vacant().filter(|(address, since)| {
                prefix.range.contains(*address) && now.since(*since) < self.cooldown
            });
            let (used, cooling) = (prefix.used, resting.count() as u128);
            let left = prefix.range.len() - used - cooling;
            let drained_in = self.drain_over(prefix.cidr);
            let (free, draining) = if drained_in.is_some() { (0, left) } else { (left, 0) };
            PrefixUse { cidr: prefix.cidr, used, cooling, free, draining, drained_in }
        })
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
