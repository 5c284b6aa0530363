use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::common::{ip, selector};
use super::kind::{Column, Kind, POLICY, Version, version};
use super::schema::{Schema, boolean, list, object, one_of, string};

/// CiliumLocalRedirectPolicy.
pub(super) fn local_redirect_policy() -> CustomResourceDefinition {
    let address = object([("ip", ip().about("The address.")), ("toPorts", ports("The ports."))])
        .required(&["ip", "toPorts"]);
    let service = object([
        ("namespace", string().about("The Service's namespace.")),
        ("serviceName", string().about("The Service's name.")),
        ("toPorts", ports("The ports; all by default.")),
    ])
    .required(&["namespace", "serviceName"]);
    let frontend = object([
        ("addressMatcher", address.about("Traffic to an address.")),
        ("serviceMatcher", service.about("Traffic to a Service.")),
    ])
    .exactly_one(&["addressMatcher", "serviceMatcher"])
    .immutable("redirectFrontend");
    let backend = object([
        ("localEndpointSelector", selector().about("Pods of the same node, by labels.")),
        ("toPorts", ports("Their ports.")),
    ])
    .required(&["localEndpointSelector", "toPorts"])
    .immutable("redirectBackend");
    let spec = object([
        ("description", string().about("For people.")),
        ("redirectBackend", backend.about("Where it goes.")),
        ("redirectFrontend", frontend.about("What is redirected.")),
        (
            "skipRedirectFromBackend",
            boolean()
                .by_default(false)
                .immutable("skipRedirectFromBackend")
                .about("Whether traffic of those pods themselves is let through."),
        ),
    ])
    .required(&["redirectBackend", "redirectFrontend"]);
    let status = object([("ok", boolean().about("Whether it is in force."))]);
    let schema =
        object([("spec", spec.about("What, and where to.")), ("status", status.about("What became of it."))])
            .required(&["metadata"])
            .about("Traffic that is redirected to pods of the same node.");
    Kind {
        kind: "CiliumLocalRedirectPolicy",
        plural: "ciliumlocalredirectpolicies",
        short: &["clrp"],
        categories: POLICY,
        namespaced: true,
    }
    .definition(vec![version("v2", schema).columns([Column::age()])])
}

fn ports(about: &str) -> Schema {
    let number = "[1-9]|[1-9][0-9]{1,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]";
    let port = object([
        (
            "name",
            string()
                .pattern("^([0-9]{1,4})|([a-zA-Z0-9]-?)*[a-zA-Z](-?[a-zA-Z0-9])*$")
                .about("A name; needed where there are several."),
        ),
        ("port", string().pattern(format!("^({number})$")).about("The number, from 1 to 65535.")),
        ("protocol", one_of(&["TCP", "UDP"]).about("The protocol.")),
    ])
    .required(&["port", "protocol"]);
    list(port).about(about)
}
