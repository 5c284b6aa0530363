//! A node with two ENIs, with packets. The other end is a VPC that checks sources as EC2 does: what leaves an
//! ENI with an address that belongs to another is dropped (strict reverse path filtering, there).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use crate::support::{exchange, ip, mac, run, udp};
use ipnetwork::Ipv4Network;
use netcore::{
    Address, Change, Error, Family, IfIndex, LinkSettings, Monitor, Net, Netns, Pace, Plan, Protocol, Route,
    RouteTable, State, Sysctl, VethEnd,
    eni::{self, Interface, Number, Plumbing, Reach},
    masquerade::{Mark, Masquerade},
    pod::Wiring,
};

const ANSWER: Mark = Mark { value: 0x300, mask: 0xf00 };
/// The pod; another host of the VPC, in its second CIDR's subnet's neighbour; a host outside.
const POD: &str = "100.64.0.17";
const NEIGHBOUR: &str = "10.0.9.9";
const OUTSIDE: &str = "198.51.100.9";

/// The node, its VPC, and a pod.
struct World {
    node: Netns,
    net: Net,
    vpc: Netns,
    pod: Netns,
    plumbing: Plumbing,
    wiring: Wiring,
    host: IfIndex,
}

fn network(text: &str) -> Ipv4Network {
    text.parse().unwrap()
}

impl World {
    async fn new() -> Self {
        let [node, vpc, pod] = [(); 3].map(|()| Netns::anonymous().unwrap());
        let (net, fabric) = (Net::in_netns(&node).unwrap(), Net::in_netns(&vpc).unwrap());
        for netns in [&node, &vpc] {
            netns.enable_forwarding(Family::V4).unwrap();
            Net::in_netns(netns).unwrap().set_up(IfIndex::LOOPBACK).await.unwrap();
        }
        // The operating system filters strictly, everywhere.
        for key in ["all", "default"] {
            node.set_sysctl(&Sysctl::rp_filter(key), "1").unwrap();
            vpc.set_sysctl(&Sysctl::rp_filter(key), "1").unwrap();
        }
        let mut ports = Vec::new();
        for (number, name) in [(0, "eth0"), (1, "ens6")] {
            let near = VethEnd::named(name).mac(mac(number)).netns(&node);
            let port = format!("port{number}");
            let far = VethEnd::named(&port).up();
            ports.push(fabric.create_veth(&far, &near, 9001).await.unwrap());
        }
        for (port, gateway) in ports.iter().zip(["10.0.0.1/24", "100.64.0.1/20"]) {
            fabric.add_address(&Address::new(port.index, gateway.parse().unwrap())).await.unwrap();
        }
        // What EC2 assigned to the second one.
        let prefix = Route::to("100.64.0.16/28".parse().unwrap()).via(ip("100.64.0.4")).dev(ports[1].index);
        fabric.add_route(&prefix).await.unwrap();
        for host in [NEIGHBOUR, OUTSIDE] {
            let address = Address::new(IfIndex::LOOPBACK, ip(host).into());
            fabric.add_address(&address).await.unwrap();
        }
        // What the operating system does with the first one.
        let eth0 = net.link("eth0").await.unwrap();
        net.set_up(eth0.index).await.unwrap();
        net.add_address(&Address::new(eth0.index, "10.0.0.5/24".parse().unwrap())).await.unwrap();
        let default = Route::to_all(Family::V4).via(ip("10.0.0.1")).dev(eth0.index).protocol(Protocol::BOOT);
        net.add_route(&default).await.unwrap();

        let wiring = Wiring {
            host_interface: "nlt1".to_owned(),
            pod_interface: "eth0".to_owned(),
            pod_mac: mac(0x11),
            gateway_mac: mac(0xff),
            addresses: vec![ip(POD)],
            mtu: 9001,
            node_addresses: vec![ip("10.0.0.5")],
        };
        let host = wiring.wire(&net, &pod).await.unwrap().host.index;
        let eni = Interface {
            number: Number(1),
            mac: mac(1),
            address: Some("100.64.0.4".parse().unwrap()),
            gateway: "100.64.0.1".parse().unwrap(),
            mtu: eni::MTU,
        };
        let plumbing = Plumbing {
            interfaces: [(Number(1), eni)].into(),
            pods: [(POD.parse().unwrap(), Number(1))].into(),
            reach: Reach::Within([network("10.0.0.0/16"), network("100.64.0.0/16")].into()),
            answer: Some(ANSWER),
        };
        Self { node, net, vpc, pod, plumbing, wiring, host }
    }

