//! All pods that are known, in little room: there may be a hundred thousand of them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use abi::Identity;
use api::PodRef;
use hashbrown::HashTable;
use policy::LabelSet;
use policy::manifest::Pod;

use super::Holder;

/// The number of a pod among those that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PodId(u32);

/// What is known of a pod.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    namespace: Arc<str>,
    name: Box<str>,
    /// Its object.
    pub(super) object: Option<Box<Object>>,
    /// What it has on this node.
    pub(super) local: Option<Box<Local>>,
    /// What its node published.
    pub(super) published: Option<Published>,
}

/// A pod's object.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) pod: Pod,
    /// The labels that make its identity.
    pub(super) labels: LabelSet,
    /// Its identity, where it is no pod of this node.
    pub(super) identity: Identity,
    /// Whether it is gone; kept for as long as the pod is connected here.
    pub(super) gone: bool,
}

/// A pod that is connected here.
#[derive(Clone, Debug, Default)]
pub(super) struct Local {
    /// The addresses that were handed out: what others say of them comes later.
    pub(super) addresses: Vec<IpAddr>,
    /// Who it is; none until its labels have a number. It stays who it was until other labels have one.
    pub(super) who: Option<(Identity, LabelSet)>,
}

/// A pod as its own node published it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) identity: Identity,
    pub(super) addresses: Addresses,
    /// Whether this node is said to be its node.
    pub(super) here: bool,
    /// Its node.
    pub(super) host: Host,
    /// Whether it was told since the last list began.
    pub(super) listed: bool,
}

/// The number of a node's address, in little room. What has none is not told from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Host(u16);

impl Host {
    const UNKNOWN: Self = Self(u16::MAX);
}

/// Addresses of a pod, one a family at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    v4: Option<Ipv4Addr>,
    v6: Option<Box<Ipv6Addr>>,
}

impl Addresses {
    /// The first address of each family.
    pub(super) fn of(all: &[IpAddr]) -> Self {
        let v4 = all.iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        });
        let v6 = all.iter().find_map(|address| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(Box::new(*address)),
        });
        Self { v4, v6 }
    }

    fn list(&self) -> Vec<IpAddr> {
        let v4 = self.v4.into_iter().map(IpAddr::V4);
        v4.chain(self.v6.iter().map(|address| IpAddr::V6(**address))).collect()
    }
}

impl Entry {
    pub(super) fn name(&self) -> PodRef {
        PodRef { namespace: (*self.namespace).to_owned(), name: (*self.name).to_owned() }
    }

    /// The pod as the holder of an address.
    pub(super) fn holder(&self) -> Holder {
        Holder::Pod(Arc::clone(&self.namespace), self.name.clone())
    }

    /// Whether its object says that it is to run on this node, with an address of its own.
    pub(super) fn is_of(&self, node: &str) -> bool {
        self.object
            .as_ref()
            .is_some_and(|object| object.pod.node_name.as_deref() == Some(node) && !object.pod.host_network)
    }

    /// The addresses that it has. `node` is this node.
    pub(super) fn addresses(&self, node: &str) -> Vec<IpAddr> {
        if self.object.as_ref().is_some_and(|object| object.pod.host_network) {
            return Vec::new();
        }
        match (&self.local, &self.published, &self.object) {
            // Of its own pods the node itself knows best.
            (Some(local), ..) => local.addresses.clone(),
            // It is here, or is to be, and not connected yet.
            (None, ..) if self.is_of(node) => Vec::new(),
            (None, Some(published), _) if !published.here => published.addresses.list(),
            (None, _, Some(object)) if !object.pod.is_finished() => object.pod.ips.clone(),
            _ => Vec::new(),
        }
    }

    /// Whether nothing is known of it any more.
    fn is_empty(&self) -> bool {
        self.object.is_none() && self.local.is_none() && self.published.is_none()
    }
}

/// Entries in pages, so that no room is kept for as many again, and none is moved.
#[derive(Debug, Default)]
struct Entries(Vec<Vec<Option<Entry>>>);

/// How many entries a page has.
const PAGE: usize = 4096;

impl Entries {
    fn get(&self, id: u32) -> Option<&Entry> {
        self.0.get(id as usize / PAGE)?.get(id as usize % PAGE)?.as_ref()
    }

