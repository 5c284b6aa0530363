//! The agent's half: what it does about an object that it reads.

use std::collections::BTreeSet;

use ipnetwork::{IpNetwork, Ipv4Network};

use super::{Drain, Drained};
use crate::{Pool, PoolCidr, Record, Timestamp};

/// What an agent reads in its CiliumNode.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// What the operator asks back.
    pub drain: &'a Drain,
    /// The agent's own answer, if the object has one.
    pub drained: Option<&'a Drained>,
    /// What the node may use: the prefixes and, as /32, single addresses of `status.eni.enis`.
    pub listed: &'a BTreeSet<Ipv4Network>,
}

/// The next thing to do about what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Journal this, apply it to the pool, and ask again.
    Journal(Record),
    /// Give the pool these prefixes with [`Pool::set_prefixes`], and ask again.
    Use(BTreeSet<Ipv4Network>),
    /// Write this into the object.
    Answer(Drained),
    /// Nothing of the object: it is older than what the journal knows.
    Stale,
    /// The object shows a promise of ours that the journal does not know, and addresses of these prefixes are in
    /// use. Nothing can be done but to say so: somebody must keep the operator from taking them.
    Broken(BTreeSet<Ipv4Network>),
    /// All is done.
    Nothing,
}

/// The next thing to do about `told`. No address may be given between a step and the question after it, since
/// prefixes that the object lists may be promised back.
#[must_use]
pub fn next(pool: &Pool, told: Told<'_>, now: Timestamp) -> Step {
    let known = pool.state().epoch();
    if told.drain.epoch < known {
        // An old version of the object; or a new object, which does not know what was promised.
        let told_of_it = told.drained.is_some_and(|drained| drained.epoch >= known);
        return if told_of_it { Step::Stale } else { introduction(pool) };
    }
    if let Some(record) = pool.decide_epoch(told.drain.epoch, now) {
        return Step::Journal(record);
    }
    if let Some(step) = honour(pool, told, now) {
        return step;
    }
    if !uses(pool, told.listed) {
        return Step::Use(told.listed.clone());
    }
    let Some(drained) = told.drained else { return introduction(pool) };
    let promises = introduce(pool);
    if told.drain.prefixes.is_empty() || drained.epoch >= told.drain.epoch {
        // A promise of this epoch that the object does not show was made in another object of the name. It would last
        // until the next epoch, and nobody would know why no address is given.
        let shown = drained.epoch >= known && promises.prefixes.is_subset(&drained.prefixes);
        return if promises.prefixes.is_empty() || shown { Step::Nothing } else { Step::Answer(promises) };
    }
    let asked: Vec<IpNetwork> = told.drain.prefixes.iter().map(|prefix| (*prefix).into()).collect();
    let decision = pool.decide_drain(told.drain.epoch, &asked, now);
    if let Some(record) = decision.record {
        return Step::Journal(record);
    }
    // All of them, also those that another object asked for in an epoch of this number: an answer that lacks one would
    // end it while it is carried out.
    let refused = v4(decision.refused.into_iter().map(|(prefix, _)| prefix));
    Step::Answer(Drained { epoch: told.drain.epoch, prefixes: promises.prefixes, refused })
}

/// What the agent writes into an object that has no answer of it yet: the operator asks nothing back before, since it does not know what was promised in another object of the name.
#[must_use]
pub fn introduce(pool: &Pool) -> Drained {
    let promises = v4(pool.draining().map(|(prefix, _)| prefix));
    Drained { epoch: pool.state().epoch(), prefixes: promises, refused: BTreeSet::new() }
}

/// What an agent writes into an object of its node when it makes one; nothing while something is promised. Between this
/// question and the write it may read that its promises are over, in the last version of an object that is gone by now:
/// an operator who finds them in a new object would carry them out. Such an object is [introduced](introduce) once it
/// was read.
///
/// Whoever writes must have been told anew of this before it is told of an answer.
#[must_use]
pub fn introduce_anew(pool: &Pool) -> Option<Drained> {
    Some(introduce(pool)).filter(|said| said.prefixes.is_empty())
}

fn introduction(pool: &Pool) -> Step {
    Step::Answer(introduce(pool))
}

/// A promise that the object shows is kept, even where the journal was lost with the disk.
fn honour(pool: &Pool, told: Told<'_>, now: Timestamp) -> Option<Step> {
    let unknown: BTreeSet<Ipv4Network> = told
        .drain
        .promised(told.drained)
        .into_iter()
        .filter(|prefix| pool.state().drain_of((*prefix).into()).is_none())
        .collect();
    let used = |prefix: &Ipv4Network| pool.state().held().any(|a| IpNetwork::from(*prefix).contains(a));
    let broken: BTreeSet<_> = unknown.iter().copied().filter(used).collect();
    if !broken.is_empty() {
        return Some(Step::Broken(broken));
    }
    let epoch = told.drained.map_or(told.drain.epoch, |drained| drained.epoch.max(told.drain.epoch));
    let prefixes = unknown.into_iter().map(IpNetwork::from).collect::<Vec<_>>();
    (!prefixes.is_empty()).then_some(Step::Journal(Record::Drained { epoch, prefixes, at: now }))
}

fn uses(pool: &Pool, listed: &BTreeSet<Ipv4Network>) -> bool {
    pool.cidrs().eq(listed.iter().map(|prefix| IpNetwork::from(*prefix)))
}

fn v4(prefixes: impl Iterator<Item = IpNetwork>) -> BTreeSet<Ipv4Network> {
    prefixes
        .filter_map(|prefix| match prefix {
            IpNetwork::V4(prefix) => Some(prefix),
            IpNetwork::V6(_) => None,
        })
        .collect()
}

/// The prefixes as a pool takes them: every address of them is a pod's.
pub fn members(prefixes: &BTreeSet<Ipv4Network>) -> impl Iterator<Item = PoolCidr> + '_ {
    prefixes.iter().map(|prefix| PoolCidr::delegated(*prefix))
}
