use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

use super::common::selector;
use super::kind::{Column, Kind, POLICY, Version, version};
use super::schema::{Schema, cidr, list, object, string};

/// CiliumEgressGatewayPolicy.
pub(super) fn egress_gateway_policy() -> CustomResourceDefinition {
    let pods = object([
        ("namespaceSelector", selector().about("Their namespaces, by labels.")),
        ("nodeSelector", selector().about("Their nodes, by labels.")),
        ("podSelector", selector().about("They themselves, by labels.")),
    ]);
    let spec = object([
        ("destinationCIDRs", list(cidr()).about("The destinations.")),
        ("egressGateway", gateway().about("The node that the traffic leaves by.")),
        (
            "egressGateways",
            list(gateway())
                .max_items(64)
                .by_default(Vec::<Value>::new())
                .about("Several such nodes, in place of the one."),
        ),
        ("excludedCIDRs", list(cidr()).about("Destinations that are left out.")),
        ("selectors", list(pods).about("The pods.")),
    ])
    .required(&["destinationCIDRs", "egressGateway", "selectors"]);
    let schema = object([("spec", spec.about("Whose traffic, where to, and which way."))])
        .required(&["metadata"])
        .about(
            "Traffic of pods to the outside that leaves the cluster by one node, with that node's address.",
        );
    Kind {
        kind: "CiliumEgressGatewayPolicy",
        plural: "ciliumegressgatewaypolicies",
        short: &["cegp"],
        categories: POLICY,
        namespaced: false,
    }
    .definition(vec![version("v2", schema).columns([Column::age()])])
}

fn gateway() -> Schema {
    let address = string()
        .max_length(39)
        .rule("self == '' || isIP(self)", "egressIP must be a valid IP address")
        .about("The source address.");
    object([
        ("egressIP", address),
        ("interface", string().about("The interface whose first address is the source address.")),
        ("nodeSelector", selector().about("The node, by labels.")),
    ])
    .required(&["nodeSelector"])
}
