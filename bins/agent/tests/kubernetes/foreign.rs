//! A node that was another network's a moment ago: pods with addresses that its agent's journal does not know.

use api::{ErrorCode, Reply, Request};
use futures_util::StreamExt;
use kube::api::{DeleteParams, Patch, PatchParams, WatchEvent, WatchParams};
use netcore::Netns;
use serde_json::{Value, json};

use crate::agent::{Node, in_namespace};
use crate::eni::{Scene, add, added, attachment, own, plug, say, scene, status};
use crate::proxy::Fault;
use crate::support::{PATIENCE, create, delete, eventually, pod, resource};

#[test]
fn addresses_of_another_networks_pods_are_given_to_nobody() {
    in_namespace(handed_over);
}

/// A pod that runs, with an address of another network.
async fn runs(scene: &Scene, name: &str, phase: &str, host_network: bool, address: &str) -> Value {
    let mut object = pod(name, "n1");
    object["spec"]["hostNetwork"] = host_network.into();
    create(&scene.client, object.clone()).await;
    let said = json!({"status": {"phase": phase, "podIP": address, "podIPs": [{"ip": address}]}});
    let api = resource(&scene.client, &object);
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(said)).await.unwrap();
    object
}

async fn handed_over() {
    let mut scene = scene().await;
    // One for the DaemonSet's pod that aws-node connected, and three that take nothing.
    let old = runs(&scene, "old", "Running", false, "100.64.0.17").await;
    runs(&scene, "done", "Succeeded", false, "100.64.0.18").await;
    runs(&scene, "host", "Running", true, "100.64.0.19").await;
    scene.node.start();
    eventually("the node's object", || own(&scene.client)).await;
    say(&scene.client, status(&[], &["100.64.0.16/28"])).await;
    plug(&scene.vpc).await;
    scene.node.ready().await;
    // Pods live as long as their namespaces.
    let namespaces: Vec<Netns> = (0..4).map(|_| Netns::anonymous().unwrap()).collect();
    let given = |node: &Node, name, netns| added(add(node, name, netns), node).addresses[0].ip().to_string();
    let node = &scene.node;
    assert_eq!(
        [given(node, "a", &namespaces[0]), given(node, "b", &namespaces[1])],
        ["100.64.0.16", "100.64.0.18"]
    );

    // The next agent gives nothing before it knows who is here.
    scene.node.kill();
    scene.proxy.fail("GET", "/pods", Fault::Status(500), 3);
    scene.node.start();
    eventually("a list that fails", || async { (scene.proxy.failed("/pods") > 0).then_some(()) }).await;
    let node = &scene.node;
    let refused = eventually("an answer", || async {
        node.ask(
            &Request::Add { attachment: attachment("c"), pod: None, netns: String::new(), mtu: None },
            Some(&Netns::anonymous().unwrap()),
        )
    })
    .await;
    let Reply::Error(error) = refused else { panic!("{refused:?}") };
    assert_eq!(error.code, ErrorCode::NotReady);
    assert!(error.message.contains("which ones pods of its node have"), "{error}");
    assert_eq!(node.ready().await.addresses_used, 3);
    assert_eq!(given(node, "c", &namespaces[2]), "100.64.0.19");

    // Once the pod is gone its address is nobody's, and rests.
    // As the kubelet does it when nothing is left of the pod.
    let at_once = DeleteParams::default().grace_period(0);
    resource(&scene.client, &old).delete("old", &at_once).await.unwrap();
    eventually("the pod is gone", || async { (node.status()?.addresses_used == 3).then_some(()) }).await;
    assert_eq!(given(node, "d", &namespaces[3]), "100.64.0.20");
    // What was connected here rests likewise, though the API knows nothing of it yet.
    let gone = node.ask(&Request::Del { attachment: attachment("d") }, None);
    assert!(matches!(gone, Some(Reply::Done)), "{gone:?}");
    assert_eq!(node.status().unwrap().addresses_used, 3);

    // An object that is made anew introduces its agent from its first moment.
    let there = own(&scene.client).await.unwrap();
    let version = there["metadata"]["resourceVersion"].as_str().unwrap();
    let watch = WatchParams::default().fields("metadata.name=n1");
    let mut news = resource(&scene.client, &there).watch(&watch, version).await.unwrap().boxed();
    delete(&scene.client, &there).await;
    let made = tokio::time::timeout(PATIENCE, async {
        loop {
            match news.next().await.expect("the watch goes on") {
                Ok(WatchEvent::Added(made)) => return serde_json::to_value(made).unwrap(),
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
    .expect("it is made anew");
    let said = made["metadata"]["annotations"]["netloom.io/drained"].as_str();
    let said: Value = serde_json::from_str(said.expect("it introduces itself")).unwrap();
    assert_eq!(said, json!({"epoch": 0, "prefixes": [], "refused": []}));
    scene.node.stop();
    scene.server.stop().await;
}
