//! Custom kinds.

use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::target::{Target, eventually};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// Defines a kind in a group of its own, and waits until it is served.
async fn define(target: &Target, group: &str, versions: Value) -> ApiResource {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("things.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing", "shortNames": ["th"]},
            "versions": versions,
        },
    });
    let (status, answer) = target.json("POST", DEFINITIONS, &definition).await;
    assert_eq!(status, 200, "{answer}");
    let path = format!("{DEFINITIONS}/things.{group}");
    let version = versions[0]["name"].as_str().expect("name").to_owned();
    eventually("established", async || {
        let (_, found) = target.json("GET", &path, &Value::Null).await;
        let conditions = found["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let (listed, _) = target.json("GET", &format!("/apis/{group}/{version}/things"), &Value::Null).await;
        listed == 200
            && conditions
                .iter()
                .any(|condition| condition["type"] == "Established" && condition["status"] == "True")
    })
    .await;
    ApiResource {
        group: group.to_owned(),
        version: version.clone(),
        api_version: format!("{group}/{version}"),
        kind: "Thing".into(),
        plural: "things".into(),
    }
}

fn schema() -> Value {
    json!({"openAPIV3Schema": {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "integer", "minimum": 1, "maximum": 10},
                    "color": {"type": "string", "enum": ["red", "green"], "default": "red"},
                    "port": {"x-kubernetes-int-or-string": true},
                    "cidr": {"type": "string", "format": "cidr"},
                    "word": {"type": "string", "pattern": r"^\d\PC*$"},
                    "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    "items": {
                        "type": "array",
                        "maxItems": 3,
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                        "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "value": {"type": "string"}}},
                    },
                    "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                },
                "oneOf": [{"required": ["port"]}, {"required": ["color"]}],
            },
            "status": {"type": "object", "properties": {"ready": {"type": "boolean"}}},
        },
    }})
}

fn version(name: &str, storage: bool) -> Value {
    json!({"name": name, "served": true, "storage": storage, "schema": schema(), "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
            {"name": "Ready", "type": "string", "jsonPath": ".status.ready"}]})
}

fn thing(resource: &ApiResource, name: &str, spec: Value) -> DynamicObject {
    DynamicObject::new(name, resource).data(json!({"spec": spec}))
}

pub(crate) async fn life(target: &Target) {
    let namespace = target.namespace().await;
    let group = format!("life-{namespace}.example.com");
    let resource = define(target, &group, json!([version("v1", true)])).await;
    let api: Api<DynamicObject> = Api::namespaced_with(target.client.clone(), &namespace, &resource);
    let post = PostParams::default();
    for (spec, why) in [
        (json!({"color": "red"}), "spec.size: Required value"),
        (json!({"size": 11}), "should be less than or equal to 10"),
        (json!({"size": "1"}), "must be of type integer: \"string\""),
        (json!({"size": 1, "color": "blue"}), "spec.color: Unsupported value: \"blue\": supported values:"),
        (json!({"size": 1, "cidr": "10.0.0.0"}), "spec.cidr"),
        (json!({"size": 1, "word": "a"}), "spec.word"),
        (json!({"size": 1, "port": 80}), "must validate one and only one schema (oneOf)"),
        (json!({"size": 1, "items": [{"name": "a"}, {"name": "a"}]}), "Duplicate value"),
        (json!({"size": 1, "items": [{"value": "a"}]}), "name: Required value"),
        (json!({"size": 1, "set": ["a", "a"]}), "Duplicate value"),
    ] {
        let refused = api.create(&post, &thing(&resource, "a", spec.clone())).await.expect_err("invalid");
        let kube::Error::Api(status) = refused else { panic!("{refused}") };
        assert_eq!(status.code, 422, "{spec}");
        assert!(status.message.contains(why), "{spec}: {}", status.message);
    }
    let sent = thing(&resource, "a", json!({"size": 1, "unknown": 1, "word": "1-\u{fc}", "any": {"x": [1]}}));
    let mut made = api.create(&post, &sent).await.expect("create");
    assert_eq!(
        made.data["spec"],
        json!({"size": 1, "word": "1-\u{fc}", "color": "red", "any": {"x": [1]}}),
        "pruned and defaulted"
    );
    assert_eq!(made.metadata.generation, Some(1));
    // The status comes through its subresource only, and raises no generation.
    made.data["status"] = json!({"ready": true});
    made.data["spec"]["size"] = json!(2);
    let replaced = api.replace("a", &post, &made).await.expect("replace");
    assert_eq!((replaced.data.get("status"), replaced.metadata.generation), (None, Some(2)));
    let status = Patch::Merge(json!({"status": {"ready": true}, "spec": {"size": 9}}));
    let ready = api.patch_status("a", &PatchParams::default(), &status).await.expect("status");
    assert_eq!((&ready.data["status"], &ready.data["spec"]["size"]), (&json!({"ready": true}), &json!(2)));
    assert_eq!(ready.metadata.generation, Some(2));
    let labelled = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    assert_eq!(
        api.patch("a", &PatchParams::default(), &labelled).await.expect("label").metadata.generation,
        Some(2)
    );
    let strategic = Patch::Strategic(json!({"spec": {"size": 3}}));
    let refused = api.patch("a", &PatchParams::default(), &strategic).await.expect_err("no merge keys");
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 415));
    made.metadata.resource_version = None;
    let refused = api.replace("a", &post, &made).await.expect_err("a version is asked for");
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 422));
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let path = format!("/apis/{group}/v1/namespaces/{namespace}/things");
    let (_, table) = target.raw("GET", &path, "", accept, "").await;
    assert_eq!(table["columnDefinitions"][1]["name"], "Size");
    assert_eq!(table["rows"][0]["cells"], json!(["a", 2, "true"]));
    let (status, _) = target.json("DELETE", &format!("{DEFINITIONS}/things.{group}"), &Value::Null).await;
    assert_eq!(status, 200);
    eventually("gone", async || target.json("GET", &path, &Value::Null).await.0 == 404).await;
}

