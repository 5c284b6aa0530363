//! Pods wired to a node, with packets.

use std::time::Instant;

use crate::support::{exchange, ip, mac, pair, run, udp};
use netcore::{
    Address, Error, Family, IfIndex, Neighbour, Net, Netns, Route, VethEnd,
    pod::{Difference, GATEWAY_V4, Side, Wired, Wiring, unwire},
};

/// A node with addresses of both families on a link of its own.
async fn node() -> (Netns, Net) {
    let netns = Netns::anonymous().unwrap();
    let net = Net::in_netns(&netns).unwrap();
    net.set_up(IfIndex::LOOPBACK).await.unwrap();
    let uplink = pair(&net, "uplink").await;
    for address in ["192.0.2.7/24", "2001:db8::7/64"] {
        net.add_address(&Address::new(uplink.index, address.parse().unwrap())).await.unwrap();
    }
    netns.enable_forwarding(Family::V4).unwrap();
    netns.enable_forwarding(Family::V6).unwrap();
    (netns, net)
}

fn wiring(number: u8) -> Wiring {
    Wiring {
        host_interface: format!("nlt{number}"),
        pod_interface: "eth0".to_owned(),
        pod_mac: mac(number),
        gateway_mac: mac(0xff),
        addresses: vec![ip(&format!("10.0.1.{number}")), ip(&format!("fd00:1::{number:x}"))],
        mtu: 1450,
        node_addresses: vec![ip("192.0.2.7"), ip("2001:db8::7")],
    }
}

async fn wire(number: u8, node: &Net) -> (Netns, Wired) {
    let pod = Netns::anonymous().unwrap();
    let wired = wiring(number).wire(node, &pod).await.unwrap();
    (pod, wired)
}

#[test]
fn two_pods_and_their_node_exchange_datagrams() {
    run(async {
        let (node_netns, node) = node().await;
        let (one, _) = wire(1, &node).await;
        let (two, _) = wire(2, &node).await;
        for (from, to, own) in
            [("10.0.1.1", "10.0.1.2", "192.0.2.7"), ("fd00:1::1", "fd00:1::2", "2001:db8::7")]
        {
            let (sender, receiver) = (udp(&one, ip(from)), udp(&two, ip(to)));
            assert_eq!(exchange(&sender, &receiver).unwrap().ip(), ip(from));
            // The node's own packets bear its address, by the route's source.
            let unspecified = if ip(own).is_ipv4() { "0.0.0.0" } else { "::" };
            let host = udp(&node_netns, ip(unspecified));
            assert_eq!(exchange(&host, &receiver).unwrap().ip(), ip(own));
        }
    });
}

#[test]
fn a_wired_pod_verifies_and_each_change_is_found() {
    run(async {
        let (_, node) = node().await;
        let (pod, wired) = wire(3, &node).await;
        let inside = Net::in_netns(&pod).unwrap();
        let verify = async || wiring(3).verify(&node, &pod).await.unwrap();
        assert_eq!(verify().await, []);
        assert_eq!(wired.host, node.link("nlt3").await.unwrap());
        assert_eq!(wired.pod_index, inside.link("eth0").await.unwrap().index);

        // What others add to a pod is their business.
        let extra = Route::to("203.0.113.0/24".parse().unwrap()).via(GATEWAY_V4.into()).dev(wired.pod_index);
        inside.add_route(&extra).await.unwrap();
        assert_eq!(verify().await, []);

        inside.set_mtu(wired.pod_index, 1300).await.unwrap();
        let found = verify().await;
        assert!(
            matches!(&found[..], [Difference::Attribute { side: Side::Pod, attribute: "mtu", .. }]),
            "{found:?}"
        );
        assert_eq!(found[0].to_string(), "pod: mtu of interface eth0 is 1300, not 1450");
        inside.set_mtu(wired.pod_index, 1450).await.unwrap();

        let neighbour = Neighbour::new(wired.host.index, ip("10.0.1.3"), mac(3));
        node.delete_neighbour(&neighbour).await.unwrap();
        let found = verify().await;
        assert!(matches!(&found[..], [Difference::Missing { side: Side::Node, .. }]), "{found:?}");
        node.replace_neighbour(&neighbour).await.unwrap();

        let default = Route::to("::/0".parse().unwrap()).via(ip("fe80::1")).dev(wired.pod_index);
        inside.delete_route(&default).await.unwrap();
        let found = verify().await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].to_string().starts_with("pod: missing: + route ::/0 via fe80::1"), "{}", found[0]);
        inside.add_route(&default).await.unwrap();
        assert_eq!(verify().await, []);

        assert!(unwire(&node, "nlt3").await.unwrap());
        assert!(!unwire(&node, "nlt3").await.unwrap());
        let found = verify().await;
        assert!(matches!(
            &found[..],
            [
                Difference::MissingInterface { side: Side::Node, .. },
                Difference::MissingInterface { side: Side::Pod, .. }
            ]
        ));
        assert!(node.routes().await.unwrap().iter().all(|route| route.device != Some(wired.host.index)));
    });
}

