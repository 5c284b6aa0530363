//! Rules that network policies are held to.

use serde_json::Value;

use super::rules::{items, port, selector};
use crate::error::FieldError;

/// What is wrong with a network policy, as it would be stored.
pub(super) fn check(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = object.get("spec");
    selector(spec.and_then(|spec| spec.get("podSelector")), "spec.podSelector", errors);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (n, rule) in items(spec, direction).iter().enumerate() {
            let at = format!("spec.{direction}[{n}]");
            for (m, ports) in items(Some(rule), "ports").iter().enumerate() {
                self::ports(ports, &format!("{at}.ports[{m}]"), errors);
            }
            for (m, peer) in items(Some(rule), peers).iter().enumerate() {
                self::peer(peer, &format!("{at}.{peers}[{m}]"), errors);
            }
        }
    }
    types(items(spec, "policyTypes"), errors);
}

fn types(types: &[Value], errors: &mut Vec<FieldError>) {
    let known = ["Egress", "Ingress"].map(Value::from);
    if types.len() > known.len() {
        let why = "may not specify more than two policyTypes";
        errors.push(FieldError::invalid("spec.policyTypes", &types.into(), why));
        return;
    }
    for (n, of) in types.iter().enumerate().filter(|(_, of)| !known.contains(of)) {
        errors.push(FieldError::unsupported(format!("spec.policyTypes[{n}]"), of, &known));
    }
}

/// A port by number or name; a range has numbers only.
fn ports(ports: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let first = ports.get("port");
    if let Some(first) = first {
        port(first, &format!("{at}.port"), errors);
    }
    let Some(last) = ports.get("endPort") else { return };
    let at = format!("{at}.endPort");
    let why = match first.map(Value::as_i64) {
        None => "may not be specified when `port` is not specified",
        Some(None) => "may not be specified when `port` is non-numeric",
        Some(first) if last.as_i64() < first => "must be greater than or equal to `port`",
        Some(_) => return port(last, &at, errors),
    };
    errors.push(FieldError::invalid(at, last, why));
}

fn peer(peer: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let selectors = ["podSelector", "namespaceSelector"].map(|key| (key, peer.get(key)));
    for (key, found) in selectors {
        selector(found, &format!("{at}.{key}"), errors);
    }
    let block = peer.get("ipBlock");
    if let Some(block) = block {
        ip_block(block, at, errors);
    }
    let selects = selectors.iter().any(|(_, found)| found.is_some());
    match (block, selects) {
        (None, false) => errors.push(FieldError::required(at, "must specify a peer")),
        (Some(_), true) => {
            errors.push(FieldError::forbidden(at, "may not specify both ipBlock and another peer"));
        }
        _ => {}
    }
}

fn ip_block(block: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let network = |value: &Value| {
        value.as_str().filter(|text| text.contains('/'))?.parse::<ipnetwork::IpNetwork>().ok()
    };
    let why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    let Some(cidr) = block.get("cidr").filter(|cidr| **cidr != "") else {
        errors.push(FieldError::required(format!("{at}.ipBlock.cidr"), ""));
        return;
    };
    let Some(outer) = network(cidr) else {
        errors.push(FieldError::invalid(format!("{at}.ipBlock.cidr"), cidr, why));
        return;
    };
    for (n, except) in items(Some(block), "except").iter().enumerate() {
        let path = format!("{at}.ipBlock.except[{n}]");
        match network(except) {
            None => errors.push(FieldError::invalid(path, except, why)),
            Some(inner) if !outer.contains(inner.network()) || inner.prefix() <= outer.prefix() => {
                errors.push(FieldError::invalid(path, except, "must be a strict subset of `cidr`"));
            }
            Some(_) => {}
        }
    }
}
