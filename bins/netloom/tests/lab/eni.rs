//! Nodes that are instances of a VPC.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use lab::attempt::{Outcome, Protocol};
use lab::cloud::control::{Client, CloudStatus, InterfaceStatus};
use lab::cloud::plan;
use lab::paths::Paths;
use lab::place::Family;

use crate::support::{Lab, PATIENCE, eventually, kill};
use crate::traffic::Traffic;

/// A pod of a node, which answers on port 80.
pub(crate) fn pod(name: &str, node: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\n\
         spec: {{nodeName: {node}, containers: [{{name: c, image: x, ports: [{{containerPort: 80}}]}}]}}\n---\n"
    )
}

/// Only `near` may talk to `far`.
const POLICY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: far}
spec:
  podSelector: {matchLabels: {app: far}}
  ingress: [{from: [{podSelector: {matchLabels: {app: near}}}]}]
";

pub(crate) fn cloud(lab: &Lab) -> Client {
    Client::new(&Paths::new(&lab.name.parse().unwrap()).cloud_socket())
}

pub(crate) fn status(lab: &Lab) -> CloudStatus {
    cloud(lab).status().unwrap()
}

/// A node's interface at a device index.
fn interface(status: &CloudStatus, node: &str, index: u32) -> InterfaceStatus {
    let instance = status.instances.iter().find(|instance| instance.node == node).unwrap();
    let found = instance.interfaces.iter().find(|interface| interface.device_index == index);
    found.unwrap_or_else(|| panic!("{node} has no interface {index}: {status:?}")).clone()
}

fn v4(lab: &Lab, place: &str) -> IpAddr {
    lab.address(place, Family::V4)
}

fn outcome(lab: &Lab, from: &str, to: IpAddr, port: u16, expected: bool) -> Outcome {
    lab.attempt(from, SocketAddr::new(to, port), Protocol::Tcp, expected).outcome
}

#[test]
fn pods_have_addresses_of_the_vpc() {
    let Some(lab) = Lab::up_with("vpc", &["--mode", "eni"], "") else { return };
    let mut pods = pod("far", "node2");
    (0..18).for_each(|number| pods += &pod(&format!("p{number}"), "node1"));
    lab.applied(&(pods + &pod("near", "node1")));

    // More pods than a prefix has addresses: another prefix, on the interface that is there.
    let now = status(&lab);
    let (eth0, eth1) = (interface(&now, "node1", 0), interface(&now, "node1", 1));
    assert_eq!((eth0.link.as_deref(), eth1.link.as_deref()), (Some("eth0"), Some("eth1")));
    assert_eq!((eth0.address, eth0.prefixes.len()), (Ipv4Addr::new(10, 0, 0, 11), 0));
    assert!(eth1.prefixes.len() >= 2, "{now:?}");
    assert_eq!((now.calls["CreateNetworkInterface"], &now.violations), (2, &Vec::new()), "{now:?}");
    let mut given = BTreeSet::new();
    for name in (0..18).map(|number| format!("p{number}")).chain(["near".to_owned()]) {
        let IpAddr::V4(address) = v4(&lab, &name) else { panic!("IPv6") };
        assert!(plan::secondary().contains(address) && given.insert(address), "{name} {address}");
        assert!(eth1.prefixes.iter().any(|prefix| prefix.contains(address)), "{name} {address} {now:?}");
    }
    let json = lab.json("status", &[]);
    assert_eq!(json["cloud"]["violations"], serde_json::json!([]));
    assert_eq!(json["cloud"]["instances"][0]["interfaces"][1]["link"], "eth1");

    reach_each_other(&lab);
    reach_the_world_and_back(&lab);
    are_dropped_where_ec2_drops(&lab, &eth1);
    metadata_is_the_nodes_own(&lab, &now);
}

fn reach_each_other(lab: &Lab) {
    let (near, far) = (v4(lab, "near"), v4(lab, "far"));
    for (from, to, port) in
        [("near", far, 80), ("far", near, 80), ("node/node1", far, 80), ("near", plan::API.into(), 6443)]
    {
        assert_eq!(outcome(lab, from, to, port, true), Outcome::Connected, "{from} to {to}");
    }
    let refused = outcome(lab, "near", v4(lab, "node/node2"), 9, true);
    assert_eq!(refused, Outcome::Refused, "the other node answers that nobody listens");
    lab.applied(POLICY);
    assert_eq!(outcome(lab, "near", far, 80, true), Outcome::Connected);
    assert_eq!(outcome(lab, "p0", far, 80, false), Outcome::Timeout);
}

