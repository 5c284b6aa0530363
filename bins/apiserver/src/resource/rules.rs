//! The few rules that built-in objects are held to.

use std::net::IpAddr;

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
    for finalizer in items(object.get("metadata"), "finalizers") {
        if let Some(why) = finalizer.as_str().and_then(names::qualified_name) {
            errors.push(FieldError::invalid("metadata.finalizers", finalizer, why));
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
        ("networking.k8s.io", "networkpolicies") => super::network_policy::check(object, errors),
        ("discovery.k8s.io", "endpointslices") => {
            let known = ["FQDN", "IPv4", "IPv6"].map(Value::from);
            match object.get("addressType").filter(|of| **of != "") {
                None => errors.push(FieldError::required("addressType", "")),
                Some(of) if known.contains(of) => {}
                Some(of) => errors.push(FieldError::unsupported("addressType", of, &known)),
            }
        }
        ("", "configmaps" | "secrets") => keys(object, errors),
        ("rbac.authorization.k8s.io", "rolebindings") => role(object, &["ClusterRole", "Role"], errors),
        ("rbac.authorization.k8s.io", "clusterrolebindings") => role(object, &["ClusterRole"], errors),
        ("coordination.k8s.io", "leases") => lease(object, errors),
        ("apiextensions.k8s.io", super::CRDS) => errors.extend(super::custom::check(object)),
        _ => {}
    }
}

pub(super) fn items<'a>(value: Option<&'a Value>, key: &str) -> &'a [Value] {
    value.and_then(|value| value.get(key)).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// What is wrong with a selector of labels.
pub(super) fn selector(selector: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    labels(selector.and_then(|selector| selector.get("matchLabels")), &format!("{path}.matchLabels"), errors);
    for (n, expression) in items(selector, "matchExpressions").iter().enumerate() {
        let at = format!("{path}.matchExpressions[{n}]");
        let values = items(Some(expression), "values");
        let operator = expression.get("operator").cloned().unwrap_or_else(|| "".into());
        match operator.as_str() {
            Some("In" | "NotIn") if values.is_empty() => {
                let why = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.push(FieldError::required(format!("{at}.values"), why));
            }
            Some("Exists" | "DoesNotExist") if !values.is_empty() => {
                let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(FieldError::forbidden(format!("{at}.values"), why));
            }
            Some("In" | "NotIn" | "Exists" | "DoesNotExist") => {}
            _ => {
                let why = "not a valid selector operator";
                errors.push(FieldError::invalid(format!("{at}.operator"), &operator, why));
            }
        }
        let key = meta::text(expression, &["key"]).unwrap_or_default();
        if let Some(why) = names::qualified_name(key) {
            errors.push(FieldError::invalid(format!("{at}.key"), &key.into(), why));
        }
        for (m, value) in values.iter().enumerate() {
            if let Some(why) = value.as_str().and_then(names::label_value) {
                errors.push(FieldError::invalid(format!("{at}.values[{m}]"), value, why));
            }
        }
    }
}

/// What is wrong with a port that is a number or a name.
pub(super) fn port(port: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let why = match (port.as_str(), port.as_i64()) {
        (Some(name), _) => names::port(name),
        (None, Some(1..=65535)) => None,
        (None, _) => Some("must be between 1 and 65535, inclusive"),
    };
    errors.extend(why.map(|why| FieldError::invalid(path, port, why)));
}

fn keys(object: &Value, errors: &mut Vec<FieldError>) {
    for part in ["data", "binaryData"] {
        for (key, _) in object.get(part).and_then(Value::as_object).into_iter().flatten() {
            if let Some(why) = names::key(key) {
                errors.push(FieldError::invalid(format!("{part}[{key}]"), &key.as_str().into(), why));
            }
        }
    }
}

fn role(binding: &Value, kinds: &[&str], errors: &mut Vec<FieldError>) {
    let text = |key: &str| Value::from(meta::text(binding, &["roleRef", key]).unwrap_or_default());
    for (key, among) in [("apiGroup", &["rbac.authorization.k8s.io"][..]), ("kind", kinds)] {
        let (found, among) = (text(key), among.iter().map(|of| Value::from(*of)).collect::<Vec<_>>());
        if !among.contains(&found) {
            errors.push(FieldError::unsupported(format!("roleRef.{key}"), &found, &among));
        }
    }
    if text("name") == "" {
        errors.push(FieldError::required("roleRef.name", ""));
    }
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
    let address = meta::text(object, &["spec", "clusterIP"]).unwrap_or_default();
    if !matches!(address, "" | "None") && address.parse::<IpAddr>().is_err() {
        let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        errors.push(FieldError::invalid("spec.clusterIPs[0]", &address.into(), why));
    }
    if kind == "ExternalName" && meta::text(object, &["spec", "externalName"]).unwrap_or_default().is_empty()
    {
        errors.push(FieldError::required("spec.externalName", ""));
    }
    for (n, one) in ports.iter().enumerate() {
        number(one.get("port"), &format!("spec.ports[{n}].port"), errors);
        if let Some(target) = one.get("targetPort") {
            port(target, &format!("spec.ports[{n}].targetPort"), errors);
        }
        if ports.len() > 1 && meta::text(one, &["name"]).unwrap_or_default().is_empty() {
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
