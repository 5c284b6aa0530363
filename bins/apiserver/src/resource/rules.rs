//! The few rules that built-in objects are held to.

use serde_json::Value;

use super::{Resource, names};
use crate::error::FieldError;
use crate::meta;
use crate::schema;

/// What is wrong with an object's metadata.
pub(crate) fn metadata(resource: &Resource, object: &Value, errors: &mut Vec<FieldError>) {
    let name = meta::name(object);
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else if let Some(why) = names::object_name(resource, name) {
        errors.push(FieldError::invalid("metadata.name", &name.into(), why));
    }
    labels(object.pointer("/metadata/labels"), "metadata.labels", errors);
    for (key, _) in object.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flatten() {
        if let Some(why) = names::qualified_name(&key.to_lowercase()) {
            errors.push(FieldError::invalid("metadata.annotations", &key.as_str().into(), why));
        }
    }
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    for (n, owner) in owners.into_iter().flatten().enumerate() {
        for key in ["apiVersion", "kind", "name", "uid"] {
            if meta::text(owner, &[key]).unwrap_or_default().is_empty() {
                errors.push(FieldError::required(format!("metadata.ownerReferences[{n}].{key}"), ""));
            }
        }
    }
}

fn labels(map: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    for (key, value) in map.and_then(Value::as_object).into_iter().flatten() {
        if let Some(why) = names::qualified_name(key) {
            errors.push(FieldError::invalid(path, &key.as_str().into(), why));
        }
        if let Some(why) = value.as_str().and_then(names::label_value) {
            errors.push(FieldError::invalid(path, value, why));
        }
    }
}

/// What is wrong with a built-in object, as it would be stored.
pub(crate) fn object(resource: &Resource, object: &Value, errors: &mut Vec<FieldError>) {
    if resource.schema.properties.contains_key("spec") {
        let mut found = Vec::new();
        let spec = object.get("spec").unwrap_or(&Value::Null);
        schema::validate(resource.schema.field("spec"), spec, "spec", &mut found);
        errors.extend(found.into_iter().filter(|error| error.reason == "FieldValueNotSupported"));
    }
    match (&*resource.group, &*resource.plural) {
        ("", "pods") => pod_spec(object.pointer("/spec"), "spec", errors),
        ("", "services") => service(object, errors),
        ("apps", _) => workload(object, errors),
        ("networking.k8s.io", "networkpolicies") => network_policy(object, errors),
        ("discovery.k8s.io", "endpointslices") => {
            let known = ["FQDN", "IPv4", "IPv6"].map(Value::from);
            match object.get("addressType").filter(|of| **of != "") {
                None => errors.push(FieldError::required("addressType", "")),
                Some(of) if known.contains(of) => {}
                Some(of) => errors.push(FieldError::unsupported("addressType", of, &known)),
            }
        }
        ("coordination.k8s.io", "leases") => lease(object, errors),
        ("apiextensions.k8s.io", super::CRDS) => errors.extend(super::custom::check(object)),
        _ => {}
    }
}

fn items<'a>(value: Option<&'a Value>, key: &str) -> &'a [Value] {
    value.and_then(|value| value.get(key)).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn pod_spec(spec: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    if items(spec, "containers").is_empty() {
        errors.push(FieldError::required(format!("{path}.containers"), ""));
    }
    let mut taken: Vec<&str> = Vec::new();
    for key in ["initContainers", "containers"] {
        for (n, container) in items(spec, key).iter().enumerate() {
            let at = format!("{path}.{key}[{n}]");
            let name = meta::text(container, &["name"]).unwrap_or_default();
            if name.is_empty() {
                errors.push(FieldError::required(format!("{at}.name"), ""));
            } else if let Some(why) = names::label(name) {
                errors.push(FieldError::invalid(format!("{at}.name"), &name.into(), why));
            } else if taken.contains(&name) {
                errors.push(FieldError::duplicate(format!("{at}.name"), &name.into()));
            }
            taken.push(name);
            if meta::text(container, &["image"]).unwrap_or_default().is_empty() {
                errors.push(FieldError::required(format!("{at}.image"), ""));
            }
            for (m, port) in items(Some(container), "ports").iter().enumerate() {
                number(port.get("containerPort"), &format!("{at}.ports[{m}].containerPort"), errors);
            }
        }
    }
}

/// A port's number has to be there, and one.
fn number(value: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    match value.and_then(Value::as_i64) {
        None | Some(0) => errors.push(FieldError::required(path, "")),
        Some(1..=65535) => {}
        Some(other) => {
            errors.push(FieldError::invalid(path, &other.into(), "must be between 1 and 65535, inclusive"));
        }
    }
}

