//! Watches.

use std::pin::pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::objects::config_map;
use crate::target::Target;

/// Longer than any server takes.
const PATIENCE: Duration = Duration::from_secs(15);

/// An event in a word, as `+a` or `-a`.
fn word(event: &WatchEvent<ConfigMap>) -> String {
    match event {
        WatchEvent::Added(object) => format!("+{}", object.name_any()),
        WatchEvent::Modified(object) => format!("~{}", object.name_any()),
        WatchEvent::Deleted(object) => format!("-{}", object.name_any()),
        WatchEvent::Bookmark(_) => "bookmark".into(),
        WatchEvent::Error(error) => format!("error {}", error.code),
    }
}

fn version(event: &WatchEvent<ConfigMap>) -> String {
    match event {
        WatchEvent::Added(o) | WatchEvent::Modified(o) | WatchEvent::Deleted(o) => {
            o.resource_version().expect("version")
        }
        WatchEvent::Bookmark(bookmark) => bookmark.metadata.resource_version.clone(),
        WatchEvent::Error(error) => panic!("{error:?}"),
    }
}

/// The next events, bookmarks left out.
async fn take(
    stream: &mut (impl Stream<Item = kube::Result<WatchEvent<ConfigMap>>> + Unpin),
    count: usize,
) -> Vec<WatchEvent<ConfigMap>> {
    let mut events = Vec::new();
    while events.len() < count {
        let event = tokio::time::timeout(PATIENCE, stream.try_next())
            .await
            .expect("in time")
            .expect("event")
            .expect("more");
        if !matches!(event, WatchEvent::Bookmark(_)) {
            events.push(event);
        }
    }
    events
}

/// A namespace with a watched label in it, so that a cluster's own objects do not disturb.
async fn place(target: &Target) -> (Api<ConfigMap>, WatchParams) {
    let namespace = target.namespace().await;
    (Api::namespaced(target.client.clone(), &namespace), WatchParams::default().labels("w"))
}

async fn now(api: &Api<ConfigMap>) -> String {
    api.list(&ListParams::default()).await.expect("list").metadata.resource_version.expect("version")
}

async fn make(api: &Api<ConfigMap>, name: &str, value: &str) {
    api.create(&PostParams::default(), &config_map(name, json!({"w": value}), json!({})))
        .await
        .expect("create");
}

async fn relabel(api: &Api<ConfigMap>, name: &str, value: Option<&str>) {
    let patch = Patch::Merge(json!({"metadata": {"labels": {"w": value}}}));
    api.patch(name, &PatchParams::default(), &patch).await.expect("patch");
}

pub(crate) async fn events_in_order(target: &Target) {
    let (api, params) = place(target).await;
    let start = now(&api).await;
    let mut live = pin!(api.watch(&params, &start).await.expect("watch"));
    make(&api, "a", "1").await;
    make(&api, "b", "1").await;
    relabel(&api, "a", Some("2")).await;
    api.delete("b", &DeleteParams::default()).await.expect("delete");
    make(&api, "c", "1").await;
    let wanted = ["+a", "+b", "~a", "-b", "+c"];
    let events = take(&mut live, 5).await;
    assert_eq!(events.iter().map(word).collect::<Vec<_>>(), wanted);
    let versions: Vec<u64> = events.iter().map(|event| version(event).parse().expect("a number")).collect();
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    // From each version on, exactly what came after it.
    for (n, event) in events.iter().enumerate() {
        let mut resumed = pin!(api.watch(&params, &version(event)).await.expect("watch"));
        let rest: Vec<String> = take(&mut resumed, 4 - n).await.iter().map(word).collect();
        assert_eq!(rest, wanted[n + 1..]);
    }
    // From nowhere, what there is.
    let mut fresh = pin!(api.watch(&params, "0").await.expect("watch"));
    let mut all: Vec<String> = take(&mut fresh, 2).await.iter().map(word).collect();
    all.sort();
    assert_eq!(all, ["+a", "+c"]);
}

