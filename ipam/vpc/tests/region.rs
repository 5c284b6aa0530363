//! What the contract does not ask of clients: pods, the metadata service's view, dry runs, placement.

use std::time::Duration;

use ipam::{
    Timestamp,
    ec2::{Addresses, Assigned, CreateInterface, Reply, Request, Tags},
};
use vpc::{Call, Failure, Lags, Omission, Operation, Region, ReservationKind, Settings, Violation, Wanted};

struct Fixture {
    region: Region,
    subnet: String,
    node: String,
    eth0: String,
}

fn fixture(settings: Settings, cidr: &str) -> Fixture {
    let mut region = Region::new(settings);
    let vpc = region.add_vpc("10.0.0.0/16".parse().unwrap()).unwrap();
    let subnet = region.add_subnet(&vpc, cidr.parse().unwrap(), "a").unwrap();
    let node = region.add_instance("m5.large", &subnet).unwrap();
    region.advance(Timestamp(0));
    let eth0 = region.primary_interface(&node).unwrap().id.clone();
    Fixture { region, subnet, node, eth0 }
}

fn assign(fixture: &mut Fixture, now: u64, addresses: Addresses) -> Assigned {
    let request = Request::Assign { interface_id: fixture.eth0.clone(), addresses };
    match fixture.region.call(Timestamp(now), request) {
        Ok(Reply::Assigned(assigned)) => assigned,
        other => panic!("{other:?}"),
    }
}

/// A /28 was unassigned with a live pod in it (vpc-cni #3824).
#[test]
fn a_prefix_taken_from_under_a_pod_is_noticed() {
    let mut fixture = fixture(Settings::default(), "10.0.1.0/24");
    let prefixes = assign(&mut fixture, 1, Addresses::PrefixCount(2)).prefixes;
    let (node, eth0) = (fixture.node.clone(), fixture.eth0.clone());
    let address = prefixes[1].nth(7).unwrap();
    fixture.region.register_pod(&node, "default/web", address);
    assert_eq!(fixture.region.check(), []);
    let unassign = |prefix| Request::Unassign {
        interface_id: eth0.clone(),
        addresses: Vec::new(),
        prefixes: vec![prefix],
    };
    fixture.region.call(Timestamp(2), unassign(prefixes[0])).unwrap();
    assert_eq!(fixture.region.check(), [], "nobody used the first");
    fixture.region.call(Timestamp(3), unassign(prefixes[1])).unwrap();
    let released = Violation::ReleasedInUse {
        interface_id: eth0,
        address,
        pod: "default/web".to_owned(),
        operation: Operation::UnassignPrivateIpAddresses,
        at: Timestamp(3),
    };
    let unbacked = Violation::NotBacked { pod: "default/web".to_owned(), address, instance_id: node.clone() };
    assert_eq!(fixture.region.check(), [released.clone(), unbacked]);
    fixture.region.unregister_pod(&node, "default/web", address);
    assert_eq!(fixture.region.check(), [released], "what was done stays known");
}

