//! Identities that one process gives out.

use std::collections::BTreeMap;

use abi::Identity;
use serde::{Deserialize, Serialize};

use super::IdentityAllocator;
use super::pool::{Pool, Range};
use crate::label::LabelSet;

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

/// Identities that one process gives out from a range of numbers: one of the scopes of Cilium's
/// `pkg/identity/numericidentity.go`.
///
/// It can be stored and loaded again (serde), so that numbers survive a restart; what was stored without a range is
/// of the cluster's. A number that was given back is used again after all others (of the last 4,096 given back; older
/// ones are used before these): for a while, tables and connections may still carry it.
///
/// ```
/// use abi::Identity;
/// use netloom_policy::{IdentityAllocator, Label, LocalIdentities};
///
/// let web = [Label::k8s("app", "web")].into_iter().collect();
/// let mut identities = LocalIdentities::cluster();
/// assert_eq!(identities.allocate(&web)?, Identity(256));
/// assert_eq!(identities.allocate(&web)?, Identity(256));
/// # Ok::<(), netloom_policy::identity::IdentitiesExhausted>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct LocalIdentities {
    by_labels: BTreeMap<LabelSet, u32>,
    pool: Pool,
}

/// The cluster's workloads: 256 to 65535.
const CLUSTER: Range = Range { first: Identity::CLUSTER_MIN.0, last: Identity::CLUSTER_MAX.0 };
/// Numbers below a scope's bit.
const IN_SCOPE: u32 = 0x00ff_ffff;

const fn scope(bit: u32) -> Range {
    Range { first: bit | 1, last: bit | IN_SCOPE }
}

const fn cluster_range() -> Range {
    CLUSTER
}

/// How identities are stored. The first version wrote neither a range nor those that rest.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default = "cluster_range")]
    range: Range,
    last: u32,
    identities: BTreeMap<u32, LabelSet>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    resting: Vec<u32>,
}

impl From<Stored> for LocalIdentities {
    fn from(stored: Stored) -> Self {
        let by_labels: BTreeMap<LabelSet, u32> =
            stored.identities.into_iter().map(|(id, labels)| (labels, id)).collect();
        let taken = by_labels.values().copied();
        Self { pool: Pool::restored(stored.range, stored.last, stored.resting, taken), by_labels }
    }
}

impl From<LocalIdentities> for Stored {
    fn from(local: LocalIdentities) -> Self {
        Self {
            range: local.pool.range,
            last: local.pool.latest,
            resting: local.pool.resting(),
            identities: local.by_labels.into_iter().map(|(labels, id)| (id, labels)).collect(),
        }
    }
}

impl Default for LocalIdentities {
    fn default() -> Self {
        Self::cluster()
    }
}

impl LocalIdentities {
    fn of(range: Range) -> Self {
        Self { by_labels: BTreeMap::new(), pool: Pool::new(range) }
    }

    /// Identities of the cluster's workloads, 256 to 65535: none given out yet.
    #[must_use]
    pub fn cluster() -> Self {
        Self::of(CLUSTER)
    }

    /// Identities that only this node knows, such as those of DNS names: `1 << 24 | 1` and on. None given out yet.
    #[must_use]
    pub fn local() -> Self {
        Self::of(scope(Identity::LOCAL_SCOPE))
    }

    /// Identities of other nodes, which only this node knows: `2 << 24 | 1` and on. None given out yet.
    #[must_use]
    pub fn remote_nodes() -> Self {
        Self::of(scope(Identity::REMOTE_NODE_SCOPE))
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

    /// The number of identities given out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_labels.len()
    }

    /// Whether none is given out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_labels.is_empty()
    }

    /// Takes the identity of these labels back, and says which it was.
    pub fn release(&mut self, labels: &LabelSet) -> Option<Identity> {
        let number = self.by_labels.remove(labels)?;
        self.pool.give_back(number);
        Some(Identity(number))
    }

    /// Takes back the identities of which `keep` says no.
    pub fn retain(&mut self, mut keep: impl FnMut(&LabelSet, Identity) -> bool) {
        let pool = &mut self.pool;
        self.by_labels.retain(|labels, id| {
            let stays = keep(labels, Identity(*id));
            if !stays {
                pool.give_back(*id);
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
        let Range { first, last } = self.pool.range;
        let exhausted = || IdentitiesExhausted { labels: labels.clone(), first, last };
        let number = self.pool.take().ok_or_else(exhausted)?;
        self.by_labels.insert(labels.clone(), number);
        Ok(Identity(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Label;

    fn labels(app: &str) -> LabelSet {
        [Label::k8s("app", app)].into_iter().collect()
    }

    #[test]
    fn numbers_are_stable_and_survive_storage() {
        for (mut ids, first) in [
            (LocalIdentities::cluster(), 256),
            (LocalIdentities::local(), 0x0100_0001),
            (LocalIdentities::remote_nodes(), 0x0200_0001),
        ] {
            assert_eq!(ids.allocate(&labels("a")), Ok(Identity(first)));
            assert_eq!(ids.allocate(&labels("b")), Ok(Identity(first + 1)));
            assert_eq!(ids.allocate(&labels("a")), Ok(Identity(first)));
            assert_eq!(ids.release(&labels("b")), Some(Identity(first + 1)));
            let text = serde_json::to_string(&ids).unwrap();
            let mut again: LocalIdentities = serde_json::from_str(&text).unwrap();
            assert_eq!(again, ids);
            assert_eq!(again.allocate(&labels("c")), Ok(Identity(first + 2)));
            assert_eq!(again.allocate(&labels("a")), Ok(Identity(first)));
        }
    }

    #[test]
    fn what_the_first_version_stored_is_of_the_cluster() {
        let text = r#"{"last": 300, "identities": {"256": ["k8s:app=a"], "300": ["k8s:app=b"]}}"#;
        let mut ids: LocalIdentities = serde_json::from_str(text).unwrap();
        assert_eq!(ids.allocate(&labels("b")), Ok(Identity(300)));
        assert_eq!(ids.allocate(&labels("c")), Ok(Identity(301)));
        assert_eq!((ids.len(), ids.is_empty()), (3, false));
    }

    #[test]
    fn a_returned_number_is_used_last() {
        let mut ids = LocalIdentities::cluster();
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
