//! Objects of simple kinds: written, read, selected, refused.

use envtest::Server;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::target::Target;

pub(crate) fn config_map(name: &str, labels: Value, data: Value) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}, "data": data}))
        .expect("config map")
}

fn code(error: &kube::Error) -> (u16, String) {
    match error {
        kube::Error::Api(status) => (status.code, status.reason.clone()),
        other => panic!("{other}"),
    }
}

pub(crate) async fn from_create_to_delete(target: &Target) {
    let namespace = target.namespace().await;
    let api: Api<ConfigMap> = Api::namespaced(target.client.clone(), &namespace);
    let post = PostParams::default();
    let made =
        api.create(&post, &config_map("a", json!({"x": "1"}), json!({"k": "v"}))).await.expect("create");
    assert!(made.uid().is_some() && made.resource_version().is_some() && made.creation_timestamp().is_some());
    let mut changed = made.clone();
    changed.data.as_mut().expect("data").insert("k".into(), "w".into());
    let changed = api.replace("a", &post, &changed).await.expect("replace");
    assert_ne!(changed.resource_version(), made.resource_version());
    assert_eq!(changed.uid(), made.uid());
    let same = api.replace("a", &post, &changed).await.expect("replace by the same");
    assert_eq!(same.resource_version(), changed.resource_version(), "nothing changed");
    let patch = Patch::Merge(json!({"data": {"k": null, "l": "m"}}));
    let patched = api.patch("a", &PatchParams::default(), &patch).await.expect("patch");
    assert_eq!(json!(patched.data), json!({"l": "m"}));
    assert_eq!(api.get("a").await.expect("get"), patched);
    api.delete("a", &DeleteParams::default()).await.expect("delete");
    assert_eq!(api.get_opt("a").await.expect("get"), None);
    // A name is made where one is asked for.
    let mut unnamed = config_map("", json!({}), json!({}));
    unnamed.metadata.name = None;
    unnamed.metadata.generate_name = Some("made-".into());
    let made = api.create(&post, &unnamed).await.expect("create");
    assert!(made.name_any().starts_with("made-") && made.name_any().len() == 10);
}

pub(crate) async fn what_is_refused(target: &Target) {
    let namespace = target.namespace().await;
    let api: Api<ConfigMap> = Api::namespaced(target.client.clone(), &namespace);
    let post = PostParams::default();
    let one = config_map("a", json!({}), json!({}));
    api.create(&post, &one).await.expect("create");
    assert_eq!(code(&api.create(&post, &one).await.expect_err("twice")), (409, "AlreadyExists".into()));
    assert_eq!(code(&api.get("b").await.expect_err("missing")), (404, "NotFound".into()));
    let elsewhere: Api<ConfigMap> = Api::namespaced(target.client.clone(), "nowhere");
    if target.name != "named" {
        let bad = config_map("No_Name", json!({}), json!({}));
        assert_eq!(code(&api.create(&post, &bad).await.expect_err("name")), (422, "Invalid".into()));
        let bad = config_map("b", json!({"a b": "c"}), json!({}));
        assert_eq!(code(&api.create(&post, &bad).await.expect_err("label")), (422, "Invalid".into()));
        assert_eq!(
            code(&elsewhere.create(&post, &one).await.expect_err("namespace")),
            (404, "NotFound".into())
        );
    }
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let wrong = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}});
    assert_eq!(target.json("POST", &path, &wrong).await.0, 400);
    let typed = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": 1}});
    assert_eq!(target.json("POST", &path, &typed).await.0, 400);
    assert_eq!(target.json("GET", "/api/v1/nothings", &Value::Null).await.0, 404);
    assert_eq!(target.json("GET", "/apis/no.group/v1", &Value::Null).await.0, 404);
    let object = format!("{path}/a");
    assert_eq!(target.raw("PATCH", &object, "text/plain", "application/json", "{}").await.0, 415);
    assert_eq!(target.raw("POST", &path, "text/plain", "application/json", "{}").await.0, 415);
    assert_eq!(target.json("GET", &format!("{path}?labelSelector=a+b"), &Value::Null).await.0, 400);
    assert_eq!(target.json("GET", &format!("{path}?fieldSelector=data.x%3D1"), &Value::Null).await.0, 400);
}

