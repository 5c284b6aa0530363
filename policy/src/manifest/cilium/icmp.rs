//! `icmps`: types of ICMP messages, by number or by name.

use crate::manifest::reader::Field;
use crate::manifest::tree::Value;
use crate::port::{PortMatch, PortSelector, Protocol};

/// Cilium's limit for the types of one item.
const MAX_FIELDS: usize = 40;

/// Types of ICMP (IANA, "ICMP Type Numbers") by the names that Cilium gives them.
const IPV4: [(&str, u16); 14] = [
    ("EchoReply", 0),
    ("DestinationUnreachable", 3),
    ("Redirect", 5),
    ("Echo", 8),
    ("EchoRequest", 8),
    ("RouterAdvertisement", 9),
    ("RouterSelection", 10),
    ("TimeExceeded", 11),
    ("ParameterProblem", 12),
    ("Timestamp", 13),
    ("TimestampReply", 14),
    ("Photuris", 40),
    ("ExtendedEchoRequest", 42),
    ("ExtendedEchoReply", 43),
];

/// Types of ICMPv6 (IANA, "ICMPv6 type Numbers") by the names that Cilium gives them.
const IPV6: [(&str, u16); 27] = [
    ("DestinationUnreachable", 1),
    ("PacketTooBig", 2),
    ("TimeExceeded", 3),
    ("ParameterProblem", 4),
    ("EchoRequest", 128),
    ("EchoReply", 129),
    ("MulticastListenerQuery", 130),
    ("MulticastListenerReport", 131),
    ("MulticastListenerDone", 132),
    ("RouterSolicitation", 133),
    ("RouterAdvertisement", 134),
    ("NeighborSolicitation", 135),
    ("NeighborAdvertisement", 136),
    ("RedirectMessage", 137),
    ("RouterRenumbering", 138),
    ("ICMPNodeInformationQuery", 139),
    ("ICMPNodeInformationResponse", 140),
    ("InverseNeighborDiscoverySolicitation", 141),
    ("InverseNeighborDiscoveryAdvertisement", 142),
    ("HomeAgentAddressDiscoveryRequest", 144),
    ("HomeAgentAddressDiscoveryReply", 145),
    ("MobilePrefixSolicitation", 146),
    ("MobilePrefixAdvertisement", 147),
    ("DuplicateAddressRequestCodeSuffix", 157),
    ("DuplicateAddressConfirmationCodeSuffix", 158),
    ("ExtendedEchoRequest", 160),
    ("ExtendedEchoReply", 161),
];

/// Reads the items of `icmps`.
pub(super) fn read(items: &[Field<'_>]) -> Vec<PortSelector> {
    let mut selectors = Vec::new();
    for item in items {
        let Some(mut fields) = item.object() else { continue };
        if let Some(list) = fields.get("fields") {
            let types = list.list().unwrap_or_default();
            list.at_most(types.len(), MAX_FIELDS);
            selectors.extend(types.iter().filter_map(message));
        }
        fields.finish();
    }
    selectors
}

fn message(field: &Field<'_>) -> Option<PortSelector> {
    let mut fields = field.object()?;
    let family = fields.get("family").map_or(Some(Protocol::Icmp), |family| {
        family.word("a family", &[("IPv4", Protocol::Icmp), ("IPv6", Protocol::Icmpv6)])
    });
    let wanted = fields.require("type", "0 to 255, or a name such as EchoRequest");
    fields.finish();
    let (family, number) = (family?, number(&wanted?, family?)?);
    Some(PortSelector { protocols: [family].into(), port: PortMatch::Range(number, number) })
}

fn number(field: &Field<'_>, family: Protocol) -> Option<u16> {
    let names: &[(&str, u16)] = if family == Protocol::Icmpv6 { &IPV6 } else { &IPV4 };
    match field.value() {
        Value::String(text) if !text.bytes().all(|byte| byte.is_ascii_digit()) => {
            field.word(if family == Protocol::Icmpv6 { "a type of ICMPv6" } else { "a type of ICMP" }, names)
        }
        Value::String(text) => text.parse().ok().filter(|number| *number <= 255).or_else(|| {
            field.error(format!("{text:?} is not a type of ICMP"), "types are 0 to 255");
            None
        }),
        Value::Integer(number) => match u16::try_from(*number) {
            Ok(number) if number <= 255 => Some(number),
            _ => {
                field.error(format!("{number} is not a type of ICMP"), "types are 0 to 255");
                None
            }
        },
        _ => field.mismatch("a number or a name"),
    }
}
