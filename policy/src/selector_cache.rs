//! The selectors that policies use, each with the peers that it selects.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use abi::Peer;
use ipnetwork::IpNetwork;
use roaring::RoaringBitmap;

use crate::cidr::CidrRegistry;
use crate::facts::{Facts, Part};
use crate::label::{LabelSet, Source};
use crate::peer_selector::{CidrScope, CidrSelector, PeerSelector};
use crate::peers::PeerIndex;
use crate::selector::{Requirement, Selector, Test};

/// The number of a selector in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SelectorId(u32);

/// The number of a compiled policy that is kept up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LiveId(pub(crate) u32);

/// What a selector is asked against.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) peers: &'a PeerIndex,
    pub(crate) cidrs: &'a CidrRegistry,
    pub(crate) cidrs_match_nodes: bool,
}

impl Context<'_> {
    /// Whether a part of a selector selects a peer with these labels.
    pub(crate) fn selects(&self, part: &Part, peer: Peer, labels: &LabelSet) -> bool {
        match part {
            Part::Labels(selector) => selector.matches(labels),
            Part::Cidr(selector) => {
                self.cidrs.selects(selector, peer.cidrs) && self.in_scope(selector.scope, labels)
            }
        }
    }

    fn in_scope(&self, scope: CidrScope, labels: &LabelSet) -> bool {
        let carries = |names: &[&str]| names.iter().any(|name| labels.get(Source::Reserved, name).is_some());
        match scope {
            CidrScope::Everyone => true,
            CidrScope::Outside => {
                carries(&OUTSIDE) || (self.cidrs_match_nodes && carries(&["host", "remote-node"]))
            }
        }
    }

    fn peers_of(&self, part: &Part) -> RoaringBitmap {
        match part {
            Part::Labels(selector) => self.peers.with_labels(selector),
            Part::Cidr(selector) => {
                let covered = self.peers.with_sets(|set| self.cidrs.selects(selector, set));
                match selector.scope {
                    CidrScope::Everyone => covered,
                    CidrScope::Outside if self.cidrs_match_nodes => {
                        covered & (self.peers.outside() | self.peers.nodes())
                    }
                    CidrScope::Outside => covered & self.peers.outside(),
                }
            }
        }
    }
}

/// The names of the reserved labels of what lies outside the cluster.
pub(crate) const OUTSIDE: [&str; 3] = ["world", "world-ipv4", "world-ipv6"];

#[derive(Clone, Debug)]
struct Entry {
    selector: PeerSelector,
    /// How often policies name it.
    named: usize,
    parts: Vec<Part>,
    /// The peers, once somebody asked for them.
    peers: Option<RoaringBitmap>,
    /// The compiled policies that use it, and their atoms that do.
    users: BTreeMap<LiveId, Vec<u32>>,
}

/// The selectors of all policies. Peers that come and go are offered only to those selectors that might select them.
#[derive(Clone, Debug, Default)]
pub(crate) struct SelectorCache {
    ids: HashMap<PeerSelector, SelectorId>,
    entries: BTreeMap<SelectorId, Entry>,
    last: u32,
    index: Index,
}

/// The slots of peers that a selector began or ceased to select.
pub(crate) struct Refreshed {
    pub(crate) users: Vec<LiveId>,
    pub(crate) changed: RoaringBitmap,
}

impl SelectorCache {
    /// Adds a use by a policy. True where the selector is new.
    pub(crate) fn acquire(&mut self, selector: &PeerSelector, facts: &Facts) -> bool {
        if let Some(entry) = self.ids.get(selector).and_then(|id| self.entries.get_mut(id)) {
            entry.named += 1;
            return false;
        }
        self.last += 1;
        let id = SelectorId(self.last);
        let parts = facts.parts(selector);
        self.ids.insert(selector.clone(), id);
        let entry =
            Entry { selector: selector.clone(), named: 1, parts, peers: None, users: BTreeMap::new() };
        self.entries.insert(id, entry);
        true
    }

    /// Takes a use by a policy away. The parts of the selector where it was the last use.
    pub(crate) fn release(&mut self, selector: &PeerSelector) -> Option<Vec<Part>> {
        let id = *self.ids.get(selector)?;
        let entry = self.entries.get_mut(&id)?;
        entry.named -= 1;
        if entry.named > 0 {
            return None;
        }
        self.index.remove(id);
        self.ids.remove(selector);
        self.entries.remove(&id).map(|entry| entry.parts)
    }

