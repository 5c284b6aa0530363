//! Attaching to real links: packets really pass the programs, by tcx and by clsact.

mod support;

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use abi::{
    Addr, AddressRecord, CidrSet, Config, CounterKey, Direction, DropReason, Endpoint, EndpointId, EventKind,
    Identity, IfIndex, Peer, PolicySlot,
};
use netcore::pod::Wiring;
use netcore::{Address, MacAddr, Net, Netns, Owned, State};
use netloom_datapath::{AttachMode, Datapath, Options};
use support::BpfFs;

const LINK: &str = "nltest0";
const POD: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 77, 1, 2)), IpAddr::V6(Ipv6Addr::new(0xfd77, 1, 0, 0, 0, 0, 0, 2))];
const NODE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1)), IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1))];
const POD_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x77]);
/// Packets of a burst.
const BURST: u64 = 200;
/// What the pod's stack may say by itself meanwhile.
const NOISE: u64 = 60;

/// A node and a pod in namespaces of their own, wired, with a socket for each family at either end.
struct Topology {
    node: Netns,
    /// Both live as long as somebody holds them.
    _pod: Netns,
    link: IfIndex,
    at_node: [UdpSocket; 2],
    at_pod: [UdpSocket; 2],
}

impl Topology {
    fn new() -> Self {
        let (node, pod) = (Netns::anonymous().unwrap(), Netns::anonymous().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let link = runtime.block_on(wire(&node, &pod));
        let sockets = |netns: &Netns, addresses: [IpAddr; 2]| {
            netns
                .run_in(|| {
                    addresses.map(|address| {
                        let socket = UdpSocket::bind(SocketAddr::new(address, 7777)).unwrap();
                        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
                        socket
                    })
                })
                .unwrap()
        };
        let (at_node, at_pod) = (sockets(&node, NODE), sockets(&pod, POD));
        Self { node, _pod: pod, link, at_node, at_pod }
    }

    /// Loads a datapath in the node's namespace and attaches it.
    fn attach(&self, options: &Options) -> Datapath {
        let load = || {
            let mut datapath = Datapath::load(options).unwrap();
            datapath.attach_pod(LINK).unwrap();
            datapath
        };
        self.node.run_in(load).unwrap()
    }

    /// The pod's record and who is who.
    fn populate(&self, datapath: &mut Datapath) {
        let who = |identity, local| AddressRecord {
            peer: Peer { identity, cidrs: CidrSet::EMPTY },
            local,
            forward: IfIndex(0),
        };
        for index in [0, 1] {
            datapath.addresses.set(NODE[index].into(), who(Identity::HOST, IfIndex(0))).unwrap();
            datapath.addresses.set(POD[index].into(), who(Identity(300), self.link)).unwrap();
        }
        self.allow(datapath, PolicySlot::ALLOW_ALL);
    }

    /// The policy of what the pod sends.
    fn allow(&self, datapath: &mut Datapath, egress: PolicySlot) {
        let endpoint = Endpoint {
            v4: Addr::from(POD[0]),
            v6: Addr::from(POD[1]),
            identity: Identity(300),
            ingress: PolicySlot::ALLOW_ALL,
            egress,
            ifindex: self.link,
            id: EndpointId(1),
            macs: Endpoint::macs_to(POD_MAC.0),
            ..Endpoint::default()
        };
        datapath.endpoints.set(self.link, endpoint).unwrap();
    }

    /// Whether a datagram of the pod reaches the node, by IPv4 or IPv6.
    fn pod_to_node(&self, family: usize) -> bool {
        arrives(&self.at_pod[family], &self.at_node[family], NODE[family])
    }

    /// Whether a datagram of the node reaches the pod.
    fn node_to_pod(&self, family: usize) -> bool {
        arrives(&self.at_node[family], &self.at_pod[family], POD[family])
    }

    fn all_arrive(&self) {
        for family in [0, 1] {
            assert!(self.pod_to_node(family), "to {}", NODE[family]);
            assert!(self.node_to_pod(family), "to {}", POD[family]);
        }
    }

    /// Many datagrams of the pod.
    fn burst(&self) {
        for _ in 0..BURST {
            assert!(self.pod_to_node(0));
        }
    }
}

async fn wire(node: &Netns, pod: &Netns) -> IfIndex {
    let net = Net::in_netns(node).unwrap();
    let lo = netcore::IfIndex::LOOPBACK;
    net.set_up(lo).await.unwrap();
    let addresses = NODE.map(|address| Address::new(lo, address.into()));
    let state = State { addresses: addresses.into(), ..State::default() };
    net.reconcile(&Owned::default(), &state).await.unwrap();
    let wiring = Wiring {
        host_interface: LINK.to_owned(),
        pod_interface: "eth0".to_owned(),
        pod_mac: POD_MAC,
        gateway_mac: MacAddr(Config::GATEWAY_MAC),
        addresses: POD.to_vec(),
        mtu: 1500,
        node_addresses: NODE.to_vec(),
    };
    IfIndex(wiring.wire(&net, pod).await.unwrap().host.index.0)
}

fn arrives(from: &UdpSocket, at: &UdpSocket, to: IpAddr) -> bool {
    if let Err(error) = from.send_to(b"ping", SocketAddr::new(to, 7777)) {
        // A program that drops what is sent may say so.
        assert!(matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::OutOfMemory), "{error}");
        return false;
    }
    let mut buffer = [0; 16];
    match at.recv_from(&mut buffer) {
        Ok((4, _)) => true,
        Ok(other) => panic!("{other:?}"),
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(error) => panic!("{error}"),
    }
}

