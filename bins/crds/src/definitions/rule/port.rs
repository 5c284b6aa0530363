//! Ports, and types of ICMP.

use super::layer7;
use crate::definitions::schema::{Schema, int_or_string, integer, list, object, one_of, string};

const PROTOCOLS: [&str; 11] =
    ["TCP", "UDP", "SCTP", "VRRP", "IGMP", "GRE", "IPIP", "IPV6", "ESP", "AH", "ANY"];

/// Names of ICMP and ICMPv6 types. The space in one of them is the reference's.
const ICMP_TYPES: [&str; 34] = [
    "EchoReply",
    "DestinationUnreachable",
    "Redirect",
    "Echo",
    "RouterAdvertisement",
    "RouterSelection",
    "TimeExceeded",
    "ParameterProblem",
    "Timestamp",
    "TimestampReply",
    "Photuris",
    "ExtendedEchoRequest",
    "ExtendedEcho Reply",
    "ExtendedEchoReply",
    "PacketTooBig",
    "EchoRequest",
    "MulticastListenerQuery",
    "MulticastListenerReport",
    "MulticastListenerDone",
    "RouterSolicitation",
    "NeighborSolicitation",
    "NeighborAdvertisement",
    "RedirectMessage",
    "RouterRenumbering",
    "ICMPNodeInformationQuery",
    "ICMPNodeInformationResponse",
    "InverseNeighborDiscoverySolicitation",
    "InverseNeighborDiscoveryAdvertisement",
    "HomeAgentAddressDiscoveryRequest",
    "HomeAgentAddressDiscoveryReply",
    "MobilePrefixSolicitation",
    "MobilePrefixAdvertisement",
    "DuplicateAddressRequestCodeSuffix",
    "DuplicateAddressConfirmationCodeSuffix",
];

/// `toPorts` of a rule that allows.
pub(super) fn ports() -> Schema {
    let rule = object([
        ("listener", layer7::listener()),
        ("originatingTLS", layer7::tls("TLS from the proxy to the server.")),
        ("ports", list(port()).max_items(40).about("Ports; one of them must match. None is every port.")),
        ("rules", layer7::rules()),
        (
            "serverNames",
            list(layer7::server_name()).min_items(1).set().about("Names that TLS clients ask for."),
        ),
        ("terminatingTLS", layer7::tls("TLS from the client to the proxy.")),
    ]);
    list(rule).about("Ports, and what is asked of the traffic to them.")
}

/// `toPorts` of a rule that denies.
pub(super) fn denied_ports() -> Schema {
    list(object([("ports", list(port()).about("Ports; one of them must match. None is every port."))]))
        .about("Ports.")
}

fn port() -> Schema {
    let number = "6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[0-9]{1,4}";
    let name = "([a-zA-Z0-9]-?)*[a-zA-Z](-?[a-zA-Z0-9])*";
    object([
        ("endPort", integer().format("int32").min(0).max(65535).about("The last port of a range.")),
        // Anchored as the reference has it: loosely, so that no policy is refused here that is accepted there.
        ("port", string().pattern(format!("^({number})|{name}$")).about("A number, 0 for all, or a name.")),
        ("protocol", one_of(&PROTOCOLS).about("The protocol; ANY by default.")),
    ])
}

/// `icmps` of a rule.
pub(super) fn icmps() -> Schema {
    let number = "[0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]";
    let field = object([
        ("family", one_of(&["IPv4", "IPv6"]).by_default("IPv4").about("ICMP or ICMPv6.")),
        (
            "type",
            int_or_string()
                .pattern(format!("^({number}|{})$", ICMP_TYPES.join("|")))
                .about("A number from 0 to 255, or the type's name."),
        ),
    ])
    .required(&["type"]);
    list(object([("fields", list(field).max_items(40).about("Types; one of them must match."))]))
        .about("Types of ICMP.")
}
