//! What selects the peers of a rule.

use ipnetwork::IpNetwork;

use crate::name_pattern::NamePattern;
use crate::selector::Selector;

/// The peers of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peers {
    /// Everyone, known or not.
    Any,
    /// Those whom one of these selects; nobody where there is none.
    OneOf(Vec<PeerSelector>),
}

/// Selects peers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerSelector {
    /// By their identity's labels.
    Labels(Selector),
    /// By their address.
    Cidr(CidrSelector),
    /// By their address, which a CiliumCIDRGroup lists.
    CidrGroup(CidrGroupSelector),
    /// The backends of services.
    Service(ServiceSelector),
    /// By the DNS names that their address was learned from.
    Name(NamePattern),
}

/// Which holders of an address a CIDR is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CidrScope {
    /// Whoever has the address, pods and nodes too: Kubernetes.
    Everyone,
    /// Only what lies outside the cluster, and nodes where `policy-cidr-match-mode` says so: Cilium.
    Outside,
}

/// Selects peers by their address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CidrSelector {
    /// The addresses.
    pub cidr: IpNetwork,
    /// Those among them that are left out.
    pub except: Vec<IpNetwork>,
    /// Whom it is about.
    pub scope: CidrScope,
}

impl CidrSelector {
    /// All its CIDRs.
    pub fn cidrs(&self) -> impl Iterator<Item = IpNetwork> + '_ {
        std::iter::once(self.cidr).chain(self.except.iter().copied())
    }
}

/// Selects the addresses of CiliumCIDRGroups, outside the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CidrGroupSelector {
    /// Which groups. A group that is not there has no address.
    pub groups: Named,
    /// Addresses that are left out.
    pub except: Vec<IpNetwork>,
}

/// Selects services, and with them their backends: pods for a service with a selector, else the addresses of its
/// EndpointSlices outside the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceSelector {
    /// Which services.
    pub services: Named,
    /// Their namespace; all where absent.
    pub namespace: Option<String>,
}

/// Chooses objects by name or by their labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Named {
    /// The one of this name.
    Name(String),
    /// Those whose labels match. The labels of objects have the source `k8s`.
    Labels(Selector),
}
