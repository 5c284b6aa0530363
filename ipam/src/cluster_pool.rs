//! Which node has which pod CIDR: a cluster's ranges, cut into blocks of one size.

use std::collections::BTreeMap;

use ipnetwork::IpNetwork;

use crate::range::{Family, canonical, number, overlap};

/// The blocks of one family. The lowest free one is given first, so that what is free stays in one piece.
///
/// What a node has is never taken from it, also where the ranges would not give it today: it keeps others from being
/// given the same.
///
/// ```
/// use ipam::ClusterPool;
///
/// let mut pool = ClusterPool::new(&["10.0.0.0/23".parse()?], 24)?;
/// pool.occupy("a", "10.0.0.0/24".parse()?)?;
/// assert_eq!(pool.allocate("b"), Some("10.0.1.0/24".parse()?));
/// assert_eq!(pool.allocate("c"), None);
/// pool.release("a");
/// assert_eq!(pool.allocate("c"), Some("10.0.0.0/24".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClusterPool {
    family: Family,
    size: u8,
    ranges: Vec<Range>,
    /// Who has what. Blocks of one map are nested or apart, never across one another.
    taken: BTreeMap<Block, String>,
    /// The other way round.
    owners: BTreeMap<String, Vec<IpNetwork>>,
}

#[derive(Clone, Debug)]
struct Range {
    cidr: IpNetwork,
    /// Every block below this one is taken.
    lowest: u128,
}

/// First address and length of a prefix.
type Block = (u128, u8);

/// Ranges that cannot be cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPool {
    /// There is nothing to cut.
    #[error("no CIDR")]
    Empty,
    /// Ranges are all IPv4 or all IPv6.
    #[error("{cidr} is not {family}, as the others are")]
    Family {
        /// The range.
        cidr: IpNetwork,
        /// What the others are.
        family: Family,
    },
    /// A block would be larger than the range, or smaller than an address.
    #[error("{cidr} cannot be cut into blocks of /{size}")]
    Size {
        /// The range.
        cidr: IpNetwork,
        /// The blocks' prefix length.
        size: u8,
    },
    /// An address would be in two blocks.
    #[error("{one} and {other} overlap")]
    Overlap {
        /// A range.
        one: IpNetwork,
        /// Another.
        other: IpNetwork,
    },
}

/// Two nodes have the same addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} overlaps {has}, which {owner} has")]
pub struct GivenTwice {
    /// What was to be occupied.
    pub wanted: IpNetwork,
    /// What stands in its way.
    pub has: IpNetwork,
    /// Whose that is.
    pub owner: String,
}

impl ClusterPool {
    /// Ranges of one family, used in this order, and the prefix length of a block.
    ///
    /// # Errors
    ///
    /// When they are of two families, overlap, or cannot be cut so.
    pub fn new(cidrs: &[IpNetwork], size: u8) -> Result<Self, InvalidPool> {
        let first = cidrs.first().ok_or(InvalidPool::Empty)?;
        let family = Family::of(first.ip());
        let mut ranges: Vec<Range> = Vec::new();
        for cidr in cidrs.iter().copied().map(canonical) {
            if Family::of(cidr.ip()) != family {
                return Err(InvalidPool::Family { cidr, family });
            }
            if size < cidr.prefix() || size > family.bits() {
                return Err(InvalidPool::Size { cidr, size });
            }
            if let Some(other) = ranges.iter().find(|range| overlap(range.cidr, cidr)) {
                return Err(InvalidPool::Overlap { one: other.cidr, other: cidr });
            }
            ranges.push(Range { cidr, lowest: start(cidr) });
        }
        Ok(Self { family, size, ranges, taken: BTreeMap::new(), owners: BTreeMap::new() })
    }

    /// The family of its blocks.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// Notes that a node has this, wherever it got it from. Noted again, it means the same.
    ///
    /// # Errors
    ///
    /// When another node has some of it. Then nothing is noted, and nothing is taken from anyone.
    pub fn occupy(&mut self, owner: &str, cidr: IpNetwork) -> Result<(), GivenTwice> {
        let cidr = canonical(cidr);
        let mine = self.owners.get(owner).is_some_and(|has| has.contains(&cidr));
        if mine {
            return Ok(());
        }
        if let Some((block, other)) = self.overlapping(cidr).find(|(_, other)| *other != owner) {
            return Err(GivenTwice { wanted: cidr, has: self.network(block), owner: other.to_owned() });
        }
        self.note(owner, cidr);
        Ok(())
    }

