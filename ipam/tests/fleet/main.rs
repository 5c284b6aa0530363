//! The fleet in virtual time, against an EC2 that fails: what it costs, and what must hold whatever happens.

#![expect(unreachable_pub, reason = "the modules of a test are its own")]

mod chaos;
mod cloud;
mod cluster;
mod denied;
mod faults;
mod fence;
mod late;
mod node;
mod refusals;
mod unseen;
mod wire;

use cloud::{Cloud, PODS};
use cluster::Cluster;
use faults::Faults;
use ipam::{ec2::Action, eni::handshake::Drain};

fn pods(node: &str, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |number| format!("{node}/{number:03}"))
}

/// The mutating calls that are needed: three for each new interface, one for each batch on one that is there.
fn thousand_pods(first_interface_index: u32) -> (u32, u32) {
    let mut cluster = Cluster::new(Cloud::new(&["10.1.0.0/20"]), false, 1);
    for number in 0..10 {
        let name = format!("n{number}");
        cluster.add(&name, |settings| settings.first_interface_index = first_interface_index);
        cluster.want(&name, pods(&name, 100));
    }
    cluster.run(60);
    assert_eq!(cluster.waiting(), 0);
    (cluster.cloud.mutating(), cluster.cloud.reading())
}

#[test]
fn a_thousand_pods_on_ten_nodes() {
    let (mutating, reading) = thousand_pods(1);
    assert_eq!(mutating, 30, "each node needs one interface with all of its prefixes");
    assert!(reading <= 5, "{reading}");
    let (mutating, reading) = thousand_pods(0);
    assert_eq!(mutating, 10, "each node's primary interface has room");
    assert!(reading <= 5, "{reading}");
}

/// Pods that come after their nodes: one call a node more, since each node then has a prefix already.
#[test]
fn pods_that_come_later() {
    let mut cluster = Cluster::new(Cloud::new(&["10.1.0.0/20"]), false, 1);
    for number in 0..10 {
        cluster.add(&format!("n{number}"), |settings| settings.first_interface_index = 1);
    }
    cluster.run(30);
    assert_eq!(cluster.cloud.mutating(), 30);
    for number in 0..10 {
        let name = format!("n{number}");
        cluster.want(&name, pods(&name, 100));
    }
    cluster.run(30);
    assert_eq!((cluster.waiting(), cluster.cloud.mutating()), (0, 40));
}

/// What nobody changes costs next to nothing: three lists each five minutes.
#[test]
fn an_idle_fleet() {
    let mut cluster = Cluster::new(Cloud::new(&["10.1.0.0/20"]), true, 1);
    for number in 0..10 {
        cluster.add(&format!("n{number}"), |_| ());
    }
    cluster.run(120);
    cluster.cloud.calls.clear();
    cluster.writes = 0;
    cluster.run(3600);
    assert_eq!((cluster.cloud.mutating(), cluster.writes), (0, 0));
    assert_eq!(cluster.cloud.reading(), 36);
}

/// The instance ends while an interface is made for it: nothing is made any more, and nothing is left.
#[test]
fn an_instance_that_is_gone() {
    // cilium #9533: interfaces were made for an instance that was gone, for ever. vpc-cni #69, #608, #1223; cilium
    // #15877, #21409: interfaces leaked.
    let mut cluster = Cluster::new(Cloud::new(&["10.1.0.0/24"]), false, 3);
    cluster.add("a", |settings| settings.first_interface_index = 1);
    while cluster.unattached() == 0 {
        cluster.tick();
    }
    let instance = cluster.nodes["a"].object.instance_id.clone();
    cluster.cloud.terminate(&instance);
    cluster.run(60);
    let made = cluster.cloud.calls[&Action::CreateNetworkInterface];
    cluster.run(1200);
    assert_eq!(cluster.cloud.calls[&Action::CreateNetworkInterface], made);
    assert_eq!(cluster.unattached(), 0);
    assert!(cluster.status("a").error.as_ref().unwrap().starts_with("EC2 shows no primary interface"));
}

