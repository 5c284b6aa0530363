//! Plans, applied to a model of the kernel and to the kernel itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{ip, mac, pair, run};
use ipnetwork::IpNetwork;
use netcore::{
    Address, Error, Family, IfIndex, LinkSettings, MacAddr, Neighbour, Net, Netns, Owned, Protocol, Route,
    RouteTable, Rule, State, Step, Sysctl, plan,
};
use proptest::{collection::btree_set, prelude::*};

const FOREIGN: Protocol = Protocol(3);
/// The interface whose addresses are ours.
const OURS: IfIndex = IfIndex(2);

fn owned() -> Owned {
    Owned { addresses_of: [OURS].into(), ..Owned::default() }
}

/// What the kernel would do with a step. Panics where it would refuse.
fn apply(state: &mut State, step: &Step) {
    let key = |route: &Route| (route.destination, route.table, route.metric);
    match step.clone() {
        Step::SetLink { device, from, to } => assert_eq!(state.links.insert(device, to), from),
        Step::SetSysctl { key, from, to } => assert_eq!(state.sysctls.insert(key, to), from),
        Step::AddAddress(address) => {
            let taken = state.addresses.iter().any(|old| {
                old.device == address.device
                    && old.network.ip() == address.network.ip()
                    && (address.network.is_ipv6() || old.network == address.network)
            });
            assert!(!taken, "{step}: exists");
            state.addresses.insert(address);
        }
        Step::RemoveAddress(address) => assert!(state.addresses.remove(&address), "{step}: missing"),
        Step::SetNeighbour(neighbour) => {
            state.neighbours.retain(|old| (old.device, old.ip) != (neighbour.device, neighbour.ip));
            state.neighbours.insert(neighbour);
        }
        Step::RemoveNeighbour(neighbour) => assert!(state.neighbours.remove(&neighbour), "{step}: missing"),
        Step::AddRoute(route) => {
            assert!(!state.routes.iter().any(|old| key(old) == key(&route)), "{step}: exists");
            state.routes.insert(route);
        }
        Step::ReplaceRoute { from, to } => {
            assert!(state.routes.contains(&from), "{step}: missing");
            // IPv6 keeps a route that has a gateway beside one that has none.
            let v4 = to.destination.is_ipv4();
            state.routes.retain(|old| key(old) != key(&to) || !(v4 || old.via.is_some() == to.via.is_some()));
            state.routes.insert(to);
        }
        Step::RemoveRoute(route) => assert!(state.routes.remove(&route), "{step}: missing"),
        Step::AddRule(rule) => assert!(state.rules.insert(rule), "{step}: exists"),
        Step::RemoveRule(rule) => assert!(state.rules.remove(&rule), "{step}: missing"),
    }
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![3 => Just(Protocol::NETLOOM), 1 => Just(FOREIGN)]
}

// Few values of each kind, so that desired and observed objects meet.
fn route() -> impl Strategy<Value = Route> {
    let destinations = ["10.0.1.0/24", "10.0.2.0/24", "0.0.0.0/0", "fd00:1::/64", "fd00:2::/64"];
    let destination = prop::sample::select(destinations.to_vec());
    (destination, 0..3u8, 2..4u32, prop::sample::select(&[0, 7][..]), any::<bool>(), protocol()).prop_map(
        |(destination, gateway, device, metric, other_table, protocol)| {
            let mut route = Route::to(destination.parse().unwrap())
                .dev(IfIndex(device))
                .metric(metric)
                .protocol(protocol);
            if gateway > 0 {
                let v4 = route.destination.is_ipv4();
                let prefix = if v4 { "192.0.2." } else { "fe80::" };
                route.via = Some(ip(&format!("{prefix}{gateway}")));
            }
            if other_table { route.table(RouteTable(100)) } else { route }
        },
    )
}

fn rule() -> impl Strategy<Value = Rule> {
    (any::<bool>(), 10..13u32, any::<bool>(), protocol()).prop_map(|(v6, priority, from, protocol)| {
        let family = if v6 { Family::V6 } else { Family::V4 };
        let rule = Rule { protocol, ..Rule::new(family, priority, RouteTable(100)) };
        let network = if v6 { "fd00::/64" } else { "10.0.1.0/24" };
        if from { rule.from(network.parse().unwrap()) } else { rule }
    })
}