/// Who subscribes late finds what there is, and hears the rest; over time that passes by itself, too.
#[test]
fn subscribers_hear_what_happens_by_itself() {
    use std::sync::mpsc;
    use vpc::{Change, Cloud, InstanceState};

    let lags = Lags { boot: Duration::from_secs(5), ..Lags::default() };
    let cloud = Cloud::standing_still(Settings { lags, ..Settings::default() }, Timestamp(1_000));
    let node = cloud.with(|region, _| {
        let vpc = region.add_vpc("10.0.0.0/16".parse().unwrap()).unwrap();
        let subnet = region.add_subnet(&vpc, "10.0.1.0/24".parse().unwrap(), "a").unwrap();
        region.add_instance("m5.large", &subnet).unwrap()
    });
    let (tell, told) = mpsc::channel();
    cloud.subscribe(move |event| tell.send(event.clone()).unwrap());
    let state =
        || cloud.with(|region, _| region.instances().map(|one| (one.id, one.state)).collect::<Vec<_>>());
    assert_eq!(state(), [(node.clone(), InstanceState::Pending)]);
    assert_eq!((cloud.with(|region, _| (region.vpcs().count(), region.subnets().count()))), (1, 1));
    assert_eq!(cloud.until_due(), Some(Duration::from_secs(5)));
    cloud.pass(Duration::from_secs(7));
    let events: Vec<_> = told.try_iter().collect();
    assert!(events.iter().all(|event| event.at == Timestamp(6_000)), "when it was due: {events:?}");
    let [started, attached] = &events[..] else { panic!("{events:?}") };
    assert_eq!(started.change, Change::Started { instance_id: node.clone() });
    assert!(
        matches!(&attached.change, Change::Attached(one) if one.attachment.as_ref().unwrap().instance_id == node)
    );
    assert_eq!(state(), [(node, InstanceState::Running)]);
    assert_eq!(cloud.until_due(), None);
}

/// Two pods had one address (vpc-cni #3019).
#[test]
fn two_pods_with_one_address_are_noticed() {
    let mut fixture = fixture(Settings::default(), "10.0.1.0/24");
    let address = assign(&mut fixture, 1, Addresses::Count(1)).addresses[0];
    for name in ["default/a", "default/b"] {
        fixture.region.register_pod(&fixture.node, name, address);
    }
    assert!(
        matches!(fixture.region.check()[..], [Violation::SharedByPods { .. }]),
        "{:?}",
        fixture.region.check()
    );
}

/// An instance takes its pods with it: that is nobody's mistake.
#[test]
fn pods_end_with_their_instance() {
    let mut fixture = fixture(Settings::default(), "10.0.1.0/24");
    let address = assign(&mut fixture, 1, Addresses::Count(1)).addresses[0];
    fixture.region.register_pod(&fixture.node, "default/a", address);
    let ids = vec![fixture.node.clone()];
    fixture.region.invoke(Timestamp(2), &Call::TerminateInstances { ids }, false).unwrap();
    fixture.region.advance(Timestamp(3));
    assert_eq!(fixture.region.check(), []);
    assert_eq!(fixture.region.metadata(Timestamp(3), &fixture.node, "meta-data/instance-id"), None);
}

#[test]
fn the_metadata_service_lags_behind() {
    let lags = Lags { metadata: Duration::from_secs(10), ..Lags::default() };
    let mut fixture = fixture(Settings { lags, ..Settings::default() }, "10.0.1.0/24");
    let mac = fixture.region.primary_interface(&fixture.node).unwrap().mac.clone();
    let path = format!("/meta-data/network/interfaces/macs/{mac}/ipv4-prefix");
    let prefixes = assign(&mut fixture, 100_000, Addresses::PrefixCount(2)).prefixes;
    let mut read = |now| fixture.region.metadata(Timestamp(now), &fixture.node, &path);
    assert_eq!(read(109_999), None, "404 without prefixes");
    let text = prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert_eq!(read(110_000), Some(text));
}

#[test]
fn an_interface_that_is_being_attached_has_no_metadata_yet() {
    let lags = Lags { attach: Duration::from_secs(3), ..Lags::default() };
    let mut fixture = fixture(Settings { lags, ..Settings::default() }, "10.0.1.0/24");
    let create = vpc::CreateInterface { subnet_id: fixture.subnet.clone(), ..Default::default() };
    let made = fixture.region.invoke(Timestamp(10), &Call::CreateInterface(create), false).unwrap();
    let vpc::Answer::Created { interface, .. } = made else { panic!("{made:?}") };
    let attach = Request::Attach {
        interface_id: interface.interface.id.clone(),
        instance_id: fixture.node.clone(),
        device_index: 1,
    };
    fixture.region.call(Timestamp(10), attach).unwrap();
    let macs = "meta-data/network/interfaces/macs/";
    let mut known =
        |now| fixture.region.metadata(Timestamp(now), &fixture.node, macs).unwrap().lines().count();
    assert_eq!((known(3_009), known(3_010)), (1, 2));
}

