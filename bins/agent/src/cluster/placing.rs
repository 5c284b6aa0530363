//! Pods get their identities and their addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use abi::Identity;
use api::PodRef;
use policy::manifest::Pod;
use policy::{LabelSet, reserved_labels};

use super::Cluster;
use super::holders::Claim;
use super::numbers::Numbered;
use super::pods::{Addresses, Entry, Local, Object, PodId, Published};
use crate::source::RemoteEndpoint;

impl Cluster {
    pub(super) fn set_pod(&mut self, pod: Pod) {
        let name = PodRef { namespace: pod.meta.namespace().to_owned(), name: pod.meta.name.clone() };
        let labels = self.labels_of(&pod);
        let labels = self.shared.share(&labels);
        let id = self.pods.find_or_insert(&name);
        self.change_pod(id, |entry| {
            entry.object = Some(Box::new(Object { pod, labels, identity: Identity::INIT, gone: false }));
        });
    }

    pub(super) fn remove_pod(&mut self, name: &PodRef) {
        let Some(id) = self.pods.find(name) else { return };
        self.change_pod(id, |entry| match &mut entry.object {
            // While it is still connected, it stays who it was.
            Some(object) if entry.local.is_some() => object.gone = true,
            _ => entry.object = None,
        });
    }

    pub(super) fn set_endpoint(&mut self, endpoint: &RemoteEndpoint) {
        let here = endpoint.node.is_some_and(|node| self.own_addresses.contains(&node));
        let host = self.pods.host_of(endpoint.node);
        let published = Published {
            identity: endpoint.identity,
            addresses: Addresses::of(&endpoint.addresses),
            here,
            host,
            listed: true,
        };
        let id = self.pods.find_or_insert(&endpoint.pod);
        if self.pods.list_again(id, &published) {
            return;
        }
        self.change_pod(id, |entry| entry.published = Some(published));
    }

    pub(super) fn remove_endpoint(&mut self, name: &PodRef) {
        let Some(id) = self.pods.find(name) else { return };
        self.change_pod(id, |entry| entry.published = None);
    }

    /// Forgets what was published of pods that the list that just ended did not have.
    pub(super) fn remove_unlisted_endpoints(&mut self) {
        for id in self.pods.not_listed() {
            self.change_pod(id, |entry| entry.published = None);
        }
    }

    /// Notes that addresses were handed to a pod of this node.
    pub fn set_local(&mut self, pod: Option<&PodRef>, addresses: &[IpAddr]) {
        self.changed.pods = true;
        self.touch(addresses);
        let Some(pod) = pod else {
            // Nobody's policy can know it: it stays closed.
            for address in addresses {
                self.claim(*address, Claim::Nameless);
            }
            return;
        };
        let id = self.pods.find_or_insert(pod);
        self.change_pod(id, |entry| {
            entry.local.get_or_insert_default().addresses = addresses.to_vec();
        });
    }

    /// Notes that a pod of this node is gone.
    pub fn remove_local(&mut self, pod: Option<&PodRef>, addresses: &[IpAddr]) {
        self.changed.pods = true;
        self.touch(addresses);
        let Some(pod) = pod else {
            for address in addresses {
                self.release(*address, Claim::Nameless);
            }
            return;
        };
        let Some(id) = self.pods.find(pod) else { return };
        self.change_pod(id, |entry| {
            // A new sandbox of the pod may have other ones by now.
            if entry.local.as_ref().is_some_and(|local| local.addresses == addresses) {
                entry.local = None;
                if entry.object.as_ref().is_some_and(|object| object.gone) {
                    entry.object = None;
                }
            }
        });
    }

    /// Takes over the labels of a namespace.
    pub(super) fn set_namespace(&mut self, name: &str, labels: Option<BTreeMap<String, String>>) {
        let same = self.namespaces.get(name) == labels.as_ref();
        match labels {
            Some(labels) => self.namespaces.insert(name.to_owned(), labels),
            None => self.namespaces.remove(name),
        };
        if same {
            return;
        }
        let of_namespace = |(id, entry): (PodId, &Entry)| {
            let pod = &entry.object.as_ref()?.pod;
            (pod.meta.namespace() == name).then(|| (id, self.labels_of(pod)))
        };
        let relabelled: Vec<(PodId, LabelSet)> = self.pods.with_object().filter_map(of_namespace).collect();
        for (id, labels) in relabelled {
            self.change_pod(id, |entry| {
                if let Some(object) = &mut entry.object {
                    object.labels = labels;
                }
            });
        }
    }

    /// A number stands for these labels from now on.
    pub(super) fn set_identity(&mut self, number: Identity, labels: &LabelSet) {
        let super::Numbers::Given(given) = &mut self.identities else { return };
        if !(Identity::CLUSTER_MIN..=Identity::CLUSTER_MAX).contains(&number) {
            return;
        }
        let labels = &self.shared.share(labels);
        let before = given.tell(number, labels);
        // Who still had the number from before it was another's is nobody now.
        let stale =
            |local: &Local| local.who.as_ref().is_some_and(|(held, of)| *held == number && of != labels);
        let of_others: Vec<PodId> = self
            .local_pods()
            .filter(|(_, entry)| entry.local.as_deref().is_some_and(stale))
            .map(|(id, _)| id)
            .collect();
        for id in of_others {
            self.change_pod(id, |entry| {
                if let Some(local) = &mut entry.local {
                    local.who = None;
                }
            });
        }
        self.place_number(number);
        self.place_labels(labels);
        if let Some(before) = before {
            self.place_labels(&before);
        }
    }

