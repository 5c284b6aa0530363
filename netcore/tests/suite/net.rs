//! Links, addresses, routes, rules and neighbours against the kernel.

use crate::support::{ip, mac, pair, run};
use netcore::{
    Address, Error, Family, IfIndex, Neighbour, Net, Netns, Protocol, Route, RouteKind, RouteTable, Rule,
    VethEnd,
};

#[test]
fn a_veth_pair_is_made_across_namespaces_in_one_step() {
    run(async {
        let (here, there) = (Netns::anonymous().unwrap(), Netns::anonymous().unwrap());
        let (near, far) = (Net::in_netns(&here).unwrap(), Net::in_netns(&there).unwrap());
        let one = VethEnd::named("near").mac(mac(1)).up();
        let other = VethEnd::named("eth0").mac(mac(2)).netns(&there);
        let link = near.create_veth(&one, &other, 1400).await.unwrap();

        assert_eq!((link.name.as_str(), link.mac, link.mtu, link.up), ("near", Some(mac(1)), 1400, true));
        assert_eq!(link.kind, "veth");
        assert!(link.peer_netnsid.is_some());
        let peer = far.link("eth0").await.unwrap();
        assert_eq!((peer.mac, peer.mtu, peer.up), (Some(mac(2)), 1400, false));
        assert_eq!((link.peer, peer.peer), (Some(peer.index), Some(link.index)));
        assert_eq!(near.link_by_index(link.index).await.unwrap(), link);
        assert_eq!(far.links().await.unwrap().len(), 2);

        let taken = near.create_veth(&one, &VethEnd::named("other"), 1400).await;
        assert!(taken.as_ref().is_err_and(Error::is_exists), "{taken:?}");
        let taken = near.create_veth(&VethEnd::named("other"), &other, 1400).await;
        assert!(taken.as_ref().is_err_and(Error::is_exists), "{taken:?}");

        assert!(near.delete_link_named("near").await.unwrap());
        assert!(!near.delete_link_named("near").await.unwrap());
        assert!(far.link("eth0").await.unwrap_err().is_not_found());
    });
}

#[test]
fn links_are_changed_and_moved() {
    run(async {
        let (here, there) = (Netns::anonymous().unwrap(), Netns::anonymous().unwrap());
        let (near, far) = (Net::in_netns(&here).unwrap(), Net::in_netns(&there).unwrap());
        let bridge = near.create_bridge("br0", 1500).await.unwrap();
        assert_eq!((bridge.kind.as_str(), bridge.up), ("bridge", true));
        let port = pair(&near, "d0").await;
        near.set_controller(port.index, Some(bridge.index)).await.unwrap();
        assert_eq!(near.link("d0").await.unwrap().controller, Some(bridge.index));
        near.set_controller(port.index, None).await.unwrap();

        near.set_down(port.index).await.unwrap();
        near.rename(port.index, "d1").await.unwrap();
        near.set_mac(port.index, mac(9)).await.unwrap();
        near.set_mtu(port.index, 1280).await.unwrap();
        let changed = near.link("d1").await.unwrap();
        assert_eq!((changed.mac, changed.mtu, changed.up), (Some(mac(9)), 1280, false));
        assert_eq!(changed.controller, None);
        near.move_to(changed.index, &there).await.unwrap();
        assert!(near.link("d1").await.unwrap_err().is_not_found());
        let moved = far.link("d1").await.unwrap();
        far.set_up(moved.index).await.unwrap();
        assert!(far.link("d1").await.unwrap().up);
        far.delete_link(moved.index).await.unwrap();
        assert!(far.delete_link(moved.index).await.unwrap_err().is_not_found());
    });
}

#[test]
fn refusals_name_operation_subject_and_reason() {
    run(async {
        let net = Net::in_netns(&Netns::anonymous().unwrap()).unwrap();
        let link = pair(&net, "d0").await;
        let route = Route::to("10.9.0.0/24".parse().unwrap()).via(ip("203.0.113.1")).dev(link.index);
        let error = net.add_route(&route).await.unwrap_err();
        let Error::Refused { operation, subject, reason, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*operation, "add route");
        assert_eq!(*subject, format!("10.9.0.0/24 via 203.0.113.1 dev {} proto 110", link.index));
        assert!(reason.as_ref().is_some_and(|words| words.contains("gateway")), "{error}");

        let nowhere = net.set_up(IfIndex(4711)).await.unwrap_err();
        assert_eq!(nowhere.to_string(), "cannot set up link #4711: not found (ENODEV: No such device)");
    });
}

#[test]
fn addresses_come_and_go() {
    run(async {
        let net = Net::in_netns(&Netns::anonymous().unwrap()).unwrap();
        let device = pair(&net, "d0").await.index;
        let v4 = Address::new(device, "192.0.2.7/24".parse().unwrap());
        let v6 = Address::new(device, "2001:db8::7/64".parse().unwrap());
        for address in [v4, v6] {
            net.add_address(&address).await.unwrap();
            assert!(net.add_address(&address).await.unwrap_err().is_exists());
            net.replace_address(&address).await.unwrap();
            assert!(net.addresses().await.unwrap().contains(&address), "{address}");
            net.delete_address(&address).await.unwrap();
            assert!(net.delete_address(&address).await.unwrap_err().is_not_found());
        }
    });
}

