//! Who has which address, and since when others are free: what the journal keeps.

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

/// A moment of the wall clock, in milliseconds since 1970. It has to keep its meaning across reboots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// How long ago `earlier` was; zero if it was not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The moment that is so much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let elapsed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(elapsed.as_millis().try_into().unwrap_or(u64::MAX))
    }
}

/// Counts the times that a node's prefixes were asked back. It only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The one after.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an owner has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Allocation {
    /// Its addresses, at most one of each family as [`Pool`](crate::Pool) gives them.
    pub addresses: Vec<IpAddr>,
    /// The pod, as `namespace/name`: for people, not for decisions.
    pub pod: String,
    /// Since when.
    pub at: Timestamp,
}

/// A change of [`State`]: one entry of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "lowercase")]
pub enum Record {
    /// The owner has exactly these addresses from now on.
    Allocated {
        /// Key of the attachment.
        owner: String,
        /// All of its addresses.
        addresses: Vec<IpAddr>,
        /// The pod, as `namespace/name`.
        pod: String,
        /// When.
        at: Timestamp,
    },
    /// The owner has none any more.
    Released {
        /// Key of the attachment.
        owner: String,
        /// When.
        at: Timestamp,
    },
    /// Addresses that nobody has, and since when: what compaction leaves of a release.
    Vacant {
        /// The addresses.
        addresses: Vec<IpAddr>,
        /// Since when.
        at: Timestamp,
    },
    /// No address of these prefixes is given any more: they are promised back.
    Drained {
        /// When they were asked for.
        epoch: Epoch,
        /// The prefixes.
        prefixes: Vec<IpNetwork>,
        /// When they were promised.
        at: Timestamp,
    },
    /// The epochs before this one are over: what was promised in them is given back, and what is told of the
    /// node's prefixes in one of them is out of date.
    Epoch {
        /// The epoch.
        epoch: Epoch,
        /// When.
        at: Timestamp,
    },
}

/// A record contradicts what the journal knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// It would give an address to a second owner.
    #[error("{address} cannot be given to {owner}: {holder} has it")]
    Held {
        /// The address.
        address: IpAddr,
        /// Who would get it.
        owner: String,
        /// Who has it.
        holder: String,
    },
    /// It would give an address of a prefix that is promised back.
    #[error("{address} cannot be given to {owner}: {prefix} is promised back since drain epoch {epoch}")]
    Draining {
        /// The address.
        address: IpAddr,
        /// Who would get it.
        owner: String,
        /// The prefix.
        prefix: IpNetwork,
        /// Since when it is.
        epoch: Epoch,
    },
    /// It would promise a prefix back that is used.
    #[error("{prefix} cannot be given back: {holder} has {address}")]
    InUse {
        /// The prefix.
        prefix: IpNetwork,
        /// An address of it.
        address: IpAddr,
        /// Who has that.
        holder: String,
    },
}

/// Who has which address, since when addresses that somebody had are free, and which prefixes are promised back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    owners: BTreeMap<String, Allocation>,
    holders: BTreeMap<IpAddr, String>,
    vacant: BTreeMap<IpAddr, Timestamp>,
    drains: BTreeMap<IpNetwork, Epoch>,
    epoch: Epoch,
}

impl State {
    /// Takes a record into account. A release of what nobody has changes nothing.
    ///
    /// # Errors
    /// [`Conflict`], and nothing has changed.
    pub fn apply(&mut self, record: &Record) -> Result<(), Conflict> {
        match record {
            Record::Allocated { owner, addresses, pod, at } => self.allocate(owner, addresses, pod, *at),
            Record::Released { owner, at } => {
                self.release(owner, *at);
                Ok(())
            }
            Record::Vacant { addresses, at } => {
                let free = addresses.iter().filter(|address| !self.holders.contains_key(address));
                self.vacant.extend(free.map(|address| (*address, *at)));
                Ok(())
            }
            Record::Drained { epoch, prefixes, .. } => self.drain(*epoch, prefixes),
            Record::Epoch { epoch, .. } => {
                self.enter(*epoch);
                Ok(())
            }
        }
    }

    fn allocate(
        &mut self,
        owner: &str,
        addresses: &[IpAddr],
        pod: &str,
        at: Timestamp,
    ) -> Result<(), Conflict> {
        for address in addresses {
            if let Some(holder) = self.holders.get(address).filter(|holder| *holder != owner) {
                return Err(Conflict::Held {
                    address: *address,
                    owner: owner.to_owned(),
                    holder: holder.clone(),
                });
            }
            if let Some((prefix, epoch)) = self.drain_around(*address) {
                return Err(Conflict::Draining { address: *address, owner: owner.to_owned(), prefix, epoch });
            }
        }
        self.release(owner, at);
        for address in addresses {
            self.vacant.remove(address);
            self.holders.insert(*address, owner.to_owned());
        }
        let allocation = Allocation { addresses: addresses.to_vec(), pod: pod.to_owned(), at };
        self.owners.insert(owner.to_owned(), allocation);
        Ok(())
    }

    fn release(&mut self, owner: &str, at: Timestamp) {
        if let Some(allocation) = self.owners.remove(owner) {
            for address in allocation.addresses {
                self.holders.remove(&address);
                self.vacant.insert(address, at);
            }
        }
    }

