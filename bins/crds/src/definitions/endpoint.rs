use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::common::{address_pair, encryption};
use super::kind::{CILIUM, Column, Kind, Version, version};
use super::schema::{Schema, boolean, int64, integer, list, object, one_of, string, strings};
use crate::types::state;

/// CiliumEndpoint.
pub(super) fn endpoint() -> CustomResourceDefinition {
    let status = object([
        ("controllers", list(controller()).about("What fails at the endpoint.")),
        ("encryption", encryption()),
        ("external-identifiers", identifiers()),
        ("health", health()),
        ("id", int64().about("The agent's own number for it.")),
        ("identity", identity()),
        ("log", list(change()).about("The last warnings and errors.")),
        ("named-ports", named_ports()),
        ("networking", networking()),
        (
            "policy",
            object([("egress", direction()), ("ingress", direction())]).about("What policy does to it."),
        ),
        ("service-account", string().about("The pod's service account.")),
        ("state", one_of(&state::ALL).about("How far it is.")),
    ]);
    let schema = object([("status", status.about("What is known of the endpoint."))])
        .required(&["metadata"])
        .about("A pod that is connected to the network. Agents write these.");
    Kind {
        kind: "CiliumEndpoint",
        plural: "ciliumendpoints",
        short: &["cep", "ciliumep"],
        categories: CILIUM,
        namespaced: true,
    }
    .definition(vec![
        version("v2", schema).columns([
            Column::new("Security Identity", "integer", ".status.identity.id")
                .about("The number of its labels"),
            Column::new("Ingress Enforcement", "string", ".status.policy.ingress.state")
                .about("Whether ingress policy is enforced")
                .wide(),
            Column::new("Egress Enforcement", "string", ".status.policy.egress.state")
                .about("Whether egress policy is enforced")
                .wide(),
            Column::new("Endpoint State", "string", ".status.state").about("How far it is"),
            Column::new("IPv4", "string", ".status.networking.addressing[0].ipv4").about("Its IPv4 address"),
            Column::new("IPv6", "string", ".status.networking.addressing[0].ipv6").about("Its IPv6 address"),
        ]),
    ])
}

/// CiliumEndpointSlice.
pub(super) fn endpoint_slice() -> CustomResourceDefinition {
    let core = object([
        ("encryption", encryption()),
        ("id", int64().about("The number of its labels.")),
        ("name", string().about("The pod's name.")),
        ("named-ports", named_ports()),
        ("networking", networking()),
        ("pod-uid", string().about("The pod's uid.")),
        ("service-account", string().about("The pod's service account.")),
    ]);
    let schema = object([
        ("endpoints", list(core).about("The endpoints.")),
        ("namespace", string().about("The namespace of all of them.")),
    ])
    .required(&["endpoints", "metadata"])
    .about("Many endpoints of one namespace in one object. The operator writes these.");
    Kind {
        kind: "CiliumEndpointSlice",
        plural: "ciliumendpointslices",
        short: &["ces"],
        categories: CILIUM,
        namespaced: false,
    }
    .definition(vec![version("v2alpha1", schema)])
}

fn controller() -> Schema {
    let configuration = object([
        ("error-retry", boolean().about("Whether it is tried again.")),
        ("error-retry-base", int64().about("The first pause, in nanoseconds.")),
        ("interval", int64().about("How often it runs, in nanoseconds.")),
    ]);
    let status = object([
        ("consecutive-failure-count", int64()),
        ("failure-count", int64()),
        ("last-failure-msg", string()),
        ("last-failure-timestamp", string()),
        ("last-success-timestamp", string()),
        ("success-count", int64()),
    ]);
    object([
        ("configuration", configuration.about("When it runs.")),
        ("name", string().about("Its name.")),
        ("status", status.about("How it went.")),
        ("uuid", string().about("Its id.")),
    ])
}

fn identifiers() -> Schema {
    object([
        ("cni-attachment-id", string().about("Container and interface.")),
        ("container-id", string().about("The runtime's id of the sandbox.")),
        ("container-name", string().about("The runtime's name of the sandbox.")),
        ("docker-endpoint-id", string().about("No longer used.")),
        ("docker-network-id", string().about("No longer used.")),
        ("k8s-namespace", string().about("The pod's namespace.")),
        ("k8s-pod-name", string().about("The pod's name.")),
        ("pod-name", string().about("The pod's namespace and name.")),
    ])
    .about("What others call it.")
}

fn health() -> Schema {
    object([
        ("bpf", string().about("Its programs.")),
        ("connected", boolean().about("Whether it is reachable.")),
        ("overallHealth", string().about("All of it.")),
        ("policy", string().about("Its policy.")),
    ])
    .about("How it is.")
}

fn identity() -> Schema {
    object([
        ("id", int64().about("The number.")),
        ("labels", list(string()).about("The labels, with their source.")),
    ])
    .about("Who it is to policies.")
}

fn change() -> Schema {
    object([
        ("code", string().about("ok or failed.")),
        ("message", string().about("What happened.")),
        ("state", string().about("Its state then.")),
        ("timestamp", string().about("When.")),
    ])
}

fn named_ports() -> Schema {
    let port = object([
        ("name", string().about("The name that policies use.")),
        ("port", integer().about("The number.")),
        ("protocol", string().about("TCP, UDP, SCTP or ANY.")),
    ]);
    list(port).about("Ports that policies can name.")
}

fn networking() -> Schema {
    object([
        ("addressing", list(address_pair()).about("Its addresses.")),
        ("node", string().about("Its node's address.")),
    ])
    .required(&["addressing"])
    .about("Where it is.")
}

fn direction() -> Schema {
    let peer = || {
        list(object([
            ("dest-port", integer().about("The port; 0 is every.")),
            ("identity", int64().about("The peer's number.")),
            ("identity-labels", strings().about("The peer's labels.")),
            ("protocol", integer().about("The protocol; 0 is every.")),
        ]))
    };
    object([
        ("adding", peer().about("No longer used.")),
        ("allowed", peer().about("Peers that are allowed.")),
        ("denied", peer().about("Peers that are denied.")),
        ("enforcing", boolean().about("Whether what no rule allows is dropped.")),
        ("removing", peer().about("No longer used.")),
        ("state", string().about("enforcing, non-enforcing or disabled.")),
    ])
    .required(&["enforcing"])
}
