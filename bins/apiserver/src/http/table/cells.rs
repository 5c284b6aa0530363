//! Columns of built-in kinds.

use serde_json::Value;

use super::{Head, age, heads};
use crate::meta;
use crate::resource::Resource;

/// Heads of a kind's columns.
pub(super) fn heads_of(resource: &Resource) -> Vec<Head> {
    let (narrow, wide): (&[&str], &[&str]) = match (&*resource.group, &*resource.plural) {
        ("", "pods") => (
            &["Name", "Ready", "Status", "Restarts", "Age"],
            &["IP", "Node", "Nominated Node", "Readiness Gates"],
        ),
        ("", "nodes") => (
            &["Name", "Status", "Roles", "Age", "Version"],
            &["Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime"],
        ),
        ("", "namespaces") => (&["Name", "Status", "Age"], &[]),
        ("", "services") => (&["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age"], &["Selector"]),
        ("", "endpoints") => (&["Name", "Endpoints", "Age"], &[]),
        ("", "configmaps") => (&["Name", "Data", "Age"], &[]),
        ("", "secrets") => (&["Name", "Type", "Data", "Age"], &[]),
        ("" | "events.k8s.io", "events") => {
            (&["Last Seen", "Type", "Reason", "Object", "Message"], &["Source", "Count", "Name"])
        }
        ("apps", "deployments") => {
            (&["Name", "Ready", "Up-to-date", "Available", "Age"], &["Containers", "Images", "Selector"])
        }
        ("apps", "replicasets") => {
            (&["Name", "Desired", "Current", "Ready", "Age"], &["Containers", "Images", "Selector"])
        }
        ("apps", "daemonsets") => (
            &["Name", "Desired", "Current", "Ready", "Up-to-date", "Available", "Node Selector", "Age"],
            &["Containers", "Images", "Selector"],
        ),
        ("apps", "statefulsets") => (&["Name", "Ready", "Age"], &["Containers", "Images"]),
        ("discovery.k8s.io", _) => (&["Name", "AddressType", "Ports", "Endpoints", "Age"], &[]),
        ("networking.k8s.io", "networkpolicies") => (&["Name", "Pod-Selector", "Age"], &[]),
        ("coordination.k8s.io", _) => (&["Name", "Holder", "Age"], &[]),
        ("rbac.authorization.k8s.io", "roles" | "clusterroles") => (&["Name", "Created At"], &[]),
        ("rbac.authorization.k8s.io", _) => (&["Name", "Role", "Age"], &[]),
        ("apiextensions.k8s.io", _) => (&["Name", "Created At"], &[]),
        _ => (&["Name", "Age"], &[]),
    };
    heads(narrow, wide)
}

/// A row's cells, in the order of the heads.
pub(super) fn of(resource: &Resource, object: &Value) -> Vec<Value> {
    let heads = heads_of(resource);
    heads.iter().map(|head| cell(resource, head.name, object).into()).collect()
}

fn cell(resource: &Resource, head: &str, object: &Value) -> String {
    let text =
        |path: &str| meta::at_dotted(object, path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
    let number = |path: &str| meta::at_dotted(object, path).and_then(Value::as_i64).unwrap_or(0).to_string();
    let created = meta::meta(object, "creationTimestamp");
    match (&*resource.plural, head) {
        (_, "Name") => meta::name(object).to_owned(),
        (_, "Age") => age(created),
        (_, "Created At") => created.to_owned(),
        ("pods", "Ready") => {
            let ready = statuses(object).filter(|status| status["ready"] == true).count();
            format!("{ready}/{}", items(object, "spec.containers").len())
        }
        ("pods", "Status") => pod_status(object),
        ("pods", "Restarts") => {
            statuses(object).filter_map(|status| status["restartCount"].as_i64()).sum::<i64>().to_string()
        }
        ("pods", "IP") => or(text("status.podIP"), "<none>"),
        ("pods", "Node") => or(text("spec.nodeName"), "<none>"),
        ("pods", "Nominated Node") => or(text("status.nominatedNodeName"), "<none>"),
        ("pods", "Readiness Gates") => "<none>".into(),
        ("nodes", "Status") => node_status(object),
        ("nodes", "Roles") => node_roles(object),
        ("nodes", "Version") => text("status.nodeInfo.kubeletVersion"),
        ("nodes", "Internal-IP") => node_address(object, "InternalIP"),
        ("nodes", "External-IP") => node_address(object, "ExternalIP"),
        ("nodes", "OS-Image") => or(text("status.nodeInfo.osImage"), "<unknown>"),
        ("nodes", "Kernel-Version") => or(text("status.nodeInfo.kernelVersion"), "<unknown>"),
        ("nodes", "Container-Runtime") => or(text("status.nodeInfo.containerRuntimeVersion"), "<unknown>"),
        ("namespaces", "Status") => text("status.phase"),
        ("services", "Type") => text("spec.type"),
        ("services", "Cluster-IP") => or(text("spec.clusterIP"), "<none>"),
        ("services", "External-IP") => or(text("spec.externalName"), "<none>"),
        ("services", "Port(s)") => service_ports(object),
        ("services", "Selector") => labels(object.pointer("/spec/selector")),
        ("endpoints", "Endpoints") => endpoints(object),
        ("configmaps" | "secrets", "Data") => {
            let count =
                |key: &str| object.get(key).and_then(Value::as_object).map_or(0, serde_json::Map::len);
            (count("data") + count("binaryData")).to_string()
        }
        ("secrets", "Type") => text("type"),
        ("events", "Last Seen") => {
            let times =
                ["lastTimestamp", "deprecatedLastTimestamp", "eventTime", "metadata.creationTimestamp"];
            age(&times.iter().map(|path| text(path)).find(|time| !time.is_empty()).unwrap_or_default())
        }
        ("events", "Type") => text("type"),
        ("events", "Reason") => text("reason"),
        ("events", "Object") => {
            let of = if object.get("regarding").is_some() { "regarding" } else { "involvedObject" };
            format!("{}/{}", text(&format!("{of}.kind")).to_lowercase(), text(&format!("{of}.name")))
        }
        ("events", "Message") => or(text("message"), &text("note")),
        ("events", "Source") => or(text("source.component"), &text("reportingComponent")),
        ("events", "Count") => number("count"),
        ("daemonsets", "Desired") => number("status.desiredNumberScheduled"),
        ("daemonsets", "Current") => number("status.currentNumberScheduled"),
        ("daemonsets", "Ready") => number("status.numberReady"),
        ("daemonsets", "Up-to-date") => number("status.updatedNumberScheduled"),
        ("daemonsets", "Available") => number("status.numberAvailable"),
        ("daemonsets", "Node Selector") => labels(object.pointer("/spec/template/spec/nodeSelector")),
        ("replicasets", "Desired") => number("spec.replicas"),
        ("replicasets", "Current") => number("status.replicas"),
        ("replicasets", "Ready") => number("status.readyReplicas"),
        (_, "Ready") => format!("{}/{}", number("status.readyReplicas"), number("spec.replicas")),
        (_, "Up-to-date") => number("status.updatedReplicas"),
        (_, "Available") => number("status.availableReplicas"),
        (_, "Containers") => names(object, "name"),
        (_, "Images") => names(object, "image"),
        (_, "Selector") => labels(object.pointer("/spec/selector/matchLabels")),
        ("endpointslices", "AddressType") => text("addressType"),
        ("endpointslices", "Ports") => {
            let ports = items(object, "ports").iter().map(|port| port["port"].to_string());
            or(ports.collect::<Vec<_>>().join(","), "<unset>")
        }
        ("endpointslices", "Endpoints") => {
            let all =
                items(object, "endpoints").iter().filter_map(|endpoint| endpoint["addresses"][0].as_str());
            or(few(&all.collect::<Vec<_>>()), "<unset>")
        }
        ("networkpolicies", "Pod-Selector") => labels(object.pointer("/spec/podSelector/matchLabels")),
        ("leases", "Holder") => text("spec.holderIdentity"),
        ("rolebindings" | "clusterrolebindings", "Role") => {
            format!("{}/{}", text("roleRef.kind"), text("roleRef.name"))
        }
        _ => String::new(),
    }
}

fn items<'a>(object: &'a Value, path: &str) -> &'a [Value] {
    meta::at_dotted(object, path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    items(pod, "status.containerStatuses").iter()
}

