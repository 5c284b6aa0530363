//! Defaults of built-in kinds that programs depend on.

use serde_json::{Map, Value, json};

use super::Resource;
use crate::meta::{self, as_object, object_at};

/// Fills in what a built-in object leaves out.
pub(crate) fn fill(resource: &Resource, object: &mut Value) {
    match (&*resource.group, &*resource.plural) {
        ("", "pods") => {
            pod_spec(object_at(object, "spec"));
            let quality = quality(object);
            let status = object_at(object, "status");
            status.entry("phase").or_insert("Pending".into());
            status.entry("qosClass").or_insert(quality.into());
        }
        ("", "namespaces") => namespace(object),
        ("", "services") => service(object_at(object, "spec")),
        ("", "secrets") => secret(object),
        ("", "endpoints") => {
            let subsets = object.get_mut("subsets").and_then(Value::as_array_mut).into_iter().flatten();
            subsets.for_each(|subset| protocols(subset.get_mut("ports")));
        }
        ("apps", "deployments") => {
            let spec = object_at(object, "spec");
            set(spec, "replicas", 1);
            set(spec, "revisionHistoryLimit", 10);
            set(spec, "progressDeadlineSeconds", 600);
            template(spec);
            let strategy = spec.entry("strategy").or_insert_with(|| json!({}));
            let strategy = as_object(strategy);
            set(strategy, "type", "RollingUpdate");
            if strategy.get("type") == Some(&"RollingUpdate".into()) {
                let rolling = as_object(strategy.entry("rollingUpdate").or_insert_with(|| json!({})));
                set(rolling, "maxUnavailable", "25%");
                set(rolling, "maxSurge", "25%");
            }
        }
        ("apps", "replicasets") => {
            let spec = object_at(object, "spec");
            set(spec, "replicas", 1);
            template(spec);
        }
        ("apps", "statefulsets") => {
            let spec = object_at(object, "spec");
            set(spec, "replicas", 1);
            set(spec, "revisionHistoryLimit", 10);
            set(spec, "podManagementPolicy", "OrderedReady");
            spec.entry("updateStrategy")
                .or_insert_with(|| json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}));
            template(spec);
        }
        ("apps", "daemonsets") => {
            let spec = object_at(object, "spec");
            set(spec, "revisionHistoryLimit", 10);
            spec.entry("updateStrategy").or_insert_with(
                || json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}),
            );
            template(spec);
        }
        ("batch", "jobs") => {
            let spec = object_at(object, "spec");
            for (key, value) in [("parallelism", 1), ("completions", 1), ("backoffLimit", 6)] {
                set(spec, key, value);
            }
            template(spec);
        }
        ("networking.k8s.io", "networkpolicies") => network_policy(object_at(object, "spec")),
        ("discovery.k8s.io", "endpointslices") => {
            protocols(object.get_mut("ports"));
            for port in object.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                set(as_object(port), "name", "");
            }
        }
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            if let Some(role) = object.get_mut("roleRef").filter(|role| role.is_object()) {
                set(as_object(role), "apiGroup", "rbac.authorization.k8s.io");
            }
            for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
                if subject["kind"] != "ServiceAccount" {
                    set(as_object(subject), "apiGroup", "rbac.authorization.k8s.io");
                }
            }
        }
        ("apiextensions.k8s.io", super::CRDS) => super::custom::default(object),
        _ => {}
    }
}

fn set(map: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    if map.get(key).is_none_or(Value::is_null) {
        map.insert(key.to_owned(), value.into());
    }
}

fn template(spec: &mut Map<String, Value>) {
    if let Some(template) = spec.get_mut("template").filter(|template| template.is_object()) {
        pod_spec(object_at(template, "spec"));
    }
}

fn pod_spec(spec: &mut Map<String, Value>) {
    set(spec, "restartPolicy", "Always");
    set(spec, "dnsPolicy", "ClusterFirst");
    set(spec, "schedulerName", "default-scheduler");
    set(spec, "terminationGracePeriodSeconds", 30);
    set(spec, "enableServiceLinks", true);
    set(spec, "securityContext", json!({}));
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        set(spec, "serviceAccount", account);
    } else if let Some(account) = spec.get("serviceAccount").cloned() {
        set(spec, "serviceAccountName", account);
    }
    for key in ["containers", "initContainers", "ephemeralContainers"] {
        let containers = spec.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten();
        containers.for_each(|item| container(as_object(item)));
    }
    for volume in spec.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        for kind in ["configMap", "secret", "projected", "downwardAPI"] {
            if let Some(source) = volume.get_mut(kind).filter(|source| source.is_object()) {
                set(as_object(source), "defaultMode", 420);
            }
        }
        if let Some(path) = volume.get_mut("hostPath").filter(|path| path.is_object()) {
            set(as_object(path), "type", "");
        }
    }
}

