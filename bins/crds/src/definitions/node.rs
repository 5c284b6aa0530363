use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::common::{address_pair, encryption};
use super::kind::{CILIUM, Column, Kind, Version, version};
use super::node_cloud::{alibaba_spec, alibaba_status, azure_spec, azure_status, eni_spec, eni_status};
use super::schema::{Schema, boolean, cidr, integer, list, map, object, one_of, string, strings};

/// CiliumNode.
pub(super) fn node() -> CustomResourceDefinition {
    let address = object([
        ("ip", string().about("The address.")),
        ("type", string().about("InternalIP, ExternalIP, CiliumInternalIP and so on.")),
    ]);
    let spec = object([
        ("addresses", list(address).about("All addresses of the node.")),
        ("alibaba-cloud", alibaba_spec()),
        ("azure", azure_spec()),
        ("bootid", string().about("Changes with every boot.")),
        ("encryption", encryption()),
        ("eni", eni_spec()),
        ("health", address_pair().about("The addresses of its health endpoint.")),
        ("ingress", address_pair().about("The addresses of its ingress listener.")),
        ("instance-id", string().about("The cloud's id of the machine.")),
        ("ipam", ipam_spec()),
    ]);
    let status = object([
        ("alibaba-cloud", alibaba_status()),
        ("azure", azure_status()),
        ("eni", eni_status()),
        ("ipam", ipam_status()),
    ]);
    let schema =
        object([("spec", spec.about("What is wanted.")), ("status", status.about("What came of it."))])
            .required(&["metadata", "spec"])
            .about("What a node tells the others. Agents write these, and the operator their addresses.");
    Kind {
        kind: "CiliumNode",
        plural: "ciliumnodes",
        short: &["cn", "ciliumn"],
        categories: CILIUM,
        namespaced: false,
    }
    .definition(vec![
        version("v2", schema)
            .columns([
                Column::new(
                    "CiliumInternalIP",
                    "string",
                    r#".spec.addresses[?(@.type=="CiliumInternalIP")].ip"#,
                )
                .about("The host's own address in the pod network"),
                Column::new("InternalIP", "string", r#".spec.addresses[?(@.type=="InternalIP")].ip"#)
                    .about("The node's address"),
                Column::age(),
            ])
            .with_status(),
    ])
}

fn allocations() -> Schema {
    map(object([
        ("owner", string().about("Who has it.")),
        ("resource", string().about("Where it comes from, as an ENI.")),
    ]))
}

fn ipam_spec() -> Schema {
    let count = || integer().min(0);
    let pool = || string().min_length(1).about("The pool's name.");
    let allocated = object([
        ("allowFirstIP", boolean().about("Whether a CIDR's first address is a pod's.")),
        ("allowLastIP", boolean().about("Whether a CIDR's last address is a pod's.")),
        ("cidrs", list(cidr()).about("The CIDRs.")),
        ("pool", pool()),
    ])
    .required(&["pool"]);
    let needed = object([
        ("ipv4-addrs", integer().about("IPv4 addresses.")),
        ("ipv6-addrs", integer().about("IPv6 addresses.")),
    ]);
    let requested = object([("needed", needed.about("How many.")), ("pool", pool())]).required(&["pool"]);
    let pools = object([
        ("allocated", list(allocated).about("What the node has.")),
        ("requested", list(requested).about("What it asks for.")),
    ]);
    object([
        ("ipv6-pool", allocations().about("Single IPv6 addresses for pods.")),
        ("max-above-watermark", count().about("How many more are taken when a call is made anyway.")),
        ("max-allocate", count().about("How many addresses it has at most; 0 is no limit.")),
        ("min-allocate", count().about("How many addresses it has at least.")),
        ("podCIDRs", list(cidr()).about("Its pod CIDRs.")),
        ("pool", allocations().about("Single IPv4 addresses for pods.")),
        ("pools", pools.about("CIDRs of named pools.")),
        ("pre-allocate", count().about("How many free addresses it has at least.")),
        ("static-ip-tags", strings().about("Tags of the public address for the node.")),
    ])
    .about("Its pod addresses.")
}

fn ipam_status() -> Schema {
    let releases = || map(one_of(&["marked-for-release", "ready-for-release", "do-not-release", "released"]));
    let pod_cidr =
        object([("status", one_of(&["released", "depleted", "in-use"]).about("What became of it."))]);
    let operator = object([("error", string().about("What hinders it."))]);
    object([
        ("assigned-static-ip", string().about("The public address of the node.")),
        ("ipv6-used", allocations().about("IPv6 addresses in use.")),
        ("operator-status", operator.about("The operator's part.")),
        ("pod-cidrs", map(pod_cidr).about("What became of its pod CIDRs.")),
        ("release-ips", releases().about("IPv4 addresses to give back.")),
        ("release-ipv6s", releases().about("IPv6 addresses to give back.")),
        ("used", allocations().about("IPv4 addresses in use.")),
    ])
    .about("Its pod addresses.")
}