    /// What an agent does: looks for the links, and brings all in line.
    async fn assert(&self) -> (State, Plan) {
        let (owned, desired) = self.desired().await;
        let plan = self.net.reconcile(&owned, &desired).await.unwrap();
        // Both ends of a veth pair notice their carrier somewhat later.
        for index in desired.links.keys() {
            let link = self.net.wait_operational(*index).await.unwrap();
            Net::in_netns(&self.vpc).unwrap().wait_operational(link.peer.unwrap()).await.unwrap();
        }
        (desired, plan)
    }

    async fn desired(&self) -> (netcore::Owned, State) {
        let links = self.net.links().await.unwrap();
        let macs = self.plumbing.interfaces.values().map(|eni| eni.mac);
        let found = eni::find(&links, macs);
        let numbers = self.plumbing.interfaces.values();
        let indexes: BTreeMap<Number, IfIndex> =
            numbers.filter_map(|eni| Some((eni.number, found.get(&eni.mac)?.index))).collect();
        let (owned, mut desired) = self.plumbing.state(&indexes);
        let host = self.wiring.host_state(self.host);
        desired.routes.extend(host.routes);
        desired.neighbours.extend(host.neighbours);
        let names: Vec<String> = found.values().map(|link| link.name.clone()).collect();
        desired.sysctls = self.node.without_reverse_path_filter(&names).unwrap();
        (owned, desired)
    }

    /// False where the kernel can't masquerade.
    fn masquerade(&self, mark_answers: bool) -> bool {
        let Reach::Within(native) = &self.plumbing.reach else { return true };
        let rules = Masquerade {
            uplinks: ["eth+".to_owned()].into(),
            pods: ["100.64.0.16/28".parse().unwrap()].into(),
            native: native.iter().copied().map(Into::into).collect(),
            except: Some(ANSWER),
            mark_answers,
        };
        match rules.apply(&self.node) {
            Err(error @ (Error::NftMissing | Error::NftRefused { .. })) => {
                let text = error.to_string();
                assert!(matches!(error, Error::NftMissing) || text.contains("not supported"), "{text}");
                eprintln!("skipped: {text}");
                false
            }
            applied => {
                applied.unwrap();
                true
            }
        }
    }

    /// Whom `to` in the VPC sees when the pod talks to it.
    fn seen_by(&self, to: &str) -> std::io::Result<SocketAddr> {
        exchange(&udp(&self.pod, ip(POD)), &udp(&self.vpc, ip(to)))
    }
}