/// A pod's status: why containers wait or ended, else its phase.
fn pod_status(pod: &Value) -> String {
    let text = |value: &Value, path: &str| value.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let mut status = text(pod, "/status/reason").or_else(|| text(pod, "/status/phase")).unwrap_or_default();
    for container in statuses(pod) {
        let reason =
            text(container, "/state/waiting/reason").or_else(|| text(container, "/state/terminated/reason"));
        if let Some(reason) = reason {
            status = reason;
        }
    }
    if meta::is_terminating(pod) { "Terminating".into() } else { status }
}

fn node_status(node: &Value) -> String {
    let ready = items(node, "status.conditions").iter().find(|condition| condition["type"] == "Ready");
    let mut status = match ready.map(|condition| &condition["status"]) {
        Some(status) if status == "True" => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if node.pointer("/spec/unschedulable") == Some(&true.into()) {
        status.push_str(",SchedulingDisabled");
    }
    status
}

fn node_roles(node: &Value) -> String {
    let labels = node.pointer("/metadata/labels").and_then(Value::as_object);
    let roles =
        labels.into_iter().flatten().filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"));
    let roles: Vec<&str> = roles.collect();
    if roles.is_empty() { "<none>".into() } else { roles.join(",") }
}

fn node_address(node: &Value, of: &str) -> String {
    let found = items(node, "status.addresses").iter().find(|address| address["type"] == of);
    found.and_then(|address| address["address"].as_str()).unwrap_or("<none>").to_owned()
}

fn service_ports(service: &Value) -> String {
    let ports = items(service, "spec.ports").iter().map(|port| {
        let (number, protocol) = (port["port"].to_string(), port["protocol"].as_str().unwrap_or("TCP"));
        match port["nodePort"].as_i64() {
            Some(node) if node > 0 => format!("{number}:{node}/{protocol}"),
            _ => format!("{number}/{protocol}"),
        }
    });
    let ports: Vec<String> = ports.collect();
    if ports.is_empty() { "<none>".into() } else { ports.join(",") }
}

fn labels(map: Option<&Value>) -> String {
    let pairs = map.and_then(Value::as_object).into_iter().flatten();
    let pairs: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    if pairs.is_empty() { "<none>".into() } else { pairs.join(",") }
}

fn endpoints(object: &Value) -> String {
    let mut all = Vec::new();
    for subset in items(object, "subsets") {
        for address in items(subset, "addresses") {
            let ip = address["ip"].as_str().unwrap_or_default();
            all.extend(items(subset, "ports").iter().map(|port| format!("{ip}:{}", port["port"])));
        }
    }
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    if all.is_empty() { "<none>".into() } else { few(&all) }
}

/// Three of a list, and how many more there are.
fn few(all: &[&str]) -> String {
    match all.len() {
        0..=3 => all.join(","),
        n => format!("{} + {} more...", all[..3].join(","), n - 3),
    }
}

fn names(object: &Value, key: &str) -> String {
    let containers = items(object, "spec.template.spec.containers").iter();
    containers.filter_map(|container| container[key].as_str()).collect::<Vec<_>>().join(",")
}
