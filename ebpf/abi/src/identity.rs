//! Who a packet's peer is.

use crate::layout::layout;

/// A security identity: the number that stands for a set of labels.
///
/// The numbering follows Cilium's: reserved 1-10, cluster identities 256-65535, identities that are local
/// to a node from `1 << 24` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Identity(pub u32);

impl Identity {
    /// No identity: never matches a rule.
    pub const UNKNOWN: Self = Self(0);
    /// The node that the endpoint runs on.
    pub const HOST: Self = Self(1);
    /// Everything outside the cluster.
    pub const WORLD: Self = Self(2);
    /// A pod that Netloom does not manage.
    pub const UNMANAGED: Self = Self(3);
    /// Health-check endpoints.
    pub const HEALTH: Self = Self(4);
    /// An endpoint whose labels are not known yet.
    pub const INIT: Self = Self(5);
    /// Every other node of the cluster.
    pub const REMOTE_NODE: Self = Self(6);
    /// The Kubernetes API server.
    pub const KUBE_APISERVER: Self = Self(7);
    /// The source of traffic that an ingress proxy forwards.
    pub const INGRESS: Self = Self(8);
    /// IPv4 addresses outside the cluster.
    pub const WORLD_IPV4: Self = Self(9);
    /// IPv6 addresses outside the cluster.
    pub const WORLD_IPV6: Self = Self(10);
    /// The first identity of the cluster's own workloads.
    pub const CLUSTER_MIN: Self = Self(256);
    /// The last identity of the cluster's own workloads.
    pub const CLUSTER_MAX: Self = Self(65_535);
    /// The scope bit of identities that only this node knows.
    pub const LOCAL_SCOPE: u32 = 1 << 24;
    /// The scope bit of identities of other nodes, which only this node knows.
    pub const REMOTE_NODE_SCOPE: u32 = 2 << 24;

    /// Whether this is one of the fixed identities below 256.
    #[inline(always)]
    #[must_use]
    pub const fn is_reserved(self) -> bool {
        self.0 != 0 && self.0 < Self::CLUSTER_MIN.0
    }

    /// Whether this stands for addresses outside the cluster.
    #[inline(always)]
    #[must_use]
    pub const fn is_world(self) -> bool {
        matches!(self, Self::WORLD | Self::WORLD_IPV4 | Self::WORLD_IPV6)
    }
}

/// The number of an interned set of CIDRs: those in use by policies that cover an address. Zero is the
/// empty set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct CidrSet(pub u32);

impl CidrSet {
    /// No CIDR in use covers the address.
    pub const EMPTY: Self = Self(0);
}

/// What a packet's peer is to a policy: its identity, together with the CIDRs in use that cover its
/// address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Peer {
    /// Whose labels the peer carries.
    pub identity: Identity,
    /// The CIDRs in use that cover the peer's address.
    pub cidrs: CidrSet,
}

layout! { Identity => 4, CidrSet => 4, Peer => 8 }
