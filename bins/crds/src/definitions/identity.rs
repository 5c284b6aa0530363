use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::kind::{CILIUM, Column, Kind, Version, version};
use super::schema::{object, strings};

/// CiliumIdentity.
pub(super) fn identity() -> CustomResourceDefinition {
    let schema = object([("security-labels", strings().about("The labels, keys with their source."))])
        .required(&["metadata", "security-labels"])
        .about("A set of labels, and the number that stands for it in packets: the object's name.");
    Kind {
        kind: "CiliumIdentity",
        plural: "ciliumidentities",
        short: &["ciliumid"],
        categories: CILIUM,
        namespaced: false,
    }
    .definition(vec![
        version("v2", schema)
            .columns([
                Column::new("Namespace", "string", r".metadata.labels.io\.kubernetes\.pod\.namespace")
                    .about("The namespace of the pods with these labels"),
                Column::age(),
            ])
            .with_status(),
    ])
}