#[test]
fn routes_come_back_as_they_were_given() {
    run(async {
        let net = Net::in_netns(&Netns::anonymous().unwrap()).unwrap();
        let device = pair(&net, "d0").await.index;
        net.add_address(&Address::new(device, "192.0.2.7/24".parse().unwrap())).await.unwrap();
        net.add_address(&Address::new(device, "2001:db8::7/64".parse().unwrap())).await.unwrap();
        net.set_up(IfIndex::LOOPBACK).await.unwrap();
        let to = |text: &str| Route::to(text.parse().unwrap());
        let routes = [
            to("10.0.1.9/24").via(ip("192.0.2.8")).dev(device),
            to("10.0.2.0/24").via(ip("198.51.100.1")).dev(device).onlink().metric(7).mtu(1400),
            to("10.0.3.1/32").dev(device).src(ip("192.0.2.7")),
            to("10.0.4.0/24").dev(device).table(RouteTable(1000)).protocol(Protocol::BOOT),
            to("10.0.5.0/24").kind(RouteKind::Blackhole),
            to("0.0.0.0/0").via(ip("192.0.2.1")).dev(device),
            to("10.0.6.0/24").via(ip("fe80::1")).dev(device),
            to("fd00:1::/64").via(ip("2001:db8::8")).dev(device),
            to("fd00:2::1/128").dev(device).src(ip("2001:db8::7")),
            to("fd00:3::/64").via(ip("fe80::1")).dev(device).metric(7).mtu(1400),
            to("fd00:4::/64").kind(RouteKind::Unreachable).table(RouteTable(1000)),
            to("::/0").via(ip("fe80::1")).dev(device),
        ];
        for route in &routes {
            net.add_route(route).await.unwrap();
            assert!(net.add_route(route).await.unwrap_err().is_exists(), "{route}");
            net.replace_route(route).await.unwrap();
            let listed = net.routes().await.unwrap();
            assert_eq!(listed.iter().filter(|found| *found == route).count(), 1, "{route}\n{listed:#?}");
        }
        let moved = to("10.0.1.0/24").via(ip("192.0.2.9")).dev(device);
        net.replace_route(&moved).await.unwrap();
        let listed = net.routes().await.unwrap();
        assert!(listed.contains(&moved) && !listed.contains(&routes[0]));

        for route in routes[1..].iter().chain([&moved]) {
            net.delete_route(route).await.unwrap();
            assert!(net.delete_route(route).await.unwrap_err().is_not_found(), "{route}");
        }
        assert!(net.routes().await.unwrap().iter().all(|route| route.protocol == Protocol::KERNEL));
    });
}

#[test]
fn rules_come_back_as_they_were_given() {
    run(async {
        let net = Net::in_netns(&Netns::anonymous().unwrap()).unwrap();
        let rules = [
            Rule::new(Family::V4, 111, RouteTable(12)).from("10.0.1.7/32".parse().unwrap()),
            Rule::new(Family::V4, 20, RouteTable(2004)).to("10.0.1.0/24".parse().unwrap()).mark(0x200, 0xf00),
            Rule::new(Family::V6, 111, RouteTable(12)).from("fd00::7/128".parse().unwrap()).input("eth0"),
        ];
        for rule in &rules {
            net.add_rule(rule).await.unwrap();
            assert!(net.add_rule(rule).await.unwrap_err().is_exists(), "{rule}");
            assert!(net.rules().await.unwrap().contains(rule), "{rule}\n{:#?}", net.rules().await);
            net.delete_rule(rule).await.unwrap();
            assert!(net.delete_rule(rule).await.unwrap_err().is_not_found(), "{rule}");
        }
    });
}

#[test]
fn permanent_neighbours_come_back_as_they_were_given() {
    run(async {
        let net = Net::in_netns(&Netns::anonymous().unwrap()).unwrap();
        let device = pair(&net, "d0").await.index;
        for address in ["192.0.2.8", "fe80::1"] {
            let neighbour = Neighbour::new(device, ip(address), mac(1));
            net.replace_neighbour(&neighbour).await.unwrap();
            let neighbour = Neighbour { mac: mac(2), ..neighbour };
            net.replace_neighbour(&neighbour).await.unwrap();
            assert_eq!(net.neighbours().await.unwrap(), [neighbour]);
            net.delete_neighbour(&neighbour).await.unwrap();
            assert!(net.delete_neighbour(&neighbour).await.unwrap_err().is_not_found());
        }
    });
}

#[test]
fn a_socket_outlives_the_name_of_its_namespace() {
    run(async {
        let net = Net::in_netns(&Netns::anonymous().unwrap()).unwrap();
        assert_eq!(net.links().await.unwrap().len(), 1);
        assert_eq!(net.link("lo").await.unwrap().index, IfIndex::LOOPBACK);
    });
}

#[test]
fn outside_of_a_runtime_is_an_error() {
    let netns = Netns::current().unwrap();
    assert!(matches!(Net::in_netns(&netns), Err(Error::NoRuntime)));
}

#[test]
fn waiting_ends_with_the_reason() {
    run(async {
        let net = Net::in_netns(&Netns::anonymous().unwrap()).unwrap();
        let (one, other) = (VethEnd::named("one").up(), VethEnd::named("other"));
        let link = net.create_veth(&one, &other, 1500).await.unwrap();
        let waited = net.wait_operational(link.index).await;
        assert!(matches!(waited, Err(Error::NotReady { .. })), "{waited:?}");
        net.set_up(link.peer.unwrap()).await.unwrap();
        assert!(net.wait_operational(link.index).await.unwrap().operational);

        let waited = net.wait_local(ip("2001:db8::7")).await;
        assert!(matches!(waited, Err(Error::NotLocal { .. })), "{waited:?}");
        net.add_address(&Address::new(link.index, "2001:db8::7/64".parse().unwrap())).await.unwrap();
        net.wait_local(ip("2001:db8::7")).await.unwrap();
    });
}
