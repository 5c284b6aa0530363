//! The operator's half: what it does about a node's excess.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ipnetwork::Ipv4Network;

use super::{Drain, Drained};
use crate::Timestamp;

/// How long a released prefix is not offered again to the interface that it was taken from. It has to be longer than
/// a request may take to reach EC2 (60 s), the overlap of two leaders (15 s) and the difference of their clocks
/// together.
pub const QUARANTINE: Duration = Duration::from_secs(120);

/// How far the clocks of two leaders may be apart.
const CLOCKS: Duration = Duration::from_secs(30);

/// What an operator knows about a node.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What is asked back, as the object has it.
    pub drain: &'a Drain,
    /// What the agent answered, if the object has an answer.
    pub drained: Option<&'a Drained>,
    /// What the object's status lists.
    pub listed: &'a BTreeSet<Ipv4Network>,
    /// What EC2 has assigned, and to which interface.
    pub attached: &'a BTreeMap<Ipv4Network, String>,
    /// What the node could do without, now.
    pub excess: &'a BTreeSet<Ipv4Network>,
}

/// The next thing to do. All writes carry the resource version of the object that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write this into the object.
    Write(Drain),
    /// Look again at the object, at EC2 and at one's leadership, and if all are as they were, unassign these
    /// prefixes of each interface.
    Release(BTreeMap<String, BTreeSet<Ipv4Network>>),
    /// Write a status that lists none of these.
    Unlist(BTreeSet<Ipv4Network>),
    /// The agent has not answered yet.
    Wait,
    /// There is nothing to do.
    Nothing,
}

/// The next thing to do about `known`.
#[must_use]
pub fn next(known: Known<'_>, now: Timestamp) -> Step {
    let Known { drain, drained, listed, attached, excess } = known;
    // An object without a word of the agent may be new, and the agent may have promised something in the old one.
    let Some(drained) = drained else { return Step::Nothing };
    let unasked = drained.epoch == drain.epoch && !drained.prefixes.is_subset(&drain.prefixes);
    if drained.epoch > drain.epoch || unasked {
        // The object was made anew: the agent's promises are taken over, since they cannot be taken back. They may be of
        // an epoch that the new object has by now, too.
        let prefixes = drained.prefixes.clone();
        let released = drain.released.clone();
        return Step::Write(Drain { epoch: drained.epoch, prefixes, released, adopted: Some(now) });
    }
    if let Some(bounded) = bounded(drain, now) {
        return Step::Write(bounded);
    }
    if drain.prefixes.is_empty() {
        return if excess.is_empty() { Step::Nothing } else { advance(drain, excess.clone(), None, now) };
    }
    if drained.epoch < drain.epoch {
        // The demand may have grown in the meantime.
        let still = drain.prefixes.is_subset(excess);
        return if still { Step::Wait } else { advance(drain, BTreeSet::new(), None, now) };
    }
    let promised = drain.promised(Some(drained));
    let mut release: BTreeMap<String, BTreeSet<Ipv4Network>> = BTreeMap::new();
    for (prefix, interface) in attached.iter().filter(|(prefix, _)| promised.contains(prefix)) {
        release.entry(interface.clone()).or_default().insert(*prefix);
    }
    if !release.is_empty() {
        return Step::Release(release);
    }
    let unlist: BTreeSet<_> = promised.intersection(listed).copied().collect();
    if !unlist.is_empty() {
        return Step::Unlist(unlist);
    }
    advance(drain, BTreeSet::new(), Some(promised), now)
}

/// The next epoch.
fn advance(
    drain: &Drain,
    prefixes: BTreeSet<Ipv4Network>,
    released: Option<BTreeSet<Ipv4Network>>,
    now: Timestamp,
) -> Step {
    let mut quarantined = drain.released.clone();
    // Longer than needed: who adds to a status from a look at EC2 that is younger than one quarantine need not know
    // about what was released before two.
    quarantined.retain(|_, at| now.since(*at) < 2 * QUARANTINE);
    quarantined.extend(released.unwrap_or_default().into_iter().map(|prefix| (prefix, now)));
    let adopted = drain.adopted.filter(|at| now.since(*at) < 2 * QUARANTINE);
    Step::Write(Drain { epoch: drain.epoch.next(), prefixes, released: quarantined, adopted })
}

/// The same with instants that are not in the future, if any is further in it than clocks are apart: who wrote it
/// had a clock that was ahead, and a node must not wait until that moment. What was released was so before now.
fn bounded(drain: &Drain, now: Timestamp) -> Option<Drain> {
    let ahead = |at: &Timestamp| *at > now.after(CLOCKS);
    let instants = drain.released.values().chain(&drain.adopted);
    if !instants.into_iter().any(ahead) {
        return None;
    }
    let released = drain.released.iter().map(|(prefix, at)| (*prefix, (*at).min(now))).collect();
    let adopted = drain.adopted.map(|at| at.min(now));
    Some(Drain { released, adopted, ..drain.clone() })
}

/// What an operator has seen of a prefix.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// The object's status lists it.
    pub listed: bool,
    /// When the last look at EC2 began that showed it.
    pub seen: Timestamp,
    /// The time.
    pub now: Timestamp,
}

/// Whether the status may list a prefix that EC2 has assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayUse {
    /// It lists it.
    Yes,
    /// It does not.
    No,
    /// A look at EC2 that begins then decides.
    Later(Timestamp),
}

/// Whether the status may list a prefix that a look at EC2 showed. What is listed stays so until it is promised. What is
/// added comes from a look that is younger than one quarantine, and began a quarantine after the prefix's release.
#[must_use]
pub fn may_use(prefix: Ipv4Network, drain: &Drain, drained: Option<&Drained>, sight: Sight) -> MayUse {
    let Sight { listed, seen, now } = sight;
    if drain.promised(drained).contains(&prefix) {
        return MayUse::No;
    }
    if listed {
        return MayUse::Yes;
    }
    // An agent that told nothing, or that knows a later epoch, may have promised anything.
    if drained.is_none_or(|drained| drained.epoch > drain.epoch) {
        return MayUse::No;
    }
    let released = drain.released.get(&prefix).max(drain.adopted.as_ref());
    match released.map(|at| at.after(QUARANTINE)) {
        Some(over) if seen < over => MayUse::Later(over),
        _ if now.since(seen) < QUARANTINE => MayUse::Yes,
        _ => MayUse::Later(now),
    }
}