    /// The lowest block that nobody has, noted as the node's; none if every block is taken.
    pub fn allocate(&mut self, owner: &str) -> Option<IpNetwork> {
        for index in 0..self.ranges.len() {
            if let Some(cidr) = self.lowest_free(index) {
                self.note(owner, cidr);
                return Some(cidr);
            }
        }
        None
    }

    /// What a node has, in the order in which it was noted.
    #[must_use]
    pub fn of(&self, owner: &str) -> &[IpNetwork] {
        self.owners.get(owner).map_or(&[], Vec::as_slice)
    }

    /// All nodes that have something.
    pub fn owners(&self) -> impl Iterator<Item = &str> {
        self.owners.keys().map(String::as_str)
    }

    /// A node is gone: what it had is free.
    pub fn release(&mut self, owner: &str) -> Vec<IpNetwork> {
        let released = self.owners.remove(owner).unwrap_or_default();
        for cidr in &released {
            self.taken.remove(&block(*cidr));
            for range in &mut self.ranges {
                if overlap(range.cidr, *cidr) {
                    range.lowest = range.lowest.min(start(*cidr)).max(start(range.cidr));
                }
            }
        }
        released
    }

    /// How many blocks there are, and how many of them nobody has any part of.
    #[must_use]
    pub fn counts(&self) -> (u128, u128) {
        let (mut all, mut taken) = (0_u128, 0_u128);
        for Range { cidr, .. } in &self.ranges {
            let (first, last) = (self.index(start(*cidr)), self.index(end(*cidr)));
            all = all.saturating_add((last - first).saturating_add(1));
            // Blocks come in order; one may lie in another that is counted.
            let mut next = first;
            for &(begin, prefix) in self.taken.keys() {
                let has = self.network((begin, prefix));
                let from = self.index(start(has)).max(next);
                let to = self.index(end(has)).min(last);
                if overlap(has, *cidr) && from <= to {
                    taken = taken.saturating_add(to - from + 1);
                    next = to.saturating_add(1);
                }
            }
        }
        (all, all.saturating_sub(taken))
    }

    fn note(&mut self, owner: &str, cidr: IpNetwork) {
        self.taken.insert(block(cidr), owner.to_owned());
        self.owners.entry(owner.to_owned()).or_default().push(cidr);
    }

    fn lowest_free(&mut self, index: usize) -> Option<IpNetwork> {
        let (cidr, mut first) = (self.ranges[index].cidr, self.ranges[index].lowest);
        let last = end(cidr);
        let step = mask(self.host_bits());
        // The bound may stand within a block, where something smaller was released.
        first &= !step;
        let found = loop {
            if first > last {
                break None;
            }
            let candidate = self.network((first, self.size));
            let next = match self.overlapping(candidate).next() {
                None => break Some(candidate),
                Some((taken, _)) => end(self.network(taken)),
            };
            // Behind what is in the way, at the next whole block.
            let behind = (next | step).max(first | step);
            match behind.checked_add(1) {
                Some(next) => first = next,
                None => break None,
            }
        };
        // Nothing below is free; what is found is about to be taken.
        self.ranges[index].lowest = first;
        found
    }

    /// What is taken of a prefix: within it, or around it.
    fn overlapping(&self, cidr: IpNetwork) -> impl Iterator<Item = (Block, &str)> {
        let (first, prefix) = block(cidr);
        let last = end(cidr);
        let around = (0..prefix).filter_map(move |shorter| {
            let wider = (first & !mask(self.family.bits() - shorter), shorter);
            self.taken.get(&wider).map(|owner| (wider, owner.as_str()))
        });
        let within = self.taken.range((first, prefix)..=(last, u8::MAX));
        around.chain(within.map(|(block, owner)| (*block, owner.as_str())))
    }

    /// The number of an address's block, counted from the family's first.
    fn index(&self, address: u128) -> u128 {
        address.checked_shr(self.host_bits().into()).unwrap_or(0)
    }

    fn host_bits(&self) -> u8 {
        self.family.bits() - self.size
    }

    fn network(&self, (first, prefix): Block) -> IpNetwork {
        // A block's length is never more than its family has.
        let address = self.family.address(first);
        IpNetwork::new(address, prefix).unwrap_or_else(|_| IpNetwork::from(address))
    }
}

/// So many ones at the end.
fn mask(bits: u8) -> u128 {
    1_u128.checked_shl(bits.into()).map_or(u128::MAX, |bit| bit - 1)
}

fn start(cidr: IpNetwork) -> u128 {
    number(cidr.network())
}

fn end(cidr: IpNetwork) -> u128 {
    number(cidr.broadcast())
}

fn block(cidr: IpNetwork) -> Block {
    (start(cidr), cidr.prefix())
}