fn neighbour() -> impl Strategy<Value = Neighbour> {
    let addresses = prop::sample::select(&["192.0.2.1", "192.0.2.2", "fe80::1"][..]);
    (2..4u32, addresses, 0..2u8, protocol()).prop_map(|(device, address, last, protocol)| Neighbour {
        device: IfIndex(device),
        ip: ip(address),
        mac: MacAddr([2, 0, 0, 0, 0, last]),
        protocol,
    })
}

fn address() -> impl Strategy<Value = Address> {
    let networks =
        ["192.0.2.7/24", "192.0.2.7/32", "192.0.2.8/24", "fd00::7/64", "fd00::7/128", "fe80::7/64"];
    (2..4u32, prop::sample::select(networks.to_vec()))
        .prop_map(|(device, network)| Address::new(IfIndex(device), network.parse().unwrap()))
}

fn sysctls() -> impl Strategy<Value = BTreeMap<Sysctl, String>> {
    let key = prop_oneof![Just(Family::V4), Just(Family::V6)].prop_map(Sysctl::forwarding);
    prop::collection::btree_map(key, prop_oneof![Just("0".to_owned()), Just("1".to_owned())], 0..3)
}

fn links() -> impl Strategy<Value = BTreeMap<IfIndex, LinkSettings>> {
    let settings = (prop::sample::select(&[1500, 9001][..]), any::<bool>());
    let settings = settings.prop_map(|(mtu, up)| LinkSettings { mtu, up });
    prop::collection::btree_map((2..4u32).prop_map(IfIndex), settings, 0..3)
}

/// A state that a kernel can be in: nothing twice in one place.
fn state() -> impl Strategy<Value = State> {
    let parts = (
        btree_set(address(), 0..6),
        btree_set(route(), 0..12),
        btree_set(rule(), 0..6),
        btree_set(neighbour(), 0..6),
        sysctls(),
        links(),
    );
    parts.prop_map(|(addresses, routes, rules, neighbours, sysctls, links)| {
        let mut state = State { links, rules, sysctls, ..State::default() };
        let unique = |places: &mut BTreeSet<String>, place: String| places.insert(place);
        let mut places = BTreeSet::new();
        state.addresses = addresses
            .into_iter()
            .filter(|a| {
                let prefix = if a.network.is_ipv4() { a.network.prefix() } else { 0 };
                unique(&mut places, format!("{} {} {prefix}", a.device, a.network.ip()))
            })
            .collect();
        state.routes = routes
            .into_iter()
            .filter(|r| unique(&mut places, format!("{} {} {}", r.destination, r.table, r.metric)))
            .collect();
        state.neighbours = neighbours
            .into_iter()
            .filter(|n| unique(&mut places, format!("neighbour {} {}", n.device, n.ip)))
            .collect();
        state
    })
}

/// Two states of which the observed has nobody else's things in the places of desired ones.
fn desired_and_observed() -> impl Strategy<Value = (State, State)> {
    (state(), state()).prop_map(|(mut desired, mut observed)| {
        desired.routes =
            std::mem::take(&mut desired.routes).into_iter().map(|r| r.protocol(Protocol::NETLOOM)).collect();
        let place = |r: &Route| (r.destination, r.table, r.metric);
        let wanted: BTreeSet<_> = desired.routes.iter().map(place).collect();
        observed.routes.retain(|r| r.protocol != FOREIGN || !wanted.contains(&place(r)));
        desired.addresses.retain(|a| a.device == OURS);
        // Link-local addresses are the kernel's; one with another prefix is in the way of ours.
        desired.addresses.retain(|a| !a.network.to_string().starts_with("fe80"));
        (desired, observed)
    })
}

