//! Which subnet a new interface goes to, and what recently failed where.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use fastrand::Rng;

use super::{Config, NodeSettings, Reason, backoff::Backoff, limits::PREFIX_ADDRESSES, settings::has_tags};
use crate::{Timestamp, ec2::Subnet};

/// How long a subnet that had no room is left alone at first, and at most. EC2 does not tell when room comes back.
const REST: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(600));

/// What a subnet is asked for beside an interface's primary address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Prefixes. How many free /28 a subnet has is told nowhere: trying is the only way to know.
    Prefix,
    /// Single addresses.
    Address,
}

impl Kind {
    /// Addresses of a subnet that one of them takes.
    #[must_use]
    pub fn addresses(self) -> u32 {
        match self {
            Self::Prefix => PREFIX_ADDRESSES,
            Self::Address => 1,
        }
    }
}

/// What a subnet refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Past {
    backoff: Backoff,
    /// Not more than so many at a time: EC2 gives all that is asked for or nothing.
    most: Option<u32>,
    /// When it last had not even one.
    empty: Timestamp,
}

/// What recently failed, by subnet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    past: BTreeMap<(String, Kind), Past>,
}

impl History {
    /// The subnet had no room for so many of a kind, as the answer to a request that was sent then. Half as many are
    /// worth a try at once; where one was too many, the subnet is left alone for a while. Requests that were under way
    /// together say that once.
    pub fn refused(
        &mut self,
        subnet: &str,
        (kind, count): (Kind, u32),
        sent: Timestamp,
        now: Timestamp,
        lots: &mut Rng,
    ) {
        let past = self.past.entry((subnet.to_owned(), kind)).or_default();
        let half = (count / 2).max(1);
        if count > 1 {
            // One that was under way when less was refused says nothing new.
            past.most =
                Some(if sent < past.empty { past.most.map_or(half, |most| most.min(half)) } else { half });
            return;
        }
        past.most = Some(1);
        if sent >= past.empty {
            past.empty = now;
            past.backoff.failed(REST.0, REST.1, now, lots);
        }
    }

    /// The subnet gave `count` of a kind.
    pub fn gave(&mut self, subnet: &str, kind: Kind, count: u32) {
        let key = (subnet.to_owned(), kind);
        if let Some(past) = self.past.get_mut(&key) {
            past.backoff.worked();
            // Half of what was refused was there; there may be more.
            past.most = past.most.map(|most| most.max(count.saturating_mul(2)));
            if past.most.is_some_and(|most| most >= 64) {
                self.past.remove(&key);
            }
        }
    }

    /// How many of a kind it makes sense to ask the subnet for at once: 0 while it is left alone.
    #[must_use]
    pub fn most(&self, subnet: &str, kind: Kind, now: Timestamp) -> u32 {
        match self.past.get(&(subnet.to_owned(), kind)) {
            None => u32::MAX,
            Some(past) if past.backoff.until(now).is_some() => 0,
            Some(past) => past.most.unwrap_or(u32::MAX),
        }
    }

    /// When the first subnet is worth another try.
    #[must_use]
    pub fn next_try(&self, now: Timestamp) -> Option<Timestamp> {
        self.past.values().filter_map(|past| past.backoff.until(now)).min()
    }
}

/// How many of a kind a subnet can be asked for at once, by what it says and by what it refused.
#[must_use]
pub fn room(subnet: &Subnet, kind: Kind, primary: bool, history: &History, now: Timestamp) -> u32 {
    let free = subnet.available_addresses.saturating_sub(u32::from(primary));
    (free / kind.addresses()).min(history.most(&subnet.id, kind, now))
}

/// The subnets that a node's new interfaces may be in, best first: those named by id; or those that have the tags; or
/// the node's own and then the others of its zone. Among equals the one with the most free addresses comes first.
///
/// # Errors
/// [`Reason::NoSubnet`], which says what was looked for.
pub fn candidates<'a>(
    settings: &NodeSettings,
    config: &Config,
    subnets: &'a BTreeMap<String, Subnet>,
) -> Result<Vec<&'a Subnet>, Reason> {
    let allowed = |subnet: &&Subnet| {
        subnet.vpc_id == config.vpc_id
            && subnet.availability_zone == settings.availability_zone
            && (config.subnet_ids.is_empty() || config.subnet_ids.contains(&subnet.id))
            && has_tags(&subnet.tags, &config.subnet_tags)
    };
    let mut found: Vec<&Subnet> = subnets.values().filter(allowed).collect();
    let looked_for = if !settings.subnet_ids.is_empty() {
        found.retain(|subnet| settings.subnet_ids.contains(&subnet.id));
        format!("ids {}", settings.subnet_ids.join(", "))
    } else if !settings.subnet_tags.is_empty() {
        found.retain(|subnet| has_tags(&subnet.tags, &settings.subnet_tags));
        let tags = settings.subnet_tags.iter().map(|(key, value)| format!("{key}={value}"));
        format!("tags {}", tags.collect::<Vec<_>>().join(", "))
    } else {
        "any".to_owned()
    };
    if found.is_empty() {
        return Err(Reason::NoSubnet { zone: settings.availability_zone.clone(), looked_for });
    }
    let chosen = !settings.subnet_ids.is_empty() || !settings.subnet_tags.is_empty();
    let own = |subnet: &Subnet| !chosen && settings.node_subnet_id.as_deref() == Some(subnet.id.as_str());
    found.sort_by_key(|subnet| (!own(subnet), Reverse(subnet.available_addresses), subnet.id.clone()));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred nodes ask at once, and the subnet is left alone for a minute, not for ten.
    #[test]
    fn what_is_refused_at_once_counts_once() {
        let (mut history, mut lots) = (History::default(), Rng::with_seed(1));
        let at = |second: u64| Timestamp(1_000_000 + second * 1000);
        for answer in 1..10 {
            history.refused("s", (Kind::Prefix, 1), at(0), at(answer), &mut lots);
        }
        assert!(history.next_try(at(9)).unwrap() <= at(1 + 60));
        // What is sent after it, and refused, counts.
        history.refused("s", (Kind::Prefix, 1), at(61), at(62), &mut lots);
        history.refused("s", (Kind::Prefix, 1), at(62), at(62), &mut lots);
        assert!(history.next_try(at(62)).unwrap() > at(62 + 60));
        // More than one was too many, and was under way when one was: one is what is tried.
        history.refused("s", (Kind::Prefix, 9), at(60), at(63), &mut lots);
        assert_eq!(history.most("s", Kind::Prefix, at(10_000)), 1);
    }
}
