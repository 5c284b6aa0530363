use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::common::selector;
use super::kind::{CILIUM, Column, Kind, Version, version};
use super::schema::{Schema, anything, integer, list, object, string};

/// CiliumEnvoyConfig.
pub(super) fn config() -> CustomResourceDefinition {
    Kind {
        kind: "CiliumEnvoyConfig",
        plural: "ciliumenvoyconfigs",
        short: &["cec"],
        categories: CILIUM,
        namespaced: true,
    }
    .definition(vec![
        version("v2", schema().about("Envoy resources for the Services of a namespace."))
            .columns([Column::age()]),
    ])
}

/// CiliumClusterwideEnvoyConfig.
pub(super) fn clusterwide_config() -> CustomResourceDefinition {
    Kind {
        kind: "CiliumClusterwideEnvoyConfig",
        plural: "ciliumclusterwideenvoyconfigs",
        short: &["ccec"],
        categories: CILIUM,
        namespaced: false,
    }
    .definition(vec![version("v2", schema().about("Envoy resources for Services.")).columns([Column::age()])])
}

fn schema() -> Schema {
    let backend = object([
        ("name", string().about("The Service's name.")),
        ("namespace", string().about("The Service's namespace.")),
        ("number", list(string()).about("Its ports; all by default.")),
    ])
    .required(&["name"]);
    let service = object([
        ("listener", string().about("The listener's name; the first one by default.")),
        ("name", string().about("The Service's name.")),
        ("namespace", string().about("The Service's namespace.")),
        ("ports", list(integer()).about("Its ports; all by default.")),
    ])
    .required(&["name"]);
    let spec = object([
        ("backendServices", list(backend).about("Services whose endpoints Envoy is told.")),
        ("nodeSelector", selector().about("The nodes, by labels; all by default.")),
        ("resources", list(anything()).about("Envoy's resources, as it defines them.")),
        ("services", list(service).about("Services whose traffic goes to a listener.")),
    ])
    .required(&["resources"]);
    object([("spec", spec.about("Resources, and what goes to them."))]).required(&["metadata"])
}
