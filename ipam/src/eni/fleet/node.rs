//! What the fleet knows of a node.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::Duration,
};

use ipnetwork::Ipv4Network;

use super::{CONSISTENCY, trouble::Troubles, turn::EVERY};
use crate::{
    Timestamp,
    ec2::{AttachmentStatus, CreateInterface, Interface},
    eni::{
        Backoff, Config, Count, NodeRecord, Reason, excess,
        handshake::{
            Drain, Drained,
            operator::{MayUse, Sight, may_use},
        },
        is_usable, used, wanted,
    },
};

/// A node.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// Names what is known of it: an answer to what was asked before is none about this.
    pub(super) generation: u64,
    pub(super) record: NodeRecord,
    pub(super) drain: Drain,
    pub(super) drained: Option<Drained>,
    /// What the object's status lets the node use.
    pub(super) listed: BTreeSet<Ipv4Network>,
    /// What the agent promised back.
    pub(super) promised: BTreeSet<Ipv4Network>,
    /// Why the annotations cannot be read.
    pub(super) unreadable: Option<Reason>,
    /// Something happened since it was last decided what is next.
    pub(super) stirred: bool,
    /// When to decide again, even if nothing happens.
    pub(super) due: Option<Timestamp>,
    /// A request is under way at EC2.
    pub(super) at_ec2: bool,
    /// A read or a write is under way at the API server.
    pub(super) at_api: bool,
    /// What the object is once the write under way succeeded.
    pub(super) writing: Option<Box<NodeRecord>>,
    /// The object has to be read again.
    pub(super) must_read: bool,
    /// When a read of it from the API server itself began; it has not changed since.
    pub(super) read_at: Option<Timestamp>,
    /// The interfaces that are attached, if that is known.
    pub(super) interfaces: Option<Vec<Interface>>,
    /// When the look began that showed them.
    pub(super) looked: Timestamp,
    /// Interfaces of ours that were made for the instance and are attached to nothing.
    pub(super) unattached: Vec<Interface>,
    /// EC2 has to be asked for the interfaces.
    pub(super) must_ask: bool,
    /// Since when looks show no primary interface, though an instance has one as long as it lives.
    blind: Option<Timestamp>,
    /// When EC2 is asked again, at the earliest.
    pub(super) ask_from: Timestamp,
    /// When a request that may have changed something was answered, or not.
    pub(super) mutated: Option<Timestamp>,
    /// An interface that is being made: the request is repeated as it is until an answer comes.
    pub(super) creating: Option<CreateInterface>,
    /// Interfaces that were made in vain: the next one is another.
    pub(super) attempt: u32,
    /// What EC2 refused.
    pub(super) troubles: Troubles,
    /// What the API server refused.
    pub(super) api: Backoff,
    /// When EC2 last showed that something is assigned, and what it lately did not show any more.
    pub(super) seen: BTreeMap<Ipv4Network, Timestamp>,
    missed: BTreeMap<Listed, Timestamp>,
    /// Since when a prefix is in excess.
    pub(super) idle_since: BTreeMap<Ipv4Network, Timestamp>,
    /// All slots are taken, and more is wanted.
    pub(super) full: bool,
    /// Why the node does not get what it wants.
    pub(super) reasons: Vec<Reason>,
}

/// How soon EC2 is asked again for an instance of which it showed nothing.
const SOON: Duration = Duration::from_secs(1);

/// What the status of a node lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Listed {
    Interface(String),
    Addresses(Ipv4Network),
}

impl Node {
    pub(super) fn new(record: NodeRecord, generation: u64) -> Self {
        let mut node = Self { generation, ..Self::default() };
        node.observe(record, true);
        node
    }

    /// Whether it is the same node still.
    pub(super) fn is(&self, record: &NodeRecord) -> bool {
        self.record.uid == record.uid && self.record.instance_id == record.instance_id
    }

