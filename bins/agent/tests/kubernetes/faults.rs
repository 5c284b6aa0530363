//! What goes wrong between a node and the API server.

use std::time::Duration;

use abi::Identity;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use netloom_agent::source::{IdentityManagement, Report};

use serde_json::json;

use crate::proxy::{Fault, Proxy};
use crate::support::{
    Told, client, create, delete, eventually, furnish, get, impatient, labels, pod, policy, published,
    resource,
};

/// A server, a client that reaches it directly, and a source that does not.
async fn scene() -> (apiserver::Server, Client, Proxy, Told) {
    let server = apiserver::Server::builder().start().await.unwrap();
    let direct = client(&server.url()).await;
    furnish(&direct).await;
    create(&direct, pod("web", "n1")).await;
    create(&direct, policy("p")).await;
    let proxy = Proxy::start(&server.url()).await;
    let told = Told::start(client(&proxy.url).await, "n1", IdentityManagement::Agent);
    (server, direct, proxy, told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_tried_again() {
    let (server, direct, proxy, mut told) = scene().await;
    proxy.fail("GET", "/pods", Fault::Status(500), 2);
    proxy.fail("GET", "/ciliumidentities", Fault::Status(429), 1);
    told.until("everything", |told| told.observed > 0).await;
    assert_eq!(proxy.failed("/pods"), 2);

    proxy.fail("POST", "/ciliumidentities", Fault::Status(429), 3);
    told.report(Report::IdentityWanted(labels("web")));
    told.until("a number", |told| told.numbers.contains_key(&labels("web"))).await;
    assert_eq!(proxy.failed("/ciliumidentities"), 4);

    proxy.fail("PATCH", "/ciliumendpoints", Fault::Status(429), 1);
    proxy.fail("PATCH", "/ciliumendpoints", Fault::Status(500), 2);
    let number = told.numbers[&labels("web")];
    told.report(Report::Endpoint(Box::new(published("web", number))));
    eventually("the endpoint", || get(&direct, "CiliumEndpoint", Some("shop"), "web")).await;
    assert_eq!(proxy.failed("/ciliumendpoints"), 3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_is_found_when_a_place_is_gone() {
    let (server, direct, proxy, mut told) = scene().await;
    // The first watch ends with "gone", in either way, and everything is listed again.
    proxy.fail("GET", "/ciliumnetworkpolicies watch=true", Fault::WatchGone, 2);
    proxy.fail("GET", "/namespaces watch=true", Fault::Status(410), 2);
    told.until("everything", |told| told.observed > 0).await;
    delete(&direct, &policy("p")).await;
    create(&direct, policy("q")).await;
    create(&direct, crate::support::namespace("new")).await;
    told.until("what changed meanwhile", |told| {
        told.objects.contains_key("Namespace new")
            && told.objects.contains_key("CiliumNetworkPolicy shop/q")
            && !told.objects.contains_key("CiliumNetworkPolicy shop/p")
    })
    .await;
    assert!(
        proxy.failed("/ciliumnetworkpolicies watch=true") > 0 && proxy.failed("/namespaces watch=true") > 0
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_holds_nobody_up_for_ever() {
    let (server, direct, proxy, told) = scene().await;
    drop(told);
    let mut told = Told::start(impatient(&proxy.url).await, "n1", IdentityManagement::Agent);
    told.until("everything", |told| told.observed > 0).await;
    proxy.freeze(true);
    told.report(Report::IdentityWanted(labels("web")));
    create(&direct, policy("q")).await;
    // For longer than anything is waited for. What was asked until then is never answered.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(!told.numbers.contains_key(&labels("web")));
    proxy.freeze(false);
    told.until("a number", |told| told.numbers.contains_key(&labels("web"))).await;
    told.until("what came meanwhile", |told| told.objects.contains_key("CiliumNetworkPolicy shop/q")).await;
    drop(direct);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_is_not_taken_from_a_newer_pod_of_another_node() {
    let (server, direct, proxy, mut told) = scene().await;
    // This node does not hear that its pod is another's: after the first list there is no watch of pods.
    proxy.fail("GET", "/pods watch=true", Fault::Status(500), 10_000);
    told.until("everything", |told| told.observed > 0).await;
    told.report(Report::Endpoint(Box::new(published("web", Identity(300)))));
    told.until("the endpoint", |told| told.endpoints.contains_key("shop/web")).await;

    let pods = Api::<Pod>::namespaced(direct.clone(), "shop");
    pods.delete("web", &DeleteParams::default().grace_period(0)).await.unwrap();
    create(&direct, pod("web", "n2")).await;
    let newer = pods.get("web").await.unwrap();
    let endpoint = json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumEndpoint",
        "metadata": {
            "name": "web", "namespace": "shop",
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": newer.metadata.uid}],
        },
        "status": {
            "id": 9, "identity": {"id": 300},
            "networking": {"addressing": [{"ipv4": "10.9.2.7"}], "node": "192.0.2.2"},
        },
    });
    proxy.fail("GET", "/ciliumendpoints/web", Fault::Status(500), 1);
    let as_agent = PatchParams::apply("netloom-agent").force();
    resource(&direct, &endpoint).patch("web", &as_agent, &Patch::Apply(&endpoint)).await.unwrap();
    // It looks before it writes, is refused once, and looks again.
    eventually("it looks", || async { (proxy.failed("/ciliumendpoints/web") == 1).then_some(()) }).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let endpoint = get(&direct, "CiliumEndpoint", Some("shop"), "web").await.unwrap();
    assert_eq!(endpoint["status"]["networking"]["node"], "192.0.2.2");
    drop(told);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_started_again_is_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("journal");
    let server = apiserver::Server::builder().journal(&journal).start().await.unwrap();
    let address = server.addresses()[0];
    let direct = client(&server.url()).await;
    furnish(&direct).await;
    create(&direct, policy("p")).await;
    let mut told = Told::start(direct.clone(), "n1", IdentityManagement::Agent);
    told.until("everything", |told| told.observed > 0).await;
    server.stop().await;

    // What was wanted while it was away is done when it is back.
    told.report(Report::IdentityWanted(labels("web")));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(told.objects.contains_key("CiliumNetworkPolicy shop/p"));
    let server = apiserver::Server::builder().journal(&journal).listen(address).start().await.unwrap();
    create(&direct, policy("q")).await;
    told.until("a change", |told| told.objects.contains_key("CiliumNetworkPolicy shop/q")).await;
    told.until("a number", |told| told.numbers.contains_key(&labels("web"))).await;
    assert!(told.objects.contains_key("CiliumNetworkPolicy shop/p"));
    server.stop().await;

    // One that has lost everything is believed after a while, except for this node.
    let server = apiserver::Server::builder().listen(address).start().await.unwrap();
    furnish(&direct).await;
    told.until("no policies", |told| !told.objects.keys().any(|key| key.starts_with("CiliumNetworkPolicy")))
        .await;
    assert!(told.objects.contains_key("Node n1"));
    told.until("numbers are gone", |told| told.numbers.is_empty()).await;
    eventually("this node is published again", || get(&direct, "CiliumNode", None, "n1")).await;
    server.stop().await;
}
