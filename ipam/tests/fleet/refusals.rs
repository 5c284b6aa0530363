//! What EC2 refuses for good stops nobody whom it is not about, and is told.

use std::cell::RefCell;

use ipam::{
    ec2::{Action, Request},
    eni::handshake::Drain,
};

use ipnetwork::Ipv4Network;

use crate::{
    cloud::{Cloud, PODS},
    cluster::Cluster,
    pods,
};

fn cluster(release: bool) -> Cluster {
    Cluster::new(Cloud::new(&["10.1.0.0/24"]), release, 5)
}

fn error(cluster: &Cluster, node: &str) -> String {
    cluster.status(node).error.clone().unwrap_or_default()
}

/// Lets a node have two prefixes and then pods for one, until one is promised back.
pub fn until_promised(cluster: &mut Cluster, node: &str) {
    cluster.want(node, pods(node, 20));
    cluster.run(60);
    cluster.end(node, 2);
    for _ in 0..1000 {
        cluster.tick();
        if cluster.nodes[node].promises() {
            return;
        }
    }
    panic!("nothing was asked back: {:?}", cluster.nodes[node].object);
}

/// A mistyped instance type is that node's matter.
#[test]
fn an_unknown_type() {
    let mut cluster = cluster(false);
    cluster.add("a", |_| ());
    cluster.add("b", |settings| settings.instance_type = "m5.lagre".to_owned());
    cluster.run(30);
    assert_eq!(cluster.status("a").usable().len(), 1);
    assert!(error(&cluster, "b").contains("m5.lagre"), "{:?}", cluster.status("b"));
}

/// Limits that EC2 does not tell hold up the nodes of the type; those of types that are known go on.
#[test]
fn types_that_are_not_told() {
    let mut cluster = cluster(false);
    cluster.add("a", |_| ());
    cluster.run(30);
    let denied = |request: &Request, _: Option<&_>| matches!(request, Request::DescribeInstanceTypes { .. });
    cluster.cloud.refuse.push((Box::new(denied), "UnauthorizedOperation"));
    cluster.add("b", |settings| settings.instance_type = "m5.xlarge".to_owned());
    cluster.want("a", pods("a", 40));
    cluster.run(60);
    assert_eq!(cluster.waiting(), 0);
    assert!(error(&cluster, "b").contains("DescribeInstanceTypes"), "{:?}", cluster.status("b"));
    let asked = cluster.cloud.calls[&Action::DescribeInstanceTypes];
    assert!(asked < 12, "{asked} times");
}

/// Security groups that may not be listed hold up the nodes that choose them by tags.
#[test]
fn groups_that_may_not_be_listed() {
    let mut cluster = cluster(false);
    let denied = |request: &Request, _: Option<&_>| matches!(request, Request::DescribeSecurityGroups { .. });
    cluster.cloud.refuse.push((Box::new(denied), "UnauthorizedOperation"));
    cluster.add("a", |settings| settings.first_interface_index = 1);
    cluster.add("b", |settings| {
        settings.first_interface_index = 1;
        settings.security_group_tags.insert(PODS.0.to_owned(), PODS.1.to_owned());
    });
    cluster.run(60);
    assert_eq!(cluster.status("a").usable().len(), 1, "{:?}", cluster.status("a"));
    assert!(error(&cluster, "b").contains("DescribeSecurityGroups"), "{:?}", cluster.status("b"));
    cluster.cloud.refuse.clear();
    cluster.run(600);
    assert_eq!((cluster.status("b").usable().len(), error(&cluster, "b")), (1, String::new()));
}

/// What everybody needs is told to everybody, and takes nothing from anybody.
#[test]
fn subnets_that_may_not_be_listed() {
    let mut cluster = cluster(false);
    cluster.add("a", |_| ());
    cluster.run(30);
    let listed = cluster.status("a").interfaces.clone();
    let denied = |request: &Request, _: Option<&_>| matches!(request, Request::DescribeSubnets { .. });
    cluster.cloud.refuse.push((Box::new(denied), "UnauthorizedOperation"));
    cluster.succeed_knowing_objects();
    cluster.run(60);
    assert!(error(&cluster, "a").contains("DescribeSubnets"), "{:?}", cluster.status("a"));
    assert_eq!(cluster.status("a").interfaces, listed);
    cluster.cloud.refuse.clear();
    cluster.run(300);
    assert_eq!((cluster.status("a").interfaces.clone(), error(&cluster, "a")), (listed, String::new()));
}

/// No interface can be attached, for a reason that nobody knows: that is tried less and less often.
#[test]
fn nothing_can_be_attached() {
    // cilium #9533, #15877: interfaces were made and thrown away without end.
    let mut cluster = cluster(false);
    let attach = |request: &Request, _: Option<&_>| matches!(request, Request::Attach { .. });
    cluster.cloud.refuse.push((Box::new(attach), "Weather"));
    cluster.add("a", |settings| settings.first_interface_index = 1);
    cluster.run(3600);
    assert!(cluster.unattached() <= 1);
    assert!(cluster.cloud.mutating() < 40, "{:?}", cluster.cloud.calls);
    assert!(error(&cluster, "a").contains("Weather"), "{:?}", cluster.status("a"));
}