    /// The object as it was read; whether that is what it is, or what a watch shows late.
    pub(super) fn observe(&mut self, record: NodeRecord, current: bool) {
        let drain = record.drain.as_deref().map_or(Ok(Drain::default()), Drain::parse);
        let drained = record.drained.as_deref().map(Drained::parse).transpose();
        self.unreadable = None;
        match (drain, drained) {
            // A watch lags behind what was read or written already: an epoch never goes back.
            (Ok(drain), Ok(_)) if !current && drain.epoch < self.drain.epoch => {
                // Late, or somebody removed the annotation.
                (self.must_read, self.stirred) = (true, true);
                return;
            }
            (Ok(drain), Ok(drained)) => (self.drain, self.drained) = (drain, drained),
            (Err(error), _) | (_, Err(error)) => {
                self.unreadable = Some(Reason::Annotation(error.to_string()));
            }
        }
        if record.resource_version != self.record.resource_version {
            self.read_at = None;
        }
        self.stirred = true;
        self.must_read = false;
        self.promised = self.drain.promised(self.drained.as_ref());
        self.listed = record.status.usable();
        self.record = record;
    }

    /// A write succeeded: as of the version that it was decided on, the object is `record`, and has this version now.
    /// What a watch showed while the write was under way stays: it may be later, an answer of the agent's say, and
    /// is not shown again.
    pub(super) fn wrote(&mut self, record: NodeRecord, resource_version: String) {
        if self.record.resource_version == record.resource_version {
            self.observe(NodeRecord { resource_version, ..record }, true);
        } else if self.record.resource_version != resource_version {
            (self.must_read, self.stirred) = (true, true);
        }
    }

    /// All that was known of EC2 may be old.
    pub(super) fn forget_ec2(&mut self, generation: u64) {
        let (record, attempt) = (std::mem::take(&mut self.record), self.attempt);
        let idle_since = std::mem::take(&mut self.idle_since);
        *self = Self::new(record, generation);
        (self.attempt, self.idle_since) = (attempt, idle_since);
    }

    /// A request that was given up was answered: it may have changed something.
    pub(super) fn reconcile(&mut self, now: Timestamp) {
        (self.must_ask, self.mutated, self.stirred) = (true, Some(now), true);
    }

    /// Whether its new interfaces have security groups that are found by their tags.
    pub(super) fn chooses_groups(&self) -> bool {
        let settings = &self.record.settings;
        settings.security_groups.is_empty() && !settings.security_group_tags.is_empty()
    }

    /// Whether EC2 has to be asked for the interfaces.
    pub(super) fn must_look(&self) -> bool {
        self.interfaces.is_none() || self.must_ask
    }

    /// EC2 showed the interfaces, in a look that began then; a look at the whole VPC showed what is attached to nothing, too.
    pub(super) fn look(
        &mut self,
        interfaces: Vec<Interface>,
        unattached: Option<Vec<Interface>>,
        began: Timestamp,
    ) {
        if self.mutated.is_some_and(|at| began < at.after(CONSISTENCY)) || began < self.looked {
            // It may show what was.
            return;
        }
        if let Some(unattached) = unattached {
            self.unattached = unattached;
        }
        self.must_ask = false;
        let shown: BTreeSet<Ipv4Network> = interfaces.iter().flat_map(assigned).collect();
        self.seen.retain(|prefix, _| shown.contains(prefix));
        self.seen.extend(shown.iter().map(|prefix| (*prefix, began)));
        // What the status lists and EC2 does not show is looked for twice, for EC2 may be late. (vpc-cni #3876.)
        let missed = self.not_shown(&interfaces, &shown).map(|listed| {
            let first = self.missed.get(&listed).copied().unwrap_or(began);
            (listed, first)
        });
        self.missed = missed.collect();
        if self.missed.values().any(|first| began.since(*first) < CONSISTENCY) {
            self.must_ask = true;
            self.mutated = Some(began);
            return;
        }
        let has_primary = |of: &Interface| of.attachment.as_ref().is_some_and(|to| to.device_index == 0);
        self.blind = if interfaces.iter().any(has_primary) { None } else { self.blind.or(Some(began)) };
        if let Some(since) = self.blind {
            // EC2 is late with a new instance, or the instance is gone: asked again soon, and then ever more seldom.
            (self.must_ask, self.ask_from) = (true, began.after(began.since(since).clamp(SOON, EVERY)));
        }
        self.interfaces = Some(interfaces);
        self.looked = began;
        self.stirred = true;
    }