/// What must be there in the end: the desired, and what is not ours and in nobody's place.
fn expected(desired: &State, observed: &State) -> State {
    let mut expected = desired.clone();
    expected.routes.extend(observed.routes.iter().filter(|r| r.protocol == FOREIGN).cloned());
    expected.rules.extend(observed.rules.iter().filter(|r| r.protocol == FOREIGN).cloned());
    let places: BTreeSet<_> = desired.neighbours.iter().map(|n| (n.device, n.ip)).collect();
    let others =
        observed.neighbours.iter().filter(|n| n.protocol == FOREIGN && !places.contains(&(n.device, n.ip)));
    expected.neighbours.extend(others);
    let link_local = |a: &Address| a.network.to_string().starts_with("fe80");
    expected.addresses.extend(observed.addresses.iter().filter(|a| a.device != OURS || link_local(a)));
    for (device, settings) in &observed.links {
        expected.links.entry(*device).or_insert(*settings);
    }
    for (key, value) in &observed.sysctls {
        expected.sysctls.entry(key.clone()).or_insert_with(|| value.clone());
    }
    expected
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_leads_to_the_desired_state_and_nowhere_else((desired, observed) in desired_and_observed()) {
        let plan = plan(&owned(), &desired, &observed);
        let mut model = observed.clone();
        for step in plan.steps() {
            apply(&mut model, step);
        }
        prop_assert_eq!(&model, &expected(&desired, &observed), "{}", plan);
        let again = netcore::plan(&owned(), &desired, &model);
        prop_assert!(again.is_empty(), "{}", again);
    }

    #[test]
    fn a_plan_can_be_kept_and_read_again((desired, observed) in desired_and_observed()) {
        let plan = plan(&owned(), &desired, &observed);
        let text = serde_json::to_string(&plan).unwrap();
        prop_assert_eq!(serde_json::from_str::<netcore::Plan>(&text).unwrap(), plan);
    }
}

fn to(destination: &str) -> Route {
    Route::to(destination.parse::<IpNetwork>().unwrap())
}

#[test]
fn additions_come_before_removals_and_links_before_gateways() {
    let link = to("169.254.1.1/32").dev(OURS);
    let default = to("0.0.0.0/0").via(ip("169.254.1.1")).dev(OURS);
    let old = to("10.0.0.0/8").dev(OURS);
    let desired = State { routes: [default, link].into(), ..State::default() };
    let observed = State { routes: [old].into(), ..State::default() };
    let expected = "+ route 169.254.1.1/32 dev #2 proto 110\n\
                    + route 0.0.0.0/0 via 169.254.1.1 dev #2 proto 110\n\
                    - route 10.0.0.0/8 dev #2 proto 110\n";
    assert_eq!(plan(&owned(), &desired, &observed).to_string(), expected);
}

#[test]
fn a_changed_route_is_replaced_in_one_step() {
    let old = to("10.0.1.0/24").via(ip("192.0.2.8")).dev(OURS);
    let new = to("10.0.1.0/24").via(ip("192.0.2.9")).dev(OURS);
    let desired = State { routes: [new].into(), ..State::default() };
    let observed = State { routes: [old].into(), ..State::default() };
    let expected = "~ route 10.0.1.0/24 via 192.0.2.8 dev #2 proto 110 -> \
                    10.0.1.0/24 via 192.0.2.9 dev #2 proto 110\n";
    assert_eq!(plan(&owned(), &desired, &observed).to_string(), expected);
}

#[test]
fn one_interface_is_reconciled_without_the_others() {
    let other = to("10.0.1.1/32").dev(IfIndex(9));
    let observed = State {
        routes: [other].into(),
        rules: [Rule::new(Family::V4, 1, RouteTable(2))].into(),
        neighbours: [Neighbour::new(IfIndex(9), ip("10.0.1.1"), mac(1))].into(),
        ..State::default()
    };
    assert!(plan(&Owned::interface(OURS), &State::default(), &observed).is_empty());
    assert_eq!(plan(&Owned::default(), &State::default(), &observed).steps().len(), 3);
}