/// An address that is named moves from one interface to another, if that is wanted; from under a pod, too.
#[test]
fn an_address_moves_if_it_may() {
    let mut fixture = fixture(Settings::default(), "10.0.1.0/24");
    let address = assign(&mut fixture, 1, Addresses::Count(1)).addresses[0];
    fixture.region.register_pod(&fixture.node, "default/web", address);
    let create = vpc::CreateInterface { subnet_id: fixture.subnet.clone(), ..Default::default() };
    let made = fixture.region.invoke(Timestamp(2), &Call::CreateInterface(create), false).unwrap();
    let vpc::Answer::Created { interface, .. } = made else { panic!("{made:?}") };
    let primary = fixture.region.primary_interface(&fixture.node).unwrap().primary_address;
    let mut take = |address, reassign| {
        let wanted = Wanted { exact: vec![address], ..Wanted::default() };
        let interface_id = interface.interface.id.clone();
        fixture.region.invoke(Timestamp(3), &Call::Assign { interface_id, wanted, reassign }, false)
    };
    assert!(matches!(take(address, false), Err(Failure::Refused(_))));
    assert!(matches!(take(primary, true), Err(Failure::Refused(_))), "a primary address never moves");
    assert!(take(address, true).is_ok());
    let eth0 = fixture.region.primary_interface(&fixture.node).unwrap();
    assert!(eth0.secondary_addresses.is_empty());
    let found = fixture.region.check();
    assert!(matches!(found[..], [Violation::ReleasedInUse { .. }, Violation::NotBacked { .. }]), "{found:?}");
}

/// After a reboot an attached interface was missing, and prefixes were (vpc-cni #1967, #3876).
#[test]
fn the_metadata_service_omits_what_it_is_told_to() {
    let mut fixture = fixture(Settings::default(), "10.0.1.0/24");
    assign(&mut fixture, 1, Addresses::PrefixCount(1));
    let create = CreateInterface {
        subnet_id: fixture.subnet.clone(),
        security_groups: Vec::new(),
        description: String::new(),
        addresses: None,
        tags: Tags::new(),
        client_token: "t".to_owned(),
    };
    let Ok(Reply::Created(second)) = fixture.region.call(Timestamp(2), Request::CreateInterface(create))
    else {
        panic!("no interface");
    };
    let attach = Request::Attach {
        interface_id: second.id.clone(),
        instance_id: fixture.node.clone(),
        device_index: 1,
    };
    fixture.region.call(Timestamp(2), attach).unwrap();
    let until = Timestamp(1_000);
    let eth0 = fixture.eth0.clone();
    fixture.region.faults().omit(Omission { interface_id: second.id, prefixes_only: false, until });
    fixture.region.faults().omit(Omission { interface_id: eth0, prefixes_only: true, until });
    let mac = fixture.region.primary_interface(&fixture.node).unwrap().mac.clone();
    let mut read = |now, path: &str| {
        fixture.region.metadata(
            Timestamp(now),
            &fixture.node,
            &format!("meta-data/network/interfaces/macs/{path}"),
        )
    };
    let prefixes = format!("{mac}/ipv4-prefix");
    assert_eq!(read(3, ""), Some(format!("{mac}/")));
    assert_eq!(read(3, &format!("{}/interface-id", second.mac)), None);
    assert_eq!(read(3, &prefixes), None);
    assert_eq!(read(3, &format!("{mac}/device-number")), Some("0".to_owned()));
    assert_eq!(read(1_000, "").unwrap().lines().count(), 2);
    assert_eq!(read(1_000, &format!("{}/device-number", second.mac)), Some("1".to_owned()));
    assert_eq!(read(1_000, &prefixes).unwrap().lines().count(), 1);
}

