//! The peers that are known, indexed by what selectors ask for.

use std::collections::{BTreeMap, HashMap};

use abi::{CidrSet, Identity, Peer};
use roaring::RoaringBitmap;

use crate::cidr::CidrRegistry;
use crate::label::{LabelSet, Source};
use crate::peer_selector::{CidrScope, CidrSelector, PeerSelector};
use crate::pod::named_ports;
use crate::port::Protocol;
use crate::selector::{Requirement, Selector, Test};

/// Known peers. Each has a slot; a set of peers is a bitmap of slots.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerIndex {
    slots: Vec<Option<Peer>>,
    free: Vec<u32>,
    peers: BTreeMap<Peer, Entry>,
    labels: BTreeMap<Identity, LabelSet>,
    all: RoaringBitmap,
    outside: RoaringBitmap,
    by_label: HashMap<String, HashMap<(Source, String), RoaringBitmap>>,
    by_set: BTreeMap<CidrSet, RoaringBitmap>,
    by_port: HashMap<String, BTreeMap<(Protocol, u16), RoaringBitmap>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    slot: u32,
    users: usize,
}

impl PeerIndex {
    /// Adds a user of a peer. True where the peer was not known.
    pub(crate) fn add(&mut self, peer: Peer, labels: &LabelSet) -> bool {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.users += 1;
            return false;
        }
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        if slot as usize == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot as usize] = Some(peer);
        self.peers.insert(peer, Entry { slot, users: 1 });
        self.labels.entry(peer.identity).or_insert_with(|| labels.clone());
        self.all.insert(slot);
        if peer.identity.is_world() {
            self.outside.insert(slot);
        }
        self.by_set.entry(peer.cidrs).or_default().insert(slot);
        for label in labels {
            let values = self.by_label.entry(label.key.clone()).or_default();
            values.entry((label.source, label.value.clone())).or_default().insert(slot);
        }
        for port in named_ports(labels) {
            let ports = self.by_port.entry(port.name).or_default();
            ports.entry((port.protocol, port.port)).or_default().insert(slot);
        }
        true
    }

    /// Takes a user of a peer away. True where it was the last.
    pub(crate) fn remove(&mut self, peer: Peer) -> bool {
        let Some(entry) = self.peers.get_mut(&peer) else { return false };
        entry.users -= 1;
        if entry.users > 0 {
            return false;
        }
        let slot = entry.slot;
        self.peers.remove(&peer);
        self.slots[slot as usize] = None;
        self.free.push(slot);
        self.all.remove(slot);
        self.outside.remove(slot);
        if let Some(bitmap) = self.by_set.get_mut(&peer.cidrs) {
            bitmap.remove(slot);
            if bitmap.is_empty() {
                self.by_set.remove(&peer.cidrs);
            }
        }
        let labels = self.labels.get(&peer.identity).cloned().unwrap_or_default();
        for label in &labels {
            let Some(values) = self.by_label.get_mut(&label.key) else { continue };
            // A key of the map without building its parts anew is not to be had; removals are rare.
            let value = (label.source, label.value.clone());
            if let Some(bitmap) = values.get_mut(&value) {
                bitmap.remove(slot);
                if bitmap.is_empty() {
                    values.remove(&value);
                }
            }
            if values.is_empty() {
                self.by_label.remove(&label.key);
            }
        }
        for port in named_ports(&labels) {
            let Some(ports) = self.by_port.get_mut(&port.name) else { continue };
            if let Some(bitmap) = ports.get_mut(&(port.protocol, port.port)) {
                bitmap.remove(slot);
            }
            ports.retain(|_, bitmap| !bitmap.is_empty());
            if ports.is_empty() {
                self.by_port.remove(&port.name);
            }
        }
        let same_identity = |set| Peer { identity: peer.identity, cidrs: CidrSet(set) };
        if self.peers.range(same_identity(0)..=same_identity(u32::MAX)).next().is_none() {
            self.labels.remove(&peer.identity);
        }
        true
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

    /// The peers that a selector selects.
    pub(crate) fn select(&self, selector: &PeerSelector, cidrs: &CidrRegistry) -> RoaringBitmap {
        match selector {
            PeerSelector::Labels(selector) => self.with_labels(selector),
            PeerSelector::Cidr(selector) => self.with_cidr(selector, cidrs),
            PeerSelector::CidrGroup(_) | PeerSelector::Service(_) | PeerSelector::Name(_) => {
                RoaringBitmap::new()
            }
        }
    }

    /// The ports that peers have under a name, each with the peers that have it.
    pub(crate) fn with_port(&self, name: &str) -> impl Iterator<Item = (Protocol, u16, &RoaringBitmap)> {
        self.by_port
            .get(name)
            .into_iter()
            .flatten()
            .map(|((protocol, port), peers)| (*protocol, *port, peers))
    }

    fn with_labels(&self, selector: &Selector) -> RoaringBitmap {
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
    fn with_label(&self, requirement: &Requirement) -> (bool, RoaringBitmap) {
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
                    if let Some(found) = known.get(&(requirement.source, value.clone())) {
                        peers |= found;
                    }
                }
            }
            _ => {
                for ((source, value), found) in known {
                    if requirement.source.accepts(*source)
                        && values.is_none_or(|values| values.contains(value))
                    {
                        peers |= found;
                    }
                }
            }
        }
        (inverted, peers)
    }

    fn with_cidr(&self, selector: &CidrSelector, cidrs: &CidrRegistry) -> RoaringBitmap {
        let mut peers = RoaringBitmap::new();
        for (set, found) in &self.by_set {
            if selects_set(selector, cidrs, *set) {
                peers |= found;
            }
        }
        if selector.scope == CidrScope::Outside { peers & &self.outside } else { peers }
    }
}

/// Whether a selector selects addresses of a set, whoever has them.
pub(crate) fn selects_set(selector: &CidrSelector, cidrs: &CidrRegistry, set: CidrSet) -> bool {
    cidrs.covers(selector.cidr, set) && !selector.except.iter().any(|except| cidrs.covers(*except, set))
}
