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
