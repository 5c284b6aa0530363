//! What goes wrong between a node and the API server.

use std::time::Duration;

use kube::Client;
use netloom_agent::source::{IdentityManagement, Report};

use crate::proxy::{Fault, Proxy};
use crate::support::{
    Told, client, create, delete, eventually, furnish, get, labels, pod, policy, published,
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

    // A number that somebody has is no reason to wait.
    proxy.fail("POST", "/ciliumidentities", Fault::Status(409), 3);
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
    let (server, direct, proxy, mut told) = scene().await;
    told.until("everything", |told| told.observed > 0).await;
    proxy.freeze(true);
    told.report(Report::IdentityWanted(labels("web")));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!told.numbers.contains_key(&labels("web")));
    proxy.freeze(false);
    told.until("a number", |told| told.numbers.contains_key(&labels("web"))).await;
    drop(direct);
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

    // One that has lost everything is believed, except for this node.
    let server = apiserver::Server::builder().listen(address).start().await.unwrap();
    furnish(&direct).await;
    told.until("no policies", |told| !told.objects.keys().any(|key| key.starts_with("CiliumNetworkPolicy")))
        .await;
    assert!(told.objects.contains_key("Node n1"));
    told.until("numbers are gone", |told| told.numbers.is_empty()).await;
    eventually("this node is published again", || get(&direct, "CiliumNode", None, "n1")).await;
    server.stop().await;
}
