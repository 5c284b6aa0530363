//! Rules that writes are held to.

use serde_json::{Value, json};

use crate::target::Target;

pub(crate) async fn names(target: &Target) {
    if target.name == "named" {
        return;
    }
    let namespace = target.namespace().await;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let unnamed = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}});
    let (status, answer) = target.json("POST", &path, &unnamed).await;
    assert_eq!(status, 422, "{answer}");
    assert_eq!(answer["details"]["causes"][0]["field"], "metadata.name");
    let message = "metadata.name: Required value: name or generateName is required";
    assert!(answer["message"].as_str().expect("message").contains(message), "{answer}");
}

pub(crate) async fn namespaces_that_stay(target: &Target) {
    if target.name == "named" {
        return;
    }
    for name in ["default", "kube-public", "kube-system"] {
        let path = format!("/api/v1/namespaces/{name}");
        let (status, answer) = target.json("DELETE", &path, &Value::Null).await;
        assert_eq!((status, &answer["reason"]), (403, &json!("Forbidden")), "{answer}");
        let message = format!("namespaces \"{name}\" is forbidden: this namespace may not be deleted");
        assert_eq!(answer["message"], message.as_str());
    }
    let (_, found) = target.json("GET", "/api/v1/namespaces/default", &Value::Null).await;
    assert_eq!(found["status"]["phase"], "Active");
    assert_eq!(found["metadata"]["deletionTimestamp"], Value::Null);
}

/// Otherwise `kubectl diff` would show changes that are none.
pub(crate) async fn empty_metadata(target: &Target) {
    let namespace = target.namespace().await;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let empty = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": "a", "labels": {}, "annotations": {}, "finalizers": [], "ownerReferences": []}});
    let (status, made) = target.json("POST", &path, &empty).await;
    assert_eq!(status, 200, "{made}");
    let patch = json!({"metadata": {"labels": {}, "annotations": {}, "finalizers": []}}).to_string();
    let path = format!("{path}/a");
    let (status, patched) =
        target.raw("PATCH", &path, "application/merge-patch+json", "application/json", &patch).await;
    assert_eq!(status, 200, "{patched}");
    for object in [&made, &patched] {
        for key in ["labels", "annotations", "finalizers", "ownerReferences"] {
            assert_eq!(object["metadata"].get(key), None, "{object}");
        }
    }
    assert_eq!(
        made["metadata"]["resourceVersion"], patched["metadata"]["resourceVersion"],
        "nothing changed"
    );
}

pub(crate) async fn addresses_of_services(target: &Target) {
    // Servers before that insist on being told.
    if target.name == "named" || !target.is_at_least(1, 21) {
        return;
    }
    let namespace = target.namespace().await;
    let path = format!("/api/v1/namespaces/{namespace}/services");
    let service = |address: Value, version: &Value| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "resourceVersion": version},
            "spec": {"clusterIP": address, "ports": [{"port": 80}]}})
    };
    let (status, made) = target.json("POST", &path, &service(json!(""), &Value::Null)).await;
    assert_eq!(status, 200, "{made}");
    let address = made["spec"]["clusterIP"].as_str().expect("address");
    assert!(!address.is_empty());
    let (path, version) = (format!("{path}/s"), &made["metadata"]["resourceVersion"]);
    for left_out in [json!(""), Value::Null] {
        let (status, answer) = target.json("PUT", &path, &service(left_out, version)).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["spec"]["clusterIP"], address);
        assert_eq!(&answer["metadata"]["resourceVersion"], version, "nothing changed");
    }
    let (status, answer) = target.json("PUT", &path, &service(json!("None"), version)).await;
    assert_eq!(
        (status, &answer["details"]["causes"][0]["field"]),
        (422, &json!("spec.clusterIP")),
        "{answer}"
    );
}

/// What a creation is refused for: the fields, in order.
async fn refused(target: &Target, path: &str, object: &Value) -> Vec<String> {
    let (status, answer) = target.json("POST", path, object).await;
    assert_eq!(status, 422, "{object}: {answer}");
    let causes = answer["details"]["causes"].as_array().expect("causes").iter();
    causes.map(|cause| cause["field"].as_str().expect("field").to_owned()).collect()
}