    /// A number stands for nothing any more. Pods of this node stay who they were, and want another number.
    pub(super) fn remove_identity(&mut self, number: Identity) {
        let super::Numbers::Given(given) = &mut self.identities else { return };
        let Some(labels) = given.forget(number) else { return };
        self.place_number(number);
        self.place_labels(&labels);
    }

    /// Enters those anew who were published with a number.
    fn place_number(&mut self, number: Identity) {
        for id in self.pods.of_identity(number) {
            self.change_pod(id, |_| {});
        }
    }

    /// Asks anew which number pods with these labels get.
    fn place_labels(&mut self, labels: &LabelSet) {
        let ids: Vec<PodId> = self.by_labels.get(labels).into_iter().flatten().copied().collect();
        for id in ids {
            self.change_pod(id, |_| {});
        }
    }

    /// Changes what is known of a pod, and brings its identity and its addresses in line with it.
    fn change_pod(&mut self, id: PodId, change: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.pods.get(id) else { return };
        let before = entry.addresses(&self.node);
        let labels_before = entry.object.as_ref().map(|object| object.labels.clone());
        self.pods.change(id, change);
        let Some(entry) = self.pods.get(id) else { return };
        let after = entry.addresses(&self.node);
        let labels_after = entry.object.as_ref().map(|object| object.labels.clone());
        let is_coming = || {
            let is_finished = entry.object.as_ref().is_some_and(|object| object.pod.is_finished());
            entry.is_of(&self.node) && !is_finished
        };
        let is_ours = entry.local.is_some() || is_coming();
        let is_unpublished = entry.published.is_none();
        if labels_before != labels_after {
            self.index(id, labels_before.as_ref(), labels_after.as_ref());
        }
        if let Some(labels) = &labels_after
            && (is_ours || is_unpublished)
        {
            self.identify(id, labels, is_ours);
        }
        let claim = Claim::Pod(id);
        for address in before.iter().filter(|address| !after.contains(address)) {
            self.release(*address, claim);
        }
        for address in after {
            self.claim(address, claim);
        }
        self.pods.forget_if_empty(id);
    }

    /// Notes which labels a pod has whose object is known.
    fn index(&mut self, id: PodId, before: Option<&LabelSet>, after: Option<&LabelSet>) {
        if let Some(before) = before
            && let Some(ids) = self.by_labels.get_mut(before)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_labels.remove(before);
                self.identities.want_no_more(before);
            }
        }
        if let Some(after) = after {
            self.by_labels.entry(after.clone()).or_default().insert(id);
        }
    }

    /// Whether a pod that is connected here has an identity. Always true of pods whose numbers nobody else gives.
    #[must_use]
    pub fn is_identified(&self, pod: &PodRef) -> bool {
        let local = || self.pods.get(self.pods.find(pod)?)?.local.as_ref()?.who.as_ref().map(|_| ());
        matches!(self.identities, super::Numbers::Own(_)) || local().is_some()
    }

    /// Looks for the number of a pod's labels.
    fn identify(&mut self, id: PodId, labels: &LabelSet, is_ours: bool) {
        let numbered = self.identities.number(labels);
        let identity = match numbered {
            Numbered::Known(identity) => Some(identity),
            Numbered::New(identity) => {
                self.new_identities = true;
                Some(identity)
            }
            Numbered::Wanted => None,
        };
        if is_ours && identity.is_none() {
            self.identities.want(labels);
        }
        let changed = self.pods.change(id, |entry| {
            if let Some(object) = &mut entry.object {
                object.identity = identity.unwrap_or(Identity::UNMANAGED);
            }
            let (Some(local), Some(identity)) = (&mut entry.local, identity) else { return false };
            let who = Some((identity, labels.clone()));
            let changed = local.who != who;
            local.who = who;
            changed
        });
        self.changed.pods |= changed.unwrap_or_default();
    }

    /// Who a pod is to policies.
    pub(super) fn who_is_pod(&self, id: PodId) -> (Identity, LabelSet) {
        let fixed = |identity| (identity, reserved_labels(identity));
        let Some(entry) = self.pods.get(id) else { return fixed(Identity::UNMANAGED) };
        match (&entry.local, &entry.published, &entry.object) {
            // Nobody's policy can know it yet: it stays closed until its labels are known and have a number.
            (Some(local), ..) => local.who.clone().unwrap_or_else(|| fixed(Identity::INIT)),
            (None, Some(published), _) => match self.identities.labels(published.identity) {
                Some(labels) => (published.identity, labels),
                // Nobody knows what it is.
                None => fixed(Identity::UNMANAGED),
            },
            (None, None, Some(object)) if object.identity != Identity::UNMANAGED => {
                (object.identity, object.labels.clone())
            }
            (None, None, _) => fixed(Identity::UNMANAGED),
        }
    }

    /// The labels that a pod's identity is made of.
    fn labels_of(&self, pod: &Pod) -> LabelSet {
        let of_namespace = self.namespaces.get(pod.meta.namespace());
        self.labelling.labels(pod, of_namespace.unwrap_or(&BTreeMap::new()))
    }

    /// The pods that are connected here, as far as their objects are known.
    fn local_pods(&self) -> impl Iterator<Item = (PodId, &Entry)> {
        self.pods.with_object().filter(|(_, entry)| entry.local.is_some())
    }
}