    fn slot(&mut self, id: u32) -> Option<&mut Option<Entry>> {
        self.0.get_mut(id as usize / PAGE)?.get_mut(id as usize % PAGE)
    }

    /// How many there is room for now.
    fn len(&self) -> u32 {
        let before = self.0.len().saturating_sub(1) * PAGE;
        (before + self.0.last().map_or(0, Vec::len)) as u32
    }

    fn push(&mut self, entry: Entry) {
        match self.0.last_mut() {
            Some(page) if page.len() < PAGE => page.push(Some(entry)),
            _ => {
                let mut page = Vec::with_capacity(PAGE);
                page.push(Some(entry));
                self.0.push(page);
            }
        }
    }
}

/// Pods by number and by name.
#[derive(Debug, Default)]
pub(super) struct Pods {
    entries: Entries,
    free: Vec<u32>,
    by_name: HashTable<u32>,
    hasher: RandomState,
    namespaces: HashSet<Arc<str>>,
    /// Those that have an object.
    with_object: BTreeSet<PodId>,
    /// What pods published, by identity.
    by_identity: BTreeSet<(Identity, PodId)>,
    /// Addresses of nodes, by number and back. They stay: nodes are few.
    hosts: Vec<IpAddr>,
    host_numbers: HashMap<IpAddr, Host>,
}

impl Pods {
    /// The number of a node's address.
    pub(super) fn host_of(&mut self, address: Option<IpAddr>) -> Host {
        let Some(address) = address else { return Host::UNKNOWN };
        if let Some(known) = self.host_numbers.get(&address) {
            return *known;
        }
        match u16::try_from(self.hosts.len()).map(Host) {
            Ok(new) if new != Host::UNKNOWN => {
                self.hosts.push(address);
                self.host_numbers.insert(address, new);
                new
            }
            _ => Host::UNKNOWN,
        }
    }

    /// The address of a node.
    pub(super) fn host(&self, host: Host) -> Option<IpAddr> {
        self.hosts.get(usize::from(host.0)).copied()
    }

    /// The number of a pod that is known.
    pub(super) fn find(&self, pod: &PodRef) -> Option<PodId> {
        let hash = self.hasher.hash_one((&*pod.namespace, &*pod.name));
        let same = |id: &u32| {
            self.entries
                .get(*id)
                .is_some_and(|entry| *entry.name == *pod.name && *entry.namespace == *pod.namespace)
        };
        self.by_name.find(hash, same).copied().map(PodId)
    }

    /// The number of a pod, which is made known if it is not yet.
    pub(super) fn find_or_insert(&mut self, pod: &PodRef) -> PodId {
        if let Some(known) = self.find(pod) {
            return known;
        }
        let namespace = match self.namespaces.get(&*pod.namespace) {
            Some(known) => Arc::clone(known),
            None => {
                let new: Arc<str> = pod.namespace.as_str().into();
                self.namespaces.insert(Arc::clone(&new));
                new
            }
        };
        let name = pod.name.as_str().into();
        let entry = Entry { namespace, name, object: None, local: None, published: None };
        let id = self.free.pop().unwrap_or(self.entries.len());
        match self.entries.slot(id) {
            Some(free) => *free = Some(entry),
            None => self.entries.push(entry),
        }
        let Self { entries, by_name, hasher, .. } = self;
        let hash =
            |id: &u32| entries.get(*id).map_or(0, |entry| hasher.hash_one((&*entry.namespace, &*entry.name)));
        by_name.insert_unique(hash(&id), id, hash);
        PodId(id)
    }

    pub(super) fn get(&self, id: PodId) -> Option<&Entry> {
        self.entries.get(id.0)
    }

    /// Changes what is known of a pod.
    pub(super) fn change<T>(&mut self, id: PodId, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let entry = self.entries.slot(id.0)?.as_mut()?;
        let before = entry.published.as_ref().map(|published| published.identity);
        let changed = change(entry);
        let after = entry.published.as_ref().map(|published| published.identity);
        if before != after {
            before.map(|identity| self.by_identity.remove(&(identity, id)));
            after.map(|identity| self.by_identity.insert((identity, id)));
        }
        if entry.object.is_some() {
            self.with_object.insert(id);
        } else {
            self.with_object.remove(&id);
        }
        Some(changed)
    }