pub(crate) async fn who_is_later_loses(target: &Target) {
    let namespace = target.namespace().await;
    let api: Api<ConfigMap> = Api::namespaced(target.client.clone(), &namespace);
    let post = PostParams::default();
    let made = api.create(&post, &config_map("a", json!({}), json!({"n": "0"}))).await.expect("create");
    let mut first = made.clone();
    first.data = Some([("n".to_owned(), "1".to_owned())].into());
    api.replace("a", &post, &first).await.expect("replace");
    assert_eq!(code(&api.replace("a", &post, &first).await.expect_err("stale")), (409, "Conflict".into()));
    let patch =
        Patch::Merge(json!({"metadata": {"resourceVersion": made.resource_version()}, "data": {"n": "2"}}));
    let refused = api.patch("a", &PatchParams::default(), &patch).await.expect_err("stale patch");
    assert_eq!(code(&refused), (409, "Conflict".into()));
    // Without a version, the last one wins.
    first.metadata.resource_version = None;
    first.data = Some([("n".to_owned(), "3".to_owned())].into());
    api.replace("a", &post, &first).await.expect("replace");
    let uid = |uid: &str| {
        let preconditions = Preconditions { uid: Some(uid.into()), resource_version: None };
        DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() }
    };
    assert_eq!(code(&api.delete("a", &uid("other")).await.expect_err("uid")), (409, "Conflict".into()));
    api.delete("a", &uid(&made.uid().expect("uid"))).await.expect("delete");
}

pub(crate) async fn selectors(target: &Target) {
    let namespace = target.namespace().await;
    let api: Api<ConfigMap> = Api::namespaced(target.client.clone(), &namespace);
    for (name, labels) in
        [("a", json!({"app": "web", "n": "1"})), ("b", json!({"app": "db"})), ("c", json!({}))]
    {
        api.create(&PostParams::default(), &config_map(name, labels, json!({}))).await.expect("create");
    }
    let names = async |labels: &str, fields: &str| {
        let list = api.list(&ListParams::default().labels(labels).fields(fields)).await.expect("list");
        // A cluster with controllers puts one of its own everywhere.
        list.items.iter().map(ResourceExt::name_any).filter(|name| name.len() == 1).collect::<String>()
    };
    for (labels, fields, found) in [
        ("app=web", "", "a"),
        ("app!=web", "", "bc"),
        ("app in (web,db)", "", "ab"),
        ("app notin (web)", "", "bc"),
        ("app", "", "ab"),
        ("!app", "", "c"),
        ("app=web,n=1", "", "a"),
        ("", "metadata.name=b", "b"),
        ("", "metadata.name!=b", "ac"),
        ("app", "metadata.name!=b", "a"),
        ("", &format!("metadata.namespace={namespace}"), "abc"),
    ] {
        assert_eq!(names(labels, fields).await, found, "{labels} {fields}");
    }
}

pub(crate) async fn pages(target: &Target) {
    let namespace = target.namespace().await;
    let api: Api<ConfigMap> = Api::namespaced(target.client.clone(), &namespace);
    for n in 0..5 {
        let one = config_map(&format!("page-{n}"), json!({"page": "yes"}), json!({}));
        api.create(&PostParams::default(), &one).await.expect("create");
    }
    let mut params = ListParams::default().labels("page=yes").limit(2);
    let (mut seen, mut version) = (Vec::new(), None);
    for page in 0..3 {
        let list = api.list(&params).await.expect("page");
        if page == 0 {
            version.clone_from(&list.metadata.resource_version);
            // What comes later is in no later page.
            api.create(&PostParams::default(), &config_map("page-9", json!({"page": "yes"}), json!({})))
                .await
                .expect("create");
            api.delete("page-4", &DeleteParams::default()).await.expect("delete");
        }
        assert_eq!(list.metadata.resource_version, version);
        seen.extend(list.items.iter().map(ResourceExt::name_any));
        params.continue_token = list.metadata.continue_.clone();
    }
    assert_eq!(seen, ["page-0", "page-1", "page-2", "page-3", "page-4"]);
    assert_eq!(params.continue_token.unwrap_or_default(), "");
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    assert_eq!(target.json("GET", &format!("{path}?continue=nonsense"), &Value::Null).await.0, 400);
    let version = version.expect("version");
    let exact = format!("{path}?resourceVersion={version}&resourceVersionMatch=Exact&labelSelector=page");
    let (status, list) = target.json("GET", &exact, &Value::Null).await;
    assert_eq!(status, 200, "{list}");
    assert_eq!(list["items"].as_array().expect("items").len(), 5, "as it was then");
}