pub(crate) async fn network_policies(target: &Target) {
    // Before, they are custom objects to the reference.
    if target.name == "named" || !target.is_at_least(1, 22) {
        return;
    }
    let namespace = target.namespace().await;
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies");
    let policy = |name: &str, spec: &Value| json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec});
    let ports = |ports: Value| json!({"podSelector": {}, "ingress": [{"ports": [ports]}]});
    let selects = |expression: Value| json!({"podSelector": {"matchExpressions": [expression]}});
    let from = |peer: Value| json!({"podSelector": {}, "ingress": [{"from": [peer]}]});
    let port = "spec.ingress[0].ports[0].port";
    let end = "spec.ingress[0].ports[0].endPort";
    let expression = "spec.podSelector.matchExpressions[0]";
    let (key, operator, values) =
        (format!("{expression}.key"), format!("{expression}.operator"), format!("{expression}.values"));
    for (spec, fields) in [
        (json!({"podSelector": {}, "policyTypes": ["Sideways"]}), vec!["spec.policyTypes[0]"]),
        (
            json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress", "Ingress"]}),
            vec!["spec.policyTypes"],
        ),
        (
            json!({"podSelector": {}, "policyTypes": ["Ingress", "ingress"],
                "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0"}}]}]}),
            vec!["spec.egress[0].to[0].ipBlock.cidr", "spec.policyTypes[1]"],
        ),
        (ports(json!({"port": 70000})), vec![port]),
        (ports(json!({"port": 0})), vec![port]),
        (ports(json!({"port": "Bad_Name"})), vec![port]),
        (ports(json!({"port": "80"})), vec![port]),
        (ports(json!({"port": 80, "endPort": 79})), vec![end]),
        (ports(json!({"port": 80, "endPort": 70000})), vec![end]),
        (ports(json!({"endPort": 80})), vec![end]),
        (ports(json!({"port": "http", "endPort": 80})), vec![end]),
        (json!({"podSelector": {"matchLabels": {"a": "-b-"}}}), vec!["spec.podSelector.matchLabels"]),
        (json!({"podSelector": {"matchLabels": {"-a": "b"}}}), vec!["spec.podSelector.matchLabels"]),
        (selects(json!({"key": "a", "operator": "Foo"})), vec![&operator]),
        (selects(json!({"key": "a", "operator": "In"})), vec![&values]),
        (selects(json!({"key": "a", "operator": "NotIn", "values": []})), vec![&values]),
        (selects(json!({"key": "a", "operator": "Exists", "values": ["b"]})), vec![&values]),
        (selects(json!({"key": "a b", "operator": "Exists"})), vec![&key]),
        (
            selects(json!({"key": "a", "operator": "In", "values": ["b", "-"]})),
            vec!["spec.podSelector.matchExpressions[0].values[1]"],
        ),
        (from(json!({})), vec!["spec.ingress[0].from[0]"]),
        (
            from(json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}})),
            vec!["spec.ingress[0].from[0]"],
        ),
        (
            from(json!({"namespaceSelector": {"matchLabels": {"a": "b c"}}})),
            vec!["spec.ingress[0].from[0].namespaceSelector.matchLabels"],
        ),
    ] {
        assert_eq!(refused(target, &path, &policy("bad", &spec)).await, fields, "{spec}");
    }
    for (n, spec) in [
        ports(json!({"port": 80, "endPort": 80})),
        ports(json!({"port": "http-2", "protocol": "SCTP"})),
        selects(json!({"key": "k8s.io/a", "operator": "In", "values": ["b", ""]})),
        selects(json!({"key": "a", "operator": "DoesNotExist"})),
        json!({"podSelector": {}, "policyTypes": ["Egress", "Ingress"], "egress": [{}]}),
    ]
    .iter()
    .enumerate()
    {
        let (status, answer) = target.json("POST", &path, &policy(&format!("good-{n}"), spec)).await;
        assert_eq!(status, 200, "{spec}: {answer}");
    }
}

pub(crate) async fn fields(target: &Target) {
    if target.name == "named" {
        return;
    }
    let namespace = target.namespace().await;
    let (core, roles) = ("/api/v1/namespaces", "/apis/rbac.authorization.k8s.io/v1/namespaces");
    for (group, plural, mut object, field) in [
        (roles, "rolebindings", json!({"roleRef": {"kind": "Role"}}), "roleRef.name"),
        (roles, "rolebindings", json!({"roleRef": {"kind": "Pod", "name": "a"}}), "roleRef.kind"),
        (core, "configmaps", json!({"data": {"a b": "c"}}), "data[a b]"),
        (core, "configmaps", json!({"metadata": {"finalizers": ["a b/c"]}}), "metadata.finalizers"),
        (core, "services", json!({"spec": {"type": "ExternalName"}}), "spec.externalName"),
        (
            core,
            "services",
            json!({"spec": {"clusterIP": "nope", "ports": [{"port": 80}]}}),
            "spec.clusterIPs[0]",
        ),
        (
            core,
            "services",
            json!({"spec": {"ports": [{"port": 80, "targetPort": "a-name-that-is-too-long"}]}}),
            "spec.ports[0].targetPort",
        ),
    ] {
        object["metadata"]["name"] = "a".into();
        let found = refused(target, &format!("{group}/{namespace}/{plural}"), &object).await;
        assert!(found.contains(&field.to_owned()), "{object}: {found:?}");
    }
}

pub(crate) async fn who_asks(target: &Target) {
    if target.name == "named" || !target.is_at_least(1, 28) {
        return;
    }
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let (status, answer) = target.json("POST", path, &review).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["status"]["userInfo"]["username"].is_string(), "{answer}");
    // The same in protobuf: an envelope with version and kind, and an object with no fields set but its empty parts.
    let mut envelope = String::from("k8s\0\n-\n\u{18}authentication.k8s.io/v1\u{12}\u{11}SelfSubjectReview");
    envelope.push_str("\u{12}\u{6}\n\0\u{12}\u{2}\n\0");
    let kind = "application/vnd.kubernetes.protobuf";
    let (status, answer) = target.raw("POST", path, kind, "application/json", &envelope).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["status"]["userInfo"]["groups"].is_array(), "{answer}");
}
