//! The kinds of objects that the lab itself deals with. Others are looked up at the API server.

use policy::manifest::ObjectKey;

/// A kind, as the API serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Group and version.
    pub api_version: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// Its name in paths.
    pub plural: &'static str,
    /// Short names.
    pub short: &'static [&'static str],
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
}

const fn kind(
    api_version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    namespaced: bool,
) -> Kind {
    Kind { api_version, kind, plural, short, namespaced }
}

/// All of them.
pub const KINDS: [Kind; 13] = [
    kind("v1", "Namespace", "namespaces", &["ns"], false),
    kind("v1", "Node", "nodes", &["no"], false),
    kind("v1", "Pod", "pods", &["po"], true),
    kind("v1", "Service", "services", &["svc"], true),
    kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", &[], true),
    kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", &["netpol"], true),
    kind("cilium.io/v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies", &["cnp"], true),
    kind(
        "cilium.io/v2",
        "CiliumClusterwideNetworkPolicy",
        "ciliumclusterwidenetworkpolicies",
        &["ccnp"],
        false,
    ),
    kind("cilium.io/v2", "CiliumCIDRGroup", "ciliumcidrgroups", &["ccg"], false),
    kind("cilium.io/v2", "CiliumNode", "ciliumnodes", &["cn"], false),
    kind("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", "clusternetworkpolicies", &[], false),
    kind("apps/v1", "Deployment", "deployments", &["deploy"], true),
    kind("apps/v1", "ReplicaSet", "replicasets", &["rs"], true),
];

/// The kinds that users make, and that every agent watches.
pub const WATCHED: [&str; 8] = [
    "Namespace",
    "Service",
    "EndpointSlice",
    "NetworkPolicy",
    "CiliumNetworkPolicy",
    "CiliumClusterwideNetworkPolicy",
    "CiliumCIDRGroup",
    "ClusterNetworkPolicy",
];

/// The kind of this name.
#[must_use]
pub fn named(kind: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|known| known.kind == kind)
}

/// The kind that a user means: by its name, its plural or a short name, in any case.
#[must_use]
pub fn meant(name: &str) -> Option<&'static Kind> {
    let lower = name.to_lowercase();
    let fits = |known: &&Kind| {
        known.kind.to_lowercase() == lower || known.plural == lower || known.short.contains(&lower.as_str())
    };
    KINDS.iter().find(fits)
}

/// An object and the API version of its kind: what it takes to find it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Group and version.
    pub api_version: String,
    /// Its name among all objects.
    pub key: ObjectKey,
}

impl Target {
    /// An object of a kind that the lab knows.
    ///
    /// # Errors
    /// When it does not.
    pub fn of(key: ObjectKey) -> anyhow::Result<Self> {
        let Some(kind) = named(&key.kind) else {
            anyhow::bail!("unknown kind {:?}: delete with -f takes any", key.kind)
        };
        Ok(Self { api_version: kind.api_version.into(), key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_go_by_many_names() {
        for name in ["po", "pods", "Pod", "POD"] {
            assert_eq!(meant(name).map(|kind| kind.kind), Some("Pod"));
        }
        assert_eq!(meant("netpol").map(|kind| kind.plural), Some("networkpolicies"));
        assert_eq!(meant("x"), None);
        assert!(WATCHED.iter().all(|kind| named(kind).is_some()));
    }
}