pub(crate) async fn nothing_is_written_in_a_dry_run(target: &Target) {
    let namespace = target.namespace().await;
    let api: Api<ConfigMap> = Api::namespaced(target.client.clone(), &namespace);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let made = api.create(&dry, &config_map("a", json!({}), json!({}))).await.expect("dry run");
    assert!(made.uid().is_some());
    assert_eq!(api.get_opt("a").await.expect("get"), None);
    api.create(&PostParams::default(), &config_map("a", json!({}), json!({"k": "v"}))).await.expect("create");
    let params = PatchParams { dry_run: true, ..PatchParams::default() };
    let patched = api.patch("a", &params, &Patch::Merge(json!({"data": {"k": "w"}}))).await.expect("patch");
    assert_eq!(json!(patched.data), json!({"k": "w"}));
    api.delete("a", &DeleteParams { dry_run: true, ..DeleteParams::default() }).await.expect("delete");
    assert_eq!(json!(api.get("a").await.expect("get").data), json!({"k": "v"}));
}

pub(crate) async fn shapes(target: &Target) {
    let namespace = target.namespace().await;
    let api: Api<ConfigMap> = Api::namespaced(target.client.clone(), &namespace);
    api.create(&PostParams::default(), &config_map("a", json!({"x": "y"}), json!({"k": "v"})))
        .await
        .expect("create");
    let partial = api.get_metadata("a").await.expect("metadata");
    assert_eq!(partial.types.as_ref().map(|types| types.kind.as_str()), Some("PartialObjectMetadata"));
    assert_eq!(partial.labels().get("x").map(String::as_str), Some("y"));
    let list = api.list_metadata(&ListParams::default().labels("x")).await.expect("list");
    assert_eq!(list.items.len(), 1);
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let path = format!("/api/v1/namespaces/{namespace}/configmaps?labelSelector=x");
    let (_, table) = target.raw("GET", &path, "", accept, "").await;
    assert_eq!(table["kind"], "Table");
    let heads: Vec<&str> = table["columnDefinitions"]
        .as_array()
        .expect("heads")
        .iter()
        .filter_map(|head| head["name"].as_str())
        .collect();
    assert_eq!(heads.first(), Some(&"Name"));
    assert_eq!(table["rows"][0]["cells"][0], "a");
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let (status, _) = target.raw("GET", &path, "", "application/nonsense", "").await;
    assert_eq!(status, 406);
}

pub(crate) async fn collections(target: &Target) {
    let namespace = target.namespace().await;
    let api: Api<ConfigMap> = Api::namespaced(target.client.clone(), &namespace);
    for (name, label) in [("a", "x"), ("b", "x"), ("c", "y")] {
        api.create(&PostParams::default(), &config_map(name, json!({"of": label}), json!({})))
            .await
            .expect("create");
    }
    api.delete_collection(&DeleteParams::default(), &ListParams::default().labels("of=x"))
        .await
        .expect("delete");
    let left = api.list(&ListParams::default().labels("of")).await.expect("list");
    assert_eq!(left.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["c"]);
}

