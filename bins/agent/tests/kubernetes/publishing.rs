//! What a source tells, and what it publishes.

use abi::Identity;
use kube::Client;
use netloom_agent::source::{IdentityManagement, Report};
use serde_json::{Value, json};

use crate::support::{
    Told, addresses, create, delete, eventually, furnish, get, labels, patch, pod, policy, published,
};

/// Runs a test against every API server that there is here.
async fn everywhere<F: Future<Output = ()>>(test: &str, body: impl Fn(Client) -> F) {
    // Those that the environment names may have what is made here.
    let own = envtest::servers(test).await.unwrap().into_iter().filter(envtest::Server::is_own);
    for server in own {
        body(server.client().await.unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_is_told_and_what_the_node_has_is_published() {
    everywhere("what_is_there_is_told", tell_and_publish).await;
}

async fn tell_and_publish(client: Client) {
    furnish(&client).await;
    create(&client, pod("web", "n1")).await;
    create(&client, pod("elsewhere", "n2")).await;
    let version = create(&client, policy("p")).await;
    let mut told = Told::start(client.clone(), "n1", IdentityManagement::Agent);
    told.until("everything", |told| told.observed > 0).await;
    assert!(told.objects.contains_key("Pod shop/web") && told.objects.contains_key("Namespace shop"));
    assert!(!told.objects.contains_key("Pod shop/elsewhere"), "pods of other nodes are not read");
    assert_eq!(told.versions["CiliumNetworkPolicy shop/p"], version);

    // The node itself.
    told.until("this node", |told| told.objects.contains_key("Node n1")).await;
    told.report(Report::Ready(true));
    let node = eventually("the node is ready", || async {
        let node = get(&client, "CiliumNode", None, "n1").await?;
        (node["metadata"]["annotations"]["netloom.io/cni-ready"] == "true").then_some(node)
    })
    .await;
    assert_eq!(node["spec"]["ipam"]["podCIDRs"], json!(["10.9.1.0/24"]));
    assert_eq!(node["spec"]["addresses"], json!([{"type": "InternalIP", "ip": "192.0.2.1"}]));
    assert_eq!(node["metadata"]["labels"]["zone"], "a");
    assert_eq!(node["metadata"]["ownerReferences"][0]["kind"], "Node");

    // A pod gets a number, and others hear of it.
    told.report(Report::IdentityWanted(labels("web")));
    told.until("a number", |told| told.numbers.contains_key(&labels("web"))).await;
    let number = told.numbers[&labels("web")];
    told.report(Report::Endpoint(Box::new(published("web", number))));
    told.until("the endpoint", |told| told.endpoints.contains_key("shop/web")).await;
    assert_eq!(told.endpoints["shop/web"].identity, number);
    assert_eq!(told.endpoints["shop/web"].addresses, addresses(&["10.9.1.7", "fd00::7"]));
    let endpoint = get(&client, "CiliumEndpoint", Some("shop"), "web").await.unwrap();
    assert_eq!(endpoint["metadata"]["ownerReferences"][0]["kind"], "Pod");
    assert_eq!(endpoint["status"]["named-ports"], json!([{"name": "http", "port": 80, "protocol": "TCP"}]));
    assert_eq!(endpoint["status"]["policy"]["ingress"]["enforcing"], true);
    assert_eq!(endpoint["status"]["state"], "ready");

    // Whoever removes it is not right.
    delete(&client, &endpoint_of("web")).await;
    told.until("it is removed", |told| !told.endpoints.contains_key("shop/web")).await;
    told.until("it is back", |told| told.endpoints.contains_key("shop/web")).await;

    // The operator thinks that nobody uses the number.
    let identity = json!({"kind": "CiliumIdentity", "apiVersion": "cilium.io/v2", "metadata": {"name": number.0.to_string()}});
    let mark = json!({"metadata": {"annotations": {"io.cilium.heartbeat": "2020-01-01T00:00:00Z"}}});
    mark_identity(&client, &identity, &mark).await;
    eventually("the mark is taken away", || async {
        let object = identity_of(&client, number).await?;
        object["metadata"]["annotations"]["io.cilium.heartbeat"].is_null().then_some(())
    })
    .await;

    let gone = published("web", number);
    told.report(Report::EndpointGone(gone.pod, gone.attachment));
    told.until("it is gone", |told| !told.endpoints.contains_key("shop/web")).await;

    delete(&client, &policy("p")).await;
    told.until("no policy", |told| !told.objects.contains_key("CiliumNetworkPolicy shop/p")).await;
}

fn endpoint_of(name: &str) -> Value {
    json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumEndpoint", "metadata": {"name": name, "namespace": "shop"},
    })
}

fn identities(client: &Client) -> kube::Api<crds::CiliumIdentity> {
    kube::Api::all(client.clone())
}

async fn mark_identity(client: &Client, object: &Value, mark: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap();
    let patch = kube::api::Patch::Merge(mark);
    identities(client).patch(name, &kube::api::PatchParams::default(), &patch).await.unwrap();
}

async fn identity_of(client: &Client, number: Identity) -> Option<Value> {
    let found = identities(client).get_opt(&number.0.to_string()).await.unwrap()?;
    Some(serde_json::to_value(found).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_agent_left_is_removed_and_nothing_else() {
    everywhere("what_an_earlier_agent_left", leftovers).await;
}

async fn leftovers(client: Client) {
    furnish(&client).await;
    for (name, node) in [("left", "192.0.2.1"), ("other", "192.0.2.2"), ("kept", "192.0.2.1")] {
        let mut endpoint = endpoint_of(name);
        endpoint["status"] = json!({
            "id": 1, "identity": {"id": 300},
            "networking": {"addressing": [{"ipv4": "10.9.1.9"}], "node": node},
        });
        create(&client, endpoint).await;
    }
    create(&client, pod("kept", "n1")).await;
    let mut told = Told::start(client.clone(), "n1", IdentityManagement::Operator);
    told.until("everything", |told| told.observed > 0 && told.endpoints.len() == 3).await;
    // Which pods are connected is known once the node is ready.
    told.report(Report::Endpoint(Box::new(published("kept", Identity(300)))));
    told.report(Report::Ready(true));
    told.until("what was left is gone", |told| !told.endpoints.contains_key("shop/left")).await;
    assert!(told.endpoints.contains_key("shop/other") && told.endpoints.contains_key("shop/kept"));
    assert!(get(&client, "CiliumEndpoint", Some("shop"), "other").await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_race_for_a_number_end_with_the_same() {
    everywhere("nodes_that_race", race).await;
}

async fn race(client: Client) {
    furnish(&client).await;
    let mut one = Told::start(client.clone(), "n1", IdentityManagement::Agent);
    let mut other = Told::start(client.clone(), "n2", IdentityManagement::Agent);
    one.until("everything", |told| told.observed > 0).await;
    other.until("everything", |told| told.observed > 0).await;
    let all: Vec<_> = (0..20).map(|app| labels(&format!("a{app}"))).collect();
    for labels in &all {
        one.report(Report::IdentityWanted(labels.clone()));
        other.report(Report::IdentityWanted(labels.clone()));
    }
    let has_all = |told: &Told| all.iter().all(|labels| told.numbers.contains_key(labels));
    one.until("all numbers", has_all).await;
    other.until("all numbers", has_all).await;
    // A duplicate that comes late counts for nobody: what is older does.
    let mut late = crds::CiliumIdentity::default();
    late.metadata.name = Some("256".into());
    late.security_labels = [("k8s:app", "a0"), ("k8s:io.kubernetes.pod.namespace", "shop")]
        .map(|(k, v)| (k.into(), v.into()))
        .into();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    identities(&client).create(&kube::api::PostParams::default(), &late).await.unwrap();
    create(&client, policy("last")).await;
    let is_last = |told: &Told| told.objects.contains_key("CiliumNetworkPolicy shop/last");
    one.until("the last change", is_last).await;
    other.until("the last change", is_last).await;
    // Each watch goes its own way.
    let objects = identities(&client).list(&kube::api::ListParams::default()).await.unwrap();
    // Both ask for the same numbers: a watch that lags is needed for another one.
    assert!(objects.items.len() < all.len() * 3 / 2, "{} for {} label sets", objects.items.len(), all.len());
    let mut oldest = std::collections::BTreeMap::new();
    for object in objects {
        let key = object.security_labels["k8s:app"].clone();
        let age = (object.metadata.creation_timestamp.as_ref().unwrap().0, object.number().unwrap());
        let known = oldest.entry(key).or_insert(age);
        *known = (*known).min(age);
    }
    for told in [&mut one, &mut other] {
        told.until("the oldest of each", |told| {
            all.iter().all(|labels| {
                let app = labels.get(policy::Source::K8s, "app").unwrap();
                told.numbers.get(labels) == Some(&Identity(oldest[app].1))
            })
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_policy_is_told_with_its_name_and_reason() {
    everywhere("an_invalid_policy", refuse).await;
}

async fn refuse(client: Client) {
    furnish(&client).await;
    create(&client, policy("p")).await;
    let mut told = Told::start(client.clone(), "n1", IdentityManagement::Agent);
    told.until("everything", |told| told.observed > 0).await;
    // What the schema lets pass, and the parser does not.
    let wrong = json!({"spec": {"ingress": [{"fromEntities": ["cluster"], "fromCIDR": ["10.0.0.0/8"]}]}});
    patch(&client, &policy("p"), &wrong).await;
    told.until("it is refused", |told| !told.rejected.is_empty()).await;
    assert!(told.rejected[0].contains("CiliumNetworkPolicy shop/p"), "{:?}", told.rejected);
    assert!(told.objects.contains_key("CiliumNetworkPolicy shop/p"), "what was valid stays");
}
