//! The peers that are known, indexed by what selectors ask for.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use abi::{CidrSet, Identity, Peer};
use roaring::RoaringBitmap;

use crate::label::{Label, LabelSet, Source};
use crate::pod::named_ports;
use crate::port::Protocol;
use crate::selector::{Requirement, Selector, Test};
use crate::selector_cache::OUTSIDE;
use crate::slots::Slots;

/// Known peers. Each has a slot; a set of peers is a bitmap of slots.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerIndex {
    slots: Vec<Option<Peer>>,
    free: Vec<u32>,
    peers: BTreeMap<Peer, Entry>,
    labels: BTreeMap<Identity, LabelSet>,
    all: RoaringBitmap,
    /// Peers outside the cluster.
    outside: RoaringBitmap,
    /// Peers that are nodes.
    nodes: RoaringBitmap,
    /// By key, then by label. Most labels of a large cluster are those of one workload, and have one peer.
    by_label: HashMap<String, HashMap<Arc<Label>, Slots>>,
    by_set: BTreeMap<CidrSet, RoaringBitmap>,
    by_port: HashMap<String, BTreeMap<(Protocol, u16), RoaringBitmap>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    slot: u32,
    users: usize,
}

impl PeerIndex {
    /// Adds a user of a peer. Its slot where it was not known.
    pub(crate) fn add(&mut self, peer: Peer, labels: &LabelSet) -> Option<u32> {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.users += 1;
            return None;
        }
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        if slot as usize == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot as usize] = Some(peer);
        self.peers.insert(peer, Entry { slot, users: 1 });
        self.all.insert(slot);
        self.by_set.entry(peer.cidrs).or_default().insert(slot);
        let labels = self.labels.entry(peer.identity).or_insert_with(|| labels.clone()).clone();
        self.index(slot, &labels);
        Some(slot)
    }

    /// Takes a user of a peer away. Its slot and labels where it was the last.
    pub(crate) fn remove(&mut self, peer: Peer) -> Option<(u32, LabelSet)> {
        let entry = self.peers.get_mut(&peer)?;
        entry.users -= 1;
        if entry.users > 0 {
            return None;
        }
        let slot = entry.slot;
        self.peers.remove(&peer);
        self.slots[slot as usize] = None;
        self.free.push(slot);
        self.all.remove(slot);
        if let Some(bitmap) = self.by_set.get_mut(&peer.cidrs) {
            bitmap.remove(slot);
            if bitmap.is_empty() {
                self.by_set.remove(&peer.cidrs);
            }
        }
        let labels = self.labels.get(&peer.identity).cloned().unwrap_or_default();
        self.unindex(slot, &labels);
        if self.of_identity(peer.identity).next().is_none() {
            self.labels.remove(&peer.identity);
        }
        Some((slot, labels))
    }

    /// Gives an identity other labels.
    pub(crate) fn relabel(&mut self, identity: Identity, labels: &LabelSet) {
        let slots: Vec<u32> = self.of_identity(identity).map(|(_, slot)| slot).collect();
        let before = self.labels.insert(identity, labels.clone()).unwrap_or_default();
        for slot in slots {
            self.unindex(slot, &before);
            self.index(slot, labels);
        }
    }

    /// The peers of an identity, each with its slot.
    pub(crate) fn of_identity(&self, identity: Identity) -> impl Iterator<Item = (Peer, u32)> + '_ {
        let same_identity = |set| Peer { identity, cidrs: CidrSet(set) };
        let all = self.peers.range(same_identity(0)..=same_identity(u32::MAX));
        all.map(|(peer, entry)| (*peer, entry.slot))
    }

    fn index(&mut self, slot: u32, labels: &LabelSet) {
        let carries = |name: &&str| labels.get(Source::Reserved, name).is_some();
        if OUTSIDE.iter().any(carries) {
            self.outside.insert(slot);
        }
        if ["host", "remote-node"].iter().any(carries) {
            self.nodes.insert(slot);
        }
        for label in labels.shared() {
            // Keys are few: nearly all are known.
            if !self.by_label.contains_key(&label.key) {
                self.by_label.insert(label.key.clone(), HashMap::new());
            }
            if let Some(values) = self.by_label.get_mut(&label.key) {
                values.entry(Arc::clone(label)).or_default().insert(slot);
            }
        }
        for port in named_ports(labels) {
            let ports = self.by_port.entry(port.name).or_default();
            ports.entry((port.protocol, port.port)).or_default().insert(slot);
        }
    }

    fn unindex(&mut self, slot: u32, labels: &LabelSet) {
        self.outside.remove(slot);
        self.nodes.remove(slot);
        for label in labels {
            let Some(values) = self.by_label.get_mut(&label.key) else { continue };
            if let Some(slots) = values.get_mut(label) {
                slots.remove(slot);
                if slots.is_empty() {
                    values.remove(label);
                }
            }
            if values.is_empty() {
                self.by_label.remove(&label.key);
            }
        }
        for port in named_ports(labels) {
            let Some(ports) = self.by_port.get_mut(&port.name) else { continue };
            if let Some(bitmap) = ports.get_mut(&(port.protocol, port.port)) {
                bitmap.remove(slot);
            }
            ports.retain(|_, bitmap| !bitmap.is_empty());
            if ports.is_empty() {
                self.by_port.remove(&port.name);
            }
        }
    }

    /// The slot of a peer that is known.
    pub(crate) fn slot(&self, peer: Peer) -> Option<u32> {
        self.peers.get(&peer).map(|entry| entry.slot)
    }

    /// The labels of an identity that is known.
    pub(crate) fn labels(&self, identity: Identity) -> Option<&LabelSet> {
        self.labels.get(&identity)
    }

    /// All peers in order, each with its slot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Peer, u32)> + '_ {
        self.peers.iter().map(|(peer, entry)| (*peer, entry.slot))
    }

    /// One more than the highest slot.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Peers outside the cluster.
    pub(crate) const fn outside(&self) -> &RoaringBitmap {
        &self.outside
    }

    /// Peers that are nodes.
    pub(crate) const fn nodes(&self) -> &RoaringBitmap {
        &self.nodes
    }

    /// The peer of a slot.
    pub(crate) fn peer(&self, slot: u32) -> Option<Peer> {
        self.slots.get(slot as usize).copied().flatten()
    }

    /// The peers whose sets of CIDRs are wanted.
    pub(crate) fn with_sets(&self, wanted: impl Fn(CidrSet) -> bool) -> RoaringBitmap {
        let sets = self.by_set.iter().filter(|(set, _)| wanted(**set));
        sets.fold(RoaringBitmap::new(), |all, (_, peers)| all | peers)
    }

    /// The ports that peers have under a name, each with the peers that have it.
    pub(crate) fn with_port(&self, name: &str) -> impl Iterator<Item = (Protocol, u16, &RoaringBitmap)> {
        self.by_port
            .get(name)
            .into_iter()
            .flatten()
            .map(|((protocol, port), peers)| (*protocol, *port, peers))
    }

    /// The peers whose labels a selector matches.
    pub(crate) fn with_labels(&self, selector: &Selector) -> RoaringBitmap {
        let mut requirements: Vec<_> = selector.requirements().iter().map(|r| self.with_label(r)).collect();
        // The smallest first: each step is then cheap.
        requirements.sort_by_key(|(inverted, peers)| (*inverted, peers.len()));
        let mut selected: Option<RoaringBitmap> = None;
        for (inverted, peers) in requirements {
            selected = Some(match (selected, inverted) {
                (None, false) => peers,
                (None, true) => &self.all - peers,
                (Some(selected), false) => selected & peers,
                (Some(selected), true) => selected - peers,
            });
        }
        selected.unwrap_or_else(|| self.all.clone())
    }

    /// The peers for which a requirement holds; or, where the first value is true, those for which it doesn't.
    pub(crate) fn with_label(&self, requirement: &Requirement) -> (bool, RoaringBitmap) {
        let (inverted, values) = match &requirement.test {
            Test::In(values) => (false, Some(values)),
            Test::NotIn(values) => (true, Some(values)),
            Test::Exists => (false, None),
            Test::DoesNotExist => (true, None),
        };
        let mut peers = RoaringBitmap::new();
        let Some(known) = self.by_label.get(&requirement.key) else { return (inverted, peers) };
        match values {
            Some(values) if requirement.source != Source::Any => {
                for value in values {
                    let label = Label::new(requirement.source, &requirement.key, value);
                    if let Some(found) = known.get(&label) {
                        found.add_to(&mut peers);
                    }
                }
            }
            _ => {
                for (label, found) in known {
                    if requirement.source.accepts(label.source)
                        && values.is_none_or(|values| values.contains(&label.value))
                    {
                        found.add_to(&mut peers);
                    }
                }
            }
        }
        (inverted, peers)
    }
}