#[test]
fn packets_leave_by_the_interface_that_has_their_source() {
    run(async {
        let mut world = World::new().await;
        let (desired, plan) = world.assert().await;
        assert!(!plan.is_empty());
        assert_eq!(world.assert().await.1, Plan::default());
        let link = world.net.link("ens6").await.unwrap();
        assert_eq!(link.settings(), LinkSettings { mtu: 9001, up: true });
        let own: Vec<Address> = world.net.addresses().await.unwrap();
        assert!(desired.addresses.is_subset(&own.into_iter().collect()));
        // By the main table an answer to the outside leaves by the first interface, and is lost.
        let ask = |client: &str| exchange(&udp(&world.vpc, ip(client)), &udp(&world.pod, ip(POD)));
        if !world.masquerade(false) {
            return;
        }
        assert!(ask(OUTSIDE).is_err());
        assert!(world.masquerade(true));
        // Within the VPC under its own address, by its own interface: by the first one it would be dropped.
        assert_eq!(world.seen_by(NEIGHBOUR).unwrap().ip(), ip(POD));
        // To the outside under the node's, by the first.
        assert_eq!(world.seen_by(OUTSIDE).unwrap().ip(), ip("10.0.0.5"));
        // From the outside, its address untouched as a network load balancer leaves it: the answer leaves by
        // the interface that has the address, and not masqueraded.
        for client in [OUTSIDE, NEIGHBOUR] {
            assert_eq!(ask(client).unwrap().ip(), ip(client));
        }
        // The node answers from the interface's address by that interface.
        let node = udp(&world.node, ip("100.64.0.4"));
        exchange(&udp(&world.vpc, ip(NEIGHBOUR)), &node).unwrap();
        let node = udp(&world.node, ip("10.0.0.5"));
        exchange(&udp(&world.vpc, ip(OUTSIDE)), &node).unwrap();

        // The VPC grows: what was outside is within, for pods that are there already.
        let Reach::Within(cidrs) = &mut world.plumbing.reach else { unreachable!() };
        cidrs.insert(network("198.51.100.0/24"));
        let (_, plan) = world.assert().await;
        assert_eq!(
            plan.to_string(),
            format!("+ rule 111: from {POD}/32 to 198.51.100.0/24 lookup 11 proto 110\n")
        );
        assert!(world.masquerade(true));
        assert_eq!(world.seen_by(OUTSIDE).unwrap().ip(), ip(POD));

        // No masquerade at all: everything leaves by its own.
        world.plumbing.reach = Reach::Everywhere;
        world.assert().await;
        netcore::masquerade::remove(&world.node).unwrap();
        assert_eq!(world.seen_by(OUTSIDE).unwrap().ip(), ip(POD));
        let rules = world.net.rules().await.unwrap();
        let ours = rules.iter().filter(|rule| rule.protocol == Protocol::NETLOOM && rule.to.is_some());
        assert_eq!(ours.count(), 1, "{rules:?}");

        // And back: the kernel takes a rule without `to` for one with it, and must not lose either.
        world.plumbing.reach = Reach::Within([network("10.0.0.0/16"), network("198.51.100.0/24")].into());
        world.assert().await;
        assert_eq!(world.assert().await.1, Plan::default());
        assert_eq!(world.seen_by(OUTSIDE).unwrap().ip(), ip(POD));
    });
}

#[test]
fn the_first_interface_is_the_operating_systems() {
    run(async {
        let mut world = World::new().await;
        let first = Interface {
            number: Number::PRIMARY,
            mac: mac(0),
            address: Some("10.0.0.5".parse().unwrap()),
            gateway: "10.0.0.1".parse().unwrap(),
            mtu: eni::MTU,
        };
        let other = "10.0.0.33".parse().unwrap();
        world.plumbing.interfaces.insert(first.number, first);
        world.plumbing.pods.insert(other, Number::PRIMARY);
        let eth0 = world.net.link("eth0").await.unwrap();
        let is_its = |route: &Route| route.device == Some(eth0.index) && route.table == RouteTable::MAIN;
        let look = async || {
            let routes: Vec<_> = world.net.routes().await.unwrap().into_iter().filter(is_its).collect();
            let mut addresses = world.net.addresses().await.unwrap();
            addresses.retain(|address| address.device == eth0.index);
            (routes, addresses, world.net.link("eth0").await.unwrap().settings())
        };
        let before = look().await;
        let (desired, _) = world.assert().await;
        assert_eq!(look().await, before);
        let table = Number::PRIMARY.table();
        assert_eq!(desired.routes.iter().filter(|route| route.table == table).count(), 2);
        let of_pod = |rule: &&netcore::Rule| rule.from == Some(IpAddr::V4(other).into());
        assert!(desired.rules.iter().filter(of_pod).all(|rule| rule.table == table));
    });
}

/// What an agent does when something changed, until all has been as it should be for a while.
async fn keep(world: &World, monitor: &mut Monitor, desired: &State) -> Vec<Plan> {
    let (mut pace, mut plans) = (Pace::default(), Vec::new());
    let (owned, _) = world.desired().await;
    let end = Instant::now() + Duration::from_millis(600);
    loop {
        let until = pace.due().unwrap_or(end).min(end);
        tokio::select! {
            change = monitor.next() => {
                if eni::concerns(&change.unwrap(), &owned, desired, &BTreeSet::new()) {
                    pace.noticed(Instant::now());
                }
            }
            () = tokio::time::sleep_until(until.into()) => {
                if pace.due().is_none() {
                    return plans;
                }
                let (_, plan) = world.assert().await;
                pace.asserted(!plan.is_empty(), Instant::now());
                plans.push(plan);
            }
        }
    }
}