fn service(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = object.get("spec");
    let kind = meta::text(object, &["spec", "type"]).unwrap_or_default();
    let headless = meta::text(object, &["spec", "clusterIP"]) == Some("None");
    let ports = items(spec, "ports");
    if ports.is_empty() && kind != "ExternalName" && !headless {
        errors.push(FieldError::required("spec.ports", ""));
    }
    for (n, port) in ports.iter().enumerate() {
        number(port.get("port"), &format!("spec.ports[{n}].port"), errors);
        if ports.len() > 1 && meta::text(port, &["name"]).unwrap_or_default().is_empty() {
            errors.push(FieldError::required(format!("spec.ports[{n}].name"), ""));
        }
    }
}

fn workload(object: &Value, errors: &mut Vec<FieldError>) {
    let template = object.pointer("/spec/template");
    pod_spec(template.and_then(|template| template.get("spec")), "spec.template.spec", errors);
    let labels = template.and_then(|template| template.pointer("/metadata/labels"));
    match object.pointer("/spec/selector").and_then(Value::as_object) {
        None => errors.push(FieldError::required("spec.selector", "")),
        Some(selector) => {
            let wanted = selector.get("matchLabels").and_then(Value::as_object);
            let missing = wanted
                .into_iter()
                .flatten()
                .any(|(key, value)| labels.and_then(|labels| labels.get(key)) != Some(value));
            if missing {
                let labels = labels.cloned().unwrap_or_default();
                let why = "`selector` does not match template `labels`";
                errors.push(FieldError::invalid("spec.template.metadata.labels", &labels, why));
            }
        }
    }
}

fn network_policy(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = object.get("spec");
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (n, rule) in items(spec, direction).iter().enumerate() {
            for (m, peer) in items(Some(rule), peers).iter().enumerate() {
                let at = format!("spec.{direction}[{n}].{peers}[{m}]");
                let block = peer.get("ipBlock");
                let selects = peer.get("podSelector").is_some() || peer.get("namespaceSelector").is_some();
                match (block, selects) {
                    (None, false) => errors.push(FieldError::required(at, "must specify a peer")),
                    (Some(_), true) => {
                        errors
                            .push(FieldError::forbidden(at, "may not specify both ipBlock and another peer"));
                    }
                    (Some(block), false) => ip_block(block, &at, errors),
                    (None, true) => {}
                }
            }
        }
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

fn lease(object: &Value, errors: &mut Vec<FieldError>) {
    for (key, least) in [("leaseDurationSeconds", 1), ("leaseTransitions", 0)] {
        if let Some(value) =
            object.pointer(&format!("/spec/{key}")).filter(|v| v.as_i64().is_some_and(|n| n < least))
        {
            let why =
                if least == 1 { "must be greater than 0" } else { "must be greater than or equal to 0" };
            errors.push(FieldError::invalid(format!("spec.{key}"), value, why));
        }
    }
}

/// What may not change.
pub(crate) fn update(resource: &Resource, old: &Value, new: &Value, errors: &mut Vec<FieldError>) {
    let differs = |path: &str| old.pointer(path) != new.pointer(path);
    let mut fixed = |field: &str, pointer: &str| {
        if differs(pointer) {
            let value = new.pointer(pointer).cloned().unwrap_or_default();
            errors.push(FieldError::invalid(field, &value, "field is immutable"));
        }
    };
    match (&*resource.group, &*resource.plural) {
        ("apps", _) => fixed("spec.selector", "/spec/selector"),
        ("discovery.k8s.io", "endpointslices") => fixed("addressType", "/addressType"),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => fixed("roleRef", "/roleRef"),
        ("", "secrets") => fixed("type", "/type"),
        ("", "services") if old.pointer("/spec/type") == new.pointer("/spec/type") => {
            fixed("spec.clusterIP", "/spec/clusterIP");
        }
        ("apiextensions.k8s.io", super::CRDS) => {
            fixed("spec.scope", "/spec/scope");
            fixed("spec.names.kind", "/spec/names/kind");
            fixed("spec.group", "/spec/group");
            fixed("spec.names.plural", "/spec/names/plural");
        }
        ("", "pods") => pod_update(old, new, errors),
        _ => {}
    }
    if old.get("immutable") == Some(&Value::Bool(true)) {
        for key in ["data", "binaryData"].iter().filter(|key| old.get(**key) != new.get(**key)) {
            errors.push(FieldError::forbidden(*key, "field is immutable when `immutable` is set"));
        }
    }
}

/// Of a pod's spec, only images, deadlines and tolerations change, and the grace period of a negative one.
fn pod_update(old: &Value, new: &Value, errors: &mut Vec<FieldError>) {
    let fixed = |pod: &Value| {
        let mut spec = pod.get("spec").cloned().unwrap_or_default();
        for key in ["containers", "initContainers"] {
            for container in spec.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
                meta::as_object(container).remove("image");
                meta::as_object(container).remove("imagePullPolicy");
            }
        }
        for key in [
            "activeDeadlineSeconds",
            "tolerations",
            "terminationGracePeriodSeconds",
            "schedulingGates",
            "ephemeralContainers",
        ] {
            meta::as_object(&mut spec).remove(key);
        }
        spec
    };
    if fixed(old) != fixed(new) {
        errors.push(FieldError::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        ));
    }
}