fn count(datapath: &Datapath, key: CounterKey) -> u64 {
    datapath.counters.get(key).unwrap().packets
}

/// What a burst of the pod counts, so that a program that runs twice shows.
fn counted_by_burst(topology: &Topology, datapath: &Datapath) -> u64 {
    let before = count(datapath, CounterKey::Forwarded(Direction::Egress));
    topology.burst();
    count(datapath, CounterKey::Forwarded(Direction::Egress)) - before
}

fn runs_once(topology: &Topology, datapath: &Datapath) {
    let counted = counted_by_burst(topology, datapath);
    assert!((BURST..BURST + NOISE).contains(&counted), "{counted} packets counted of {BURST}");
}

fn available(mode: AttachMode) -> bool {
    let has = mode == AttachMode::Clsact || AttachMode::of_this_kernel() == AttachMode::Tcx;
    if !has {
        eprintln!("skipped: this kernel has no {}", mode.name());
    }
    has
}

fn packets_pass_the_programs(mode: AttachMode) {
    if !support::can_run() || !available(mode) {
        return;
    }
    let topology = Topology::new();
    topology.all_arrive();
    let mut datapath = topology.attach(&Options { attach: Some(mode), ..support::options() });
    assert_eq!(datapath.attach_mode(), mode);
    let mut events = datapath.take_events().unwrap();

    // Nothing is known of the pod: nothing passes.
    assert!(!topology.pod_to_node(0) && !topology.node_to_pod(1));
    let unknown = |direction| CounterKey::Dropped(DropReason::EndpointUnknown, direction);
    assert!(count(&datapath, unknown(Direction::Egress)) > 0);
    assert!(count(&datapath, unknown(Direction::Ingress)) > 0);

    topology.populate(&mut datapath);
    topology.all_arrive();
    runs_once(&topology, &datapath);

    topology.allow(&mut datapath, PolicySlot::NONE);
    assert!(!topology.pod_to_node(0) && !topology.pod_to_node(1));
    assert!(count(&datapath, CounterKey::Dropped(DropReason::NoPolicy, Direction::Egress)) >= 2);
    let mut dropped = 0;
    while let Some(event) = events.next_event() {
        if event.kind == EventKind::Dropped as u8 && event.reason == DropReason::NoPolicy as u8 {
            assert_eq!((event.endpoint, event.ifindex), (EndpointId(1), topology.link.0));
            dropped += 1;
        }
    }
    assert!(dropped >= 2, "{dropped} events");
}

