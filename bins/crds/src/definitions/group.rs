use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::kind::{CILIUM, Kind, Version, version};
use super::schema::{cidr, list, object};

/// CiliumCIDRGroup.
pub(super) fn cidr_group() -> CustomResourceDefinition {
    let spec = object([("externalCIDRs", list(cidr()).min_items(0).about("Prefixes of both families."))])
        .required(&["externalCIDRs"]);
    let schema = object([("spec", spec)])
        .required(&["spec"])
        .about("A set of prefixes that policies refer to by name or by label.");
    let current = version("v2", schema);
    let old = current.deprecated_as("v2alpha1");
    Kind {
        kind: "CiliumCIDRGroup",
        plural: "ciliumcidrgroups",
        short: &["ccg"],
        categories: CILIUM,
        namespaced: false,
    }
    .definition(vec![current, old])
}
