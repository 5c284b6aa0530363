//! Schemas that several kinds share.

use super::schema::{Schema, integer, list, map, object, one_of, string};

/// A label selector whose values are label values. Whoever applies it owns all of it.
pub(super) fn selector() -> Schema {
    let value = string().max_length(63).pattern("^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$");
    label_selector(value, one_of(&["In", "NotIn", "Exists", "DoesNotExist"]))
}

/// A label selector of Kubernetes' own type, which checks neither operators nor values.
pub(super) fn plain_selector() -> Schema {
    label_selector(string(), string())
}

fn label_selector(value: Schema, operator: Schema) -> Schema {
    let requirement = object([
        ("key", string().about("The label.")),
        ("operator", operator.about("What is asked of it: In, NotIn, Exists or DoesNotExist.")),
        ("values", list(string()).atomic().about("For In and NotIn: the values.")),
    ])
    .required(&["key", "operator"]);
    object([
        ("matchExpressions", list(requirement).atomic().about("Requirements; all must hold.")),
        ("matchLabels", map(value).about("Labels with their values; all must be there.")),
    ])
    .atomic_object()
}

/// A condition of Kubernetes, with all its rules.
pub(super) fn condition() -> Schema {
    object([
        ("lastTransitionTime", string().format("date-time").about("When the status changed last.")),
        ("message", string().max_length(32768).about("Why, for people.")),
        ("observedGeneration", integer().format("int64").min(0).about("The generation that was judged.")),
        (
            "reason",
            string()
                .min_length(1)
                .max_length(1024)
                .pattern("^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
                .about("Why, for programs."),
        ),
        ("status", one_of(&["True", "False", "Unknown"]).about("Whether it holds.")),
        (
            "type",
            string()
                .max_length(316)
                .pattern(concat!(
                    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?",
                    "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
                ))
                .about("What holds or not."),
        ),
    ])
    .required(&["lastTransitionTime", "message", "reason", "status", "type"])
}

/// Conditions, one of each type.
pub(super) fn conditions() -> Schema {
    object([("conditions", list(condition()).keyed("type").about("What holds and what does not."))])
}

/// An address of either family.
pub(super) fn ip() -> Schema {
    string().any_format(&["ipv4", "ipv6"])
}

/// An address of each family, or one of them.
pub(super) fn address_pair() -> Schema {
    object([("ipv4", string().about("The IPv4 address.")), ("ipv6", string().about("The IPv6 address."))])
}

/// The key that a node encrypts with.
pub(super) fn encryption() -> Schema {
    object([("key", integer().about("The key's number; 0 is none."))])
        .about("The key that the node encrypts with.")
}
