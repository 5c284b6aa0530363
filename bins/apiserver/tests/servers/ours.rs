//! What only our server does: journal, audit log, TLS, collection; and its watches under load.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use apiserver::Server;
use futures_util::TryStreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{
    DeleteParams, ListParams, Patch, PatchParams, PostParams, PropagationPolicy, WatchEvent, WatchParams,
};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::cases::config_map;
use crate::target::{client, eventually};

async fn connect(server: &Server) -> Client {
    client(&server.kubeconfig()).await
}

fn maps(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), "default")
}

#[tokio::test]
async fn a_killed_server_comes_back() {
    let dir = tempfile::tempdir().expect("directory");
    let journal = dir.path().join("journal");
    let server = Server::builder().journal(&journal).start().await.expect("server");
    let api = maps(&connect(&server).await);
    for name in ["a", "b"] {
        api.create(&PostParams::default(), &config_map(name, json!({}), json!({"k": "v"})))
            .await
            .expect("create");
    }
    api.delete("b", &DeleteParams::default()).await.expect("delete");
    let before = api.list(&ListParams::default()).await.expect("list");
    // Killed: nothing is said to anybody, and a line is cut off.
    drop(server);
    let mut text = std::fs::read_to_string(&journal).expect("journal");
    text.push_str("{\"version\":99");
    std::fs::write(&journal, text).expect("journal");
    let server = Server::builder().journal(&journal).start().await.expect("server");
    let api = maps(&connect(&server).await);
    let after = api.list(&ListParams::default()).await.expect("list");
    assert_eq!(after.items, before.items);
    let version = |text: &Option<String>| text.as_deref().expect("version").parse::<u64>().expect("a number");
    assert!(version(&after.metadata.resource_version) >= version(&before.metadata.resource_version));
    let made =
        api.create(&PostParams::default(), &config_map("c", json!({}), json!({}))).await.expect("create");
    assert!(version(&made.resource_version()) > version(&before.metadata.resource_version));
    // Whoever was behind has to list anew.
    let old = after.items[0].resource_version().expect("version");
    let stream = api.watch(&WatchParams::default(), &old).await.expect("watch");
    let first = pin!(stream).try_next().await.expect("event").expect("event");
    assert!(matches!(first, WatchEvent::Error(error) if error.code == 410));
    server.stop().await;
}

#[tokio::test]
async fn what_was_forgotten_is_gone() {
    let server = Server::builder().history(4).start().await.expect("server");
    let api = maps(&connect(&server).await);
    let start =
        api.list(&ListParams::default()).await.expect("list").metadata.resource_version.expect("version");
    for n in 0..6 {
        api.create(&PostParams::default(), &config_map(&format!("m{n}"), json!({}), json!({})))
            .await
            .expect("create");
    }
    let stream = api.watch(&WatchParams::default(), &start).await.expect("watch");
    let first = pin!(stream).try_next().await.expect("event").expect("event");
    assert!(matches!(first, WatchEvent::Error(error) if error.code == 410 && error.reason == "Expired"));
    let page = api.list(&ListParams::default().limit(1)).await.expect("page");
    server.compact();
    api.create(&PostParams::default(), &config_map("later", json!({}), json!({}))).await.expect("create");
    server.compact();
    let token = page.metadata.continue_.expect("more");
    let refused = api.list(&ListParams::default().limit(1).continue_token(&token)).await.expect_err("gone");
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 410 && status.reason == "Expired"));
    // A watcher of the kube crate lists anew and misses nothing.
    let mut stream = pin!(watcher::watcher(api.clone(), watcher::Config::default()).default_backoff());
    let mut seen = BTreeSet::new();
    while let Some(event) = stream.try_next().await.expect("event") {
        match event {
            Event::InitApply(object) => drop(seen.insert(object.name_any())),
            Event::InitDone => break,
            _ => {}
        }
    }
    assert_eq!(seen.len(), 7);
    server.stop().await;
}

