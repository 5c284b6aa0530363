//! Security identities: numbers for label sets.

use std::collections::{BTreeMap, BTreeSet};

use abi::Identity;
use serde::{Deserialize, Serialize};

use crate::label::{Label, LabelSet};

/// Gives every label set a number, the same one each time.
pub trait IdentityAllocator {
    /// Why there is none.
    type Error;

    /// The identity of these labels.
    ///
    /// # Errors
    /// When no number is left, or the allocator cannot be reached.
    fn allocate(&mut self, labels: &LabelSet) -> Result<Identity, Self::Error>;
}

/// All numbers are taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no identity left for {labels}: all of {first} to {last} are in use")]
pub struct IdentitiesExhausted {
    /// The labels that got none.
    pub labels: LabelSet,
    /// The first number of the range.
    pub first: u32,
    /// The last number of the range.
    pub last: u32,
}

/// Identities that one process gives out, in the range of cluster identities.
///
/// It can be stored and loaded again (serde), so that numbers survive a restart. A number that was given
/// back is the last to be used again: for a while, tables and connections may still carry it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct LocalIdentities {
    by_labels: BTreeMap<LabelSet, u32>,
    taken: BTreeSet<u32>,
    last: u32,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    last: u32,
    identities: BTreeMap<u32, LabelSet>,
}

impl From<Stored> for LocalIdentities {
    fn from(stored: Stored) -> Self {
        Self {
            taken: stored.identities.keys().copied().collect(),
            by_labels: stored.identities.into_iter().map(|(id, labels)| (labels, id)).collect(),
            last: stored.last,
        }
    }
}

impl From<LocalIdentities> for Stored {
    fn from(local: LocalIdentities) -> Self {
        Self {
            last: local.last,
            identities: local.by_labels.into_iter().map(|(labels, id)| (id, labels)).collect(),
        }
    }
}

impl LocalIdentities {
    /// None given out yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The identity of these labels, if they have one.
    #[must_use]
    pub fn get(&self, labels: &LabelSet) -> Option<Identity> {
        self.by_labels.get(labels).copied().map(Identity)
    }

    /// The identities given out, by label set.
    pub fn iter(&self) -> impl Iterator<Item = (&LabelSet, Identity)> {
        self.by_labels.iter().map(|(labels, id)| (labels, Identity(*id)))
    }

    /// Takes back the identities of which `keep` says no.
    pub fn retain(&mut self, mut keep: impl FnMut(&LabelSet, Identity) -> bool) {
        let taken = &mut self.taken;
        self.by_labels.retain(|labels, id| {
            let stays = keep(labels, Identity(*id));
            if !stays {
                taken.remove(id);
            }
            stays
        });
    }
}

impl IdentityAllocator for LocalIdentities {
    type Error = IdentitiesExhausted;

    fn allocate(&mut self, labels: &LabelSet) -> Result<Identity, Self::Error> {
        if let Some(id) = self.get(labels) {
            return Ok(id);
        }
        let (first, last) = (Identity::CLUSTER_MIN.0, Identity::CLUSTER_MAX.0);
        let start = if (first..last).contains(&self.last) { self.last + 1 } else { first };
        let free = (start..=last).chain(first..start).find(|id| !self.taken.contains(id));
        let id = free.ok_or_else(|| IdentitiesExhausted { labels: labels.clone(), first, last })?;
        self.last = id;
        self.taken.insert(id);
        self.by_labels.insert(labels.clone(), id);
        Ok(Identity(id))
    }
}

/// The labels of a fixed identity, as in Cilium's `pkg/identity`. Empty for any other.
#[must_use]
pub fn reserved_labels(identity: Identity) -> LabelSet {
    let names: &[&str] = match identity {
        Identity::HOST => &["host"],
        Identity::WORLD => &["world"],
        Identity::UNMANAGED => &["unmanaged"],
        Identity::HEALTH => &["health"],
        Identity::INIT => &["init"],
        Identity::REMOTE_NODE => &["remote-node"],
        Identity::KUBE_APISERVER => &["kube-apiserver", "remote-node"],
        Identity::INGRESS => &["ingress"],
        Identity::WORLD_IPV4 => &["world-ipv4"],
        Identity::WORLD_IPV6 => &["world-ipv6"],
        _ => &[],
    };
    names.iter().map(|name| Label::reserved(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(app: &str) -> LabelSet {
        [Label::k8s("app", app)].into_iter().collect()
    }

    #[test]
    fn numbers_are_stable_and_survive_storage() {
        let mut ids = LocalIdentities::new();
        assert_eq!(ids.allocate(&labels("a")), Ok(Identity(256)));
        assert_eq!(ids.allocate(&labels("b")), Ok(Identity(257)));
        assert_eq!(ids.allocate(&labels("a")), Ok(Identity(256)));
        let text = serde_json::to_string(&ids).unwrap();
        let mut again: LocalIdentities = serde_json::from_str(&text).unwrap();
        assert_eq!(again, ids);
        assert_eq!(again.allocate(&labels("c")), Ok(Identity(258)));
    }

    #[test]
    fn a_returned_number_is_used_last() {
        let mut ids = LocalIdentities::new();
        let a = ids.allocate(&labels("a")).unwrap();
        ids.retain(|_, id| id != a);
        assert_eq!(ids.get(&labels("a")), None);
        assert_ne!(ids.allocate(&labels("b")).unwrap(), a);
        for i in 0..65_536 - 256 - 1 {
            ids.allocate(&labels(&format!("x{i}"))).unwrap();
        }
        assert_eq!(ids.get(&labels(&format!("x{}", 65_536 - 256 - 2))), Some(a));
        let error = ids.allocate(&labels("one too many")).unwrap_err();
        assert!(error.to_string().contains("k8s:app=one too many"), "{error}");
    }
}