pub(crate) async fn selection(target: &Target) {
    let (api, _) = place(target).await;
    let params = WatchParams::default().labels("w=in");
    let mut live = pin!(api.watch(&params, &now(&api).await).await.expect("watch"));
    make(&api, "a", "out").await;
    relabel(&api, "a", Some("in")).await;
    api.patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"x": "y"}}))).await.expect("patch");
    relabel(&api, "a", Some("out")).await;
    relabel(&api, "a", None).await;
    relabel(&api, "a", Some("in")).await;
    api.delete("a", &DeleteParams::default()).await.expect("delete");
    let events = take(&mut live, 5).await;
    assert_eq!(events.iter().map(word).collect::<Vec<_>>(), ["+a", "~a", "-a", "+a", "-a"]);
    let versions: Vec<u64> = events.iter().map(|event| version(event).parse().expect("a number")).collect();
    assert!(versions.is_sorted_by(|a, b| a < b), "leaving has a version of its own: {versions:?}");
    let WatchEvent::Deleted(left) = &events[2] else { panic!() };
    assert_eq!(left.labels()["w"], "in", "as it was when it was last seen");
}

pub(crate) async fn bookmarks(target: &Target) {
    // The real server sends one a minute, and before a watch ends.
    let (api, _) = place(target).await;
    let params = WatchParams::default().labels("nobody").timeout(if target.collects { 10 } else { 4 });
    let start = now(&api).await;
    let mut live = pin!(api.watch(&params, &start).await.expect("watch"));
    make(&api, "a", "1").await;
    let after: u64 = now(&api).await.parse().expect("a number");
    let mut marked = None;
    while let Ok(Some(event)) = tokio::time::timeout(PATIENCE, live.try_next()).await.expect("in time") {
        assert!(matches!(event, WatchEvent::Bookmark(_)), "{event:?}");
        let mark: u64 = version(&event).parse().expect("a number");
        if mark >= after {
            marked = Some(mark);
            break;
        }
    }
    assert!(marked.is_some() || !target.collects, "a bookmark tells of versions that passed by");
}

pub(crate) async fn too_old(target: &Target) {
    let (api, params) = place(target).await;
    make(&api, "a", "1").await;
    let mut live = pin!(api.watch(&params, "1").await.expect("watch"));
    let first = tokio::time::timeout(PATIENCE, live.next()).await.expect("in time");
    match first {
        Some(Ok(WatchEvent::Error(error))) => {
            assert_eq!(error.code, 410);
            assert_eq!(error.reason, "Expired");
        }
        // A young server may still have it all.
        Some(Ok(WatchEvent::Added(_))) if !target.collects => {}
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn the_end(target: &Target) {
    let (api, params) = place(target).await;
    let start = now(&api).await;
    let live = api.watch(&params.timeout(1), &start).await.expect("watch");
    let events =
        tokio::time::timeout(PATIENCE, live.try_collect::<Vec<_>>()).await.expect("it ends").expect("well");
    assert!(events.iter().all(|event| matches!(event, WatchEvent::Bookmark(_))));
}

/// What the watcher of the `kube` crate makes of it.
async fn follow(api: Api<ConfigMap>, config: watcher::Config) {
    make(&api, "a", "1").await;
    let mut stream = pin!(watcher::watcher(api.clone(), config));
    let mut next = async || {
        tokio::time::timeout(PATIENCE, stream.try_next())
            .await
            .expect("in time")
            .expect("event")
            .expect("more")
    };
    assert!(matches!(next().await, Event::Init));
    let Event::InitApply(first) = next().await else { panic!("no first object") };
    assert_eq!(first.name_any(), "a");
    assert!(matches!(next().await, Event::InitDone));
    make(&api, "b", "1").await;
    let Event::Apply(second) = next().await else { panic!("no second object") };
    assert_eq!(second.name_any(), "b");
    api.delete("a", &DeleteParams::default()).await.expect("delete");
    let Event::Delete(gone) = next().await else { panic!("no deletion") };
    assert_eq!(gone.name_any(), "a");
}

pub(crate) async fn kubes_watcher(target: &Target) {
    let (api, _) = place(target).await;
    follow(api, watcher::Config::default().labels("w").page_size(1)).await;
}

pub(crate) async fn streaming_lists(target: &Target) {
    if !target.is_at_least(1, 32) {
        return;
    }
    let (api, _) = place(target).await;
    follow(api, watcher::Config::default().labels("w").streaming_lists()).await;
}