    /// What the status lists and a look does not show, but for what is promised back: that goes anyway.
    fn not_shown(
        &self,
        interfaces: &[Interface],
        shown: &BTreeSet<Ipv4Network>,
    ) -> impl Iterator<Item = Listed> {
        let primary = |prefix: &Ipv4Network| {
            interfaces.iter().any(|of| Ipv4Network::from(of.primary_address) == *prefix)
        };
        let addresses = self.listed.iter().filter(move |prefix| {
            !shown.contains(prefix) && !primary(prefix) && !self.promised.contains(prefix)
        });
        let ids = self.record.status.interfaces.keys();
        let gone = ids.filter(|id| interfaces.iter().all(|interface| interface.id != **id));
        gone.cloned().map(Listed::Interface).chain(addresses.copied().map(Listed::Addresses))
    }

    /// Interfaces whose addresses pods may have.
    pub(super) fn usable(&self) -> impl Iterator<Item = &Interface> {
        let settings = &self.record.settings;
        self.interfaces.iter().flatten().filter(move |interface| {
            let detaching = interface.attachment.as_ref().is_some_and(|to| {
                matches!(to.status, AttachmentStatus::Detaching | AttachmentStatus::Detached)
            });
            is_usable(interface, settings) && !detaching
        })
    }

    /// The interface's primary address, if pods may have it.
    pub(super) fn primary(&self, interface: &Interface) -> Option<Ipv4Addr> {
        self.record.settings.use_primary_address.then_some(interface.primary_address)
    }

    /// What is assigned, and to which interface; primary addresses, which cannot be taken away, are not among it.
    pub(super) fn attached(&self) -> BTreeMap<Ipv4Network, String> {
        let of = |interface: &Interface| -> Vec<_> {
            assigned(interface).map(|prefix| (prefix, interface.id.clone())).collect()
        };
        self.usable().flat_map(of).collect()
    }

    /// Whether the node may use a prefix that is assigned.
    pub(super) fn may_use(&self, prefix: Ipv4Network, now: Timestamp) -> MayUse {
        let listed = self.listed.contains(&prefix);
        let seen = self.seen.get(&prefix).copied().unwrap_or_default();
        may_use(prefix, &self.drain, self.drained.as_ref(), Sight { listed, seen, now })
    }

    /// The node's addresses, counted.
    pub(super) fn count(&self, now: Timestamp) -> Count {
        let settings = &self.record.settings;
        // What the node may use, or will be told of: more of it would not come sooner.
        let counts = |prefix: &Ipv4Network| match self.may_use(*prefix, now) {
            MayUse::Yes => true,
            MayUse::No => !self.promised.contains(prefix),
            MayUse::Later(_) => !self.drain.released.contains_key(prefix),
        };
        let prefixes = self.attached().into_keys().filter(counts);
        let of_prefixes: u32 = prefixes.map(Ipv4Network::size).sum();
        let primaries = self.usable().filter(|interface| self.primary(interface).is_some()).count();
        let requested = self.record.requested.unwrap_or(settings.watermarks.pre_allocate);
        Count {
            available: of_prefixes.saturating_add(u32::try_from(primaries).unwrap_or(u32::MAX)),
            used: used(settings.watermarks, requested),
            pending: self.record.pending_pods,
        }
    }

    /// Addresses that the node wants.
    pub(super) fn wanted(&self, now: Timestamp) -> u32 {
        wanted(self.record.settings.watermarks, self.count(now))
    }

