//! What EC2 refused a node, and when it is tried again.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;

use super::RETRY;
use crate::{
    Timestamp,
    ec2::Action,
    eni::{Backoff, Reason},
};

/// How long an interface that is not ours to change is left alone, at first and at most: rights change seldom.
const REST: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(600));
/// How often an interface may fail to be attached.
const PATIENCE: u32 = 5;
/// How soon EC2 is asked again to do something with what it does not know yet, though it made or showed it a moment ago:
/// at first and at most.
const UNSEEN: (Duration, Duration) = (Duration::from_millis(400), Duration::from_secs(2));
/// For how long that is taken for lateness.
const LATENESS: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default)]
struct Trouble {
    backoff: Backoff,
    reason: Option<Reason>,
}

/// What EC2 does not know yet.
#[derive(Clone, Debug)]
struct Unseen {
    since: Timestamp,
    /// When it was last asked for.
    last: Timestamp,
    backoff: Backoff,
}

/// What was refused. What one action fails at says nothing about the others: each has its own count, which only its
/// own success ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Troubles {
    of: BTreeMap<Action, Trouble>,
    /// Interfaces that are not ours to change.
    avoided: BTreeMap<String, Trouble>,
    /// How often which interface was not attached.
    unattachable: BTreeMap<String, u32>,
    /// Interfaces that EC2 does not know yet, or not as attached, and instances.
    unseen: BTreeMap<String, Unseen>,
}

impl Troubles {
    /// It was not done; the reason is told, if there is one to tell.
    pub(super) fn failed(&mut self, action: Action, reason: Option<Reason>, now: Timestamp, lots: &mut Rng) {
        let trouble = self.of.entry(action).or_default();
        trouble.backoff.failed(RETRY.0, RETRY.1, now, lots);
        if let Some(reason) = reason {
            trouble.reason = Some(reason.after(trouble.reason.take()));
        }
    }

    /// It was done.
    pub(super) fn worked(&mut self, action: Action) {
        self.of.remove(&action);
    }

    /// Until when it is not tried again. No interface is made while one cannot be attached.
    pub(super) fn until(&self, action: Action, now: Timestamp) -> Option<Timestamp> {
        let after = match action {
            Action::CreateNetworkInterface => &[action, Action::AttachNetworkInterface][..],
            _ => &[action],
        };
        after.iter().filter_map(|action| self.of.get(action)?.backoff.until(now)).max()
    }

    /// An interface is not ours to change.
    pub(super) fn avoid(&mut self, interface_id: &str, reason: Reason, now: Timestamp, lots: &mut Rng) {
        let trouble = self.avoided.entry(interface_id.to_owned()).or_default();
        trouble.backoff.failed(REST.0, REST.1, now, lots);
        trouble.reason = Some(reason.after(trouble.reason.take()));
    }

    /// It could be changed after all.
    pub(super) fn changed(&mut self, interface_id: &str) {
        self.avoided.remove(interface_id);
    }

    /// Whether the interface was not ours to change when that was last tried.
    pub(super) fn avoids(&self, interface_id: &str) -> bool {
        self.avoided.contains_key(interface_id)
    }

    /// Until when the interface is left alone.
    pub(super) fn avoids_until(&self, interface_id: &str, now: Timestamp) -> Option<Timestamp> {
        self.avoided.get(interface_id)?.backoff.until(now)
    }

    /// Interfaces that are left alone now.
    pub(super) fn avoided(&self, now: Timestamp) -> impl Iterator<Item = (&str, Timestamp)> {
        self.avoided.iter().filter_map(move |(id, trouble)| Some((id.as_str(), trouble.backoff.until(now)?)))
    }

    /// Forgets what nobody tried again for long, so that it is tried when there is a need.
    pub(super) fn age(&mut self, now: Timestamp) {
        let long_ago = |trouble: &Trouble| now.since(trouble.backoff.over()) >= REST.1;
        self.avoided.retain(|_, trouble| !long_ago(trouble));
        self.unseen.retain(|_, unseen| now.since(unseen.last) < REST.1);
    }

    /// EC2 does not know what it made or showed before; whether it is asked once more, soon, without looking first.
    pub(super) fn unseen(&mut self, id: &str, now: Timestamp, lots: &mut Rng) -> bool {
        let new = || Unseen { since: now, last: now, backoff: Backoff::default() };
        let unseen = self.unseen.entry(id.to_owned()).or_insert_with(new);
        unseen.last = now;
        let late = now.since(unseen.since) < LATENESS;
        if late {
            unseen.backoff.failed(UNSEEN.0, UNSEEN.1, now, lots);
        }
        late
    }

    /// Until when EC2 is given time to know all of these.
    pub(super) fn unseen_until<'a>(
        &self,
        ids: impl Iterator<Item = &'a str>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        ids.filter_map(|id| self.unseen.get(id)?.backoff.until(now)).max()
    }

    /// EC2 knows it.
    pub(super) fn seen(&mut self, id: &str) {
        self.unseen.remove(id);
    }

    /// An interface was not attached; whether that was once too often.
    pub(super) fn not_attached(&mut self, interface_id: &str) -> bool {
        let count = self.unattachable.entry(interface_id.to_owned()).or_default();
        *count += 1;
        let hopeless = *count >= PATIENCE;
        if hopeless {
            self.unattachable.remove(interface_id);
        }
        hopeless
    }

    /// It was attached, or is none of the node's any more.
    pub(super) fn settled(&mut self, interface_id: &str) {
        self.unattachable.remove(interface_id);
    }

    /// What is to be told: of growth while something is wanted, of releases while something is promised.
    pub(super) fn reasons(&self, wants: bool, promised: bool) -> impl Iterator<Item = &Reason> {
        let told = move |action: &Action| match action {
            Action::UnassignPrivateIpAddresses => promised,
            Action::ModifyNetworkInterfaceAttribute => true,
            _ => wants,
        };
        let of = self.of.iter().filter(move |(action, _)| told(action));
        of.map(|(_, trouble)| trouble).chain(self.avoided.values()).filter_map(|of| of.reason.as_ref())
    }
}
