//! The whole agent in ENI mode. The test is the operator, and the VPC at the other end of the wire.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use api::{Attachment, Client as Socket, ErrorCode, InterfaceReply, PodRef, Reply, Request};
use kube::Client;
use kube::api::{Patch, PatchParams};
use netcore::{Address, Family, IfIndex, Net, Netns, Route, Rule, VethEnd};
use serde_json::{Value, json};
use vpc::http::{Asking, Server as Metadata};
use vpc::{Cloud, Settings};

use crate::agent::{Node, furnish, in_namespace};
use crate::proxy::Proxy;
use crate::support::{client, eventually, get, patch, resource};

const MAC: &str = "02:00:00:00:00:01";
/// How often the agent is killed.
const ROUNDS: u64 = 6;
/// A host of the VPC.
const NEIGHBOUR: &str = "10.0.9.9";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// As the operator writes it: an ENI below the first index, and one of ours with these addresses.
pub(crate) fn status(addresses: &[&str], prefixes: &[&str]) -> Value {
    let vpc = json!({"id": "vpc-1", "primary-cidr": "10.0.0.0/16", "cidrs": ["100.64.0.0/16"]});
    json!({"eni": {"enis": {
        "eni-0": {
            "id": "eni-0", "number": 0, "mac": "02:00:00:00:00:00", "ip": "192.0.2.1", "vpc": vpc,
            "subnet": {"id": "subnet-0", "cidr": "192.0.2.0/24"}, "prefixes": ["192.0.2.16/28"],
        },
        "eni-1": {
            "id": "eni-1", "number": 1, "mac": MAC, "ip": "100.64.0.4", "vpc": vpc,
            "subnet": {"id": "subnet-1", "cidr": "100.64.0.0/20"},
            "addresses": addresses, "prefixes": prefixes,
        },
    }}})
}

pub(crate) async fn own(client: &Client) -> Option<Value> {
    get(client, "CiliumNode", None, "n1").await
}

pub(crate) async fn say(client: &Client, what: Value) {
    let object = json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNode", "metadata": {"name": "n1"}});
    let said = Patch::Merge(json!({"status": what}));
    resource(client, &object).patch_status("n1", &PatchParams::default(), &said).await.unwrap();
}

pub(crate) fn add(node: &Node, name: &str, netns: &Netns) -> Reply {
    let request = Request::Add {
        attachment: attachment(name),
        pod: Some(PodRef { namespace: "shop".into(), name: name.into() }),
        netns: String::new(),
        mtu: None,
    };
    node.ask(&request, Some(netns)).unwrap_or_else(|| panic!("no answer: {}", node.log()))
}

pub(crate) fn attachment(name: &str) -> Attachment {
    Attachment { container_id: name.into(), ifname: "eth0".into() }
}

pub(crate) fn added(reply: Reply, node: &Node) -> InterfaceReply {
    match reply {
        Reply::Added(added) => added,
        other => panic!("{other:?}\n{}", node.log()),
    }
}

async fn rules() -> Vec<String> {
    let rules: Vec<Rule> = Net::current().unwrap().rules().await.unwrap();
    let ours = rules.iter().filter(|rule| rule.protocol == netcore::Protocol::NETLOOM);
    let mut ours: Vec<String> = ours.map(ToString::to_string).collect();
    ours.sort();
    ours
}

/// The ENI's link, whose other end is in the VPC.
pub(crate) async fn plug(vpc: &Netns) {
    let (net, fabric) = (Net::current().unwrap(), Net::in_netns(vpc).unwrap());
    let near = VethEnd::named("ens6").mac(MAC.parse().unwrap());
    let link = net.create_veth(&near, &VethEnd::named("port").netns(vpc).up(), 9001).await.unwrap();
    let port = link.peer.unwrap();
    fabric.add_address(&Address::new(port, "100.64.0.1/20".parse().unwrap())).await.unwrap();
    let assigned = Route::to("100.64.0.16/28".parse().unwrap()).via(ip("100.64.0.4")).dev(port);
    fabric.add_route(&assigned).await.unwrap();
    fabric.set_up(IfIndex::LOOPBACK).await.unwrap();
    fabric.add_address(&Address::new(IfIndex::LOOPBACK, ip(NEIGHBOUR).into())).await.unwrap();
    vpc.enable_forwarding(Family::V4).unwrap();
}