#[test]
fn what_an_interrupted_attempt_left_is_made_anew() {
    run(async {
        let (_, node) = node().await;
        let pod = Netns::anonymous().unwrap();
        // The links alone, wrongly addressed.
        let host = VethEnd::named("nlt4");
        let peer = VethEnd::named("eth0").mac(mac(77)).netns(&pod);
        node.create_veth(&host, &peer, 1500).await.unwrap();
        for _ in 0..2 {
            wiring(4).wire(&node, &pod).await.unwrap();
            assert_eq!(wiring(4).verify(&node, &pod).await.unwrap(), []);
        }
    });
}

#[test]
fn a_route_that_somebody_left_is_taken_over() {
    run(async {
        let (_, node) = node().await;
        let (_, old) = wire(5, &node).await;
        let pod = Netns::anonymous().unwrap();
        let again = Wiring { host_interface: "nlt5b".to_owned(), ..wiring(5) };
        again.wire(&node, &pod).await.unwrap();
        assert_eq!(again.verify(&node, &pod).await.unwrap(), []);
        assert!(
            node.routes()
                .await
                .unwrap()
                .iter()
                .all(|route| route.device != Some(old.host.index) || route.destination.ip() == ip("fe80::"))
        );
    });
}

#[test]
fn a_foreign_interface_in_the_pod_is_not_touched() {
    run(async {
        let (_, node) = node().await;
        let pod = Netns::anonymous().unwrap();
        let inside = Net::in_netns(&pod).unwrap();
        let foreign = pair(&inside, "eth0").await;
        let refused = wiring(6).wire(&node, &pod).await;
        assert!(refused.as_ref().is_err_and(Error::is_exists), "{refused:?}");
        assert_eq!(inside.link("eth0").await.unwrap().index, foreign.index);
        assert!(node.link("nlt6").await.unwrap_err().is_not_found());
    });
}

#[test]
fn a_failed_wiring_leaves_nothing() {
    run(async {
        let (_, node) = node().await;
        let pod = Netns::anonymous().unwrap();
        // Not an address of the node: the route's source is refused.
        let wrong = Wiring { node_addresses: vec![ip("198.51.100.1")], ..wiring(7) };
        let refused = wrong.wire(&node, &pod).await.unwrap_err();
        assert!(refused.to_string().contains("src 198.51.100.1"), "{refused}");
        assert!(node.link("nlt7").await.unwrap_err().is_not_found());
        let none = Wiring { addresses: vec![], ..wiring(7) };
        assert!(matches!(none.wire(&node, &pod).await, Err(Error::InvalidWiring { .. })));
    });
}

#[test]
fn single_stack_pods() {
    run(async {
        let (_, node) = node().await;
        for (number, keep) in [(8, 0), (9, 1)] {
            let pod = Netns::anonymous().unwrap();
            let single = Wiring { addresses: vec![wiring(number).addresses[keep]], ..wiring(number) };
            single.wire(&node, &pod).await.unwrap();
            assert_eq!(single.verify(&node, &pod).await.unwrap(), []);
        }
    });
}

#[test]
fn ipv6_is_enabled_in_a_pod_where_it_was_not() {
    run(async {
        let (node_netns, node) = node().await;
        let pod = Netns::anonymous().unwrap();
        for interface in ["all", "default"] {
            pod.set_sysctl(&netcore::Sysctl::disable_ipv6(interface), "1").unwrap();
        }
        wiring(10).wire(&node, &pod).await.unwrap();
        let (host, receiver) = (udp(&node_netns, ip("2001:db8::7")), udp(&pod, ip("fd00:1::a")));
        exchange(&host, &receiver).unwrap();
    });
}

/// Not a judgement by the clock: it prints what a wiring costs.
#[test]
fn time_of_a_wiring() {
    run(async {
        let (_, node) = node().await;
        let mut times = Vec::new();
        let mut pods = Vec::new();
        for number in 20..60 {
            let pod = Netns::anonymous().unwrap();
            let start = Instant::now();
            wiring(number).wire(&node, &pod).await.unwrap();
            times.push(start.elapsed());
            pods.push(pod);
        }
        times.sort();
        let removal = Instant::now();
        unwire(&node, "nlt20").await.unwrap();
        eprintln!(
            "one wiring: minimum {:?}, median {:?}, maximum {:?}; one removal: {:?}",
            times[0],
            times[times.len() / 2],
            times[times.len() - 1],
            removal.elapsed()
        );
    });
}
