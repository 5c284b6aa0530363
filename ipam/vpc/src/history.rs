//! What interfaces were like some time ago: eventual consistency is a look at the past.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use ipam::{Timestamp, ec2::Interface};

/// Versions of every interface, back to a horizon.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    versions: BTreeMap<String, VecDeque<Version>>,
}

#[derive(Clone, Debug)]
struct Version {
    since: Timestamp,
    /// Nothing where it is deleted.
    was: Option<Arc<Interface>>,
}

impl History {
    /// From `now` on the interface is so, or is no more.
    pub(crate) fn record(&mut self, id: &str, is: Option<Interface>, now: Timestamp, remembered: Duration) {
        let versions = self.versions.entry(id.to_owned()).or_default();
        let is = is.map(Arc::new);
        match versions.back_mut() {
            Some(last) if last.since == now => last.was = is,
            _ => versions.push_back(Version { since: now, was: is }),
        }
        let horizon = before(now, remembered);
        // The version that was valid at the horizon is needed still.
        while versions.get(1).is_some_and(|next| next.since <= horizon) {
            versions.pop_front();
        }
    }

    /// Forgets interfaces that were deleted before the horizon.
    pub(crate) fn forget(&mut self, now: Timestamp, remembered: Duration) {
        let horizon = before(now, remembered);
        self.versions.retain(|_, versions| {
            versions.back().is_some_and(|last| last.was.is_some() || last.since > horizon)
        });
    }

    /// The interface as it was then.
    pub(crate) fn at(&self, id: &str, then: Timestamp) -> Option<&Arc<Interface>> {
        valid(self.versions.get(id)?, then)
    }

    /// All interfaces that there were, by id.
    pub(crate) fn all_at(&self, then: Timestamp) -> impl Iterator<Item = &Arc<Interface>> {
        self.versions.values().filter_map(move |versions| valid(versions, then))
    }
}

fn valid(versions: &VecDeque<Version>, then: Timestamp) -> Option<&Arc<Interface>> {
    versions.iter().rev().find(|version| version.since <= then)?.was.as_ref()
}

/// A moment so long before another.
pub(crate) fn before(now: Timestamp, lag: Duration) -> Timestamp {
    Timestamp(now.0.saturating_sub(u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)))
}

/// A moment so long after another.
pub(crate) fn after(now: Timestamp, lag: Duration) -> Timestamp {
    Timestamp(now.0.saturating_add(u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)))
}