#[test]
fn what_somebody_undoes_is_done_again() {
    run(async {
        let world = World::new().await;
        let (desired, _) = world.assert().await;
        world.seen_by(NEIGHBOUR).unwrap();
        let ens6 = world.net.link("ens6").await.unwrap().index;
        let pod_rule = desired.rules.iter().find(|rule| rule.from == Some(ip(POD).into())).unwrap();
        let gateway = desired.routes.iter().find(|route| route.via.is_some()).unwrap();
        let own = desired.addresses.first().unwrap();
        let mut monitor = Monitor::new(&world.node).unwrap();

        for what in
            ["rule", "default route", "address", "renamed", "down", "mtu", "a default of DHCP", "DHCP"]
        {
            match what {
                "rule" => world.net.delete_rule(pod_rule).await.unwrap(),
                "default route" => world.net.delete_route(gateway).await.unwrap(),
                "address" => world.net.delete_address(own).await.unwrap(),
                // systemd's udev rules: down, another name, and up again.
                "renamed" => {
                    world.net.set_down(ens6).await.unwrap();
                    world.net.rename(ens6, "eth1").await.unwrap();
                }
                "down" => world.net.set_down(ens6).await.unwrap(),
                "mtu" => world.net.set_mtu(ens6, 1500).await.unwrap(),
                "a default of DHCP" => {
                    let route = Route::to_all(Family::V4).via(ip("100.64.0.1")).dev(ens6).metric(512);
                    world.net.add_route(&route.protocol(Protocol(16)).onlink()).await.unwrap();
                }
                _ => {
                    let address = Address::new(ens6, "100.64.0.4/20".parse().unwrap());
                    world.net.add_address(&address).await.unwrap();
                }
            }
            let plans = keep(&world, &mut monitor, &desired).await;
            assert!(plans.iter().any(|plan| !plan.is_empty()), "{what}: not noticed");
            assert!(plans.len() <= 2, "{what}: {plans:?}");
            assert_eq!(world.assert().await.1, Plan::default(), "{what}");
            world.seen_by(NEIGHBOUR).unwrap_or_else(|error| panic!("{what}: {error}"));
            let routes = world.net.routes().await.unwrap();
            let strays = routes.iter().filter(|route| {
                route.table == RouteTable::MAIN && route.device == Some(ens6) && route.destination.is_ipv4()
            });
            assert_eq!(strays.count(), 0, "{what}: {routes:?}");
        }
        // Quiet when nobody does anything, our own doing included.
        assert_eq!(keep(&world, &mut monitor, &desired).await, []);
        assert_eq!(world.node.sysctl(&Sysctl::rp_filter("eth1")).unwrap(), "0");
        assert_eq!(world.node.sysctl(&Sysctl::rp_filter("eth0")).unwrap(), "1");
    });
}

#[test]
fn an_interface_that_comes_is_noticed() {
    run(async {
        let node = Netns::anonymous().unwrap();
        let net = Net::in_netns(&node).unwrap();
        let mut monitor = Monitor::new(&node).unwrap();
        let (owned, desired) = Plumbing::default().state(&BTreeMap::new());
        net.create_veth(&VethEnd::named("eth1").mac(mac(1)), &VethEnd::named("x"), 1500).await.unwrap();
        let noticed = async {
            loop {
                let change = monitor.next().await.unwrap();
                if eni::concerns(&change, &owned, &desired, &[mac(1)].into()) {
                    return change;
                }
                assert!(!eni::concerns(&change, &owned, &desired, &BTreeSet::new()), "{change:?}");
            }
        };
        assert!(matches!(noticed.await, Change::Link(link) if link.name == "eth1"));
    });
}