fn container(container: &mut Map<String, Value>) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let last = image.rsplit('/').next().unwrap_or_default();
    let latest = !image.contains('@') && (!last.contains(':') || last.ends_with(":latest"));
    set(container, "imagePullPolicy", if latest { "Always" } else { "IfNotPresent" });
    set(container, "terminationMessagePath", "/dev/termination-log");
    set(container, "terminationMessagePolicy", "File");
    set(container, "resources", json!({}));
    protocols(container.get_mut("ports"));
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get_mut(probe).filter(|probe| probe.is_object()) else { continue };
        let probe = as_object(probe);
        for (key, value) in
            [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
        {
            set(probe, key, value);
        }
        if let Some(get) = probe.get_mut("httpGet").filter(|get| get.is_object()) {
            set(as_object(get), "scheme", "HTTP");
            set(as_object(get), "path", "/");
        }
    }
    for env in container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(field) = env.pointer_mut("/valueFrom/fieldRef") {
            set(as_object(field), "apiVersion", "v1");
        }
    }
    // What is limited and not requested is requested as it is limited.
    if let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut)
        && let Some(Value::Object(limits)) = resources.get("limits").cloned()
    {
        let requests = as_object(resources.entry("requests").or_insert_with(|| json!({})));
        for (key, value) in limits {
            requests.entry(key).or_insert(value);
        }
    }
}

/// TCP where no protocol is named.
fn protocols(ports: Option<&mut Value>) {
    for port in ports.and_then(Value::as_array_mut).into_iter().flatten() {
        set(as_object(port), "protocol", "TCP");
    }
}

/// Class of service, by what containers request and are limited to.
fn quality(pod: &Value) -> &'static str {
    let (mut any, mut all) = (false, true);
    for key in ["/spec/containers", "/spec/initContainers"] {
        for container in pod.pointer(key).and_then(Value::as_array).into_iter().flatten() {
            for resource in ["cpu", "memory"] {
                let get = |of: &str| container.pointer(&format!("/resources/{of}/{resource}"));
                any |= get("requests").is_some() || get("limits").is_some();
                all &= get("limits").is_some() && get("limits") == get("requests");
            }
        }
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn namespace(object: &mut Value) {
    let name = meta::name(object).to_owned();
    let labels = meta::metadata_mut(object).entry("labels").or_insert_with(|| json!({}));
    if !name.is_empty() {
        as_object(labels).insert("kubernetes.io/metadata.name".into(), name.into());
    }
    let terminating = meta::is_terminating(object);
    let spec = object_at(object, "spec");
    if !terminating {
        set(spec, "finalizers", json!(["kubernetes"]));
    }
    let status = object_at(object, "status");
    set(status, "phase", "Active");
}

fn service(spec: &mut Map<String, Value>) {
    set(spec, "type", "ClusterIP");
    set(spec, "sessionAffinity", "None");
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    if kind != "ExternalName" {
        set(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "NodePort" || kind == "LoadBalancer" {
        set(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", true);
    }
    protocols(spec.get_mut("ports"));
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let port = as_object(port);
        if port.get("targetPort").is_some_and(|target| *target == 0 || *target == "") {
            port.remove("targetPort");
        }
        if let Some(number) = port.get("port").cloned() {
            set(port, "targetPort", number);
        }
    }
}

fn secret(object: &mut Value) {
    let secret = as_object(object);
    set(secret, "type", "Opaque");
    if let Some(Value::Object(texts)) = secret.remove("stringData") {
        let data = as_object(secret.entry("data").or_insert_with(|| json!({})));
        for (key, text) in texts {
            let text = text.as_str().unwrap_or_default();
            data.insert(key, base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text).into());
        }
    }
}

fn network_policy(spec: &mut Map<String, Value>) {
    set(spec, "podSelector", json!({}));
    if spec.get("policyTypes").is_none() {
        let mut types = vec!["Ingress"];
        if spec.get("egress").is_some_and(|rules| rules.as_array().is_some_and(|rules| !rules.is_empty())) {
            types.push("Egress");
        }
        spec.insert("policyTypes".into(), json!(types));
    }
    for rule in ["ingress", "egress"] {
        for rule in spec.get_mut(rule).and_then(Value::as_array_mut).into_iter().flatten() {
            protocols(rule.get_mut("ports"));
        }
    }
}