    /// Whether it has to be decided what is next.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.stirred || self.due.is_some_and(|due| due <= now)
    }

    /// Smaller is more urgent.
    pub(super) fn urgency(&self) -> i64 {
        let waiting =
            i64::from(self.record.pending_pods) + i64::from(self.record.requested.unwrap_or_default());
        let has: i64 = self.listed.iter().map(|prefix| i64::from(prefix.size())).sum();
        has - waiting
    }

    fn is_idle(&self, prefix: &Ipv4Network) -> bool {
        self.listed.contains(prefix) && !self.record.allocated.contains(prefix)
    }

    /// A single address that nobody uses, in a slot where a prefix could be: where all slots are taken, that is the
    /// way back to prefixes. (cilium #46644: a node that once fell back to single addresses stayed with them.)
    pub(super) fn convertible(&self, has_prefixes: impl Fn(&str) -> bool) -> BTreeSet<Ipv4Network> {
        let asked = self.drain.prefixes.iter().copied().find(|prefix| self.is_idle(prefix));
        let singles =
            self.usable().filter(|interface| has_prefixes(&interface.subnet_id)).flat_map(|interface| {
                let ours = !self.troubles.avoids(&interface.id);
                let singles = interface.secondary_addresses.iter().filter(move |_| ours);
                singles.map(|address| Ipv4Network::from(*address))
            });
        asked.into_iter().chain(singles.filter(|single| self.is_idle(single))).take(1).collect()
    }

    /// What the node could do without: nothing that its agent uses, single addresses before prefixes, and not before
    /// it was so for long enough.
    pub(super) fn excess(&mut self, config: &Config, now: Timestamp) -> BTreeSet<Ipv4Network> {
        if !config.release_excess || self.wanted(now) > 0 {
            self.idle_since.clear();
            return BTreeSet::new();
        }
        let mut left = excess(self.record.settings.watermarks, self.count(now));
        let listed = self.record.status.usable();
        let unused =
            |prefix: &Ipv4Network| !self.record.allocated.contains(prefix) && listed.contains(prefix);
        // What is on an interface that is not ours to change stays there.
        let ours = |(_, interface): &(Ipv4Network, String)| !self.troubles.avoids(interface);
        let attached = self.attached().into_iter().filter(ours).map(|(prefix, _)| prefix);
        let mut idle: Vec<Ipv4Network> = attached.filter(unused).collect();
        // What is asked back already stays asked.
        idle.sort_by_key(|prefix| (!self.drain.prefixes.contains(prefix), prefix.size(), *prefix));
        idle.retain(|prefix| {
            let fits = prefix.size() <= left;
            left -= if fits { prefix.size() } else { 0 };
            fits
        });
        self.idle_since.retain(|prefix, _| idle.contains(prefix));
        let delay = u64::from(config.excess_release_delay) * 1000;
        let since = &mut self.idle_since;
        let asked = &self.drain.prefixes;
        idle.into_iter()
            .filter(|prefix| {
                let since = *since.entry(*prefix).or_insert(now);
                asked.contains(prefix) || now.since(since).as_millis() >= u128::from(delay)
            })
            .collect()
    }
}

