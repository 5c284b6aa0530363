//! What is wrong with other nodes is no reason not to connect this node's pods.

use api::Reply;
use netcore::{Net, Netns, Protocol, Route};
use serde_json::{Value, json};

use crate::agent::{Node, furnish, in_namespace};
use crate::support::{client, create, eventually, patch};

fn cilium_node(name: &str, address: &str, range: &str) -> Value {
    json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumNode", "metadata": {"name": name},
        "spec": {"addresses": [{"type": "InternalIP", "ip": address}], "ipam": {"podCIDRs": [range]}},
    })
}

async fn gateway(range: &str) -> Option<String> {
    let range = range.parse().unwrap();
    let routes = Net::current().unwrap().routes().await.unwrap();
    let mut ours = routes.into_iter().filter(|route| route.protocol == Protocol::NETLOOM);
    ours.find(|route| route.destination == range).and_then(|route| Some(route.via?.to_string()))
}

#[test]
fn nodes_that_cannot_be_reached_hold_up_nobody() {
    in_namespace(odd_nodes);
}

async fn odd_nodes() {
    let server = apiserver::Server::builder().start().await.unwrap();
    let client = client(&server.url()).await;
    furnish(&client).await;
    let net = Net::current().unwrap();
    let uplink = net.link("eth0").await.unwrap().index;
    let foreign = Route::to("10.9.5.0/24".parse().unwrap()).dev(uplink).protocol(Protocol::BOOT);
    net.add_route(&foreign).await.unwrap();

    let far = cilium_node("far", "198.51.100.9", "10.9.2.0/24");
    for node in [
        far.clone(),
        cilium_node("good", "192.0.2.3", "10.9.3.0/24"),
        cilium_node("twin", "192.0.2.4", "10.9.3.0/24"),
        cilium_node("taken", "192.0.2.5", "10.9.5.0/24"),
        cilium_node("thief", "192.0.2.6", "10.9.1.0/24"),
        cilium_node("mute", "2001:db8::7", "10.9.7.0/24"),
    ] {
        create(&client, node).await;
    }
    let mut node = Node::new(server.url());
    node.start();
    let status = node.ready().await;
    let added = node.add(&Netns::anonymous().unwrap());
    assert!(matches!(added, Reply::Added(_)), "{added:?}\n{}", node.log());

    // Made in the same second: the first by name.
    assert_eq!(gateway("10.9.3.0/24").await.as_deref(), Some("192.0.2.3"));
    for range in ["10.9.1.0/24", "10.9.2.0/24", "10.9.5.0/24", "10.9.7.0/24"] {
        assert_eq!(gateway(range).await, None);
    }
    assert_eq!(status.unreachable_pod_cidrs, 3, "{:?}", status.warnings);
    for words in [
        "10.9.2.0/24 via 198.51.100.9",
        "10.9.3.0/24 of node twin",
        "10.9.5.0/24 via 192.0.2.5",
        "10.9.1.0/24 of node thief",
        "node mute",
    ] {
        let said = status.warnings.iter().filter(|warning| warning.contains(words)).count();
        assert_eq!(said, 1, "{words} in {:?}", status.warnings);
    }

    // One is mended by its node, the other by whoever had the route: that one is tried again.
    let mended = json!({"spec": {"addresses": [{"type": "InternalIP", "ip": "192.0.2.9"}]}});
    patch(&client, &far, &mended).await;
    net.delete_route(&foreign).await.unwrap();
    for (range, wanted) in [("10.9.2.0/24", "192.0.2.9"), ("10.9.5.0/24", "192.0.2.5")] {
        eventually("a route", || async { (gateway(range).await.as_deref() == Some(wanted)).then_some(()) })
            .await;
    }
    eventually("fewer warnings", || async {
        node.status().filter(|status| status.unreachable_pod_cidrs == 1)
    })
    .await;
    node.stop();
    server.stop().await;
}