/// Whom a host of the VPC sees when the pod talks to it, and whether the answer comes back.
fn seen(pod: &Netns, from: IpAddr, vpc: &Netns) -> std::io::Result<IpAddr> {
    let bind = |netns: &Netns, address| -> std::io::Result<UdpSocket> {
        let socket = netns.run_in(|| UdpSocket::bind(SocketAddr::new(address, 0))).unwrap()?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        Ok(socket)
    };
    let (one, other) = (bind(pod, from)?, bind(vpc, ip(NEIGHBOUR))?);
    let mut buffer = [0; 8];
    one.send_to(b"ping", other.local_addr()?)?;
    let (_, source) = other.recv_from(&mut buffer)?;
    other.send_to(b"pong", source)?;
    one.recv_from(&mut buffer)?;
    Ok(source.ip())
}

#[test]
fn pods_have_addresses_of_the_nodes_interfaces() {
    in_namespace(lifetime);
}

/// A node in ENI mode, an API server, and the VPC beyond the wire.
pub(crate) struct Scene {
    pub(crate) node: Node,
    pub(crate) client: Client,
    instance: String,
    pub(crate) vpc: Netns,
    pub(crate) server: apiserver::Server,
    /// What the agent reaches it through.
    pub(crate) proxy: Proxy,
    _metadata: Metadata,
}

/// The node is not started yet.
pub(crate) async fn scene() -> Scene {
    let (cloud, instance) = region();
    let asking = Asking::Instance(instance.clone());
    let metadata = Metadata::metadata(cloud, "127.0.0.1:0".parse().unwrap(), asking).await.unwrap();
    let server = apiserver::Server::builder().start().await.unwrap();
    let client = client(&server.url()).await;
    furnish(&client).await;
    let endpoint = format!("http://{}", metadata.address());
    let proxy = Proxy::start(&server.url()).await;
    let mut node = Node::new(proxy.url.clone());
    // As the chart's `cni.configMap` brings it.
    let netconf = json!({"cniVersion": "0.3.1", "name": "cilium", "plugins": [{
        "type": "cilium-cni", "ipam": {"pre-allocate": 2},
        "eni": {"first-interface-index": 1, "subnet-tags": {"kubernetes.io/role/pods": "1"}},
    }]});
    fs::write(node.path("netconf"), netconf.to_string()).unwrap();
    let file = node.path("netconf").display().to_string();
    node = node.flags(&["--ipam", "eni", "--ec2-metadata-endpoint", &endpoint, "--read-cni-conf", &file]);
    let vpc = Netns::anonymous().unwrap();
    Scene { node, client, instance, vpc, server, proxy, _metadata: metadata }
}