/// Prefixes and, as /32, single addresses of an interface.
pub(super) fn assigned(interface: &Interface) -> impl Iterator<Item = Ipv4Network> + '_ {
    let singles = interface.secondary_addresses.iter().map(|address| Ipv4Network::from(*address));
    interface.prefixes.iter().copied().chain(singles)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::InterfaceStatus;

    fn record(version: &str, drain: &str, drained: &str) -> NodeRecord {
        NodeRecord {
            name: "n1".to_owned(),
            instance_id: "i-1".to_owned(),
            resource_version: version.to_owned(),
            drain: Some(drain.to_owned()),
            drained: Some(drained.to_owned()),
            ..NodeRecord::default()
        }
    }

    /// An interface of ours that is attached to nothing.
    fn made(id: &str) -> Interface {
        Interface {
            id: id.to_owned(),
            description: String::new(),
            subnet_id: String::new(),
            vpc_id: String::new(),
            availability_zone: String::new(),
            mac: String::new(),
            primary_address: [10, 0, 0, 1].into(),
            secondary_addresses: Vec::new(),
            prefixes: Vec::new(),
            security_groups: Vec::new(),
            tags: BTreeMap::new(),
            status: InterfaceStatus::Available,
            attachment: None,
            requester_managed: false,
            kind: "interface".to_owned(),
        }
    }

    /// A list of all that was begun before an interface was made, and ends after that, does not have it: another one would
    /// be made. One that was begun before it was attached would have it attached again.
    #[test]
    fn a_look_that_began_too_early_tells_nothing_of_what_is_unattached() {
        let mut node = Node::new(record("1", r#"{"epoch":0}"#, r#"{"epoch":0}"#), 1);
        node.unattached = vec![made("eni-1")];
        node.mutated = Some(Timestamp(100_000));
        let enough = Timestamp(100_000).after(CONSISTENCY);
        node.look(Vec::new(), Some(Vec::new()), Timestamp(enough.0 - 1));
        assert_eq!(node.unattached.len(), 1);
        // Looks at the instance alone do not show what is attached to nothing.
        node.look(Vec::new(), None, enough);
        assert_eq!(node.unattached.len(), 1);
        node.look(Vec::new(), Some(vec![made("eni-2")]), enough);
        assert_eq!(node.unattached[0].id, "eni-2");
        node.look(Vec::new(), Some(Vec::new()), Timestamp(enough.0 - 1));
        assert_eq!(node.unattached.len(), 1, "older than the last one");
    }

    /// A new instance that EC2 shows late waits seconds, and one that is gone costs little.
    #[test]
    fn an_instance_without_a_primary_interface_is_looked_for_again_ever_more_seldom() {
        let mut node = Node::new(record("1", r#"{"epoch":0}"#, r#"{"epoch":0}"#), 1);
        let mut began = Timestamp(1_000_000);
        let mut waits = Vec::new();
        for _ in 0..12 {
            node.look(Vec::new(), Some(Vec::new()), began);
            assert!(node.must_look());
            waits.push(node.ask_from.since(began).as_secs());
            began = node.ask_from;
        }
        assert_eq!(waits, [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        let primary = crate::ec2::Attachment {
            id: String::new(),
            instance_id: "i-1".to_owned(),
            device_index: 0,
            network_card: 0,
            delete_on_termination: true,
            status: AttachmentStatus::Attached,
            attached_at: None,
        };
        node.look(vec![Interface { attachment: Some(primary), ..made("eni-0") }], None, began);
        assert!(!node.must_look());
    }

    #[test]
    fn an_answer_that_overtakes_the_write_is_not_forgotten() {
        let asked = r#"{"epoch":1,"prefixes":["10.0.0.16/28"]}"#;
        let (before, answer) = (r#"{"epoch":0}"#, r#"{"epoch":1,"prefixes":["10.0.0.16/28"]}"#);
        let promised = BTreeSet::from(["10.0.0.16/28".parse().unwrap()]);
        let first = record("1", r#"{"epoch":0}"#, before);
        let written = record("1", asked, before);

        // The watch shows the write, and what the agent says to it, before the write is answered.
        let mut node = Node::new(first.clone(), 1);
        node.observe(record("2", asked, before), false);
        node.observe(record("3", asked, answer), false);
        node.wrote(written.clone(), "2".to_owned());
        assert_eq!(node.promised, promised);
        assert!(node.must_read, "it may have been older, too");

        // The usual order, and the watch that shows no more than the write.
        let mut node = Node::new(first.clone(), 1);
        node.wrote(written.clone(), "2".to_owned());
        assert_eq!((node.drain.epoch.0, node.record.resource_version.as_str()), (1, "2"));
        let mut node = Node::new(first, 1);
        node.observe(record("2", asked, before), false);
        node.wrote(written, "2".to_owned());
        assert_eq!((node.drain.epoch.0, node.must_read), (1, false));
    }
}
