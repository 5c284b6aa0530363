//! What EC2 does to interfaces, done to links and routes; nobody but the test asks EC2.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use ipam::Timestamp;
use ipnetwork::Ipv4Network;
use netcore::{Address, Net, Netns};
use netloom_lab::cloud::plug::Plug;
use netloom_lab::cloud::rules::{Dropped, Rules};
use netloom_lab::cloud::{Setup, links, plan, region};
use netloom_lab::plan::Node;
use vpc::{Answer, Call, Change, Cloud, CreateInterface, Modify, Region, Settings, Wanted};

use crate::fabric::Lab;

/// How long a datagram may take.
const SILENCE: Duration = Duration::from_millis(200);
/// How often one is sent that is to arrive.
const TRIES: usize = 15;

/// Two instances in a VPC, of which nothing happens by itself.
struct Scene {
    cloud: Cloud,
    plug: Plug,
    told: Receiver<Change>,
    nodes: Vec<Node>,
    instances: BTreeMap<String, String>,
    rules: Rules,
    fabric: Netns,
    _lab: Lab,
}

impl Scene {
    async fn new(of: &str) -> Self {
        let lab = Lab::named(of);
        let (_, fabric) = links::make_fabric(&lab.0).await.unwrap();
        let mut nodes = vec![plan::node(1), plan::node(2)];
        let cloud = Cloud::standing_still(Settings::default(), Timestamp(1_000));
        let (tell, told) = channel();
        cloud.subscribe(move |event| tell.send(event.change.clone()).unwrap());
        let setup = Setup { instance_type: "m5.large".into(), seed: 1, netconf: serde_json::Value::Null };
        let instances = cloud.with(|region, now| region::build(region, now, &setup, &nodes)).unwrap();
        let mut namespaces = BTreeMap::new();
        for node in &mut nodes {
            links::make_node(&lab.0, node).await.unwrap();
            let netns = Netns::open(&node.netns).unwrap();
            namespaces.insert(instances[&node.name].clone(), (node.name.clone(), netns));
        }
        let plug = Plug::new(cloud.clone(), fabric.clone(), namespaces).unwrap();
        let mut scene =
            Self { cloud, plug, told, nodes, instances, rules: Rules::of(&fabric), fabric, _lab: lab };
        scene.follow().await;
        scene
    }

    async fn follow(&mut self) {
        while let Ok(change) = self.told.try_recv() {
            self.plug.change(&change).await.unwrap();
        }
    }

    async fn call(&mut self, call: Call) -> Answer {
        let answer = self.cloud.invoke(&call, false).unwrap();
        self.cloud.pass(Duration::from_secs(1));
        self.follow().await;
        answer
    }

    /// An interface in a node's subnet for pods, attached there; its id and its attachment's.
    async fn attach(&mut self, node: usize, index: u32, wanted: Wanted) -> (String, String) {
        let pods = plan::zones()[node].pods;
        let find = |region: &mut Region, _| region.subnets().find(|subnet| subnet.cidr == pods);
        let subnet = self.cloud.with(find).unwrap();
        let create = CreateInterface { subnet_id: subnet.id, wanted, ..CreateInterface::default() };
        let Answer::Created { interface, .. } = self.call(Call::CreateInterface(create)).await else {
            panic!("no interface")
        };
        let interface_id = interface.interface.id.clone();
        let instance_id = self.instances[&self.nodes[node].name].clone();
        let attach = Call::Attach {
            interface_id: interface_id.clone(),
            instance_id,
            device_index: index,
            network_card: 0,
        };
        let Answer::Attached { attachment_id } = self.call(attach).await else { panic!("not attached") };
        (interface_id, attachment_id)
    }

    fn netns(&self, node: usize) -> Netns {
        Netns::open(&self.nodes[node].netns).unwrap()
    }

    async fn link_names(&self, node: usize) -> Vec<String> {
        let names = Net::in_netns(&self.netns(node)).unwrap().link_names().await.unwrap();
        names.into_values().filter(|name| name.starts_with("eth")).collect()
    }

    fn interface(&self, id: &str) -> ipam::ec2::Interface {
        self.cloud.with(|region, _| region.interfaces().find(|one| one.id == id).cloned()).unwrap()
    }

    /// Gives an address to a link of a node, as an operating system may.
    async fn configure(&self, node: usize, link: &str, address: Ipv4Addr) {
        let net = Net::in_netns(&self.netns(node)).unwrap();
        let link = net.link(link).await.unwrap().index;
        net.set_up(link).await.unwrap();
        net.add_address(&Address::new(link, IpAddr::from(address).into())).await.unwrap();
    }