/// Four writers, and three watchers: one from the start, one that hangs up and resumes again and again, and one of a
/// selection. Each sees every change once and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_under_load() {
    const WRITERS: usize = 4;
    const WRITES: usize = 60;
    let server = Server::builder().start().await.expect("server");
    let client = connect(&server).await;
    let api = maps(&client);
    let start =
        api.list(&ListParams::default()).await.expect("list").metadata.resource_version.expect("version");
    let last = "last";
    let watch = |params: WatchParams, hang_up: usize| {
        let (api, start) = (api.clone(), start.clone());
        tokio::spawn(async move {
            let (mut from, mut seen) = (start, Vec::new());
            loop {
                let mut stream = pin!(api.watch(&params, &from).await.expect("watch"));
                let mut here = 0;
                while here < hang_up {
                    let Some(event) = stream.try_next().await.expect("event") else { break };
                    let (kind, object) = match event {
                        WatchEvent::Added(object) => ('+', object),
                        WatchEvent::Modified(object) => ('~', object),
                        WatchEvent::Deleted(object) => ('-', object),
                        WatchEvent::Bookmark(mark) => {
                            from = mark.metadata.resource_version;
                            continue;
                        }
                        WatchEvent::Error(error) => panic!("{error:?}"),
                    };
                    from = object.resource_version().expect("version");
                    let name = object.name_any();
                    if name == last {
                        return seen;
                    }
                    let value = object.data.unwrap_or_default().remove("n").unwrap_or_default();
                    seen.push((from.parse::<u64>().expect("a number"), kind, name, value));
                    here += 1;
                }
            }
        })
    };
    let whole = watch(WatchParams::default(), usize::MAX);
    let resuming = watch(WatchParams::default(), 7);
    let selected = watch(WatchParams::default().labels("odd!=no"), usize::MAX);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let api = api.clone();
            tokio::spawn(async move {
                for n in 0..WRITES {
                    let name = format!("w{writer}-{}", n / 6);
                    let odd = if n % 2 == 0 { "no" } else { "yes" };
                    let object = config_map(&name, json!({"odd": odd}), json!({"n": n.to_string()}));
                    match n % 6 {
                        0 => drop(api.create(&PostParams::default(), &object).await.expect("create")),
                        5 => drop(api.delete(&name, &DeleteParams::default()).await.expect("delete")),
                        _ => {
                            let patch = Patch::Merge(
                                json!({"metadata": {"labels": {"odd": odd}}, "data": {"n": n.to_string()}}),
                            );
                            api.patch(&name, &PatchParams::default(), &patch).await.expect("patch");
                        }
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("writer");
    }
    api.create(&PostParams::default(), &config_map(last, json!({}), json!({}))).await.expect("create");
    let patience = Duration::from_secs(30);
    let whole = tokio::time::timeout(patience, whole).await.expect("in time").expect("watcher");
    let resuming = tokio::time::timeout(patience, resuming).await.expect("in time").expect("watcher");
    let selected = tokio::time::timeout(patience, selected).await.expect("in time").expect("watcher");
    assert_eq!(whole.len(), WRITERS * WRITES);
    assert!(whole.is_sorted_by(|a, b| a.0 < b.0), "in order");
    assert_eq!(whole, resuming);
    // Of each writer, exactly what it did.
    for writer in 0..WRITERS {
        let prefix = format!("w{writer}-");
        let mine: Vec<(char, String)> = whole
            .iter()
            .filter(|event| event.2.starts_with(&prefix))
            .map(|event| (event.1, event.3.clone()))
            .collect();
        let wanted: Vec<(char, String)> = (0..WRITES)
            .map(|n| match n % 6 {
                0 => ('+', n.to_string()),
                // A deletion shows the last state.
                5 => ('-', (n - 1).to_string()),
                _ => ('~', n.to_string()),
            })
            .collect();
        assert_eq!(mine, wanted);
    }
    // In the selection, what comes has to go again.
    let mut there: BTreeMap<String, bool> = BTreeMap::new();
    for (_, kind, name, _) in selected {
        let was = there.insert(name.clone(), kind != '-').unwrap_or(false);
        assert_eq!(was, kind != '+', "{kind}{name}");
    }
    assert!(there.values().all(|there| !there));
    server.stop().await;
}

#[tokio::test]
async fn dependents_go_with_their_owner() {
    let server = Server::builder().start().await.expect("server");
    let api = maps(&connect(&server).await);
    let post = PostParams::default();
    let owned = |name: &str, owners: &[&ConfigMap]| {
        let mut object = config_map(name, json!({}), json!({}));
        let owners = owners.iter().map(|owner| {
            let (name, uid) = (owner.name_any(), owner.uid());
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid, "blockOwnerDeletion": true})
        });
        object.metadata.owner_references =
            Some(owners.map(|owner| serde_json::from_value(owner).expect("owner")).collect());
        object
    };
    let one = api.create(&post, &config_map("one", json!({}), json!({}))).await.expect("create");
    let two = api.create(&post, &config_map("two", json!({}), json!({}))).await.expect("create");
    let child = api.create(&post, &owned("child", &[&one])).await.expect("create");
    api.create(&post, &owned("grandchild", &[&child])).await.expect("create");
    api.create(&post, &owned("shared", &[&one, &two])).await.expect("create");
    api.delete("one", &DeleteParams::default()).await.expect("delete");
    eventually("collected", async || api.get_opt("grandchild").await.expect("get").is_none()).await;
    eventually("one owner less", async || {
        api.get("shared").await.expect("shared").owner_references().len() == 1
    })
    .await;
    // In the foreground, the owner goes last; orphans stay.
    let by = |policy| DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
    api.delete("two", &by(PropagationPolicy::Foreground)).await.expect("delete");
    eventually("owner gone", async || api.get_opt("two").await.expect("get").is_none()).await;
    assert!(api.get_opt("shared").await.expect("get").is_none());
    let three = api.create(&post, &config_map("three", json!({}), json!({}))).await.expect("create");
    api.create(&post, &owned("orphan", &[&three])).await.expect("create");
    api.delete("three", &by(PropagationPolicy::Orphan)).await.expect("delete");
    eventually("owner gone", async || api.get_opt("three").await.expect("get").is_none()).await;
    assert!(api.get("orphan").await.expect("orphan").owner_references().is_empty());
    // An owner that never was.
    let mut ghost = three.clone();
    ghost.metadata.uid = Some("no-such-uid".into());
    api.create(&post, &owned("lost", &[&ghost])).await.expect("create");
    eventually("collected", async || api.get_opt("lost").await.expect("get").is_none()).await;
    server.stop().await;
}