async fn lifetime() {
    let Scene { mut node, client, instance, vpc, server, _metadata, .. } = scene().await;
    node.start();

    // It says who it is and what it wants, and that it promised nothing.
    let object = eventually("the node's object", || async {
        let object = own(&client).await?;
        let is_asked = !object["spec"]["ipam"]["pools"]["requested"].is_null();
        let has_told = !object["metadata"]["annotations"]["netloom.io/drained"].is_null();
        (is_asked && has_told && !object["spec"]["instance-id"].is_null()).then_some(object)
    })
    .await;
    assert_eq!(object["spec"]["instance-id"], instance);
    let eni = &object["spec"]["eni"];
    assert_eq!((&eni["first-interface-index"], &eni["instance-type"]), (&json!(1), &json!("m5.large")));
    assert_eq!(eni["subnet-tags"], json!({"kubernetes.io/role/pods": "1"}));
    assert_eq!(object["spec"]["ipam"]["pre-allocate"], 2);
    assert_eq!(object["spec"]["ipam"]["pools"]["requested"][0]["needed"]["ipv4-addrs"], 2);
    assert!(!node.status().unwrap().ready);

    // The operator has made an interface; its link comes later.
    say(&client, status(&["100.64.0.17"], &[])).await;
    plug(&vpc).await;
    node.ready().await;
    let pod = Netns::anonymous().unwrap();
    let web = added(add(&node, "web", &pod), &node);
    let address = web.addresses[0].ip();
    assert_eq!(address, ip("100.64.0.17"), "the one below the first index is left alone");
    let of_web: Vec<String> = [
        "110: from 100.64.0.17/32 fwmark 0x300/0xf00 lookup 11 proto 110",
        "111: from 100.64.0.17/32 to 10.0.0.0/16 lookup 11 proto 110",
        "111: from 100.64.0.17/32 to 100.64.0.0/16 lookup 11 proto 110",
        "111: from 100.64.0.4/32 lookup 11 proto 110",
        "20: from all to 100.64.0.17/32 lookup main proto 110",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(rules().await, of_web, "{}", node.log());
    assert_eq!(seen(&pod, address, &vpc).unwrap(), address);

    // There is no other address: the next pod waits for the operator, who is told at once.
    let operator = client.clone();
    let more = tokio::spawn(async move {
        let client = operator;
        eventually("the need", || async {
            let needed = &own(&client).await?["spec"]["ipam"]["pools"]["requested"][0]["needed"];
            (needed["ipv4-addrs"] == json!(4)).then_some(())
        })
        .await;
        say(&client, status(&["100.64.0.17", "100.64.0.18"], &["100.64.0.32/28"])).await;
    });
    let waits = Netns::anonymous().unwrap();
    let db = tokio::task::block_in_place(|| added(add(&node, "db", &waits), &node));
    more.await.unwrap();
    assert_eq!(db.addresses[0].ip(), ip("100.64.0.18"), "the fullest prefix first, and the smaller");

    // What comes of a prefix that was added is masqueraded like the rest.
    eventually("masquerade of the new prefix", || async {
        let shown = netcore::masquerade::show(&Netns::current().unwrap()).ok()?;
        ["100.64.0.17", "100.64.0.18", "100.64.0.32/28"].iter().all(|part| shown.contains(part)).then_some(())
    })
    .await;

    // Prefixes are asked back: what is in use is refused, the rest is promised and not given any more.
    let drain = r#"{"epoch":1,"prefixes":["100.64.0.17/32","100.64.0.32/28"]}"#;
    let object = own(&client).await.unwrap();
    patch(&client, &object, &json!({"metadata": {"annotations": {"netloom.io/drain": drain}}})).await;
    let answer = eventually("the answer", || async {
        let object = own(&client).await?;
        let text = object["metadata"]["annotations"]["netloom.io/drained"].as_str()?;
        serde_json::from_str::<Value>(text).ok().filter(|answer| answer["epoch"] == json!(1))
    })
    .await;
    assert_eq!(
        (&answer["prefixes"], &answer["refused"]),
        (&json!(["100.64.0.32/28"]), &json!(["100.64.0.17/32"]))
    );

    // The VPC grows, and so do the rules of pods that are there.
    let mut grown = status(&["100.64.0.17", "100.64.0.18"], &["100.64.0.32/28"]);
    grown["eni"]["enis"]["eni-1"]["vpc"]["cidrs"] = json!(["100.64.0.0/16", "10.7.0.0/16"]);
    say(&client, grown).await;
    let rule = "111: from 100.64.0.17/32 to 10.7.0.0/16 lookup 11 proto 110".to_owned();
    eventually("the new rule", || async { rules().await.contains(&rule).then_some(()) }).await;

    // Somebody cleans up what he does not know, and the agent puts it back.
    let net = Net::current().unwrap();
    let ens6 = net.link("ens6").await.unwrap().index;
    net.set_down(ens6).await.unwrap();
    eventually("the link is up again", || async { seen(&pod, address, &vpc).ok() }).await;

    // vpc-cni #3876: an agent that starts while less is listed than pods use takes nothing from them.
    node.kill();
    say(&client, status(&["100.64.0.18"], &[])).await;
    node.start();
    let restarted = node.ready().await;
    assert_eq!(restarted.endpoints.len(), 2, "{restarted:?}");
    let now = rules().await;
    assert!(of_web.iter().all(|rule| now.contains(rule)), "{now:?}\n{}", node.log());
    assert_eq!(seen(&pod, address, &vpc).unwrap(), address);
    // Its address stays its own, and is nobody else's; who asks is told what is missing.
    assert_eq!(added(add(&node, "web", &pod), &node), web);
    let refused = tokio::task::block_in_place(|| add(&node, "more", &Netns::anonymous().unwrap()));
    let Reply::Error(error) = refused else { panic!("{refused:?}") };
    assert_eq!(error.code, ErrorCode::Exhausted);
    assert!(error.message.contains("the operator was asked for"), "{error}");

    // Its rules go with it.
    let gone = node.ask(&Request::Del { attachment: attachment("web") }, None);
    assert!(matches!(gone, Some(Reply::Done)), "{gone:?}");
    assert!(rules().await.iter().all(|rule| !rule.contains("100.64.0.17/32")));
    node.stop();
    server.stop().await;
}

#[test]
fn an_agent_that_is_killed_at_any_moment_loses_nothing() {
    in_namespace(crashes);
}

async fn crashes() {
    let Scene { mut node, client, vpc, server, _metadata, .. } = scene().await;
    node.start();
    eventually("the node's object", || own(&client)).await;
    say(&client, status(&[], &["100.64.0.16/28", "100.64.0.32/28"])).await;
    plug(&vpc).await;
    node.ready().await;
    // Pods that were told their addresses, and were not disconnected.
    let mut connected: BTreeMap<String, (Netns, IpAddr)> = BTreeMap::new();
    for round in 0..ROUNDS {
        let chance = RandomState::new().hash_one(round);
        let life = Duration::from_millis(chance % 300);
        let socket = node.path("agent.sock");
        let leaves = connected.keys().next().cloned();
        let worker = std::thread::spawn(move || come_and_go(&socket, round, leaves.as_deref()));
        if round + 1 < ROUNDS {
            tokio::time::sleep(life).await;
            node.kill();
        }
        let (came, left) = worker.join().unwrap();
        if round + 1 == ROUNDS {
            // Between two requests, too.
            node.kill();
        }
        node.start();
        let now = node.ready().await;
        connected.extend(came);
        // Whether it was done shows: who asked does not know.
        left.iter().for_each(|gone| _ = connected.remove(gone));

        let about = format!("killed after {life:?}, round {round}\n{}", node.log());
        let has: BTreeMap<String, IpAddr> = now
            .endpoints
            .iter()
            .map(|endpoint| (endpoint.attachment.container_id.clone(), endpoint.addresses[0]))
            .collect();
        let distinct: BTreeSet<&IpAddr> = has.values().collect();
        assert_eq!(distinct.len(), has.len(), "{has:?} {about}");
        for (name, (_, address)) in &connected {
            assert_eq!(has.get(name), Some(address), "{name} {about}");
        }
        let expected: BTreeSet<String> = has
            .values()
            .flat_map(|address| {
                let of = |network: &str| format!("111: from {address}/32 to {network} lookup 11 proto 110");
                let answer = format!("110: from {address}/32 fwmark 0x300/0xf00 lookup 11 proto 110");
                let to = format!("20: from all to {address}/32 lookup main proto 110");
                [of("10.0.0.0/16"), of("100.64.0.0/16"), answer, to]
            })
            .chain(["111: from 100.64.0.4/32 lookup 11 proto 110".to_owned()])
            .collect();
        assert_eq!(rules().await.into_iter().collect::<BTreeSet<_>>(), expected, "{about}");
        // Who was in the middle of it is disconnected by the runtime.
        for name in has.keys().filter(|name| !connected.contains_key(*name)) {
            let gone = node.ask(&Request::Del { attachment: attachment(name) }, None);
            assert!(matches!(gone, Some(Reply::Done)), "{gone:?} {about}");
        }
    }
    assert!(connected.len() >= 4, "those of the last round at least: {connected:?}");
    node.stop();
    server.stop().await;
}

/// Connects pods until the agent is gone, and disconnects one that was there before; tells who was told an address,
/// and who may be disconnected.
fn come_and_go(
    socket: &Path,
    round: u64,
    leaves: Option<&str>,
) -> (BTreeMap<String, (Netns, IpAddr)>, Vec<String>) {
    let ask = |request: &Request, netns: Option<&Netns>| {
        let mut socket = Socket::connect(socket, Duration::from_secs(20)).ok()?;
        socket.call(request, netns.map(AsFd::as_fd)).ok()
    };
    let (mut came, mut left) = (BTreeMap::new(), Vec::new());
    for pod in 0..4 {
        let (name, netns) = (format!("pod-{round}-{pod}"), Netns::anonymous().unwrap());
        let request =
            Request::Add { attachment: attachment(&name), pod: None, netns: String::new(), mtu: None };
        if let Some(Reply::Added(added)) = ask(&request, Some(&netns)) {
            came.insert(name, (netns, added.addresses[0].ip()));
        }
        if let (1, Some(name)) = (pod, leaves) {
            left.push(name.to_owned());
            ask(&Request::Del { attachment: attachment(name) }, None);
        }
    }
    (came, left)
}

/// A region with one instance.
fn region() -> (Cloud, String) {
    let cloud = Cloud::new(Settings::default());
    let instance = cloud.with(|region, now| {
        let vpc = region.add_vpc("192.0.2.0/24".parse().unwrap()).unwrap();
        let subnet = region.add_subnet(&vpc, "192.0.2.0/25".parse().unwrap(), "a").unwrap();
        let instance = region.add_instance("m5.large", &subnet).unwrap();
        region.advance(now);
        instance
    });
    (cloud, instance)
}