#[test]
fn a_dry_run_says_what_would_be_and_does_nothing() {
    let mut fixture = fixture(Settings::default(), "10.0.1.0/24");
    let create = |subnet_id: &str| {
        Call::CreateInterface(vpc::CreateInterface { subnet_id: subnet_id.to_owned(), ..Default::default() })
    };
    let code = |result: Result<vpc::Answer, Failure>| match result {
        Err(Failure::Refused(refusal)) => (refusal.code, refusal.status),
        other => panic!("{other:?}"),
    };
    let good = fixture.region.invoke(Timestamp(1), &create(&fixture.subnet.clone()), true);
    assert_eq!(code(good), ("DryRunOperation", 412));
    let bad = fixture.region.invoke(Timestamp(1), &create("subnet-0"), true);
    assert_eq!(code(bad), ("InvalidSubnetID.NotFound", 400));
    assert_eq!(fixture.region.interfaces().count(), 1);
}

/// Single addresses at random places leave no free block while most addresses are free (cilium #38499); a
/// reservation keeps blocks.
#[test]
fn single_addresses_fragment_a_subnet() {
    let mut fixture = fixture(Settings::default(), "10.0.16.0/20");
    let reserved = "10.0.24.0/24".parse().unwrap();
    fixture.region.add_reservation(&fixture.subnet.clone(), reserved, ReservationKind::Prefix).unwrap();
    let before = fixture.region.free_blocks(&fixture.subnet);
    for number in 0..20 {
        let call = Call::CreateInterface(vpc::CreateInterface {
            subnet_id: fixture.subnet.clone(),
            wanted: Wanted { count: Some(49), ..Wanted::default() },
            ..Default::default()
        });
        fixture.region.invoke(Timestamp(number), &call, false).unwrap();
    }
    let after = fixture.region.free_blocks(&fixture.subnet);
    assert!(before > 250, "{before}");
    assert!(
        (16..32).contains(&after),
        "{after}: a quarter of the addresses used, next to no block left outside"
    );
}

#[test]
fn waiting_for_a_bucket_is_enough() {
    let settings = Settings { throttled: true, ..Settings::default() };
    let mut fixture = fixture(settings, "10.0.1.0/24");
    let mut now = Timestamp(0);
    let request = || Request::DescribeVpcs { ids: vec!["vpc-0".to_owned()] };
    let mut waited = 0;
    for _ in 0..150 {
        let wait = fixture.region.wait(Operation::DescribeVpcs, false);
        waited += u32::from(!wait.is_zero());
        now.0 += u64::try_from(wait.as_millis()).unwrap() + u64::from(!wait.is_zero());
        let error = fixture.region.call(now, request()).unwrap_err();
        assert_eq!(error.code, "InvalidVpcID.NotFound");
    }
    assert_eq!(waited, 50);
    assert!((2_450..=2_550).contains(&now.0), "{now:?}: 50 at 20 a second");
}

/// A request that is repeated late, when its interface is gone, makes no second one.
#[test]
fn a_client_token_outlives_its_interface() {
    let mut fixture = fixture(Settings::default(), "10.0.1.0/24");
    let create = Call::CreateInterface(vpc::CreateInterface {
        subnet_id: fixture.subnet.clone(),
        client_token: Some("node-1/1".to_owned()),
        ..Default::default()
    });
    let first = fixture.region.invoke(Timestamp(1), &create, false).unwrap();
    let vpc::Answer::Created { interface, .. } = &first else { panic!("{first:?}") };
    let interface_id = interface.interface.id.clone();
    fixture.region.call(Timestamp(2), Request::DeleteInterface { interface_id }).unwrap();
    assert_eq!(fixture.region.invoke(Timestamp(3), &create, false).unwrap(), first);
    assert_eq!(fixture.region.interfaces().count(), 1, "eth0 alone");
}