pub(crate) async fn leases(target: &Target) {
    let namespace = target.namespace().await;
    let api: Api<Lease> = Api::namespaced(target.client.clone(), &namespace);
    let lease = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15,
        "renewTime": "2026-01-01T00:00:00.000000Z"}});
    let lease: Lease = serde_json::from_value(lease).expect("lease");
    let made = api.create(&PostParams::default(), &lease).await.expect("create");
    let mut taken = made.clone();
    taken.spec.as_mut().expect("spec").holder_identity = Some("you".into());
    api.replace("l", &PostParams::default(), &taken).await.expect("take");
    assert_eq!(code(&api.replace("l", &PostParams::default(), &made).await.expect_err("too late")).0, 409);
}

pub(crate) async fn events(target: &Target) {
    if target.name == "named" {
        return;
    }
    let namespace = target.namespace().await;
    let event = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"},
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "example.com/me", "reportingInstance": "me-1",
        "action": "Try", "reason": "Tried", "type": "Warning", "note": "it was tried",
        "regarding": {"apiVersion": "v1", "kind": "Pod", "name": "p", "namespace": namespace}});
    let path = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
    let (status, answer) = target.json("POST", &path, &event).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&answer["note"], &answer["regarding"]["name"]), (&json!("it was tried"), &json!("p")));
    let selected =
        format!("/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.name%3Dp,reason%3DTried");
    let (_, list) = target.json("GET", &selected, &Value::Null).await;
    let found = &list["items"][0];
    assert_eq!(
        (&found["message"], &found["involvedObject"]["kind"]),
        (&json!("it was tried"), &json!("Pod"))
    );
    let none = format!("/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.name%3Dq");
    assert_eq!(target.json("GET", &none, &Value::Null).await.1["items"], json!([]));
}

/// Our documents say of lists and maps what a new real server's say.
pub(crate) async fn documents(target: &Target) {
    if target.name == "ours" || !target.is_at_least(1, 30) {
        return;
    }
    const KEYS: &[&str] = &[
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
        "x-kubernetes-patch-strategy",
        "x-kubernetes-patch-merge-key",
    ];
    let ours = Target::new("ours", Server::embedded().await.expect("server")).await;
    let mut compared = 0;
    for path in ["api/v1", "apis/apps/v1", "apis/networking.k8s.io/v1", "apis/discovery.k8s.io/v1"] {
        let path = format!("/openapi/v3/{path}");
        let (own, real) =
            (ours.json("GET", &path, &Value::Null).await.1, target.json("GET", &path, &Value::Null).await.1);
        for (name, schema) in own["components"]["schemas"].as_object().expect("schemas") {
            let Some(theirs) = real["components"]["schemas"].get(name) else { continue };
            for (field, part) in schema["properties"].as_object().into_iter().flatten() {
                // What is merged or replaced anyway may say so, or not.
                let said = |part: &Value, key: &str| {
                    part.get(key)
                        .filter(|value| !["atomic", "granular"].contains(&value.as_str().unwrap_or_default()))
                        .cloned()
                };
                let theirs = &theirs["properties"][field];
                if !theirs.is_object() || name.ends_with("List") {
                    continue;
                }
                for key in KEYS {
                    assert_eq!(said(part, key), said(theirs, key), "{name}.{field} {key}");
                }
                compared += 1;
            }
        }
    }
    assert!(compared > 500, "{compared}");
}

pub(crate) async fn discovery(target: &Target) {
    let discovery = kube::Discovery::new(target.client.clone()).run().await.expect("discovery");
    for (group, kind) in [("", "Pod"), ("apps", "Deployment"), ("coordination.k8s.io", "Lease")] {
        let found = discovery.groups().any(|known| {
            known.name() == group
                && known.recommended_resources().iter().any(|(resource, _)| resource.kind == kind)
        });
        assert!(found, "{group} {kind}");
    }
    let (_, pods) = target.json("GET", "/api/v1", &Value::Null).await;
    let names: Vec<&str> =
        pods["resources"].as_array().expect("list").iter().filter_map(|r| r["name"].as_str()).collect();
    for name in
        ["pods", "pods/status", "pods/binding", "pods/eviction", "namespaces/finalize", "nodes/status"]
    {
        assert!(names.contains(&name) || target.name == "named", "{name}");
    }
    let version = target.client.apiserver_version().await.expect("version");
    assert_eq!(version.major, "1");
}