/// Whom the world sees when a place talks to it.
fn seen(lab: &Lab, from: &str) -> Option<IpAddr> {
    let at = SocketAddr::new(lab::plan::world()[0], 9000);
    let listener = lab.netns("world").run_in(|| TcpListener::bind(at)).unwrap().unwrap();
    let patience = Duration::from_secs(1);
    lab.netns(from).run_in(|| TcpStream::connect_timeout(&at, patience)).unwrap().ok()?;
    Some(listener.accept().unwrap().1.ip())
}

fn reach_the_world_and_back(lab: &Lab) {
    let node = v4(lab, "node/node1");
    assert_eq!((seen(lab, "near"), seen(lab, "node/node1")), (Some(node), Some(node)));
    // As through a load balancer that keeps clients' addresses: the answer has to leave by the second interface.
    assert_eq!(outcome(lab, "world", v4(lab, "near"), 80, true), Outcome::Connected);
    let dropped = status(lab).dropped;
    assert_eq!((dropped.foreign_source, dropped.no_public_address), (0, 0), "{dropped:?}");
}

fn are_dropped_where_ec2_drops(lab: &Lab, eth1: &InterfaceStatus) {
    let before = status(lab).dropped;
    let (node, other) = (lab.netns("node/node1"), lab.netns("node/node2"));
    // An address that EC2 did not give to the node.
    let (done, said) = lab.exec("node/node1", "ip address add 10.0.0.99/32 dev lo");
    assert!(done, "{said}");
    let server = other.run_in(|| UdpSocket::bind((Ipv4Addr::new(10, 0, 16, 12), 9001))).unwrap().unwrap();
    server.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let forger = node.run_in(|| UdpSocket::bind((Ipv4Addr::new(10, 0, 0, 99), 0))).unwrap().unwrap();
    forger.send_to(b"from nobody", server.local_addr().unwrap()).unwrap();
    assert!(server.recv(&mut [0; 64]).is_err());
    let after = status(lab).dropped;
    assert_eq!(after.foreign_source, before.foreign_source + 1, "{after:?}");
    // What nobody has.
    let nobody = Ipv4Addr::new(100, 64, 63, 254);
    assert!(!eth1.prefixes.iter().any(|prefix| prefix.contains(nobody)));
    assert_eq!(outcome(lab, "node/node1", nobody.into(), 80, false), Outcome::Timeout);
    assert!(status(lab).dropped.not_assigned > before.not_assigned);
}

fn metadata_is_the_nodes_own(lab: &Lab, status: &CloudStatus) {
    let ask = |place: &str, request: &str| -> String {
        let at = SocketAddr::from((plan::METADATA, plan::HTTP));
        let stream = lab.netns(place).run_in(|| TcpStream::connect_timeout(&at, PATIENCE)).unwrap().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(&stream, "{request} HTTP/1.1\r\nHost: metadata\r\nConnection: close\r\n").unwrap();
        write!(&stream, "X-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n").unwrap();
        let mut answer = String::new();
        (&stream).read_to_string(&mut answer).unwrap();
        answer
    };
    for (place, node) in [("node/node1", "node1"), ("near", "node1"), ("node/node2", "node2")] {
        let answer = ask(place, "PUT /latest/api/token");
        let token = answer.lines().last().unwrap();
        let request =
            format!("GET /latest/meta-data/instance-id HTTP/1.1\r\nX-aws-ec2-metadata-token: {token}\r\nX: ");
        let answer = ask(place, &request);
        let instance = status.instances.iter().find(|instance| instance.node == node).unwrap();
        assert!(answer.ends_with(&instance.id), "{place}: {answer}");
    }
}

#[test]
fn without_masquerade_the_world_is_out_of_reach() {
    let arguments = ["--mode", "eni", "--nodes", "1", "--config", "enable-ipv4-masquerade=false"];
    let Some(lab) = Lab::up_with("vpc-bare", &arguments, &pod("web", "node1")) else { return };
    let node = v4(&lab, "node/node1");
    assert_eq!((seen(&lab, "node/node1"), seen(&lab, "web")), (Some(node), None));
    let dropped = status(&lab).dropped;
    assert!(dropped.no_public_address > 0 && dropped.foreign_source == 0, "{dropped:?}");
    assert_eq!(outcome(&lab, "world", v4(&lab, "web"), 80, true), Outcome::Connected, "who asks is answered");
}