pub(crate) async fn apply_to_lists(target: &Target) {
    let namespace = target.namespace().await;
    let mut version = version("v1", true);
    // Older servers take a schema with alternatives for one that says nothing of its lists.
    let spec = &mut version["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec.as_object_mut().expect("schema").remove("oneOf");
    let properties = spec["properties"].as_object_mut().expect("properties");
    properties.retain(|name, _| matches!(name.as_str(), "size" | "items" | "set"));
    let resource = define(target, &format!("apply-{namespace}.example.com"), json!([version])).await;
    let api: Api<DynamicObject> = Api::namespaced_with(target.client.clone(), &namespace, &resource);
    let apply = async |manager: &str, spec: Value| {
        let object = json!({"apiVersion": resource.api_version, "kind": "Thing", "metadata": {"name": "a"}, "spec": spec});
        let applied =
            api.patch("a", &PatchParams::apply(manager), &Patch::Apply(object)).await.expect("apply");
        applied.data["spec"].clone()
    };
    apply("one", json!({"size": 1, "items": [{"name": "x", "value": "1"}], "set": ["a"]})).await;
    let both = apply("two", json!({"size": 1, "items": [{"name": "y"}, {"name": "x"}], "set": ["b"]})).await;
    let mut names: Vec<&str> =
        both["items"].as_array().expect("items").iter().filter_map(|i| i["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["x", "y"]);
    let x = both["items"].as_array().expect("items").iter().find(|item| item["name"] == "x").expect("x");
    assert_eq!(x["value"], "1", "of the other");
    let left = apply("one", json!({"size": 1})).await;
    let mut items = left["items"].clone();
    items.as_array_mut().expect("items").sort_by_key(|item| item["name"].to_string());
    assert_eq!(items, json!([{"name": "x"}, {"name": "y"}]));
    assert_eq!(left["set"], json!(["b"]));
}

pub(crate) async fn versions(target: &Target) {
    let namespace = target.namespace().await;
    let group = format!("versions-{namespace}.example.com");
    let resource = define(target, &group, json!([version("v1beta1", false), version("v1", true)])).await;
    let old: Api<DynamicObject> = Api::namespaced_with(target.client.clone(), &namespace, &resource);
    let resource = ApiResource { version: "v1".into(), api_version: format!("{group}/v1"), ..resource };
    let new: Api<DynamicObject> = Api::namespaced_with(target.client.clone(), &namespace, &resource);
    let beta = ApiResource {
        version: "v1beta1".into(),
        api_version: format!("{group}/v1beta1"),
        ..resource.clone()
    };
    old.create(&PostParams::default(), &thing(&beta, "a", json!({"size": 1}))).await.expect("create");
    let found = new.get("a").await.expect("get");
    assert_eq!(found.types.expect("types").api_version, format!("{group}/v1"));
    assert_eq!(
        old.get("a").await.expect("get").types.expect("types").api_version,
        format!("{group}/v1beta1")
    );
    let (_, known) = target.json("GET", &format!("/apis/{group}"), &Value::Null).await;
    assert_eq!(known["preferredVersion"]["version"], "v1");
    new.delete("a", &DeleteParams::default()).await.expect("delete");
    assert!(old.list(&kube::api::ListParams::default()).await.expect("list").items.is_empty());
    assert!(found.metadata.uid.is_some() && found.metadata.name.as_deref() == Some("a"));
}