/// One interface cannot be attached, for a reason that nobody knows: another is made.
#[test]
fn an_interface_that_cannot_be_attached() {
    let mut cluster = cluster(false);
    let first = RefCell::new(None);
    let attach = move |request: &Request, _: Option<&_>| {
        let Request::Attach { interface_id, .. } = request else { return false };
        first.borrow_mut().get_or_insert_with(|| interface_id.clone()) == interface_id
    };
    cluster.cloud.refuse.push((Box::new(attach), "Weather"));
    cluster.add("a", |settings| settings.first_interface_index = 1);
    cluster.run(300);
    assert_eq!(cluster.status("a").usable().len(), 1, "{:?}", cluster.cloud.calls);
    assert_eq!((cluster.cloud.interfaces.len(), cluster.unattached()), (2, 0), "the first one and another");
}

/// What is promised is taken though more is wanted by now and cannot be had.
#[test]
fn what_is_promised_is_taken_while_growth_is_refused() {
    let mut cluster = cluster(true);
    cluster.add("a", |settings| settings.watermarks.pre_allocate = 1);
    let more = |request: &Request, _: Option<&_>| {
        matches!(request, Request::Assign { .. } | Request::CreateInterface(_))
    };
    until_promised(&mut cluster, "a");
    cluster.cloud.refuse.push((Box::new(more), "Weather"));
    // The release is slower than the first refusals.
    cluster.cloud.refuse.push((
        Box::new(|request: &Request, _: Option<&_>| matches!(request, Request::Unassign { .. })),
        "RequestLimitExceeded",
    ));
    cluster.want("a", pods("b", 60));
    cluster.run(60);
    cluster.cloud.refuse.truncate(1);
    cluster.run(120);
    assert!(!cluster.nodes["a"].asks_back(), "{:?}", cluster.cloud.calls);
    cluster.cloud.refuse.clear();
    cluster.run(600);
    assert_eq!(cluster.waiting(), 0);
}

/// What a clock ahead wrote holds a node up no longer than what this one writes.
#[test]
fn instants_in_the_future() {
    for adopted in [false, true] {
        let mut cluster = cluster(true);
        cluster.add("a", |_| ());
        cluster.run(30);
        let used = cluster.status("a").usable();
        let future = ipam::Timestamp(cluster.now.0 + 864_000_000);
        cluster.edit("a", |object| {
            let mut drain =
                object.drain.as_deref().map_or_else(Drain::default, |of| Drain::parse(of).unwrap());
            if adopted {
                drain.adopted = Some(future);
            } else {
                let block = |number: u8| Ipv4Network::new([10, 1, 0, number * 16].into(), 28).unwrap();
                let others = (0..16).map(block).filter(|block| !used.contains(block));
                drain.released = others.map(|block| (block, future)).collect();
            }
            object.drain = Some(drain.to_string());
        });
        cluster.want("a", pods("a", 30));
        cluster.run(400);
        assert_eq!(cluster.waiting(), 0, "adopted {adopted}: {:?}", cluster.nodes["a"].object.drain);
    }
}

/// An interface that somebody else made is not ours to change, as the policy has it: another does as well.
#[test]
fn an_interface_that_is_not_ours_to_change() {
    let mut cluster = cluster(false);
    let untagged = |request: &Request, about: Option<&ipam::ec2::Interface>| {
        matches!(request, Request::Assign { .. } | Request::Unassign { .. })
            && about.is_some_and(|of| of.tags.is_empty())
    };
    cluster.cloud.refuse.push((Box::new(untagged), "UnauthorizedOperation"));
    cluster.add("a", |_| ());
    cluster.want("a", pods("a", 20));
    cluster.run(60);
    assert_eq!(cluster.waiting(), 0, "{:?}", cluster.status("a"));
    let first = cluster.primary("a");
    let refused = format!("EC2 refused AssignPrivateIpAddresses for {first}: UnauthorizedOperation");
    assert!(error(&cluster, "a").contains(&refused), "{:?}", cluster.status("a"));
    cluster.run(3600);
    let asked = cluster.cloud.calls[&Action::AssignPrivateIpAddresses];
    assert!(asked < 15, "{asked} times");
}

/// What cannot be taken from one interface keeps nothing from being taken from another.
#[test]
fn what_may_not_be_taken_from_one_interface() {
    let mut cluster = cluster(true);
    cluster.add("a", |settings| settings.watermarks.pre_allocate = 1);
    // All slots of two interfaces, and some of a third one's.
    cluster.want("a", pods("a", 180));
    cluster.run(60);
    assert_eq!(cluster.waiting(), 0, "{:?}", cluster.status("a"));
    let untagged = |request: &Request, about: Option<&ipam::ec2::Interface>| {
        matches!(request, Request::Unassign { .. }) && about.is_some_and(|of| of.tags.is_empty())
    };
    cluster.cloud.refuse.push((Box::new(untagged), "UnauthorizedOperation"));
    cluster.end("a", 0);
    cluster.run(900);
    let ours = |cluster: &Cluster| {
        let ours = cluster.cloud.interfaces.values().filter(|of| !of.tags.is_empty());
        ours.map(|of| of.prefixes.len()).sum::<usize>()
    };
    // One of them may be what the node still wants.
    assert!(ours(&cluster) <= 1, "{:?}", cluster.cloud.calls);
    let first = cluster.primary("a");
    let refused = format!("EC2 refused UnassignPrivateIpAddresses for {first}: UnauthorizedOperation");
    assert!(error(&cluster, "a").contains(&refused), "{:?}", cluster.status("a"));
    // The right is given.
    cluster.cloud.refuse.clear();
    cluster.run(1500);
    assert_eq!(cluster.cloud.assigned(&cluster.nodes["a"].object.instance_id).len(), 1);
}