    /// What a selector that policies name comes down to.
    pub(crate) fn parts(&self, selector: &PeerSelector) -> &[Part] {
        self.ids.get(selector).and_then(|id| self.entries.get(id)).map_or(&[], |entry| &entry.parts)
    }

    /// The number of a selector that policies name, and the peers that it selects.
    pub(crate) fn select(
        &mut self,
        selector: &PeerSelector,
        context: Context<'_>,
    ) -> Option<(SelectorId, &RoaringBitmap)> {
        let id = *self.ids.get(selector)?;
        let entry = self.entries.get_mut(&id)?;
        if entry.peers.is_none() {
            self.index.insert(id, &entry.parts, context.peers);
        }
        let parts = &entry.parts;
        let peers = entry.peers.get_or_insert_with(|| {
            parts.iter().fold(RoaringBitmap::new(), |all, part| all | context.peers_of(part))
        });
        Some((id, peers))
    }

    /// Forgets who is selected: selectors are asked anew.
    pub(crate) fn forget_peers(&mut self) {
        self.index = Index::default();
        for entry in self.entries.values_mut() {
            entry.peers = None;
            entry.users.clear();
        }
    }

    /// Notes that atoms of a compiled policy use a selector.
    pub(crate) fn add_user(&mut self, id: SelectorId, live: LiveId, atom: u32) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.users.entry(live).or_default().push(atom);
        }
    }

    /// Forgets a compiled policy that used these selectors.
    pub(crate) fn remove_user(&mut self, live: LiveId, selectors: impl IntoIterator<Item = SelectorId>) {
        for id in selectors {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.users.remove(&live);
            }
        }
    }

    /// Takes in a peer that came. Returns the compiled policies with atoms that name it.
    pub(crate) fn peer_came(
        &mut self,
        slot: u32,
        peer: Peer,
        labels: &LabelSet,
        context: Context<'_>,
    ) -> BTreeMap<LiveId, Vec<u32>> {
        let mut naming: BTreeMap<LiveId, Vec<u32>> = BTreeMap::new();
        for id in self.index.candidates(peer, labels, context.cidrs) {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            if let Some(peers) = &mut entry.peers
                && entry.parts.iter().any(|part| context.selects(part, peer, labels))
            {
                peers.insert(slot);
                for (live, atoms) in &entry.users {
                    naming.entry(*live).or_default().extend(atoms);
                }
            }
        }
        naming
    }

    /// Takes a peer out that went. Returns the compiled policies with atoms that named it.
    pub(crate) fn peer_went(
        &mut self,
        slot: u32,
        peer: Peer,
        labels: &LabelSet,
        cidrs: &CidrRegistry,
    ) -> BTreeSet<LiveId> {
        let mut naming = BTreeSet::new();
        for id in self.index.candidates(peer, labels, cidrs) {
            if let Some(entry) = self.entries.get_mut(&id)
                && entry.peers.as_mut().is_some_and(|peers| peers.remove(slot))
            {
                naming.extend(entry.users.keys());
            }
        }
        naming
    }

    /// Looks groups or services up anew, for the selectors of which `affected` says yes. Returns the parts before and
    /// after of those that changed.
    pub(crate) fn look_up(
        &mut self,
        facts: &Facts,
        affected: impl Fn(&PeerSelector) -> bool,
    ) -> Vec<(SelectorId, Vec<Part>, Vec<Part>)> {
        let mut changed = Vec::new();
        for (id, entry) in self.entries.iter_mut().filter(|(_, entry)| affected(&entry.selector)) {
            let parts = facts.parts(&entry.selector);
            if parts != entry.parts {
                let before = std::mem::replace(&mut entry.parts, parts.clone());
                changed.push((*id, before, parts));
            }
        }
        changed
    }

    /// Asks a selector anew whose parts changed.
    pub(crate) fn refresh(&mut self, id: SelectorId, context: Context<'_>) -> Option<Refreshed> {
        let entry = self.entries.get_mut(&id)?;
        let before = entry.peers.take()?;
        self.index.remove(id);
        self.index.insert(id, &entry.parts, context.peers);
        let after = entry.parts.iter().fold(RoaringBitmap::new(), |all, part| all | context.peers_of(part));
        let changed = &before ^ &after;
        entry.peers = Some(after);
        Some(Refreshed { users: entry.users.keys().copied().collect(), changed })
    }

    /// The patterns of DNS names that policies select peers by.
    pub(crate) fn names(&self) -> impl Iterator<Item = &crate::name_pattern::NamePattern> {
        self.entries.values().filter_map(|entry| match &entry.selector {
            PeerSelector::Name(pattern) => Some(pattern),
            _ => None,
        })
    }

    /// The selectors that select a slot, among these.
    pub(crate) fn selects(&self, id: SelectorId, slot: u32) -> bool {
        self.entries.get(&id).and_then(|entry| entry.peers.as_ref()).is_some_and(|peers| peers.contains(slot))
    }
}

