//! `toPorts`: the ports of Cilium's rules.

use abi::Direction;

use super::PortRule;
use super::l7::{self, Rules};
use crate::manifest::network_policy::is_port_name;
use crate::manifest::reader::Field;
use crate::port::{PortMatch, PortSelector, Protocol};
use crate::rule::Action;

/// Cilium's limit for the ports of one item of `toPorts`.
const MAX_PORTS: usize = 40;

/// What the reading of ports depends on.
#[derive(Clone, Copy)]
pub(super) struct Context {
    pub(super) direction: Direction,
    pub(super) action: Action,
    /// The policy's subjects are nodes.
    pub(super) host: bool,
    /// The policy has a namespace.
    pub(super) namespaced: bool,
}

/// One port of an item, as it was written.
struct Port<'a> {
    field: Field<'a>,
    /// What it selects. "Any" protocol is every one with ports.
    selector: PortSelector,
    /// The protocol, if it names one.
    protocol: Option<Protocol>,
    zero: bool,
    range: bool,
}

/// Reads an item of `toPorts`.
pub(super) fn read(field: &Field<'_>, context: Context) -> Option<PortRule> {
    let mut fields = field.object()?;
    let ports: Vec<Port<'_>> = match fields.get("ports") {
        Some(list) => {
            let items = list.list().unwrap_or_default();
            list.at_most(items.len(), MAX_PORTS);
            items.iter().filter_map(port).collect()
        }
        None => Vec::new(),
    };
    let l7 = match context.action {
        Action::Allow => {
            let rules = l7::read(&mut fields, context);
            check(field, &ports, &rules);
            rules.l7
        }
        _ => None,
    };
    fields.finish();
    Some(PortRule { ports: ports.into_iter().map(|port| port.selector).collect(), l7 })
}

/// Whether the ports fit what a proxy has to check on them.
fn check(item: &Field<'_>, ports: &[Port<'_>], rules: &Rules) {
    if !rules.present {
        return;
    }
    if rules.has_dns && ports.is_empty() {
        item.error("rules for DNS name no port", "ports: [{port: \"53\", protocol: ANY}]");
    }
    for port in ports {
        if port.zero {
            port.field.error("rules of layer 7 cannot stand on port 0", "name the ports that they are about");
        }
        if rules.has_dns {
            if port.range {
                port.field
                    .error("rules for DNS cannot stand on a range of ports", "name each port by itself");
            }
            if port.protocol.is_some_and(|protocol| !matches!(protocol, Protocol::Tcp | Protocol::Udp)) {
                port.field.error("DNS is spoken over TCP and UDP only", "protocol: ANY stands for both");
            }
        } else if port.protocol != Some(Protocol::Tcp) {
            let name = port.protocol.map_or("ANY", Protocol::as_str);
            port.field.error(
                format!("rules of layer 7 other than dns stand on TCP only, not {name}"),
                "protocol: TCP",
            );
        }
    }
}

fn port<'a>(field: &Field<'a>) -> Option<Port<'a>> {
    let mut fields = field.object()?;
    let port = fields.get("port").filter(|port| port.value().as_str() != Some(""));
    let end = fields.get("endPort");
    let protocol = match fields.get("protocol") {
        None => Some(None),
        Some(field) => protocol(&field),
    };
    fields.finish();
    let end = match &end {
        None => Some(0),
        Some(end) => end.integer().and_then(|number| {
            let last = u16::try_from(number).ok();
            if last.is_none() {
                end.error(format!("{number} is not a port"), "ports are 0 to 65535");
            }
            last
        }),
    };
    let protocol = protocol?;
    let first = match &port {
        Some(port) => number(port, protocol)?,
        None if protocol.is_some_and(|protocol| !protocol.has_ports()) => PortMatch::All,
        None => {
            field.error("\"port\" is missing", "a number or a name in quotes; \"0\" stands for all ports");
            return None;
        }
    };
    let end = end?;
    let zero = first == PortMatch::All && port.is_some();
    // A range ends at the first port or above it: what is below means nothing.
    let (matched, range) = match first {
        PortMatch::All if end > 0 && end < u16::MAX && protocol.is_none_or(Protocol::has_ports) => {
            (PortMatch::Range(0, end), true)
        }
        PortMatch::All => (PortMatch::All, end > 0),
        PortMatch::Range(first, _) if end > first => (PortMatch::Range(first, end), true),
        first => (first, false),
    };
    let protocols = protocol.map_or_else(|| Protocol::WITH_PORTS.into(), |protocol| [protocol].into());
    Some(Port { field: *field, selector: PortSelector { protocols, port: matched }, protocol, zero, range })
}

/// A port's number or name; [`PortMatch::All`] for zero.
fn number(field: &Field<'_>, protocol: Option<Protocol>) -> Option<PortMatch> {
    let text = field.string()?;
    let lower = text.to_ascii_lowercase();
    if is_port_name(&lower) {
        return Some(PortMatch::Named(lower));
    }
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    match text.parse().ok().filter(|_| plain) {
        Some(0) => Some(PortMatch::All),
        Some(_) if protocol.is_some_and(|protocol| !protocol.has_ports()) => {
            let name = protocol.map_or("", Protocol::as_str);
            field.error(format!("{name} has no ports"), "port: \"0\", or no port");
            None
        }
        Some(number) => Some(PortMatch::Range(number, number)),
        None => {
            field.error(
                format!("{text:?} is not a port"),
                "\"0\" to \"65535\", or the name of a container port",
            );
            None
        }
    }
}

/// A protocol; none for ANY.
fn protocol(field: &Field<'_>) -> Option<Option<Protocol>> {
    let name = field.string()?;
    let known = Protocol::from_name(&name);
    match (name.as_str(), known) {
        ("ANY", _) => Some(None),
        (_, Some(Protocol::Icmp | Protocol::Icmpv6)) => {
            field.error(format!("{name} has no ports"), "icmps selects types of ICMP");
            None
        }
        (_, Some(protocol)) => Some(Some(protocol)),
        _ => {
            let upper = name.to_ascii_uppercase();
            let help = match upper == "ANY" || Protocol::from_name(&upper).is_some() {
                true => format!("did you mean {upper:?}?"),
                false => "TCP, UDP, SCTP, VRRP, IGMP, GRE, IPIP, IPV6, ESP, AH or ANY".to_owned(),
            };
            field.error(format!("{name:?} is not a protocol"), help);
            None
        }
    }
}
