//! What becomes of a pod when its node is emptied.

use std::fmt;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

/// What becomes of a pod when its node is emptied. The rules are those of `kubectl drain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// It is evicted, and comes again elsewhere.
    Evicted,
    /// It stays: it belongs to the node, and its network is made anew with it.
    Stays,
    /// It must not be evicted unless somebody says so.
    Kept(Kept),
}

/// Why a pod must not be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing would bring it back.
    Alone,
    /// It has files that would be lost.
    Files,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alone => "no controller would bring it back (--force evicts it all the same)",
            Self::Files => {
                "files in an emptyDir would be lost (--delete-emptydir-data evicts it all the same)"
            }
        })
    }
}

impl Eviction {
    /// Judges a pod.
    #[must_use]
    pub fn of(pod: &Pod) -> Self {
        let controller = pod.owner_references().iter().find(|owner| owner.controller == Some(true));
        let mirror = pod.annotations().contains_key("kubernetes.io/config.mirror");
        if mirror || controller.is_some_and(|owner| owner.kind == "DaemonSet") {
            return Self::Stays;
        }
        if controller.is_none() {
            return Self::Kept(Kept::Alone);
        }
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        if volumes.into_iter().any(|volume| volume.empty_dir.is_some()) {
            return Self::Kept(Kept::Files);
        }
        Self::Evicted
    }
}
