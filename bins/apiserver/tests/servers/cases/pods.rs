//! Pods and workloads: defaults, binding, deletion, strategic patches, scale.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, EvictParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::target::Target;

pub(crate) fn pod(name: &str) -> Pod {
    let pod = json!({"metadata": {"name": name}, "spec": {"containers": [
        {"name": "c", "image": "image:1", "ports": [{"containerPort": 80}]}]}});
    serde_json::from_value(pod).expect("pod")
}

async fn bind(target: &Target, namespace: &str, name: &str) -> (u16, Value) {
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "node"}});
    target.json("POST", &format!("/api/v1/namespaces/{namespace}/pods/{name}/binding"), &binding).await
}

pub(crate) async fn defaults_and_binding(target: &Target) {
    if target.name == "named" {
        return;
    }
    let namespace = target.namespace().await;
    let api: Api<Pod> = Api::namespaced(target.client.clone(), &namespace);
    let made = api.create(&PostParams::default(), &pod("p")).await.expect("create");
    let json = serde_json::to_value(&made).expect("json");
    for (path, value) in [
        ("/spec/restartPolicy", json!("Always")),
        ("/spec/dnsPolicy", json!("ClusterFirst")),
        ("/spec/schedulerName", json!("default-scheduler")),
        ("/spec/terminationGracePeriodSeconds", json!(30)),
        ("/spec/containers/0/ports/0/protocol", json!("TCP")),
        ("/spec/containers/0/imagePullPolicy", json!("IfNotPresent")),
        ("/status/phase", json!("Pending")),
        ("/status/qosClass", json!("BestEffort")),
    ] {
        assert_eq!(json.pointer(path), Some(&value), "{path}");
    }
    let (status, answer) = bind(target, &namespace, "p").await;
    assert_eq!(status, 200, "{answer}");
    let bound = api.get("p").await.expect("get");
    assert_eq!(bound.spec.as_ref().and_then(|spec| spec.node_name.as_deref()), Some("node"));
    let conditions = serde_json::to_value(&bound.status).expect("json")["conditions"].clone();
    assert_eq!(conditions[0]["type"], "PodScheduled");
    assert_eq!(bind(target, &namespace, "p").await.0, 409, "twice");
    let list = api.list(&kube::api::ListParams::default().fields("spec.nodeName=node")).await.expect("list");
    assert_eq!(list.items.len(), 1);
    // What was wanted does not change, but for images.
    let patch = Patch::Merge(json!({"spec": {"dnsPolicy": "Default"}}));
    let refused = api.patch("p", &PatchParams::default(), &patch).await.expect_err("immutable");
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 422));
    // A status comes through its subresource only.
    let status = Patch::Merge(json!({"status": {"phase": "Running"}}));
    api.patch("p", &PatchParams::default(), &status).await.expect("patch");
    assert_eq!(phase(&api.get("p").await.expect("get")), "Pending");
    api.patch_status("p", &PatchParams::default(), &status).await.expect("status");
    let running = api.get("p").await.expect("get");
    assert_eq!(phase(&running), "Running");
    let wrong =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "q"}, "spec": {"containers": []}});
    let (status, answer) = target.json("POST", &format!("/api/v1/namespaces/{namespace}/pods"), &wrong).await;
    assert_eq!(status, 422);
    assert!(
        answer["message"].as_str().is_some_and(|text| text.contains("spec.containers: Required value")),
        "{answer}"
    );
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

pub(crate) async fn deletion_takes_its_time(target: &Target) {
    if target.name == "named" {
        return;
    }
    let namespace = target.namespace().await;
    let api: Api<Pod> = Api::namespaced(target.client.clone(), &namespace);
    for name in ["unbound", "bound", "evicted"] {
        api.create(&PostParams::default(), &pod(name)).await.expect("create");
    }
    api.delete("unbound", &DeleteParams::default()).await.expect("delete");
    assert_eq!(api.get_opt("unbound").await.expect("get"), None, "nobody has to be asked");
    for name in ["bound", "evicted"] {
        assert_eq!(bind(target, &namespace, name).await.0, 200);
    }
    api.delete("bound", &DeleteParams::default()).await.expect("delete");
    if target.is_at_least(1, 22) {
        api.evict("evicted", &EvictParams::default()).await.expect("evict");
    } else {
        api.delete("evicted", &DeleteParams::default()).await.expect("delete");
    }
    for name in ["bound", "evicted"] {
        let going = api.get(name).await.expect("still there");
        assert!(going.metadata.deletion_timestamp.is_some());
        assert_eq!(going.metadata.deletion_grace_period_seconds, Some(30));
    }
    let uid = api.get("bound").await.expect("get").uid();
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    let changed = api.patch("bound", &PatchParams::default(), &label).await.expect("patch");
    assert!(changed.metadata.deletion_timestamp.is_some());
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    api.delete("bound", &now).await.expect("what a kubelet does");
    assert!(api.get_opt("bound").await.expect("get").is_none_or(|pod| pod.uid() != uid));
}

