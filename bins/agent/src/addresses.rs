//! The node's addresses, and who has them: a pool behind a journal on disk.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use api::{Attachment, PodRef};
use ipam::eni::handshake::Drained;
use ipam::eni::handshake::agent::{introduce_anew, members};
use ipam::file::FileJournal;
use ipam::{Family, Pool, PoolError, Record, Timestamp};
use ipnetwork::{IpNetwork, Ipv4Network};

use crate::eni::foreign::{Claims, Foreign, is_foreign};

/// How long an address rests before another pod gets it.
const COOLDOWN: Duration = Duration::from_secs(30);
/// The journal is compacted when it is longer than this, in bytes.
const COMPACT: u64 = 1 << 20;

/// The addresses of a node.
#[derive(Debug)]
pub(crate) struct AddressBook {
    pool: Pool,
    journal: FileJournal,
    families: Vec<Family>,
}

/// Why there is no address.
#[derive(Debug)]
pub(crate) enum NoAddress {
    /// None is free.
    Exhausted(String),
    /// Something broke.
    Broken(anyhow::Error),
}

impl AddressBook {
    /// Reads the journal; what it knows is kept, whatever the ranges are now.
    pub(crate) fn open(journal: &Path, cidrs: &[IpNetwork], now: SystemTime) -> Result<Self> {
        let (mut journal, replay) = FileJournal::open(journal)?;
        if replay.torn {
            tracing::warn!("the journal of addresses ended in the middle of a record, which was cut off");
        }
        let vacant: Vec<(IpAddr, Timestamp)> = replay.state.vacant().collect();
        let pool = Pool::restore(cidrs.iter().copied(), COOLDOWN, replay.state, now.into())
            .context("reading the node's ranges of addresses")?;
        if pool.state().vacant().ne(vacant) {
            // The clock was set back since: the rests that begin now for it go on with the next agent.
            journal.compact(pool.state())?;
        }
        for (address, owner) in pool.quarantined() {
            tracing::warn!(%address, owner, "in use outside of the node's ranges");
        }
        Ok(Self { pool, journal, families: families(cidrs) })
    }

    /// Takes over other ranges; what is in use outside of them is kept.
    pub(crate) fn set_ranges(&mut self, cidrs: &[IpNetwork]) -> Result<()> {
        self.pool.set_cidrs(cidrs.iter().copied()).context("reading the node's ranges of addresses")?;
        self.families = families(cidrs);
        Ok(())
    }

    /// Gives an attachment an address of each family; the same ones when asked again. They are on disk when this
    /// returns.
    pub(crate) fn allocate(
        &mut self,
        attachment: &Attachment,
        pod: Option<&PodRef>,
        now: SystemTime,
    ) -> Result<Vec<IpAddr>, NoAddress> {
        let owner = attachment.to_string();
        let pod = pod.map(ToString::to_string).unwrap_or_default();
        let decided =
            self.pool.decide(&owner, &pod, &self.families, now.into()).map_err(|error| match error {
                PoolError::Exhausted { .. } => NoAddress::Exhausted(error.to_string()),
                other => NoAddress::Broken(other.into()),
            })?;
        if let Some(record) = decided {
            self.commit(&record).map_err(NoAddress::Broken)?;
        }
        let mut addresses =
            self.pool.allocation(&owner).map(|allocation| allocation.addresses.clone()).unwrap_or_default();
        addresses.sort_by_key(IpAddr::is_ipv6);
        Ok(addresses)
    }

    /// Takes back what an attachment has; one that has nothing is no error.
    pub(crate) fn release(&mut self, attachment: &Attachment, now: SystemTime) -> Result<()> {
        let owner = attachment.to_string();
        if self.pool.allocation(&owner).is_none() {
            return Ok(());
        }
        self.commit(&Record::Released { owner, at: now.into() })
    }

    /// Takes over prefixes of network interfaces; what is in use outside of them is kept.
    pub(crate) fn set_prefixes(&mut self, prefixes: &BTreeSet<Ipv4Network>) -> Result<()> {
        self.pool.set_prefixes(members(prefixes)).context("taking over prefixes")?;
        self.families = vec![Family::V4];
        for (address, owner) in self.pool.quarantined() {
            tracing::warn!(%address, owner, "in use outside of the node's prefixes: kept, and given to nobody else");
        }
        Ok(())
    }

    /// Keeps what other networks' pods of this node have from everybody, and takes back what they do not have any more.
    pub(crate) fn keep_foreign(
        &mut self,
        foreign: &mut Foreign,
        mut claims: Claims,
        now: SystemTime,
    ) -> Result<()> {
        foreign.see(&mut claims);
        while let Some(record) = foreign.next(&claims, self.pool.state(), now.into()) {
            tracing::info!(?record, "a pod of another network");
            self.commit(&record)?;
        }
        foreign.compare(&claims, self.pool.state());
        Ok(())
    }

