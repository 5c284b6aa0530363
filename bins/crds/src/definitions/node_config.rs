use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::common::plain_selector;
use super::kind::{CILIUM, Kind, Version, version};
use super::schema::{object, strings};

/// CiliumNodeConfig.
pub(super) fn node_config() -> CustomResourceDefinition {
    let spec = object([
        ("defaults", strings().about("Keys and values as in the ConfigMap.")),
        ("nodeSelector", plain_selector().about("The nodes; {} is all.")),
    ])
    .required(&["defaults", "nodeSelector"]);
    let schema = object([("spec", spec.about("Keys, and the nodes they are for."))])
        .required(&["spec"])
        .about("Configuration keys for some nodes, over those of the ConfigMap; of several, the last by name wins.");
    let current = version("v2", schema);
    let old = current.deprecated_as("v2alpha1");
    Kind {
        kind: "CiliumNodeConfig",
        plural: "ciliumnodeconfigs",
        short: &[],
        categories: CILIUM,
        namespaced: true,
    }
    .definition(vec![current, old])
}
