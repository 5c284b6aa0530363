//! Who has which address.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use abi::{Identity, Peer};
use ipnetwork::IpNetwork;

use crate::address_map::AddressMap;
use crate::cidr::world;
use crate::identity::{IdentityAllocator, LocalIdentities, reserved_labels};
use crate::label::{Label, LabelSet, Source};
use crate::name_pattern::NamePattern;
use crate::selector_cache::OUTSIDE;

/// Who has which address: pods and nodes, which were told, and what lies outside and was learned from DNS. What was
/// told and lies outside (the API server of a managed cluster) may have been learned as well.
#[derive(Clone, Debug)]
pub(super) struct Holders {
    told: AddressMap<Identity>,
    /// The labels of those who were told, once for each identity.
    labels: HashMap<Identity, Told>,
    names: BTreeMap<IpAddr, BTreeSet<String>>,
    /// What each address was last entered as.
    entered: AddressMap<Peer>,
    /// The addresses that were entered anew, where somebody wants to know.
    changed: Option<HashSet<IpAddr>>,
    /// Numbers for the sets of patterns that addresses outside were learned by.
    identities: LocalIdentities,
    /// How many addresses have such a number.
    learned: HashMap<Identity, usize>,
}

/// The labels of an identity, and how many addresses have it.
#[derive(Clone, Debug)]
struct Told {
    labels: LabelSet,
    addresses: usize,
}

/// Whether who carries these labels lies outside the cluster.
fn is_outside(labels: &LabelSet) -> bool {
    OUTSIDE.iter().any(|name| labels.get(Source::Reserved, name).is_some())
}

impl Holders {
    pub(super) fn new(identities: LocalIdentities) -> Self {
        Self {
            told: AddressMap::default(),
            labels: HashMap::new(),
            names: BTreeMap::new(),
            entered: AddressMap::default(),
            changed: None,
            identities,
            learned: HashMap::new(),
        }
    }

    pub(super) const fn identities(&self) -> &LocalIdentities {
        &self.identities
    }

    /// Says who has an address. True where that is new.
    pub(super) fn tell(&mut self, addr: IpAddr, identity: Identity, labels: LabelSet) -> bool {
        let before = self.told.insert(addr, identity);
        let of_identity =
            self.labels.entry(identity).or_insert_with(|| Told { labels: labels.clone(), addresses: 0 });
        let has_labels = of_identity.labels == labels;
        of_identity.labels = labels;
        if before == Some(identity) {
            return !has_labels;
        }
        of_identity.addresses += 1;
        if let Some(before) = before {
            self.untell(before);
        }
        true
    }

    /// Gives all addresses of an identity other labels. Returns those that are somebody else for it: who was learned
    /// from DNS too has an identity of both.
    pub(super) fn relabel(&mut self, identity: Identity, labels: &LabelSet) -> Vec<IpAddr> {
        let Some(told) = self.labels.get_mut(&identity) else { return Vec::new() };
        told.labels.clone_from(labels);
        let learned = self.names.keys().copied();
        learned.filter(|addr| self.told.get(*addr) == Some(&identity)).collect()
    }

    pub(super) fn forget(&mut self, addr: IpAddr) -> bool {
        let before = self.told.remove(addr);
        if let Some(before) = before {
            self.untell(before);
        }
        before.is_some()
    }

    fn untell(&mut self, identity: Identity) {
        if let Some(told) = self.labels.get_mut(&identity) {
            told.addresses -= 1;
            if told.addresses == 0 {
                self.labels.remove(&identity);
            }
        }
    }

    /// What every address was last entered as.
    pub(super) const fn entered(&self) -> &AddressMap<Peer> {
        &self.entered
    }

    /// Enters an address as somebody, or as nobody. Returns what it was before.
    pub(super) fn enter(&mut self, addr: IpAddr, peer: Option<Peer>) -> Option<Peer> {
        if let Some(changed) = &mut self.changed {
            changed.insert(addr);
        }
        match peer {
            Some(peer) => self.entered.insert(addr, peer),
            None => self.entered.remove(addr),
        }
    }

    /// The addresses that were entered anew since the last call; none where it is the first one.
    pub(super) fn take_changed(&mut self) -> Option<HashSet<IpAddr>> {
        self.changed.replace(HashSet::new())
    }

    /// Says by which names an address was learned. True where that is new.
    pub(super) fn learn(&mut self, addr: IpAddr, names: BTreeSet<String>) -> bool {
        if names.is_empty() {
            return self.names.remove(&addr).is_some();
        }
        self.names.insert(addr, names.clone()) != Some(names)
    }

    /// The addresses that were learned by a name of a pattern.
    pub(super) fn learned_by(&self, pattern: &NamePattern) -> Vec<IpAddr> {
        let matching = |names: &BTreeSet<String>| names.iter().any(|name| pattern.matches(name));
        self.names.iter().filter(|(_, names)| matching(names)).map(|(addr, _)| *addr).collect()
    }

    /// The known addresses of a CIDR.
    pub(super) fn within(&self, cidr: IpNetwork) -> Vec<IpAddr> {
        self.entered.within(cidr).map(|(addr, _)| addr).collect()
    }

    /// Who has an address now; none where that is nobody in particular. `patterns` are those in use.
    pub(super) fn holder<'a>(
        &mut self,
        addr: IpAddr,
        patterns: impl Iterator<Item = &'a NamePattern>,
    ) -> Option<(Identity, LabelSet)> {
        let of_identity = |identity: &Identity| Some((*identity, self.labels.get(identity)?.labels.clone()));
        let told = self.told.get(addr).and_then(of_identity);
        let known = match &told {
            Some((_, labels)) if !is_outside(labels) => return told,
            Some((_, labels)) => labels.clone(),
            None => reserved_labels(world(&addr.into())),
        };
        let Some(names) = self.names.get(&addr) else { return told };
        let matching = patterns.filter(|pattern| names.iter().any(|name| pattern.matches(name)));
        let learned: Vec<Label> =
            matching.map(|pattern| Label::new(Source::Fqdn, pattern.as_str(), "")).collect();
        if learned.is_empty() {
            return told;
        }
        let labels: LabelSet = known.iter().cloned().chain(learned).collect();
        // Without a number left, it stays what it was: what allows it by name does not.
        match self.identities.allocate(&labels) {
            Ok(identity) => Some((identity, labels)),
            Err(_) => told,
        }
    }

    /// Counts an address in, if it has a number of a set of patterns.
    pub(super) fn count_in(&mut self, identity: Identity) {
        if identity.0 & Identity::LOCAL_SCOPE != 0 {
            *self.learned.entry(identity).or_default() += 1;
        }
    }

    /// Counts an address out. A number of a set of patterns that no address has any more is given back.
    pub(super) fn count_out(&mut self, identity: Identity, labels: &LabelSet) {
        let Some(count) = self.learned.get_mut(&identity) else { return };
        *count -= 1;
        if *count == 0 {
            self.learned.remove(&identity);
            self.identities.release(labels);
        }
    }
}
