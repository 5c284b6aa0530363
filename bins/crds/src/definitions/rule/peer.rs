//! The other end of a rule's traffic.

use crate::definitions::common::selector;
use crate::definitions::schema::{Schema, cidr, list, object, one_of, string, strings};

/// Which way a rule looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Ingress,
    Egress,
}

/// Groups of peers that have a name.
const ENTITIES: [&str; 14] = [
    "all",
    "world",
    "world-ipv4",
    "world-ipv6",
    "cluster",
    "cluster-mesh",
    "host",
    "init",
    "ingress",
    "unmanaged",
    "remote-node",
    "health",
    "none",
    "kube-apiserver",
];

/// The members that say who the peer is. Only one of them may be set in a rule, which no schema can say well:
/// whoever reads the policy does.
pub(super) fn members(direction: Direction) -> Schema {
    let to = direction == Direction::Egress;
    let name = |egress: &'static str, ingress: &'static str| if to { egress } else { ingress };
    let members = object([
        (name("toCIDR", "fromCIDR"), list(cidr()).about("Peers by address.")),
        (
            name("toCIDRSet", "fromCIDRSet"),
            list(cidr_rule()).about("Peers by address, with exceptions, or by groups."),
        ),
        (
            name("toEndpoints", "fromEndpoints"),
            list(selector()).about("Pods by their labels; {} is every pod."),
        ),
        (name("toEntities", "fromEntities"), list(one_of(&ENTITIES)).about("Peers by a well-known name.")),
        (name("toGroups", "fromGroups"), list(group()).about("Peers by groups of a cloud.")),
        (name("toNodes", "fromNodes"), list(selector()).about("Nodes by their labels.")),
        (
            name("toRequires", "fromRequires"),
            list(string()).max_items(0).about("No longer supported: must be empty."),
        ),
    ]);
    if to {
        members.with([("toServices", list(service()).about("Peers by the Service in front of them."))])
    } else {
        members
    }
}

fn cidr_rule() -> Schema {
    object([
        ("cidr", cidr().about("A prefix.")),
        (
            "cidrGroupRef",
            string()
                .max_length(253)
                .pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
                .about("The name of a CiliumCIDRGroup."),
        ),
        ("cidrGroupSelector", selector().about("CiliumCIDRGroups by their labels.")),
        ("except", list(cidr()).about("Prefixes that are left out.")),
    ])
    .exactly_one(&["cidr", "cidrGroupRef", "cidrGroupSelector"])
}

fn group() -> Schema {
    let aws = object([
        ("labels", strings().about("Instances by their tags.")),
        ("region", string().about("No longer used.")),
        ("securityGroupsIds", list(string()).about("Security groups by id.")),
        ("securityGroupsNames", list(string()).about("Security groups by name.")),
    ]);
    object([("aws", aws.about("Instances of AWS."))])
}

fn service() -> Schema {
    let by_name = object([
        ("namespace", string().about("The Service's namespace.")),
        ("serviceName", string().about("The Service's name.")),
    ]);
    let by_labels = object([
        ("namespace", string().about("The Services' namespace.")),
        ("selector", selector().about("Services by their labels.")),
    ])
    .required(&["selector"]);
    object([
        ("k8sService", by_name.about("One Service.")),
        ("k8sServiceSelector", by_labels.about("Services by their labels.")),
    ])
}
