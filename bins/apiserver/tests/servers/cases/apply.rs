//! Server-side apply and who owns what.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::target::Target;

fn by(manager: &str) -> PatchParams {
    PatchParams::apply(manager)
}

/// Fields of a manager, by operation.
fn fields(managed: &Value, manager: &str, operation: &str) -> Option<Value> {
    let list = managed["metadata"]["managedFields"].as_array()?;
    let entry = list.iter().find(|entry| entry["manager"] == manager && entry["operation"] == operation)?;
    Some(entry["fieldsV1"].clone())
}

fn map(data: Value) -> Patch<Value> {
    Patch::Apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}))
}

pub(crate) async fn owners(target: &Target) {
    let namespace = target.namespace().await;
    let api: Api<ConfigMap> = Api::namespaced(target.client.clone(), &namespace);
    let made = api.patch("a", &by("one"), &map(json!({"x": "1", "y": "1"}))).await.expect("apply creates");
    let json = serde_json::to_value(&made).expect("json");
    assert_eq!(fields(&json, "one", "Apply"), Some(json!({"f:data": {"f:x": {}, "f:y": {}}})));
    let again = api.patch("a", &by("one"), &map(json!({"x": "1", "y": "1"}))).await.expect("apply");
    assert_eq!(again.resource_version(), made.resource_version(), "nothing changed");
    let refused = api.patch("a", &by("two"), &map(json!({"x": "2"}))).await.expect_err("conflict");
    let kube::Error::Api(status) = refused else { panic!("{refused}") };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"one\": .data.x");
    let cause = &status.details.as_ref().expect("details").causes[0];
    assert_eq!((cause.reason.as_str(), cause.field.as_str()), ("FieldManagerConflict", ".data.x"));
    let forced = api.patch("a", &by("two").force(), &map(json!({"x": "2"}))).await.expect("forced");
    assert_eq!(json!(forced.data), json!({"x": "2", "y": "1"}));
    // What one gave up, or lost, it does not take away.
    let less = api.patch("a", &by("one"), &map(json!({}))).await.expect("less");
    assert_eq!(json!(less.data), json!({"x": "2"}));
    // A plain update takes ownership, and is told of in a conflict.
    let edit = PatchParams { field_manager: Some("editor".into()), ..PatchParams::default() };
    api.patch("a", &edit, &Patch::Merge(json!({"data": {"x": "3"}}))).await.expect("edit");
    let refused = api.patch("a", &by("two"), &map(json!({"x": "2"}))).await.expect_err("conflict");
    let kube::Error::Api(status) = refused else { panic!("{refused}") };
    assert!(status.message.contains("conflict with \"editor\" using v1: .data.x"), "{}", status.message);
    // Whoever wants what is there shares it.
    api.patch("a", &by("two"), &map(json!({"x": "3"}))).await.expect("shared");
}

pub(crate) async fn pods(target: &Target) {
    let namespace = target.namespace().await;
    let api: Api<Pod> = Api::namespaced(target.client.clone(), &namespace);
    let pod = |containers: Value, labels: Value| {
        Patch::Apply(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": labels}, "spec": {"containers": containers}}),
        )
    };
    let one = json!([{"name": "c", "image": "image:1", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]);
    let made = api.patch("p", &by("one"), &pod(one.clone(), json!({"a": "b"}))).await.expect("apply");
    let json = serde_json::to_value(&made).expect("json");
    let owned = json!({
        "f:metadata": {"f:labels": {"f:a": {}}},
        "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:image": {}, "f:name": {},
            "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:protocol": {}}}}}},
    });
    assert_eq!(fields(&json, "one", "Apply"), Some(owned));
    let image = json!([{"name": "c", "image": "image:2"}]);
    api.patch("p", &by("two"), &pod(image.clone(), json!({}))).await.expect_err("conflict");
    let forced = api.patch("p", &by("two").force(), &pod(image, json!({"z": "1"}))).await.expect("forced");
    let container = &forced.spec.as_ref().expect("spec").containers[0];
    assert_eq!(container.image.as_deref(), Some("image:2"));
    assert!(container.ports.is_some(), "of the other");
    assert_eq!(forced.labels().len(), 2);
    // A status is applied through its subresource.
    let status = Patch::Apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}));
    let running = api.patch_status("p", &by("kubelet"), &status).await.expect("status");
    let json = serde_json::to_value(&running).expect("json");
    assert_eq!(json["status"]["phase"], "Running");
    let owned = fields(&json, "kubelet", "Apply").expect("an owner");
    assert!(owned["f:status"]["f:conditions"]["k:{\"type\":\"Ready\"}"]["f:status"].is_object(), "{owned}");
}

pub(crate) async fn what_an_update_owns(target: &Target) {
    let namespace = target.namespace().await;
    let api: Api<ConfigMap> = Api::namespaced(target.client.clone(), &namespace);
    let post = PostParams { field_manager: Some("maker".into()), ..PostParams::default() };
    let made = super::objects::config_map("a", json!({"l": "1"}), json!({"x": "1"}));
    let made = api.create(&post, &made).await.expect("create");
    let json = serde_json::to_value(&made).expect("json");
    let owned = json!({"f:metadata": {"f:labels": {".": {}, "f:l": {}}}, "f:data": {".": {}, "f:x": {}}});
    assert_eq!(fields(&json, "maker", "Update"), Some(owned));
    let edit = PatchParams { field_manager: Some("editor".into()), ..PatchParams::default() };
    let edited =
        api.patch("a", &edit, &Patch::Merge(json!({"data": {"x": "2", "y": "1"}}))).await.expect("edit");
    let json = serde_json::to_value(&edited).expect("json");
    assert_eq!(fields(&json, "editor", "Update"), Some(json!({"f:data": {"f:x": {}, "f:y": {}}})));
    let left = json!({"f:metadata": {"f:labels": {".": {}, "f:l": {}}}, "f:data": {}});
    assert_eq!(fields(&json, "maker", "Update"), Some(left));
}
