//! What a proxy checks.

use crate::definitions::schema::{Schema, integer, list, object, one_of, string};

const NAME: &str = "^([-a-zA-Z0-9_]+[.]?)+$";
const NAME_PATTERN: &str = "^([-a-zA-Z0-9_*]+[.]?)+$";

/// `rules` of `toPorts`.
pub(super) fn rules() -> Schema {
    object([
        ("dns", list(dns_name()).about("Names that may be asked for.")),
        ("http", list(http()).about("Requests that are allowed.")),
    ])
    .exactly_one(&["http", "dns"])
    .about("What the proxy lets pass.")
}

/// A DNS name, or a pattern of names.
pub(super) fn dns_name() -> Schema {
    object([
        ("matchName", string().max_length(255).pattern(NAME).about("A name.")),
        (
            "matchPattern",
            string().max_length(255).pattern(NAME_PATTERN).about("A name with * for any characters."),
        ),
    ])
    .exactly_one(&["matchName", "matchPattern"])
}

/// A name in TLS, with `*` for a label and `**` for several.
pub(super) fn server_name() -> Schema {
    string().max_length(255).pattern(NAME_PATTERN)
}

fn http() -> Schema {
    let header = object([
        (
            "mismatch",
            one_of(&["LOG", "ADD", "DELETE", "REPLACE"])
                .about("What to do when it differs; by default, drop."),
        ),
        ("name", string().min_length(1).about("The header's name.")),
        ("secret", secret("A Secret that holds the value.")),
        ("value", string().about("The value.")),
    ])
    .required(&["name"]);
    object([
        ("headerMatches", list(header).about("Headers, and what to do about them.")),
        ("headers", list(string()).about("Headers that must be there: a name, or a name and a value.")),
        ("host", string().format("idn-hostname").about("A regular expression for the host.")),
        ("method", string().about("A regular expression for the method.")),
        ("path", string().about("A regular expression for the path.")),
    ])
}

/// A TLS context.
pub(super) fn tls(about: &str) -> Schema {
    object([
        ("certificate", string().about("The Secret's item with the certificate.")),
        ("privateKey", string().about("The Secret's item with the key.")),
        ("secret", secret("The Secret with certificates and key.")),
        ("trustedCA", string().about("The Secret's item with the authority.")),
    ])
    .required(&["secret"])
    .about(about)
}

fn secret(about: &str) -> Schema {
    object([("name", string().about("Its name.")), ("namespace", string().about("Its namespace."))])
        .required(&["name"])
        .about(about)
}

/// A listener of Envoy's that traffic is redirected to.
pub(super) fn listener() -> Schema {
    let config = object([
        ("kind", one_of(&["CiliumEnvoyConfig", "CiliumClusterwideEnvoyConfig"]).about("The kind of object.")),
        ("name", string().min_length(1).about("The object's name.")),
    ])
    .required(&["name"])
    .about("The object that defines the listener.");
    object([
        ("envoyConfig", config),
        ("name", string().min_length(1).about("The listener's name.")),
        ("priority", integer().min(1).max(100).about("Which listener wins: the smallest.")),
    ])
    .required(&["envoyConfig", "name"])
    .about("A listener to redirect the traffic to.")
}