#[test]
fn what_is_killed_under_traffic_loses_nothing() {
    let pods = pod("near", "node1") + &pod("far", "node2");
    let Some(lab) = Lab::up_with("vpc-kill", &["--mode", "eni"], &pods) else { return };
    let (near, far) = (lab.netns("near"), lab.netns("far"));
    let tcp = Traffic::tcp(&near, &far, SocketAddr::new(v4(&lab, "far"), 1001));
    let udp = Traffic::udp(&far, &near, SocketAddr::new(v4(&lab, "near"), 1002));
    let all = [&tcp, &udp];
    all.into_iter().for_each(Traffic::flows);
    for node in ["node1", "node2"] {
        let before = lab.kill_agent(node);
        lab.another_agent(node, before);
        all.into_iter().for_each(Traffic::flows);
    }
    lab.kill_program("operator1");
    // The daemon, and with it the API server, operators and agents: EC2 stays.
    let cloud_before = status(&lab).pid;
    let daemon = lab.json("status", &[])["daemon"].as_u64().unwrap();
    kill(u32::try_from(daemon).unwrap(), "KILL");
    eventually("the daemon is gone", || lab.look()["daemon"].is_null().then_some(()));
    lab.json("resume", &[]);
    all.into_iter().for_each(Traffic::flows);
    tcp.finish();
    udp.finish();
    let now = status(&lab);
    assert_eq!((now.pid, &now.violations), (cloud_before, &Vec::new()), "{now:?}");
    assert_eq!(now.dropped.foreign_source, 0, "{now:?}");

    // Without its EC2 a lab is no more; it says so, and can be removed.
    kill(cloud_before, "KILL");
    let problem = eventually("the lab says that its EC2 has ended", || {
        Some(lab.look()["cloudProblem"].as_str()?.to_owned())
    });
    assert!(problem.contains("EC2 has ended"), "{problem}");
    let refused = lab.run("resume", &[]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("lab down"), "{refused:?}");
}

#[test]
fn prefixes_that_nobody_needs_are_given_back() {
    let arguments = ["--mode", "eni", "--nodes", "1", "--config", "excess-ip-release-delay=1"];
    let Some(lab) = Lab::up_with("vpc-give", &arguments, "") else { return };
    let crowd: String = (0..24).map(|number| pod(&format!("p{number}"), "node1")).collect();
    lab.applied(&(pod("stays", "node1") + &crowd));
    let before = eventually("25 pods, and room for 8 beside, have three prefixes", || {
        Some(interface(&status(&lab), "node1", 1).prefixes).filter(|prefixes| prefixes.len() >= 3)
    });
    lab.deleted(&crowd);
    // Addresses rest for 30 s before they are nobody's.
    let gone = Duration::from_secs(90);
    let start = std::time::Instant::now();
    let after = loop {
        let after = interface(&status(&lab), "node1", 1).prefixes;
        if after.len() == 1 {
            break after;
        }
        assert!(start.elapsed() < gone, "{after:?}: {}", lab.kubectl("get cn node1 -o yaml").1);
        std::thread::sleep(Duration::from_millis(200));
    };
    let IpAddr::V4(address) = v4(&lab, "stays") else { panic!("IPv6") };
    assert!(after[0].contains(address) && before.contains(&after[0]), "{after:?}");
    assert_eq!(outcome(&lab, "world", address.into(), 80, true), Outcome::Connected);
    // Nothing leads to what was given back.
    let returned = before.iter().find(|prefix| !after.contains(prefix)).unwrap();
    assert_eq!(outcome(&lab, "node/node1", returned.nth(3).unwrap().into(), 80, false), Outcome::Timeout);
    let now = status(&lab);
    assert!(now.dropped.not_assigned > 0 && now.violations.is_empty() && now.unplugged.is_empty(), "{now:?}");
}

#[test]
fn mistakes_are_told() {
    let Some(lab) = Lab::named("vpc-wrong") else { return };
    for (arguments, said) in [
        (&["--mode", "eni", "--instance-type", "m5.huge"][..], "m5.large, m5.metal"),
        (&["--instance-type", "m5.large"], "--instance-type is for --mode eni"),
        (&["--config", "ipam=eni"], "ipam is said by --mode"),
        (&["--mode", "eni", "--config", "read-cni-conf=/nowhere"], "cannot read /nowhere"),
        (
            &["--mode", "eni", "--instance-type", "t2.micro", "--config", "eni-first-interface-index=2"],
            "t2.micro has 2 network interfaces",
        ),
        (&["--mode", "eni", "--config", "aws-max-results-per-call=4"], "4 is not within 5 to 1000"),
        (
            &["--mode", "eni", "--config", "eni-first-interface-index=one"],
            "eni-first-interface-index: invalid",
        ),
    ] {
        let output = lab.run("up", arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(said), "{arguments:?}: {text}");
        assert!(!text.contains("could not be made"), "it is told before anything is made: {text}");
    }
    assert_eq!(lab.namespaces(), 0);
}