/// A leader goes away after each moment of making an interface: the next one finds what was made.
#[test]
fn a_leader_that_goes_away() {
    for ticks in 1..12 {
        let mut cluster = Cluster::new(Cloud::new(&["10.1.0.0/24"]), false, ticks);
        cluster.add("a", |settings| settings.first_interface_index = 1);
        (0..ticks).for_each(|_| cluster.tick());
        cluster.faults = Faults { operator_crash: 1, ..Faults::default() };
        cluster.tick();
        cluster.faults = Faults::default();
        cluster.run(120);
        assert_eq!(cluster.cloud.interfaces.len(), 2, "after {ticks} ticks");
        assert_eq!(cluster.cloud.mutating(), 3, "after {ticks} ticks: {:?}", cluster.cloud.calls);
        assert_eq!(cluster.status("a").usable().len(), 1);
    }
}

/// A subnet without prefixes: its sibling's, then single addresses, and prefixes again when there is room.
#[test]
fn a_fragmented_subnet() {
    // cilium #46644, #48193; vpc-cni #2749, #3105, #3264.
    let mut cloud = Cloud::new(&["10.1.0.0/24"]);
    let fragments: Vec<_> = (1..16).map(|block| std::net::Ipv4Addr::new(10, 1, 0, block * 16 + 3)).collect();
    fragments.into_iter().for_each(|address| cloud.occupy(address));
    let mut cluster = Cluster::new(cloud, false, 5);
    cluster.add("a", |settings| settings.first_interface_index = 1);
    cluster.want("a", pods("a", 4));
    cluster.run(120);
    assert_eq!(cluster.waiting(), 0);
    let prefixes = |cluster: &Cluster| {
        cluster.status("a").interfaces.values().map(|of| of.prefixes.len()).sum::<usize>()
    };
    assert_eq!(prefixes(&cluster), 0);
    // Others go, and more pods come than there are slots.
    cluster.cloud.vacate();
    cluster.run(700);
    let before = cluster.cloud.mutating();
    cluster.want("a", pods("more", 30));
    cluster.run(900);
    assert_eq!(cluster.waiting(), 0, "{:?}", cluster.status("a"));
    assert!(prefixes(&cluster) >= 2);
    assert!(cluster.cloud.mutating() - before < 20, "{:?}", cluster.cloud.calls);
}

/// What EC2 assigned to the node and the status lists does not go because one look misses it, be it the first look of
/// a new leader. What two looks miss goes.
#[test]
fn a_look_that_misses_something() {
    // vpc-cni #3824, #3876, #1967: what the metadata or a look left out was taken for gone.
    for (succeeds, hides, keeps) in [(false, 1, true), (true, 1, true), (false, 2, false), (true, 2, false)] {
        let mut cluster = Cluster::new(Cloud::new(&["10.1.0.0/24"]), true, 5);
        cluster.add("a", |settings| settings.first_interface_index = 1);
        cluster.want("a", pods("a", 20));
        cluster.run(60);
        let listed = cluster.status("a").interfaces.clone();
        assert_eq!(cluster.status("a").usable().len(), 2);
        // The cluster checks that pods keep what they have; here they are none any more.
        cluster.end("a", 0);
        cluster.cloud.hide = hides;
        if succeeds {
            cluster.succeed_knowing_objects();
        }
        let mut seen = true;
        for _ in 0..330 {
            cluster.run(1);
            seen &= listed.keys().all(|id| cluster.status("a").interfaces.contains_key(id));
        }
        assert_eq!((cluster.cloud.hide, seen), (0, keeps), "{succeeds} {hides}");
    }
}

/// 300 interfaces of somebody else in the account cost nothing; those in the VPC cost pages.
#[test]
fn others_interfaces_cost_nothing() {
    // cilium #37983: all of an account's interfaces were listed. vpc-cni #617, #887.
    let mut cluster = Cluster::new(Cloud::new(&["10.1.0.0/24"]), false, 5);
    cluster.add("a", |_| ());
    cluster.run(30);
    cluster.cloud.crowd(300);
    (cluster.cloud.listed, cluster.cloud.calls) = (0, Default::default());
    cluster.run(600);
    assert_eq!((cluster.cloud.reading(), cluster.cloud.listed), (6, 2));
}

