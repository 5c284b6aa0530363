//! Giving prefixes back: the promise that no address of a prefix is given any more.

use std::fmt;

use ipnetwork::IpNetwork;

use super::Pool;
use crate::{
    range::{canonical, overlap},
    state::{Epoch, Record, Timestamp},
};

/// What becomes of prefixes that the pool is asked to give back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrainDecision {
    /// What has to be journalled and [applied](Pool::apply) before the answer is told to anyone; nothing if
    /// the journal knows all of it.
    pub record: Option<Record>,
    /// Prefixes that nobody uses and that no address will be given of.
    pub drained: Vec<IpNetwork>,
    /// The others, and why not.
    pub refused: Vec<(IpNetwork, Refusal)>,
}

/// Why a prefix is not given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Pods have addresses of it: so many.
    InUse(u128),
    /// Nobody has an address of it, but somebody had this short a time ago: so many addresses.
    Cooling(u128),
    /// It is none of the pool's CIDRs.
    Unknown,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(count) => write!(f, "{count} of its addresses are in use"),
            Self::Cooling(count) => write!(f, "{count} of its addresses were released too recently"),
            Self::Unknown => f.write_str("it is none of the pool's prefixes"),
        }
    }
}

impl Pool {
    /// Which of `prefixes` can be given back in the drain `epoch`. The pool changes when the record is applied.
    ///
    /// A prefix is drained as a whole or not at all, and only when every address of it is free for the time of
    /// the cooldown: whoever gets the prefix next may use it at once.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ipam::{Epoch, Family, Pool, PoolCidr, Timestamp};
    ///
    /// let mut pool = Pool::new([], Duration::from_secs(30))?;
    /// pool.set_prefixes(["10.0.0.0/28".parse()?, "10.0.0.16/28".parse()?].map(PoolCidr::delegated))?;
    /// pool.allocate("c1/eth0", "default/web", &[Family::V4], Timestamp(0))?;
    /// let asked = ["10.0.0.0/28".parse()?, "10.0.0.16/28".parse()?];
    /// let decision = pool.decide_drain(Epoch(1), &asked, Timestamp(0));
    /// assert_eq!(decision.drained, ["10.0.0.16/28".parse()?]);
    /// assert_eq!(decision.refused[0].1.to_string(), "1 of its addresses are in use");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn decide_drain(&self, epoch: Epoch, prefixes: &[IpNetwork], now: Timestamp) -> DrainDecision {
        let mut decision = DrainDecision::default();
        let mut new = Vec::new();
        for prefix in prefixes.iter().copied().map(canonical) {
            match self.drainable(prefix, now) {
                Ok(()) => {
                    if self.state.drain_of(prefix) != Some(epoch) {
                        new.push(prefix);
                    }
                    decision.drained.push(prefix);
                }
                Err(refusal) => decision.refused.push((prefix, refusal)),
            }
        }
        decision.record = (!new.is_empty()).then_some(Record::Drained { epoch, prefixes: new, at: now });
        decision
    }

    fn drainable(&self, cidr: IpNetwork, now: Timestamp) -> Result<(), Refusal> {
        if self.state.drain_of(cidr).is_some() {
            // Promised before; nothing was given of it since.
            return Ok(());
        }
        // Somebody may have an address of a prefix that the node is not told of any more.
        let held = self.state.held().filter(|address| cidr.contains(*address)).count() as u128;
        if held > 0 {
            return Err(Refusal::InUse(held));
        }
        let cooling = self.cooling_in(cidr, now);
        if cooling > 0 {
            return Err(Refusal::Cooling(cooling));
        }
        if self.prefixes.iter().any(|prefix| prefix.cidr == cidr) { Ok(()) } else { Err(Refusal::Unknown) }
    }

    /// The record that ends all drains of epochs before this one: their prefixes are gone, and where one of them
    /// appears again it is a new one. Nothing if there is none.
    #[must_use]
    pub fn decide_epoch(&self, epoch: Epoch, now: Timestamp) -> Option<Record> {
        let over = self.state.drains().any(|(_, drain)| drain < epoch);
        over.then_some(Record::Epoch { epoch, at: now })
    }

    /// The prefixes of which no address is given, and since which epoch.
    pub fn draining(&self) -> impl Iterator<Item = (IpNetwork, Epoch)> + '_ {
        self.state.drains()
    }

    /// The epoch in which the prefix is drained.
    pub(super) fn drain_over(&self, cidr: IpNetwork) -> Option<Epoch> {
        self.state.drains().find(|(drained, _)| overlap(*drained, cidr)).map(|(_, epoch)| epoch)
    }

    /// Addresses of the prefix that nobody has, but not for long enough.
    pub(super) fn cooling_in(&self, cidr: IpNetwork, now: Timestamp) -> u128 {
        let resting = self
            .state
            .vacant()
            .filter(|(address, since)| cidr.contains(*address) && now.since(*since) < self.cooldown);
        resting.count() as u128
    }
}
