//! The fleet in virtual time, against an EC2 that fails: what it costs, and what must hold whatever happens.

#![expect(unreachable_pub, reason = "the modules of a test are its own")]

mod cloud;
mod cluster;

use cloud::Cloud;
use cluster::{Cluster, Faults};

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

/// Pods come and go on three nodes while everything fails that can.
fn chaos(seed: u64, faults: Faults) {
    let mut lots = fastrand::Rng::with_seed(seed);
    let mut cloud = Cloud::new(&["10.1.0.0/25", "10.1.1.0/26"]);
    // Others' addresses, so that free ones are not all in free /28.
    cloud.foreign.extend((0..6).map(|_| std::net::Ipv4Addr::new(10, 1, 0, lots.u8(4..127))));
    let mut cluster = Cluster::new(cloud, true, seed);
    let names = ["a", "b", "c"];
    for name in names {
        let first = lots.u32(..2);
        cluster.add(name, |settings| {
            settings.first_interface_index = first;
            settings.watermarks.pre_allocate = 4;
        });
    }
    cluster.faults = faults;
    for round in 0..14 {
        for name in names {
            let has = cluster.nodes[name].pods.len() + cluster.nodes[name].waiting.len();
            let wants = lots.usize(..40);
            if wants > has {
                cluster.want(name, pods(&format!("{name}/{round}"), wants - has));
            } else {
                cluster.nodes.get_mut(name).unwrap().waiting.clear();
                cluster.end(name, wants);
            }
        }
        cluster.run(lots.u64(5..90));
    }
    // Then all is well, and everybody gets what there is, and nothing is left lying about.
    cluster.faults = Faults::default();
    for name in names {
        cluster.nodes.get_mut(name).unwrap().waiting.clear();
        cluster.end(name, 5);
        cluster.want(name, pods(&format!("{name}/last"), 10));
    }
    cluster.run(1500);
    assert_eq!(cluster.waiting(), 0, "P7, seed {seed}: {:?}", names.map(|name| cluster.status(name).clone()));
    assert_eq!(cluster.unattached(), 0, "P8, seed {seed}");
    for name in names {
        let drain = cluster.nodes[name].object.drain.clone().unwrap_or_default();
        assert!(
            !drain.contains(r#""prefixes":["#) || drain.contains(r#""prefixes":[]"#),
            "P7, seed {seed}: {drain}"
        );
        assert_eq!(cluster.status(name).error, None, "seed {seed}");
        // P4: what EC2 has assigned is what the node is told.
        let mut assigned = cluster.cloud.assigned(&format!("i-{name}"));
        assigned.sort();
        let first = cluster.nodes[name].object.settings.first_interface_index;
        let told: Vec<_> = cluster.status(name).usable().into_iter().collect();
        assert!(first > 0 || told == assigned, "P4, seed {seed}: {told:?} {assigned:?}");
    }
}

const EVERYTHING: Faults = Faults {
    lost_reply: 15,
    lost_request: 30,
    repeated: 3,
    throttled: 20,
    stale: 3,
    agent_crash: 400,
    operator_crash: 300,
    late_watch: 5,
};

#[test]
fn whatever_fails() {
    for seed in 0..12 {
        chaos(seed, EVERYTHING);
    }
}

#[test]
fn nothing_fails() {
    for seed in 0..4 {
        chaos(seed, Faults::default());
    }
}