    /// Forgets a pod of which nothing is known any more.
    pub(super) fn forget_if_empty(&mut self, id: PodId) {
        let Some(slot) = self.entries.slot(id.0) else { return };
        let Some(entry) = slot.take_if(|entry| entry.is_empty()) else { return };
        let hash = self.hasher.hash_one((&*entry.namespace, &*entry.name));
        if let Ok(found) = self.by_name.find_entry(hash, |known| *known == id.0) {
            found.remove();
        }
        self.free.push(id.0);
        // The set's own and this one.
        if Arc::strong_count(&entry.namespace) == 2 {
            self.namespaces.remove(&entry.namespace);
        }
    }

    /// The pods that have an object.
    pub(super) fn with_object(&self) -> impl Iterator<Item = (PodId, &Entry)> {
        self.with_object.iter().filter_map(|id| Some((*id, self.get(*id)?)))
    }

    fn published_mut(&mut self, id: PodId) -> Option<&mut Published> {
        self.entries.slot(id.0)?.as_mut()?.published.as_mut()
    }

    /// What is published is told anew as a whole from here on.
    pub(super) fn begin_list(&mut self) {
        let Self { entries, by_identity, .. } = self;
        for (_, id) in &*by_identity {
            let entry = entries.slot(id.0).and_then(Option::as_mut);
            if let Some(published) = entry.and_then(|entry| entry.published.as_mut()) {
                published.listed = false;
            }
        }
    }

    /// Notes that a pod was told. True where the same was published before.
    pub(super) fn list_again(&mut self, id: PodId, told: &Published) -> bool {
        self.published_mut(id).is_some_and(|known| {
            known.listed = told.listed;
            known == told
        })
    }

    /// The published pods that were not told since the last list began.
    pub(super) fn not_listed(&self) -> Vec<PodId> {
        let is_listed = |id: PodId| {
            self.get(id).and_then(|entry| entry.published.as_ref()).is_some_and(|published| published.listed)
        };
        self.by_identity.iter().map(|(_, id)| *id).filter(|id| !is_listed(*id)).collect()
    }

    /// The pods that were published with an identity.
    pub(super) fn of_identity(&self, identity: Identity) -> Vec<PodId> {
        let range = (identity, PodId(0))..=(identity, PodId(u32::MAX));
        self.by_identity.range(range).map(|(_, id)| *id).collect()
    }

    /// How many pods are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(namespace: &str, name: &str) -> PodRef {
        PodRef { namespace: namespace.into(), name: name.into() }
    }

    #[test]
    fn nothing_is_left_of_a_pod_that_is_forgotten() {
        let mut pods = Pods::default();
        let published = || Published {
            identity: Identity(300),
            addresses: Addresses::of(&[]),
            here: false,
            host: Host::UNKNOWN,
            listed: true,
        };
        assert!(size_of::<Published>() <= 24, "there are a hundred thousand of them");
        let (a, b) = (pods.find_or_insert(&pod("x", "a")), pods.find_or_insert(&pod("x", "b")));
        assert_eq!(pods.find_or_insert(&pod("x", "a")), a);
        for id in [a, b] {
            pods.change(id, |entry| entry.published = Some(published()));
        }
        assert_eq!(pods.of_identity(Identity(300)), [a, b]);
        pods.change(a, |entry| entry.published = None);
        pods.forget_if_empty(a);
        pods.forget_if_empty(b);
        assert_eq!((pods.find(&pod("x", "a")), pods.find(&pod("x", "b"))), (None, Some(b)));
        assert_eq!(pods.of_identity(Identity(300)), [b]);
        pods.change(b, |entry| entry.published = None);
        pods.forget_if_empty(b);
        assert_eq!((pods.len(), pods.namespaces.len(), pods.by_identity.len()), (0, 0, 0));
        assert!([a, b].contains(&pods.find_or_insert(&pod("y", "c"))));
        assert_eq!(pods.entries.len(), 2);
        let many: Vec<PodId> =
            (0..2 * PAGE).map(|i| pods.find_or_insert(&pod("z", &i.to_string()))).collect();
        assert!(many.iter().enumerate().all(|(i, id)| *pods.get(*id).unwrap().name == *i.to_string()));
    }
}