    fn drain(&mut self, epoch: Epoch, prefixes: &[IpNetwork]) -> Result<(), Conflict> {
        for prefix in prefixes {
            if let Some((address, holder)) =
                self.holders.iter().find(|(address, _)| prefix.contains(**address))
            {
                return Err(Conflict::InUse { prefix: *prefix, address: *address, holder: holder.clone() });
            }
        }
        self.drains.extend(prefixes.iter().map(|prefix| (*prefix, epoch)));
        self.epoch = self.epoch.max(epoch);
        Ok(())
    }

    fn enter(&mut self, epoch: Epoch) {
        let vacant = &mut self.vacant;
        self.drains.retain(|prefix, drained| {
            let stays = *drained >= epoch;
            if !stays {
                // They were at rest when the prefix was promised, and nobody had one since.
                vacant.retain(|address, _| !prefix.contains(*address));
            }
            stays
        });
        self.epoch = self.epoch.max(epoch);
    }

    /// The prefixes that are promised back, and since which epoch.
    pub fn drains(&self) -> impl Iterator<Item = (IpNetwork, Epoch)> + '_ {
        self.drains.iter().map(|(prefix, epoch)| (*prefix, *epoch))
    }

    /// Since which epoch exactly this prefix is promised back.
    #[must_use]
    pub fn drain_of(&self, prefix: IpNetwork) -> Option<Epoch> {
        self.drains.get(&prefix).copied()
    }

    /// The prefix around an address that is promised back.
    pub(crate) fn drain_around(&self, address: IpAddr) -> Option<(IpNetwork, Epoch)> {
        self.drains().find(|(prefix, _)| prefix.contains(address))
    }

    /// The latest drain epoch that the journal knows: what is older is out of date.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What an owner has.
    #[must_use]
    pub fn allocation(&self, owner: &str) -> Option<&Allocation> {
        self.owners.get(owner)
    }

    /// All owners with what they have, in the order of their keys.
    pub fn allocations(&self) -> impl Iterator<Item = (&str, &Allocation)> {
        self.owners.iter().map(|(owner, allocation)| (owner.as_str(), allocation))
    }

    /// Who has the address.
    #[must_use]
    pub fn owner_of(&self, address: IpAddr) -> Option<&str> {
        self.holders.get(&address).map(String::as_str)
    }

    /// All addresses that somebody has, lowest first.
    pub fn held(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.holders.keys().copied()
    }

    /// Addresses that somebody had and nobody has, and since when, lowest first.
    pub fn vacant(&self) -> impl Iterator<Item = (IpAddr, Timestamp)> + '_ {
        self.vacant.iter().map(|(address, at)| (*address, *at))
    }

    /// Since when an address that somebody had is free.
    #[must_use]
    pub fn vacant_since(&self, address: IpAddr) -> Option<Timestamp> {
        self.vacant.get(&address).copied()
    }

    /// Nobody ever had it.
    #[must_use]
    pub fn is_fresh(&self, address: IpAddr) -> bool {
        !self.holders.contains_key(&address) && !self.vacant.contains_key(&address)
    }

    /// Releases cannot lie in the future: the clock was set back since, and they would be waited for too
    /// long.
    pub(crate) fn no_later_than(&mut self, now: Timestamp) {
        for at in self.vacant.values_mut() {
            *at = (*at).min(now);
        }
    }

    /// The records that lead here from nothing: one for each owner, one for each moment of release.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let mut vacant: BTreeMap<Timestamp, Vec<IpAddr>> = BTreeMap::new();
        for (address, at) in &self.vacant {
            vacant.entry(*at).or_default().push(*address);
        }
        let vacant = vacant.into_iter().flat_map(|(at, addresses)| {
            // A record has bounds.
            let parts: Vec<_> = addresses.chunks(1024).map(<[IpAddr]>::to_vec).collect();
            parts.into_iter().map(move |addresses| Record::Vacant { addresses, at })
        });
        let mut drains: BTreeMap<Epoch, Vec<IpNetwork>> = BTreeMap::new();
        for (prefix, epoch) in &self.drains {
            drains.entry(*epoch).or_default().push(*prefix);
        }
        // Before the drains, since it ends earlier ones.
        let epoch = (self.epoch > Epoch::default())
            .then_some(Record::Epoch { epoch: self.epoch, at: Timestamp::default() });
        let drains = drains.into_iter().map(|(epoch, prefixes)| Record::Drained {
            epoch,
            prefixes,
            at: Timestamp::default(),
        });
        let owners = self.owners.keys().filter_map(|owner| self.record_of(owner));
        vacant.chain(epoch).chain(drains).chain(owners).collect()
    }

    /// The record that gives an owner what it has.
    fn record_of(&self, owner: &str) -> Option<Record> {
        self.owners.get(owner).map(|allocation| Record::Allocated {
            owner: owner.to_owned(),
            addresses: allocation.addresses.clone(),
            pod: allocation.pod.clone(),
            at: allocation.at,
        })
    }
}

impl fmt::Display for State {
    /// One line for each owner.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (owner, allocation) in &self.owners {
            write!(f, "{owner} ({})", allocation.pod)?;
            allocation.addresses.iter().try_for_each(|address| write!(f, " {address}"))?;
            writeln!(f)?;
        }
        Ok(())
    }
}