/// Finds the selectors that might select a peer, by one thing that each of them asks for.
#[derive(Clone, Debug, Default)]
struct Index {
    by_value: HashMap<String, HashMap<String, HashSet<SelectorId>>>,
    by_key: HashMap<String, HashSet<SelectorId>>,
    by_cidr: HashMap<IpNetwork, HashSet<SelectorId>>,
    /// Those that ask for nothing, or only for what must not be.
    always: HashSet<SelectorId>,
    anchors: HashMap<SelectorId, Vec<Anchor>>,
}

#[derive(Clone, Debug)]
enum Anchor {
    Value(String, String),
    Key(String),
    Cidr(IpNetwork),
    Always,
}

impl Index {
    fn insert(&mut self, id: SelectorId, parts: &[Part], peers: &PeerIndex) {
        let anchors: Vec<Anchor> = parts
            .iter()
            .flat_map(|part| match part {
                Part::Labels(selector) => anchors(selector, peers),
                Part::Cidr(CidrSelector { cidr, .. }) => vec![Anchor::Cidr(*cidr)],
            })
            .collect();
        for anchor in &anchors {
            match anchor {
                Anchor::Value(key, value) => {
                    let values = self.by_value.entry(key.clone()).or_default();
                    values.entry(value.clone()).or_default().insert(id);
                }
                Anchor::Key(key) => {
                    self.by_key.entry(key.clone()).or_default().insert(id);
                }
                Anchor::Cidr(cidr) => {
                    self.by_cidr.entry(*cidr).or_default().insert(id);
                }
                Anchor::Always => {
                    self.always.insert(id);
                }
            }
        }
        self.anchors.insert(id, anchors);
    }

    fn remove(&mut self, id: SelectorId) {
        for anchor in self.anchors.remove(&id).into_iter().flatten() {
            match anchor {
                Anchor::Value(key, value) => {
                    let Some(values) = self.by_value.get_mut(&key) else { continue };
                    if let Some(ids) = values.get_mut(&value) {
                        ids.remove(&id);
                        if ids.is_empty() {
                            values.remove(&value);
                        }
                    }
                    if values.is_empty() {
                        self.by_value.remove(&key);
                    }
                }
                Anchor::Key(key) => {
                    if let Some(ids) = self.by_key.get_mut(&key) {
                        ids.remove(&id);
                        if ids.is_empty() {
                            self.by_key.remove(&key);
                        }
                    }
                }
                Anchor::Cidr(cidr) => {
                    if let Some(ids) = self.by_cidr.get_mut(&cidr) {
                        ids.remove(&id);
                        if ids.is_empty() {
                            self.by_cidr.remove(&cidr);
                        }
                    }
                }
                Anchor::Always => {
                    self.always.remove(&id);
                }
            }
        }
    }

    fn candidates(&self, peer: Peer, labels: &LabelSet, cidrs: &CidrRegistry) -> BTreeSet<SelectorId> {
        let mut found: BTreeSet<SelectorId> = self.always.iter().copied().collect();
        for label in labels {
            let by_value = self.by_value.get(&label.key).and_then(|values| values.get(&label.value));
            found.extend(by_value.into_iter().flatten());
            found.extend(self.by_key.get(&label.key).into_iter().flatten());
        }
        for cidr in cidrs.covering(peer.cidrs) {
            found.extend(self.by_cidr.get(&cidr).into_iter().flatten());
        }
        found
    }
}

/// What a selector asks for that the fewest peers have.
fn anchors(selector: &Selector, peers: &PeerIndex) -> Vec<Anchor> {
    let positive = selector.requirements().iter().filter_map(|requirement| {
        let anchors = match &requirement.test {
            Test::In(values) => {
                values.iter().map(|value| Anchor::Value(requirement.key.clone(), value.clone())).collect()
            }
            Test::Exists => vec![Anchor::Key(requirement.key.clone())],
            Test::NotIn(_) | Test::DoesNotExist => return None,
        };
        Some((frequency(requirement, peers), anchors))
    });
    positive
        .min_by_key(|(frequency, _)| *frequency)
        .map_or_else(|| vec![Anchor::Always], |(_, anchors)| anchors)
}

fn frequency(requirement: &Requirement, peers: &PeerIndex) -> u64 {
    peers.with_label(requirement).1.len()
}