#[tokio::test]
async fn a_namespace_takes_all_with_it() {
    let server = Server::builder().start().await.expect("server");
    let client = connect(&server).await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "n"}})).expect("namespace");
    let made = namespaces.create(&PostParams::default(), &namespace).await.expect("create");
    assert_eq!(made.labels()["kubernetes.io/metadata.name"], "n");
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), "n");
    let mut held = config_map("held", json!({}), json!({}));
    held.metadata.finalizers = Some(vec!["example.com/x".into()]);
    api.create(&PostParams::default(), &held).await.expect("create");
    api.create(&PostParams::default(), &config_map("a", json!({}), json!({}))).await.expect("create");
    namespaces.delete("n", &DeleteParams::default()).await.expect("delete");
    eventually("emptied", async || api.get_opt("a").await.expect("get").is_none()).await;
    let refused = api
        .create(&PostParams::default(), &config_map("b", json!({}), json!({})))
        .await
        .expect_err("too late");
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 403));
    assert_eq!(
        namespaces.get("n").await.expect("held").status.and_then(|status| status.phase).as_deref(),
        Some("Terminating")
    );
    api.patch("held", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}})))
        .await
        .expect("let go");
    eventually("gone", async || namespaces.get_opt("n").await.expect("get").is_none()).await;
    server.stop().await;
}

#[tokio::test]
async fn who_asked_for_what() {
    let dir = tempfile::tempdir().expect("directory");
    let log = dir.path().join("audit");
    let server = Server::builder().audit_log(&log).start().await.expect("server");
    let api = maps(&connect(&server).await);
    api.get_opt("none").await.expect("get");
    api.create(&PostParams::default(), &config_map("a", json!({}), json!({}))).await.expect("create");
    api.list(&ListParams::default()).await.expect("list");
    drop(api.watch(&WatchParams::default(), "0").await.expect("watch"));
    api.delete("a", &DeleteParams::default()).await.expect("delete");
    server.stop().await;
    let text = std::fs::read_to_string(&log).expect("log");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let said: Vec<String> = lines
        .iter()
        .map(|line| {
            format!("{} {} {} {}", line["verb"], line["resource"], line["name"], line["code"])
                .replace('"', "")
        })
        .collect();
    let wanted = [
        "get configmaps none 404",
        "create configmaps  201",
        "list configmaps  200",
        "watch configmaps  200",
        "delete configmaps a 200",
    ];
    assert_eq!(said, wanted);
    assert!(lines.iter().all(|line| line["namespace"] == "default" && line["group"] == ""));
}

#[tokio::test]
async fn with_tls() {
    let dir = tempfile::tempdir().expect("directory");
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("certificate");
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, own.cert.pem()).expect("certificate");
    std::fs::write(&key, own.signing_key.serialize_pem()).expect("key");
    let server = Server::builder().tls(&cert, &key).start().await.expect("server");
    assert!(server.url().starts_with("https://"));
    let api = maps(&connect(&server).await);
    api.create(&PostParams::default(), &config_map("a", json!({}), json!({}))).await.expect("create");
    let mut watch = pin!(api.watch(&WatchParams::default(), "0").await.expect("watch"));
    assert!(watch.try_next().await.expect("event").is_some());
    server.stop().await;
}
