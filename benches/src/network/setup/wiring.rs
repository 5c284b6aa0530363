//! Two nodes and their pods: what is there before anybody enforces anything.

use std::net::{IpAddr, Ipv4Addr};

use ipnetwork::{IpNetwork, Ipv4Network};
use lab::lock::Lock;
use lab::name::LabName;
use lab::plan::{self, Node};
use lab::{down, fabric, namespaces};
use netcore::pod::Wiring as PodWiring;
use netcore::{Address, MacAddr, Net, Netns, Protocol, Route, Sysctl, VethEnd};
use tokio::runtime::Runtime;

use super::SetupName;
use super::tool::Tool;
use crate::network::Error;
use crate::network::pods::{BYSTANDERS, Pod, Pods};

/// The bridge of a node whose pods are on one, named as the plugin `bridge` names it.
const BRIDGE: &str = "cni0";
/// The MTU that everything is made with, in bytes.
const MTU: u32 = plan::MTU;

/// How pods are connected to their node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A veth and a route each, as Calico and netloom connect pods. No neighbour is ever asked for.
    Routed,
    /// A port of a bridge each, which has an address in the pods' network, as the CNI plugin `bridge` connects them.
    Bridged,
}

/// Two nodes and their pods. Removed when it is dropped.
pub(super) struct Wiring {
    pub(super) setup: SetupName,
    pub(super) pods: Pods,
    /// The nodes' namespaces: that of the clients, that of the server.
    pub(super) nodes: [Netns; 2],
    fabric: Netns,
    runtime: Runtime,
    // The last field: what is made is removed under the lock.
    _lab: Lab,
}

/// The lab's name under which namespaces are written down, so that they are found whatever happens. While this lives, no
/// other run has it.
pub(super) struct Lab {
    name: LabName,
    lock: Option<Lock>,
}

impl Lab {
    /// Removes what an earlier run left.
    pub(super) fn begin(setup: SetupName, name: LabName) -> Result<Self, Error> {
        let failed = |error: anyhow::Error| Error::lab(setup, "removing what an earlier run left", &error);
        down::down(&name).map_err(failed)?;
        let lock = Lock::take(&name).map_err(failed)?;
        Ok(Self { name, lock: Some(lock) })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.lock = None;
        if let Err(error) = down::down(&self.name) {
            eprintln!("netloom bench: {error:#}");
        }
    }
}

/// The lab's name of a setup. Short: names of labs are.
pub(super) fn name(setup: SetupName) -> Result<LabName, Error> {
    let name = match setup {
        SetupName::Veth => "bench-veth",
        SetupName::IptablesLegacy => "bench-legacy",
        SetupName::IptablesNft => "bench-iptables-nft",
        SetupName::Ipset => "bench-ipset",
        SetupName::Nftables => "bench-nftables",
        SetupName::Netloom => "bench-netloom",
    };
    named(setup, name)
}

/// A lab's name.
pub(super) fn named(setup: SetupName, name: &str) -> Result<LabName, Error> {
    name.parse().map_err(|error| Error::lab(setup, "naming the lab", &anyhow::Error::msg(error)))
}

/// The network in the fabric's namespace must not be more than wires: a switch filters nothing. Where the kernel has
/// `br_netfilter`, new namespaces send every frame of a bridge through the hooks.
pub(super) fn plain_bridge(setup: SetupName, netns: &Netns) -> Result<(), Error> {
    bridge_filter(setup, netns, "0")
}

fn bridge_filter(setup: SetupName, netns: &Netns, value: &str) -> Result<(), Error> {
    for key in ["iptables", "ip6tables", "arptables"] {
        let key = Sysctl::new(format!("net/bridge/bridge-nf-call-{key}"));
        match key.and_then(|key| netns.set_sysctl(&key, value)) {
            Err(error) if !error.is_not_found() => {
                return Err(Error::wiring(setup, "setting what a bridge filters")(error));
            }
            _ => {}
        }
    }
    Ok(())
}

impl Wiring {
    /// Makes it.
    pub(super) fn make(setup: SetupName, kind: Kind) -> Result<Self, Error> {
        let lab = Lab::begin(setup, name(setup)?)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| Error::Socket { setup, operation: "starting a runtime", source })?;
        let made = runtime.block_on(async {
            let failed = |error: anyhow::Error| Error::lab(setup, "joining the nodes", &error);
            let (_, fabric) = fabric::make_fabric(&lab.name, true).await.map_err(failed)?;
            plain_bridge(setup, &fabric)?;
            let mut planned = plan::nodes(2, lab::state::Ipam::default(), true).map_err(failed)?;
            for node in &mut planned {
                fabric::make_node(&lab.name, &fabric, node).await.map_err(failed)?;
            }
            let joined = join(setup, kind, &planned).await?;
            let maker = Maker { setup, kind, lab: &lab, nodes: &joined };
            Ok((fabric, maker.pods().await?, joined.map(|node| node.netns)))
        });
        let (fabric, pods, nodes) = made?;
        Ok(Self { setup, pods, nodes, fabric, runtime, _lab: lab })
    }

    /// Gives every link this MTU.
    pub(super) fn set_mtu(&self, mtu: u32) -> Result<(), Error> {
        let everywhere = [&self.fabric].into_iter().chain(&self.nodes);
        let all: Vec<Netns> = everywhere.chain(self.pods.all().map(|pod| &pod.netns)).cloned().collect();
        let failed = Error::wiring(self.setup, format!("setting the MTU to {mtu}"));
        self.runtime.block_on(fabric::set_mtu(&all, mtu)).map_err(failed)
    }

    /// Programs on the node of the server.
    pub(super) fn tool(&self) -> Tool {
        Tool { setup: self.setup, netns: self.nodes[1].clone() }
    }

    /// Programs on each node.
    pub(super) fn tools(&self) -> impl Iterator<Item = Tool> {
        self.nodes.iter().map(|netns| Tool { setup: self.setup, netns: netns.clone() })
    }
}

