//! What people type.

use serde_json::json;

use crate::target::{Target, eventually};

/// Whether there is a `kubectl`; says so if not.
fn is_there() -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join("kubectl").is_file()));
    if !found {
        eprintln!("skipped: kubectl is not in PATH");
    }
    found
}

/// Runs it in a namespace, and it has to succeed.
async fn works(target: &Target, namespace: &str, arguments: &[&str], input: &str) -> String {
    let all: Vec<&str> = ["-n", namespace].into_iter().chain(arguments.iter().copied()).collect();
    let (good, text) = target.kubectl(&all, input).await;
    assert!(good, "kubectl {arguments:?}: {text}");
    text
}

fn pod(label: &str) -> String {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"app": label}},
        "spec": {"containers": [{"name": "c", "image": "image:1"}]}})
    .to_string()
}

pub(crate) async fn create_apply_delete(target: &Target) {
    if !is_there() || target.name == "named" {
        return;
    }
    let namespace = target.namespace().await;
    let ns = namespace.as_str();
    let run = async |arguments: &[&str], input: &str| works(target, ns, arguments, input).await;
    assert!(run(&["apply", "-f", "-"], &pod("a")).await.contains("pod/p created"));
    assert!(run(&["apply", "-f", "-"], &pod("a")).await.contains("pod/p unchanged"));
    assert!(run(&["apply", "-f", "-"], &pod("b")).await.contains("pod/p configured"));
    assert!(run(&["get", "pods", "-l", "app=b"], "").await.contains("Pending"));
    assert!(run(&["get", "pods", "-o", "name"], "").await.contains("pod/p"));
    run(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &pod("c")).await;
    assert!(run(&["get", "pod", "p", "-o", "jsonpath={.metadata.labels.app}"], "").await.starts_with('c'));
    run(&["label", "pod", "p", "x=y"], "").await;
    run(&["annotate", "pod", "p", "x=y"], "").await;
    run(&["patch", "pod", "p", "-p", r#"{"metadata":{"labels":{"z":"1"}}}"#], "").await;
    run(&["set", "image", "pod/p", "c=image:2"], "").await;
    assert!(run(&["describe", "pod", "p"], "").await.contains("image:2"));
    run(&["wait", "--for=jsonpath={.status.phase}=Pending", "pod/p", "--timeout=10s"], "").await;
    run(&["create", "configmap", "m", "--from-literal=a=b"], "").await;
    run(&["create", "deployment", "d", "--image=image"], "").await;
    run(&["scale", "deployment", "d", "--replicas=3"], "").await;
    assert!(run(&["get", "all"], "").await.contains("0/3"));
    run(&["create", "service", "clusterip", "s", "--tcp=80:80"], "").await;
    assert!(run(&["get", "services"], "").await.contains("10.96."));
    assert!(run(&["auth", "can-i", "create", "pods"], "").await.contains("yes"));
    if target.is_at_least(1, 28) {
        assert!(run(&["auth", "whoami"], "").await.contains("system:authenticated"));
    }
    assert!(run(&["explain", "pod.spec.nodeName"], "").await.contains("nodeName"));
    assert!(run(&["delete", "pod", "p"], "").await.contains("deleted"));
    let (good, text) = target.kubectl(&["-n", ns, "get", "pod", "p"], "").await;
    assert!(!good && text.contains("pods \"p\" not found"), "{text}");
}

pub(crate) async fn custom_kinds(target: &Target) {
    if !is_there() {
        return;
    }
    let namespace = target.namespace().await;
    let group = format!("command-{namespace}.example.com");
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("gadgets.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "gadgets", "kind": "Gadget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object",
                "properties": {"spec": {"type": "object", "description": "What is wanted.", "properties": {"size": {"type": "integer"}}}}}},
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]}]}});
    let name = format!("crd/gadgets.{group}");
    let run = async |arguments: &[&str], input: &str| works(target, &namespace, arguments, input).await;
    run(&["apply", "-f", "-"], &definition.to_string()).await;
    run(&["wait", "--for=condition=Established", &name, "--timeout=20s"], "").await;
    let gadget = |size: i32| {
        json!({"apiVersion": format!("{group}/v1"), "kind": "Gadget", "metadata": {"name": "g"}, "spec": {"size": size}}).to_string()
    };
    run(&["apply", "-f", "-"], &gadget(1)).await;
    run(&["apply", "-f", "-"], &gadget(2)).await;
    let plural = format!("gadgets.{group}");
    let table = run(&["get", &plural], "").await;
    assert!(table.contains("SIZE") && table.contains('2'), "{table}");
    // Older ones publish custom kinds for older clients only.
    if target.is_at_least(1, 27) {
        let version = format!("--api-version={group}/v1");
        eventually("the kind is explained", async || {
            let (good, text) = target.kubectl(&["explain", "gadgets", &version], "").await;
            good && text.contains("What is wanted.") && !text.contains("<no description>")
        })
        .await;
    }
    run(&["patch", &plural, "g", "--type=merge", "-p", r#"{"spec":{"size":3}}"#], "").await;
    run(&["delete", &plural, "g"], "").await;
    run(&["delete", &name], "").await;
}

pub(crate) async fn strict_fields(target: &Target) {
    if !is_there() {
        return;
    }
    let namespace = target.namespace().await;
    let pod = pod("a").replace("\"image\"", "\"imag\"");
    let (good, text) = target.kubectl(&["-n", &namespace, "create", "-f", "-"], &pod).await;
    assert!(!good && text.contains("imag"), "{text}");
}
