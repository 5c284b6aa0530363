//! One rule of a policy: `spec`, and each of `specs`, of both policy kinds.

mod layer7;
mod peer;
mod port;

use super::common::selector;
use super::schema::{Schema, boolean, list, object, one_of, string};
use peer::Direction;

/// A rule.
pub(super) fn rule() -> Schema {
    object([
        ("description", string().about("For people.")),
        ("egress", list(egress()).about("What is allowed from the subjects.")),
        (
            "egressDeny",
            list(egress_deny()).about("What is denied from the subjects, whatever else allows it."),
        ),
        ("enableDefaultDeny", default_deny()),
        ("endpointSelector", selector().about("The pods that are subject to the rule; {} is all.")),
        ("ingress", list(ingress()).about("What is allowed to the subjects.")),
        (
            "ingressDeny",
            list(ingress_deny()).about("What is denied to the subjects, whatever else allows it."),
        ),
        ("labels", list(label()).about("Labels of the rule itself.")),
        ("log", log()),
        (
            "nodeSelector",
            selector().about("The nodes that are subject to the rule (clusterwide policies only)."),
        ),
    ])
    .exactly_one(&["endpointSelector", "nodeSelector"])
    .at_least_one(&["ingress", "ingressDeny", "egress", "egressDeny"])
}

fn ingress() -> Schema {
    peer::members(Direction::Ingress).with([
        ("authentication", authentication()),
        ("icmps", port::icmps()),
        ("toPorts", port::ports()),
    ])
}

fn egress() -> Schema {
    peer::members(Direction::Egress).with([
        ("authentication", authentication()),
        ("icmps", port::icmps()),
        ("toFQDNs", list(layer7::dns_name()).about("Peers by the names that the subjects looked up.")),
        ("toPorts", port::ports()),
    ])
}

fn ingress_deny() -> Schema {
    peer::members(Direction::Ingress).with([("icmps", port::icmps()), ("toPorts", port::denied_ports())])
}

fn egress_deny() -> Schema {
    peer::members(Direction::Egress).with([("icmps", port::icmps()), ("toPorts", port::denied_ports())])
}

fn authentication() -> Schema {
    object([(
        "mode",
        one_of(&["disabled", "required", "test-always-fail"]).about("Whether peers prove who they are."),
    )])
    .required(&["mode"])
    .about("Mutual authentication of the allowed traffic.")
}

fn default_deny() -> Schema {
    object([
        ("egress", boolean().about("Whether egress of the subjects is denied unless allowed.")),
        ("ingress", boolean().about("Whether ingress of the subjects is denied unless allowed.")),
    ])
    .about("Whether the rule puts its subjects in default deny; by default, in the directions that it has rules for.")
}

fn label() -> Schema {
    object([
        ("key", string().about("The key.")),
        ("source", string().about("Where it comes from, as k8s.")),
        ("value", string().about("The value.")),
    ])
    .required(&["key"])
}

fn log() -> Schema {
    // Any characters but control ones and the like.
    object([(
        "value",
        string().max_length(32).pattern(r"^\PC*$").about("Text that flows of this rule carry."),
    )])
    .about("What the log says of the rule's flows.")
}