pub(crate) async fn finalizers_hold(target: &Target) {
    use k8s_openapi::api::core::v1::ConfigMap;
    let namespace = target.namespace().await;
    let api: Api<ConfigMap> = Api::namespaced(target.client.clone(), &namespace);
    let mut held = super::objects::config_map("held", json!({}), json!({}));
    held.metadata.finalizers = Some(vec!["example.com/a".into(), "example.com/b".into()]);
    api.create(&PostParams::default(), &held).await.expect("create");
    api.delete("held", &DeleteParams::default()).await.expect("delete");
    let going = api.get("held").await.expect("held");
    assert!(going.metadata.deletion_timestamp.is_some());
    let one = Patch::Merge(json!({"metadata": {"finalizers": ["example.com/b"]}}));
    api.patch("held", &PatchParams::default(), &one).await.expect("one less");
    assert!(api.get_opt("held").await.expect("get").is_some());
    let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("held", &PatchParams::default(), &none).await.expect("the last one");
    assert_eq!(api.get_opt("held").await.expect("get"), None);
}

pub(crate) async fn strategic_patches(target: &Target) {
    let namespace = target.namespace().await;
    let api: Api<Pod> = Api::namespaced(target.client.clone(), &namespace);
    api.create(&PostParams::default(), &pod("p")).await.expect("create");
    let patch = Patch::Strategic(json!({
        "metadata": {"labels": {"a": "b"}, "finalizers": ["example.com/x"]},
        "spec": {"containers": [{"name": "c", "image": "image:2"}]},
    }));
    let patched = api.patch("p", &PatchParams::default(), &patch).await.expect("patch");
    let container = &patched.spec.as_ref().expect("spec").containers[0];
    assert_eq!(container.image.as_deref(), Some("image:2"));
    assert_eq!(container.ports.as_ref().map(Vec::len), Some(1), "the rest is as it was");
    let patch = Patch::Strategic(
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/x"], "labels": {"a": null}}}),
    );
    let patched = api.patch("p", &PatchParams::default(), &patch).await.expect("patch");
    assert!(patched.finalizers().is_empty() && patched.labels().is_empty());
    let patch = Patch::Strategic(json!({"spec": {"containers": [{"image": "nameless"}]}}));
    api.patch("p", &PatchParams::default(), &patch).await.expect_err("no merge key");
}

pub(crate) async fn scale(target: &Target) {
    use k8s_openapi::api::apps::v1::Deployment;
    if target.name == "named" {
        return;
    }
    let namespace = target.namespace().await;
    let api: Api<Deployment> = Api::namespaced(target.client.clone(), &namespace);
    let deployment = json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    let deployment: Deployment = serde_json::from_value(deployment).expect("deployment");
    let made = api.create(&PostParams::default(), &deployment).await.expect("create");
    assert_eq!(made.spec.as_ref().and_then(|spec| spec.replicas), Some(1));
    assert_eq!(made.metadata.generation, Some(1));
    let scale = api.get_scale("d").await.expect("scale");
    assert_eq!(scale.spec.and_then(|spec| spec.replicas), Some(1));
    assert_eq!(scale.status.and_then(|status| status.selector).as_deref(), Some("a=b"));
    let three = Patch::Merge(json!({"spec": {"replicas": 3}}));
    api.patch_scale("d", &PatchParams::default(), &three).await.expect("scale");
    let scaled = api.get("d").await.expect("get");
    assert_eq!(scaled.spec.and_then(|spec| spec.replicas), Some(3));
    assert_eq!(scaled.metadata.generation, Some(2));
}