#[test]
fn packets_pass_the_programs_by_tcx() {
    packets_pass_the_programs(AttachMode::Tcx);
}

#[test]
fn packets_pass_the_programs_by_clsact() {
    packets_pass_the_programs(AttachMode::Clsact);
}

fn agents_replace_one_another(mode: AttachMode) {
    if !support::can_run() || !available(mode) {
        return;
    }
    let fs = BpfFs::new();
    let options = Options { attach: Some(mode), ..fs.options() };
    let topology = Topology::new();
    let mut first = topology.attach(&options);
    topology.populate(&mut first);
    topology.all_arrive();

    // In place, while the first agent is still there.
    let second = topology.attach(&options);
    runs_once(&topology, &second);
    drop(first);
    runs_once(&topology, &second);

    // And again by the same.
    let mut second = second;
    topology.node.run_in(|| second.attach_pod(LINK)).unwrap().unwrap();
    runs_once(&topology, &second);

    // Nobody is there: packets are judged all the same.
    topology.allow(&mut second, PolicySlot::NONE);
    let before = count(&second, CounterKey::Dropped(DropReason::NoPolicy, Direction::Egress));
    drop(second);
    assert!(!topology.pod_to_node(0));
    assert!(topology.node_to_pod(0));
    let mut third = topology.attach(&options);
    assert!(count(&third, CounterKey::Dropped(DropReason::NoPolicy, Direction::Egress)) > before);
    topology.allow(&mut third, PolicySlot::ALLOW_ALL);
    topology.all_arrive();
    runs_once(&topology, &third);
}

#[test]
fn agents_replace_one_another_by_tcx() {
    agents_replace_one_another(AttachMode::Tcx);
}

#[test]
fn agents_replace_one_another_by_clsact() {
    agents_replace_one_another(AttachMode::Clsact);
}

fn attached_twice(mode: AttachMode) {
    if !support::can_run() || !available(mode) {
        return;
    }
    let topology = Topology::new();
    let mut datapath = topology.attach(&Options { attach: Some(mode), ..support::options() });
    topology.populate(&mut datapath);
    // Without a pin to find the first by, tcx refuses a second.
    let again = topology.node.run_in(|| datapath.attach_pod(LINK)).unwrap();
    assert!(again.is_ok() || mode == AttachMode::Tcx, "{again:?}");
    runs_once(&topology, &datapath);
}

#[test]
fn without_pins_no_program_runs_twice_by_tcx() {
    attached_twice(AttachMode::Tcx);
}

#[test]
fn without_pins_no_program_runs_twice_by_clsact() {
    attached_twice(AttachMode::Clsact);
}

#[test]
fn a_link_of_the_same_name_is_attached_anew() {
    if !support::can_run() {
        return;
    }
    let fs = BpfFs::new();
    let options = fs.options();
    let old = Topology::new();
    let mut datapath = old.attach(&options);
    old.populate(&mut datapath);
    old.all_arrive();
    drop(old);
    // Its pin may still be there.
    let new = Topology::new();
    let mut datapath = {
        drop(datapath);
        new.attach(&options)
    };
    new.populate(&mut datapath);
    new.all_arrive();
    runs_once(&new, &datapath);
    datapath.forget_link(LINK).unwrap();
    datapath.forget_link(LINK).unwrap();
}

#[test]
fn a_link_that_is_not_there_is_an_error() {
    if !support::can_run() {
        return;
    }
    let mut datapath = Datapath::load(&support::options()).unwrap();
    let error = datapath.attach_pod("no-such-link").unwrap_err().to_string();
    assert!(error.contains("no-such-link") && error.contains("to_pod"), "{error}");
}