#[test]
fn the_kernel_ends_where_the_model_does() {
    run(async {
        let netns = Netns::anonymous().unwrap();
        let net = Net::in_netns(&netns).unwrap();
        let device = pair(&net, "d0").await.index;
        let owned = Owned { addresses_of: [device].into(), ..Owned::default() };
        let set = |mtu| [(device, LinkSettings { mtu, up: true })].into();
        let first = State {
            links: set(1400),
            addresses: ["192.0.2.7/24", "192.0.2.6/24", "2001:db8::7/64"]
                .map(|network| Address::new(device, network.parse().unwrap()))
                .into(),
            routes: [
                to("10.0.1.0/24").via(ip("192.0.2.8")).dev(device).src(ip("192.0.2.6")),
                to("fd00:1::/64").via(ip("2001:db8::8")).dev(device),
                to("fd00:2::/64").dev(device),
                to("fd00:3::/64").via(ip("2001:db8::8")).dev(device).metric(7),
            ]
            .into(),
            rules: [Rule::new(Family::V6, 111, RouteTable(12)).from("fd00::7/128".parse().unwrap())].into(),
            neighbours: [Neighbour::new(device, ip("192.0.2.8"), mac(8))].into(),
            sysctls: [(Sysctl::forwarding(Family::V4), "1".to_owned())].into(),
        };
        // Every kind is changed in some way: prefixes, gateways, MAC addresses, presence.
        let second = State {
            links: set(1300),
            addresses: ["192.0.2.7/25", "192.0.2.6/24", "2001:db8::7/128", "2001:db8::9/64"]
                .map(|network| Address::new(device, network.parse().unwrap()))
                .into(),
            routes: [
                to("10.0.1.0/24").via(ip("192.0.2.9")).dev(device).src(ip("192.0.2.6")),
                to("fd00:1::/64").dev(device),
                to("fd00:2::/64").via(ip("2001:db8::8")).dev(device),
                to("fd00:4::/64").dev(device),
            ]
            .into(),
            rules: [Rule::new(Family::V4, 111, RouteTable(12)).mark(1, 1)].into(),
            neighbours: [
                Neighbour::new(device, ip("192.0.2.8"), mac(9)),
                Neighbour::new(device, ip("fe80::1"), mac(9)),
            ]
            .into(),
            sysctls: [(Sysctl::forwarding(Family::V4), "0".to_owned())].into(),
        };
        // On another interface: the kernel forgets all IPv4 routes of one that loses its last address.
        let foreign = to("10.99.0.0/16").dev(pair(&net, "d1").await.index).protocol(FOREIGN);
        net.add_address(&Address::new(device, "198.51.100.1/24".parse().unwrap())).await.unwrap();
        net.add_route(&foreign).await.unwrap();
        for desired in [&first, &second, &first, &State::default()] {
            let done = net.reconcile(&owned, desired).await.unwrap();
            assert!(!done.is_empty());
            let again = net.reconcile(&owned, desired).await.unwrap();
            assert!(again.is_empty(), "after\n{done}there is still\n{again}");
        }
        let left = net.routes().await.unwrap();
        assert!(left.contains(&foreign));
        assert!(left.iter().all(|route| route.protocol != Protocol::NETLOOM));
    });
}

#[test]
fn a_route_of_others_is_not_taken() {
    run(async {
        let net = Net::in_netns(&Netns::anonymous().unwrap()).unwrap();
        let device = pair(&net, "d0").await.index;
        net.add_route(&to("10.0.1.0/24").dev(device).protocol(FOREIGN)).await.unwrap();
        let desired = State {
            routes: [to("10.0.1.0/24").dev(device).mtu(1400), to("10.0.2.0/24").dev(device)].into(),
            ..State::default()
        };
        let failures = net.reconcile(&Owned::default(), &desired).await.unwrap_err();
        assert!(matches!(&failures[..], [Error::Exists { operation: "add route", .. }]), "{failures:?}");
        assert!(net.routes().await.unwrap().contains(&to("10.0.2.0/24").dev(device)), "the others are tried");

        // Who wants to know is told which steps those are.
        let failures = net.apply_each(&plan(&Owned::default(), &desired, &State::default())).await;
        let failed: Vec<String> = failures.iter().map(|failure| failure.step.to_string()).collect();
        let of = |route: Route| format!("+ route {route}");
        assert_eq!(failed, [of(to("10.0.1.0/24").dev(device).mtu(1400)), of(to("10.0.2.0/24").dev(device))]);
    });
}

#[test]
fn a_thousand_routes_in_one_plan() {
    run(async {
        let net = Net::in_netns(&Netns::anonymous().unwrap()).unwrap();
        let device = pair(&net, "d0").await.index;
        let routes =
            (0..1000u32).map(|n| to(&format!("10.{}.{}.0/24", n / 250, n % 250)).dev(device)).collect();
        let desired = State { routes, ..State::default() };
        let start = std::time::Instant::now();
        assert_eq!(net.reconcile(&Owned::default(), &desired).await.unwrap().steps().len(), 1000);
        eprintln!("1000 routes: {:?}", start.elapsed());
        assert!(net.reconcile(&Owned::default(), &desired).await.unwrap().is_empty());
    });
}
