//! Nodes joined by the fabric, and their removal.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use netcore::Netns;
use netloom_lab::attempt::{Attempt, Outcome, Protocol};
use netloom_lab::daemon::{Answering, Responder};
use netloom_lab::name::LabName;
use netloom_lab::paths::Paths;
use netloom_lab::pod::Port;
use netloom_lab::state::Ipam;
use netloom_lab::{down, fabric, lock, namespaces, plan};

/// A lab's name that is removed, whatever becomes of the test.
pub(crate) struct Lab(pub(crate) LabName);

impl Lab {
    pub(crate) fn named(of: &str) -> Self {
        Self(format!("t{}-{of}", std::process::id()).parse().unwrap())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = down::down(&self.0) {
            eprintln!("{error:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_reach_each_other_and_the_world_and_then_are_gone() {
    if !crate::can_make_namespaces() {
        return;
    }
    let lab = Lab::named("fab");
    let (_, world) = fabric::make_fabric(&lab.0, false).await.unwrap();
    let mut nodes = plan::nodes(2, Ipam::Kubernetes, false).unwrap();
    for node in &mut nodes {
        fabric::make_node(&lab.0, &world, node).await.unwrap();
    }
    let one = Netns::open(&nodes[0].netns).unwrap();
    let two = Netns::open(&nodes[1].netns).unwrap();
    let addresses: Vec<IpAddr> = nodes[1].addresses.iter().map(ipnetwork::IpNetwork::ip).collect();
    let ports = vec![Port { name: None, number: 80, protocol: "TCP".into() }];
    let answering = Answering { name: "node2".into(), addresses: addresses.clone(), ports: ports.clone() };
    let _two = Responder::start(&two, &answering).unwrap();
    let answering = Answering { name: "world".into(), addresses: plan::world().to_vec(), ports };
    let _world = Responder::start(&world, &answering).unwrap();

    let expected = addresses.iter().map(|to| (*to, "node2")).chain(plan::world().map(|to| (to, "world")));
    for (to, name) in expected {
        let attempt = Attempt {
            from: one.clone(),
            source: None,
            to: SocketAddr::new(to, 80),
            protocol: Protocol::Tcp,
            timeout: Duration::from_secs(2),
        };
        let reached = tokio::task::spawn_blocking(move || attempt.run()).await.unwrap().unwrap();
        assert_eq!((reached.outcome, reached.answer.as_deref()), (Outcome::Connected, Some(name)), "{to}");
    }

    let names = namespaces::all(&lab.0).unwrap();
    assert_eq!(names.len(), 3, "{names:?}");
    let mut inside = std::process::Command::new("sleep");
    inside.arg("600");
    let mut inside = netcore::spawn::in_netns(&mut inside, &one).unwrap().spawn().unwrap();
    // The lab's end is the process's end; somebody has to wait for it.
    let waiter = std::thread::spawn(move || inside.wait().unwrap());
    let name = lab.0.clone();
    tokio::task::spawn_blocking(move || down::down(&name)).await.unwrap().unwrap();
    assert!(!waiter.join().unwrap().success(), "killed");
    for name in names {
        assert!(Netns::open(&name).is_err(), "{name} is still there");
    }
    assert!(!Paths::new(&lab.0).root().exists());
    down::down(&lab.0).unwrap();
}

#[test]
fn a_half_made_lab_is_removed_and_others_are_not() {
    if !crate::can_make_namespaces() {
        return;
    }
    let (lab, other) = (Lab::named("a"), Lab::named("a-b"));
    namespaces::create(&lab.0, "node1").unwrap();
    // These two would have the same name.
    let (first, _) = namespaces::create(&lab.0, "b-web").unwrap();
    let (second, _) = namespaces::create(&other.0, "web").unwrap();
    assert_ne!(first, second);
    {
        let _busy = lock::Lock::take(&lab.0).unwrap();
        assert!(down::down(&lab.0).unwrap_err().to_string().contains("another command"));
    }
    down::down(&lab.0).unwrap();
    assert!(Netns::open(&first).is_err());
    assert!(Netns::open(&second).is_ok());
}