    /// What an object of this node says from its first moment, where the agent makes it.
    pub(crate) fn introduction(&self) -> Option<Drained> {
        introduce_anew(&self.pool)
    }

    /// Whether an attachment would get its addresses now.
    pub(crate) fn can_give(&mut self, attachment: &Attachment, now: SystemTime) -> bool {
        self.pool.decide(&attachment.to_string(), "", &self.families, now.into()).is_ok()
    }

    /// The pool, to decide with.
    pub(crate) const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Addresses that there are.
    pub(crate) fn capacity(&self) -> u128 {
        self.families.iter().map(|family| self.pool.capacity(*family)).sum()
    }

    /// Prefixes of which an address is in use, or was too short a time ago.
    pub(crate) fn prefixes_in_use(&self, now: Timestamp) -> BTreeSet<Ipv4Network> {
        let used = self.pool.report(now).filter(|prefix| prefix.used + prefix.cooling > 0);
        used.filter_map(|prefix| match prefix.cidr {
            IpNetwork::V4(prefix) => Some(prefix),
            IpNetwork::V6(_) => None,
        })
        .collect()
    }

    /// Addresses that somebody has.
    pub(crate) fn used(&self) -> u64 {
        let used: u128 = self.families.iter().map(|family| self.pool.used(*family)).sum();
        u64::try_from(used).unwrap_or(u64::MAX)
    }

    /// The attachments that have addresses.
    pub(crate) fn owners(&self) -> impl Iterator<Item = Attachment> + '_ {
        let all = self.pool.state().allocations();
        all.filter(|(owner, _)| !is_foreign(owner)).filter_map(|(owner, _)| {
            let (container_id, ifname) = owner.rsplit_once('/')?;
            Some(Attachment { container_id: container_id.to_owned(), ifname: ifname.to_owned() })
        })
    }

    /// The journal first: what it does not know, nobody has.
    pub(crate) fn commit(&mut self, record: &Record) -> Result<()> {
        self.journal.append(record)?;
        self.pool.apply(record)?;
        if self.journal.len() > COMPACT {
            self.journal.compact(self.pool.state())?;
        }
        Ok(())
    }
}

/// The families that a pod gets an address of.
fn families(cidrs: &[IpNetwork]) -> Vec<Family> {
    cidrs.iter().map(|cidr| Family::of(cidr.network())).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let cidrs = ["10.0.1.0/24".parse().unwrap(), "fd00::/64".parse().unwrap()];
        let attachment = |id: &str| Attachment { container_id: id.into(), ifname: "eth0".into() };
        let now = SystemTime::now();
        let mut book = AddressBook::open(&path, &cidrs, now).unwrap();
        let given = book.allocate(&attachment("a"), None, now).unwrap();
        assert_eq!(given.iter().map(IpAddr::is_ipv4).collect::<Vec<_>>(), [true, false]);
        drop(book);

        let mut book = AddressBook::open(&path, &cidrs, now).unwrap();
        assert_eq!(book.allocate(&attachment("a"), None, now).unwrap(), given);
        let other = book.allocate(&attachment("b"), None, now).unwrap();
        assert!(other.iter().all(|address| !given.contains(address)));
        book.release(&attachment("a"), now).unwrap();
        book.release(&attachment("a"), now).unwrap();
        assert_eq!(book.owners().collect::<Vec<_>>(), [attachment("b")]);
    }

    /// A clock that was set back since must not have an address rest for longer than once, however often the agent is
    /// started again.
    #[test]
    fn a_rest_ends_though_the_clock_was_set_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let cidrs = ["10.0.1.0/30".parse().unwrap()];
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let attachment = |id: &str| Attachment { container_id: id.into(), ifname: "eth0".into() };
        let mut book = AddressBook::open(&path, &cidrs, at(9_000)).unwrap();
        for id in ["a", "b"] {
            book.allocate(&attachment(id), None, at(9_000)).unwrap();
        }
        book.release(&attachment("a"), at(9_000)).unwrap();
        drop(book);
        for seconds in (100..130).step_by(10) {
            let mut book = AddressBook::open(&path, &cidrs, at(seconds)).unwrap();
            assert!(!book.can_give(&attachment("c"), at(seconds)), "{seconds}");
        }
        assert!(AddressBook::open(&path, &cidrs, at(130)).unwrap().can_give(&attachment("c"), at(130)));
    }
}
