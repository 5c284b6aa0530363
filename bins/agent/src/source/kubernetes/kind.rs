//! The kinds that the agent watches.

use kube::core::{ApiResource, GroupVersionKind};

/// A kind that the agent watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// Pods of this node.
    Pod,
    /// This node's own Node.
    Node,
    Namespace,
    Service,
    EndpointSlice,
    NetworkPolicy,
    CiliumNetworkPolicy,
    CiliumClusterwideNetworkPolicy,
    CiliumCidrGroup,
    ClusterNetworkPolicy,
    CiliumNode,
    CiliumIdentity,
    CiliumEndpoint,
    CiliumEndpointSlice,
}

impl Kind {
    /// All but those of which one is watched in the place of the other.
    pub(super) const COMMON: [Self; 12] = [
        Self::Pod,
        Self::Node,
        Self::Namespace,
        Self::Service,
        Self::EndpointSlice,
        Self::NetworkPolicy,
        Self::CiliumNetworkPolicy,
        Self::CiliumClusterwideNetworkPolicy,
        Self::CiliumCidrGroup,
        Self::ClusterNetworkPolicy,
        Self::CiliumNode,
        Self::CiliumIdentity,
    ];

    /// Group, version, kind and plural.
    const fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        const CILIUM: &str = "cilium.io";
        match self {
            Self::Pod => ("", "v1", "Pod", "pods"),
            Self::Node => ("", "v1", "Node", "nodes"),
            Self::Namespace => ("", "v1", "Namespace", "namespaces"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::EndpointSlice => ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            Self::CiliumNetworkPolicy => (CILIUM, "v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies"),
            Self::CiliumClusterwideNetworkPolicy => {
                (CILIUM, "v2", "CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies")
            }
            Self::CiliumCidrGroup => (CILIUM, "v2", "CiliumCIDRGroup", "ciliumcidrgroups"),
            Self::ClusterNetworkPolicy => {
                ("policy.networking.k8s.io", "v1alpha2", "ClusterNetworkPolicy", "clusternetworkpolicies")
            }
            Self::CiliumNode => (CILIUM, "v2", "CiliumNode", "ciliumnodes"),
            Self::CiliumIdentity => (CILIUM, "v2", "CiliumIdentity", "ciliumidentities"),
            Self::CiliumEndpoint => (CILIUM, "v2", "CiliumEndpoint", "ciliumendpoints"),
            Self::CiliumEndpointSlice => (CILIUM, "v2alpha1", "CiliumEndpointSlice", "ciliumendpointslices"),
        }
    }

    /// As objects write it.
    pub(super) const fn name(self) -> &'static str {
        self.names().2
    }

    /// Where it is in the API.
    pub(super) fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.names();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }

    /// Whether the agent waits for it although the API may not have it yet. The others are taken up when the API gets
    /// them.
    pub(super) const fn is_required(self) -> bool {
        !matches!(self, Self::CiliumCidrGroup | Self::ClusterNetworkPolicy)
    }

    /// Whether what was valid last stays in force where an object is not valid.
    pub(super) const fn is_policy(self) -> bool {
        matches!(
            self,
            Self::NetworkPolicy
                | Self::CiliumNetworkPolicy
                | Self::CiliumClusterwideNetworkPolicy
                | Self::ClusterNetworkPolicy
        )
    }

    /// Whether the rest of the agent is told the objects' versions.
    pub(super) const fn is_versioned(self) -> bool {
        self.is_policy()
            || matches!(self, Self::Namespace | Self::Service | Self::EndpointSlice | Self::CiliumCidrGroup)
    }

    /// Which objects of it, as selectors of labels and of fields.
    pub(super) fn selectors(self, node: &str) -> (Option<String>, Option<String>) {
        match self {
            Self::Pod => (None, Some(format!("spec.nodeName={node}"))),
            Self::Node => (None, Some(format!("metadata.name={node}"))),
            // The pods behind a service with a selector are found by their labels. What remains is what people
            // wrote, and the API server's own.
            Self::EndpointSlice => (Some(format!("{MANAGED_BY}!={CONTROLLER}")), None),
            _ => (None, None),
        }
    }
}

/// The label that says who keeps a slice.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Who keeps the slices of services with selectors.
const CONTROLLER: &str = "endpointslice-controller.k8s.io";
