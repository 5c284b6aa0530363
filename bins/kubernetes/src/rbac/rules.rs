//! The rules, and why each is needed.

use Verb::{Create, Delete, Get, List, Patch, Update, Watch};

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Read one.
    Get,
    /// Read all.
    List,
    /// Be told of changes.
    Watch,
    /// Make one.
    Create,
    /// Write one as a whole.
    Update,
    /// Write a part of one; server-side apply too.
    Patch,
    /// Delete one.
    Delete,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 7] = [Get, List, Watch, Create, Update, Patch, Delete];

    /// As roles write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Get => "get",
            List => "list",
            Watch => "watch",
            Create => "create",
            Update => "update",
            Patch => "patch",
            Delete => "delete",
        }
    }
}

/// What may be done with which resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Their API group.
    pub group: &'static str,
    /// Resources, and subresources as `nodes/status`.
    pub resources: &'static [&'static str],
    /// Only those of these names; none is all.
    pub names: &'static [&'static str],
    /// What may be done.
    pub verbs: &'static [Verb],
    /// What it is needed for.
    pub why: &'static str,
}

const fn rule(
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [Verb],
    why: &'static str,
) -> Rule {
    Rule { group, resources, names: &[], verbs, why }
}

const CORE: &str = "";
const CILIUM: &str = "cilium.io";
/// What a watch needs. `Get` is for those alone that are looked up one by one.
const FOLLOW: &[Verb] = &[List, Watch];

/// The agent reads what policy depends on, and writes what its node publishes: no pod, no node, no secret.
pub(super) const AGENT: &[Rule] = &[
    rule(
        CORE,
        &["pods", "nodes", "namespaces", "services"],
        FOLLOW,
        "the pods of its node, and what policies select",
    ),
    rule("discovery.k8s.io", &["endpointslices"], FOLLOW, "policies for services"),
    rule("networking.k8s.io", &["networkpolicies"], FOLLOW, "policies"),
    rule("policy.networking.k8s.io", &["clusternetworkpolicies"], FOLLOW, "policies"),
    rule(
        CILIUM,
        &["ciliumnetworkpolicies", "ciliumclusterwidenetworkpolicies", "ciliumcidrgroups"],
        FOLLOW,
        "policies, and the groups that they name",
    ),
    rule(CILIUM, &["ciliumendpointslices"], FOLLOW, "pods of other nodes, many in one object"),
    rule(CILIUM, &["ciliumnodes"], &[List, Watch, Create, Patch], "the other nodes; to publish its own"),
    rule(
        CILIUM,
        &["ciliumidentities"],
        &[List, Watch, Create, Patch],
        "numbers of labels; to make and keep them",
    ),
    rule(
        CILIUM,
        &["ciliumendpoints"],
        &[Get, List, Watch, Create, Patch, Delete],
        "pods of other nodes; to publish and withdraw its own",
    ),
];

/// The operator keeps what belongs to no single node.
pub(super) const OPERATOR: &[Rule] = &[
    rule(CORE, &["nodes"], &[Get, List, Watch, Patch], "to remove the taint of a node that is ready"),
    rule(
        CORE,
        &["nodes/status"],
        &[Patch],
        "to say that a node's network is there, or that it has no pod CIDR",
    ),
    rule(CORE, &["pods"], &[Get, List, Watch, Delete], "to restart pods that came before the agent"),
    rule(CORE, &["namespaces"], FOLLOW, "labels of namespaces are labels of pods"),
    rule(CORE, &["events"], &[Create], "to tell people what is wrong"),
    rule(
        CILIUM,
        &["ciliumnodes"],
        &[Get, List, Watch, Patch, Delete],
        "pod CIDRs and prefixes; nodes that are gone",
    ),
    rule(CILIUM, &["ciliumnodes/status"], &[Patch], "interfaces, and why a node has no pod CIDR"),
    rule(
        CILIUM,
        &["ciliumidentities"],
        &[List, Watch, Create, Patch, Delete],
        "numbers of labels; to collect those that nothing uses",
    ),
    rule(CILIUM, &["ciliumendpoints"], &[Get, List, Watch, Delete], "to collect what agents left behind"),
    rule(CILIUM, &["ciliumendpointslices"], &[List, Watch, Create, Update, Delete], "to pack endpoints"),
    rule(CILIUM, &["ciliumnetworkpolicies", "ciliumclusterwidenetworkpolicies"], FOLLOW, "to check policies"),
    rule("networking.k8s.io", &["networkpolicies"], FOLLOW, "to check policies"),
    rule("policy.networking.k8s.io", &["clusternetworkpolicies"], FOLLOW, "to check policies"),
    rule(
        "policy.networking.k8s.io",
        &["clusternetworkpolicies/status"],
        &[Patch],
        "to say whether a policy is valid",
    ),
    rule(
        CILIUM,
        &["ciliumnetworkpolicies/status", "ciliumclusterwidenetworkpolicies/status"],
        &[Patch],
        "to say whether a policy is valid",
    ),
    rule("apiextensions.k8s.io", &["customresourcedefinitions"], &[Get, Create], "to bring its kinds along"),
    Rule {
        group: "apiextensions.k8s.io",
        resources: &["customresourcedefinitions"],
        // The names of the definitions in `crds`; a test holds them against each other.
        names: &[
            "ciliumcidrgroups.cilium.io",
            "ciliumclusterwideenvoyconfigs.cilium.io",
            "ciliumclusterwidenetworkpolicies.cilium.io",
            "ciliumegressgatewaypolicies.cilium.io",
            "ciliumendpoints.cilium.io",
            "ciliumendpointslices.cilium.io",
            "ciliumenvoyconfigs.cilium.io",
            "ciliumidentities.cilium.io",
            "ciliuml2announcementpolicies.cilium.io",
            "ciliumloadbalancerippools.cilium.io",
            "ciliumlocalredirectpolicies.cilium.io",
            "ciliumnetworkpolicies.cilium.io",
            "ciliumnodeconfigs.cilium.io",
            "ciliumnodes.cilium.io",
            "ciliumpodippools.cilium.io",
        ],
        verbs: &[Update],
        why: "to bring them up to date",
    },
];

/// In the operator's own namespace.
pub(super) const OPERATOR_AT_HOME: &[Rule] = &[rule(
    "coordination.k8s.io",
    &["leases"],
    &[Get, Create, Update],
    "so that one of several replicas leads",
)];

#[cfg(test)]
mod tests {
    use kube::ResourceExt;

    use super::*;

    #[test]
    fn definitions_are_named_as_they_are() {
        let names =
            OPERATOR.iter().find(|rule| !rule.names.is_empty()).map(|rule| rule.names).unwrap_or_default();
        let theirs: Vec<_> = crds::definitions().iter().map(ResourceExt::name_any).collect();
        assert_eq!(names, theirs);
    }

    #[test]
    fn no_rule_is_wider_than_it_looks() {
        for rule in AGENT.iter().chain(OPERATOR).chain(OPERATOR_AT_HOME) {
            assert!(!rule.resources.iter().any(|name| name.contains('*')) && rule.group != "*", "{rule:?}");
            assert!(!rule.resources.contains(&"secrets"), "{rule:?}");
            assert!(!rule.why.is_empty(), "{rule:?}");
        }
        let writes = |rule: &&Rule| rule.verbs.iter().any(|verb| ![Get, List, Watch].contains(verb));
        assert!(
            AGENT.iter().filter(writes).all(|rule| rule.group == CILIUM),
            "the agent writes our own kinds alone"
        );
    }
}