/// A thousand nodes at once keep to the buckets, and none asks for itself alone.
#[test]
fn many_nodes_at_once() {
    // vpc-cni #405: 150 nodes at once waited 15 minutes. cilium #38550.
    let mut cluster = Cluster::new(Cloud::new(&["10.1.0.0/20"]), false, 5);
    for number in 0..150 {
        cluster.add(&format!("n{number:03}"), |_| ());
    }
    cluster.run(60);
    let without = cluster.nodes.values().filter(|node| node.object.status.usable().is_empty()).count();
    assert_eq!(without, 0);
    // One that was sent a moment after another may arrive a moment before, and be one too many.
    assert!((150..153).contains(&cluster.cloud.mutating()), "{:?}", cluster.cloud.calls);
    assert!(cluster.cloud.reading() <= 6, "{:?}", cluster.cloud.calls);
}

/// Before the agent has told its epoch nothing is listed, and no more is asked for than is wanted.
#[test]
fn a_node_whose_agent_is_silent() {
    // cilium #15877: some 2,500 interfaces were made for five nodes in four days.
    let mut cluster = Cluster::new(Cloud::new(&["10.1.0.0/24"]), true, 5);
    cluster.add("a", |settings| settings.first_interface_index = 1);
    cluster.silence("a", 300);
    cluster.run(290);
    assert_eq!((cluster.cloud.mutating(), cluster.status("a").usable().len()), (3, 0));
    cluster.run(60);
    assert_eq!((cluster.cloud.mutating(), cluster.status("a").usable().len()), (3, 1));
}

/// Security groups by tags, which the operator has not listed before there is a node that needs them.
#[test]
fn security_groups_by_tags() {
    let mut cluster = Cluster::new(Cloud::new(&["10.1.0.0/24"]), false, 5);
    cluster.run(10);
    cluster.add("a", |settings| {
        settings.first_interface_index = 1;
        settings.security_group_tags.insert(PODS.0.to_owned(), PODS.1.to_owned());
    });
    cluster.run(60);
    let groups: Vec<_> =
        cluster.status("a").interfaces.values().map(|of| of.security_groups.clone()).collect();
    assert_eq!(groups, [[cluster.cloud.group.clone()]]);
    assert_eq!(cluster.status("a").error, None);
}

/// A new leader that is shown a list from long ago, in which a prefix is promised that is in use by now.
#[test]
fn a_leader_with_old_news() {
    let mut cloud = Cloud::new(&["10.1.0.0/24"]);
    cloud.reserve("10.1.0.32/27");
    let mut cluster = Cluster::new(cloud, true, 5);
    cluster.add("a", |settings| settings.watermarks.pre_allocate = 1);
    cluster.want("a", pods("a", 20));
    cluster.run(30);
    cluster.end("a", 2);
    // Until the prefix is promised and not listed, and the epoch goes on.
    let mut old = None;
    for _ in 0..600 {
        let object = cluster.nodes["a"].object.clone();
        if cluster.nodes["a"].asks_back() && object.status.usable().len() == 1 {
            old = Some(object);
        }
        cluster.tick();
    }
    let old = old.expect("a prefix was released");
    cluster.run(200);
    cluster.want("a", pods("b", 28));
    cluster.run(30);
    assert_eq!(cluster.waiting(), 0);
    let asked = Drain::parse(old.drain.as_ref().unwrap()).unwrap().prefixes;
    assert!(asked.is_subset(&cluster.status("a").usable()), "there are no others: {asked:?}");
    let mut another = cluster.another();
    another.observe(old);
    cluster.succeed(another);
    cluster.run(120);
    assert_eq!(cluster.cloud.calls[&Action::UnassignPrivateIpAddresses], 1);
    assert_eq!(cluster.status("a").usable().len(), 2);
}

/// 30 pods a node: what is kept at hand comes with what the pods need.
#[test]
fn three_thousand_pods_on_a_hundred_nodes() {
    let mut cluster = Cluster::new(Cloud::new(&["10.1.0.0/19"]), false, 5);
    for number in 0..100 {
        let name = format!("n{number:03}");
        cluster.add(&name, |settings| settings.first_interface_index = 1);
        cluster.want(&name, pods(&name, 30));
    }
    cluster.run(45);
    assert_eq!(cluster.waiting(), 0);
    assert_eq!((cluster.cloud.mutating(), cluster.cloud.reading()), (300, 4));
}
