//! The ports of Cilium's rules.

use abi::Direction;

use super::network_policy::is_port_name;
use super::reader::{Field, Fields};
use crate::port::{PortMatch, PortSelector, Protocol};
use crate::rule::Action;

/// Cilium's limit for the ports of one item of `toPorts`.
const MAX_PORTS: usize = 40;

/// Reads `toPorts`.
pub(super) fn read(field: &Field<'_>, direction: Direction, action: Action) -> Vec<PortSelector> {
    let mut ports = Vec::new();
    for item in field.list().unwrap_or_default() {
        let Some(mut fields) = item.object() else { continue };
        if let Some(list) = fields.require("ports", "port: \"0\" stands for all ports") {
            let items = list.list().unwrap_or_default();
            match items.len() {
                0 => list.error("names no port", "port: \"0\" stands for all ports"),
                n if n > MAX_PORTS => list.error(format!("has {n} items"), format!("at most {MAX_PORTS}")),
                _ => ports.extend(items.iter().filter_map(port)),
            }
        }
        if action == Action::Allow {
            refuse_layer7(&mut fields, direction);
        }
        fields.finish();
    }
    ports
}

fn refuse_layer7(fields: &mut Fields<'_>, direction: Direction) {
    fields.refuse(&["originatingTLS", "serverNames", "terminatingTLS"]);
    if let Some(listener) = fields.get("listener") {
        match direction {
            Direction::Ingress => listener.error("a listener is not allowed for ingress", "egress only"),
            Direction::Egress => {
                listener.error("\"listener\" is not enforced yet", "remove it, or the policy is not applied");
            }
        }
    }
    if let Some(rules) = fields.get("rules")
        && let Some(mut inner) = rules.object()
    {
        inner.refuse(&["dns", "http", "kafka", "l7", "l7proto"]);
        inner.finish();
    }
}

/// Reads `authentication`, of which only the mode that asks for none can be honoured.
pub(super) fn authentication(field: &Field<'_>) {
    let Some(mut fields) = field.object() else { return };
    if let Some(mode) = fields.require("mode", "disabled, required or test-always-fail")
        && let Some(name) = mode.string()
    {
        match name.as_str() {
            "disabled" => {}
            "required" | "test-always-fail" => {
                mode.error(format!("authentication {name:?} is not enforced yet"), "disabled");
            }
            _ => mode.error(format!("{name:?} is not a mode"), "disabled, required or test-always-fail"),
        }
    }
    fields.finish();
}

fn port(field: &Field<'_>) -> Option<PortSelector> {
    let mut fields = field.object()?;
    let port = fields.require("port", "a number or a name, in quotes");
    let end = fields.get("endPort");
    let protocols = match fields.get("protocol") {
        None => Some(Protocol::WITH_PORTS.into()),
        Some(field) => protocols(&field),
    };
    fields.finish();
    let port = port?;
    let text = port.string()?;
    let first = if is_port_name(&text.to_ascii_lowercase()) {
        PortMatch::Named(text.to_ascii_lowercase())
    } else {
        match text.parse() {
            Ok(0) => PortMatch::All,
            Ok(number) => PortMatch::Range(number, number),
            Err(_) => {
                port.error(
                    format!("{text:?} is not a port"),
                    "\"0\" to \"65535\", or the name of a container port",
                );
                return None;
            }
        }
    };
    let matched = match (first, end) {
        (first, None) => first,
        (first, Some(end)) => match (first, end.integer()?) {
            // Zero is how the field is written where there is no range.
            (first, 0) => first,
            (PortMatch::Range(first, _), _) => {
                let last = end.port()?;
                if last < first {
                    end.error(format!("endPort {last} is below port {first}"), format!("at least {first}"));
                    return None;
                }
                PortMatch::Range(first, last)
            }
            (PortMatch::All | PortMatch::Named(_), _) => {
                end.error("endPort needs a numeric port above 0", "port: the first of the range");
                return None;
            }
        },
    };
    Some(PortSelector { protocols: protocols?, port: matched })
}

fn protocols(field: &Field<'_>) -> Option<std::collections::BTreeSet<Protocol>> {
    let name = field.string()?;
    match (name.as_str(), Protocol::from_name(&name)) {
        ("ANY", _) => Some(Protocol::WITH_PORTS.into()),
        (_, Some(protocol)) => Some([protocol].into()),
        ("VRRP" | "IGMP" | "GRE" | "IPIP" | "IPV6" | "ESP" | "AH" | "ICMP" | "ICMPV6", None) => {
            field.error(format!("protocol {name:?} is not enforced yet"), "TCP, UDP, SCTP or ANY");
            None
        }
        _ => {
            field.error(format!("{name:?} is not a protocol"), "TCP, UDP, SCTP or ANY");
            None
        }
    }
}