/// A node that is joined to the other.
struct Joined {
    number: u8,
    address: IpAddr,
    net: Net,
    netns: Netns,
}

/// Gives the nodes routes to each other's pods and, where pods are on one, their bridge.
async fn join(setup: SetupName, kind: Kind, planned: &[Node]) -> Result<[Joined; 2], Error> {
    let node = async |number: u8| {
        let failed = |what: &str| Error::wiring(setup, format!("node{number}: {what}"));
        let (own, other) = (&planned[usize::from(number) - 1], &planned[usize::from(2 - number)]);
        let netns = Netns::open(&own.netns).map_err(failed("opening its namespace"))?;
        let net = Net::in_netns(&netns).map_err(failed("entering its namespace"))?;
        let uplink = net.link(fabric::UPLINK).await.map_err(failed("looking for its uplink"))?;
        let route = Route::to(other.pod_cidrs[0]).via(other.addresses[0].ip()).dev(uplink.index);
        net.add_route(&route.protocol(Protocol::BOOT))
            .await
            .map_err(failed("routing to the other's pods"))?;
        if kind == Kind::Bridged {
            let bridge = net.create_bridge(BRIDGE, MTU).await.map_err(failed("making its bridge"))?;
            let address = Address::new(bridge.index, in_network(number, 1));
            net.add_address(&address).await.map_err(failed("giving its bridge an address"))?;
            // As Kubernetes asks for where pods are on a bridge: else packets between pods of one node pass no rule.
            bridge_filter(setup, &netns, "1")?;
        }
        Ok(Joined { number, address: own.addresses[0].ip(), net, netns })
    };
    Ok([node(1).await?, node(2).await?])
}

/// Makes pods.
struct Maker<'a> {
    setup: SetupName,
    kind: Kind,
    lab: &'a Lab,
    nodes: &'a [Joined; 2],
}

impl Maker<'_> {
    async fn pods(&self) -> Result<Pods, Error> {
        let [clients, servers] = self.nodes;
        let mut bystanders = Vec::new();
        for number in 0..BYSTANDERS {
            let last = u8::try_from(20 + number).unwrap_or(u8::MAX);
            bystanders.push(self.pod(servers, &format!("bystander-{number}"), last).await?);
        }
        Ok(Pods {
            first: self.pod(clients, "first", 11).await?,
            middle: self.pod(clients, "middle", 12).await?,
            last: self.pod(clients, "last", 13).await?,
            stranger: self.pod(clients, "stranger", 14).await?,
            newcomer: self.pod(clients, "newcomer", 15).await?,
            server: self.pod(servers, "server", 11).await?,
            other: self.pod(servers, "other", 12).await?,
            bystanders,
        })
    }

    async fn pod(&self, node: &Joined, name: &str, last: u8) -> Result<Pod, Error> {
        let failed = |error: anyhow::Error| Error::lab(self.setup, "making a pod", &error);
        let (_, netns) = namespaces::create(&self.lab.name, name).map_err(failed)?;
        let address = Ipv4Addr::new(10, 244, node.number, last);
        let connected = match self.kind {
            Kind::Routed => self.route(node, name, &netns, address).await,
            Kind::Bridged => self.attach(node, name, &netns, address).await,
        };
        connected.map_err(Error::wiring(self.setup, format!("connecting {name}")))?;
        Ok(Pod { name: name.to_owned(), netns, address })
    }

    async fn route(&self, node: &Joined, name: &str, pod: &Netns, address: Ipv4Addr) -> netcore::Result<()> {
        let octets = address.octets();
        let wiring = PodWiring {
            host_interface: host_interface(name),
            pod_interface: "eth0".to_owned(),
            pod_mac: MacAddr([2, 0x62, octets[0], octets[1], octets[2], octets[3]]),
            gateway_mac: MacAddr(abi::Config::GATEWAY_MAC),
            addresses: vec![address.into()],
            mtu: MTU,
            node_addresses: vec![node.address],
        };
        wiring.wire(&node.net, pod).await.map(drop)
    }

    async fn attach(&self, node: &Joined, name: &str, pod: &Netns, address: Ipv4Addr) -> netcore::Result<()> {
        let port = host_interface(name);
        let inside = VethEnd::named("eth0").netns(pod);
        let port = node.net.create_veth(&VethEnd::named(&port).up(), &inside, MTU).await?;
        let bridge = node.net.link(BRIDGE).await?;
        node.net.set_controller(port.index, Some(bridge.index)).await?;
        let net = Net::in_netns(pod)?;
        net.set_up(net.link("lo").await?.index).await?;
        let eth0 = net.link("eth0").await?.index;
        net.set_up(eth0).await?;
        net.wait_operational(eth0).await?;
        net.add_address(&Address::new(eth0, in_network(node.number, address.octets()[3]))).await?;
        let gateway = in_network(node.number, 1).ip();
        net.add_route(&Route::to_all(netcore::Family::V4).via(gateway).dev(eth0)).await
    }
}

/// The name of a pod's link on its node: at most 15 characters.
fn host_interface(pod: &str) -> String {
    format!("p-{pod}")
}

/// An address of a node's pods, with the length of their network.
fn in_network(node: u8, last: u8) -> IpNetwork {
    let address = Ipv4Addr::new(10, 244, node, last);
    Ipv4Network::new(address, 24).map_or_else(|_| IpNetwork::from(IpAddr::from(address)), IpNetwork::V4)
}
