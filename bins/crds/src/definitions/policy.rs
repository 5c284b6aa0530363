use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::kind::{Column, Kind, POLICY, Version, version};
use super::rule::rule;
use super::schema::{Schema, boolean, int64, list, map, object, string, strings};

fn valid() -> Column {
    Column::new("Valid", "string", ".status.conditions[?(@.type=='Valid')].status")
}

/// CiliumNetworkPolicy.
pub(super) fn network_policy() -> CustomResourceDefinition {
    Kind {
        kind: "CiliumNetworkPolicy",
        plural: "ciliumnetworkpolicies",
        short: &["cnp", "ciliumnp"],
        categories: POLICY,
        namespaced: true,
    }
    .definition(vec![
        version("v2", policy().about("A policy of one namespace: what its pods may be sent, and may send."))
            .columns([Column::age(), valid()])
            .with_status(),
    ])
}

/// CiliumClusterwideNetworkPolicy.
pub(super) fn clusterwide_network_policy() -> CustomResourceDefinition {
    Kind {
        kind: "CiliumClusterwideNetworkPolicy",
        plural: "ciliumclusterwidenetworkpolicies",
        short: &["ccnp"],
        categories: POLICY,
        namespaced: false,
    }
    .definition(vec![
        version(
            "v2",
            policy().about("A policy of the whole cluster: what pods and nodes may be sent, and may send."),
        )
        .columns([valid()])
        .with_status(),
    ])
}

fn policy() -> Schema {
    object([
        ("spec", rule().about("One rule.")),
        ("specs", list(rule()).about("Several rules.")),
        ("status", status()),
    ])
    .required(&["metadata"])
    .rule("has(self.spec) || has(self.specs)", "spec or specs must be provided")
}

fn status() -> Schema {
    let condition = object([
        ("lastTransitionTime", string().format("date-time").about("When the status changed last.")),
        ("message", string().about("Why, for people.")),
        ("reason", string().about("Why, for programs.")),
        ("status", string().about("True, False or Unknown.")),
        ("type", string().about("Valid.")),
    ])
    .required(&["status", "type"]);
    let node = object([
        ("annotations", strings().about("Annotations of the policy.")),
        ("enforcing", boolean().about("Whether it is in force.")),
        ("error", string().about("What hinders it.")),
        ("lastUpdated", string().format("date-time").about("When this was written.")),
        ("localPolicyRevision", int64().about("The revision that has it.")),
        ("ok", boolean().about("Whether it was read.")),
    ]);
    object([
        ("conditions", list(condition).keyed("type").about("Whether it is valid.")),
        ("derivativePolicies", map(node).about("Policies that were made from this one.")),
    ])
    .about("What became of it.")
}