    /// Whether a datagram gets from an address of one node to one of another.
    fn passes(&self, from: (usize, Ipv4Addr), to: (usize, Ipv4Addr), expected: bool) -> bool {
        let bind = |(node, address): (usize, Ipv4Addr)| {
            self.netns(node).run_in(|| UdpSocket::bind(SocketAddr::from((address, 0)))).unwrap().unwrap()
        };
        let (one, other) = (bind(from), bind(to));
        other.set_read_timeout(Some(SILENCE)).unwrap();
        // A link that has just come up loses what is sent at once.
        for _ in 0..if expected { TRIES } else { 1 } {
            one.send_to(b"ping", other.local_addr().unwrap()).unwrap();
            match other.recv_from(&mut [0; 8]) {
                Ok((_, source)) => return source.ip() == IpAddr::from(from.1),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => panic!("{error}"),
            }
        }
        false
    }

    fn dropped(&self) -> Dropped {
        self.rules.dropped().unwrap()
    }
}

fn prefixes(count: u32) -> Wanted {
    Wanted { prefix_count: Some(count), ..Wanted::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_and_routes_follow_ec2() {
    if !crate::can_make_namespaces() {
        return;
    }
    let mut scene = Scene::new("plug").await;
    let (one, two) = (Ipv4Addr::new(10, 0, 0, 11), Ipv4Addr::new(10, 0, 16, 12));
    assert!(scene.passes((0, one), (1, two), true) && scene.passes((1, two), (0, one), true));

    // An interface with a prefix: its addresses are reached, and only while EC2 has them there.
    let (first, attachment) = scene.attach(1, 1, prefixes(1)).await;
    assert_eq!(scene.link_names(1).await, ["eth0", "eth1"]);
    let interface = scene.interface(&first);
    let link = Net::in_netns(&scene.netns(1)).unwrap().link("eth1").await.unwrap();
    assert_eq!((link.mac.unwrap().to_string(), link.mtu), (interface.mac.clone(), plan::MTU));
    let prefix = interface.prefixes[0];
    let pod = prefix.nth(5).unwrap();
    scene.configure(1, "eth1", pod).await;
    assert!(scene.passes((0, one), (1, pod), true));
    let unassign = |prefixes: Vec<Ipv4Network>| Call::Unassign {
        interface_id: first.clone(),
        addresses: Vec::new(),
        prefixes,
    };
    scene.call(unassign(vec![prefix])).await;
    let before = scene.dropped();
    assert!(!scene.passes((0, one), (1, pod), false));
    assert_eq!(scene.dropped(), Dropped { not_assigned: before.not_assigned + 1, ..before });
    let wanted = Wanted { prefixes: vec![prefix], ..Wanted::default() };
    scene.call(Call::Assign { interface_id: first.clone(), wanted, reassign: false }).await;
    assert!(scene.passes((0, one), (1, pod), true));

    // Its source is checked at the interface by which it comes, and by the routes of this moment.
    let before = scene.dropped();
    assert!(!scene.passes((1, pod), (0, one), false), "it leaves by eth0");
    assert_eq!(scene.dropped(), Dropped { foreign_source: before.foreign_source + 1, ..before });
    let eth0 =
        scene.cloud.with(|region, _| region.primary_interface(&scene.instances["node2"]).unwrap().id.clone());
    for (on, expected) in [(false, true), (true, false)] {
        let modify = Modify { interface_id: eth0.clone(), source_check: Some(on), ..Modify::default() };
        scene.call(Call::ModifyInterface(modify)).await;
        assert_eq!(scene.passes((1, pod), (0, one), expected), expected, "checked: {on}");
    }

    // What is detached is gone, with its routes; names are taken again from the lowest.
    scene.attach(1, 2, prefixes(1)).await;
    assert_eq!(scene.link_names(1).await, ["eth0", "eth1", "eth2"]);
    scene.call(Call::Detach { attachment_id: attachment }).await;
    assert_eq!(scene.link_names(1).await, ["eth0", "eth2"]);
    let routes = Net::in_netns(&scene.fabric).unwrap().routes().await.unwrap();
    assert!(!routes.iter().any(|route| route.destination == prefix.into()), "{routes:?}");
    scene.attach(1, 1, Wanted::default()).await;
    assert_eq!(scene.link_names(1).await, ["eth0", "eth2", "eth1"]);
    assert_eq!(scene.cloud.with(|region, _| region.check()), []);
}
