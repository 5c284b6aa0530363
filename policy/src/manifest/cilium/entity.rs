//! Peers that have a name: `fromEntities` and `toEntities`.

use crate::cluster_name::ClusterName;
use crate::label::Source;
use crate::peer_selector::PeerSelector;
use crate::pod::CLUSTER;
use crate::selector::{Requirement, Selector};

/// A group of peers with a name, as in Cilium's `pkg/policy/api/entity.go`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// Everyone.
    All,
    /// Everything outside the cluster.
    World,
    /// IPv4 addresses outside the cluster.
    WorldIpv4,
    /// IPv6 addresses outside the cluster.
    WorldIpv6,
    /// Everything inside the cluster.
    Cluster,
    /// Everything inside the clusters of the mesh.
    ClusterMesh,
    /// The endpoint's own node.
    Host,
    /// Endpoints whose labels are not known yet.
    Init,
    /// The ingress proxy.
    Ingress,
    /// Pods that are not managed.
    Unmanaged,
    /// The other nodes.
    RemoteNode,
    /// Health-check endpoints.
    Health,
    /// Nobody.
    None,
    /// The Kubernetes API server.
    KubeApiserver,
}

impl Entity {
    pub(super) const NAMES: [(&str, Self); 14] = [
        ("all", Self::All),
        ("world", Self::World),
        ("world-ipv4", Self::WorldIpv4),
        ("world-ipv6", Self::WorldIpv6),
        ("cluster", Self::Cluster),
        ("cluster-mesh", Self::ClusterMesh),
        ("host", Self::Host),
        ("init", Self::Init),
        ("ingress", Self::Ingress),
        ("unmanaged", Self::Unmanaged),
        ("remote-node", Self::RemoteNode),
        ("health", Self::Health),
        ("none", Self::None),
        ("kube-apiserver", Self::KubeApiserver),
    ];

    /// The entity of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, entity)| entity)
    }

    /// The keys of the reserved labels of which its members carry one. [`Entity::All`] and [`Entity::None`]
    /// have none; the members of [`Entity::Cluster`] and [`Entity::ClusterMesh`] include all pods beside
    /// these.
    #[must_use]
    pub const fn reserved(self) -> &'static [&'static str] {
        match self {
            Self::All | Self::None => &[],
            Self::World => &["world", "world-ipv4", "world-ipv6"],
            Self::WorldIpv4 => &["world-ipv4"],
            Self::WorldIpv6 => &["world-ipv6"],
            Self::Cluster | Self::ClusterMesh => {
                &["host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver"]
            }
            Self::Host => &["host"],
            Self::Init => &["init"],
            Self::Ingress => &["ingress"],
            Self::Unmanaged => &["unmanaged"],
            Self::RemoteNode => &["remote-node"],
            Self::Health => &["health"],
            Self::KubeApiserver => &["kube-apiserver"],
        }
    }

    pub(super) fn selectors(self, cluster: &ClusterName) -> Vec<PeerSelector> {
        let reserved = |name: &&str| Selector::everything().and(Requirement::exists(Source::Reserved, *name));
        let mut selectors: Vec<_> = self.reserved().iter().map(reserved).collect();
        match self {
            Self::Cluster => selectors.push(Selector::everything().and(Requirement::equals(
                Source::K8s,
                CLUSTER,
                cluster.as_str(),
            ))),
            Self::ClusterMesh => {
                selectors.push(Selector::everything().and(Requirement::exists(Source::K8s, CLUSTER)));
            }
            _ => {}
        }
        selectors.into_iter().map(PeerSelector::Labels).collect()
    }
}
