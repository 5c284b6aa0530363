//! What EC2 does to interfaces is done to links and routes.
//!
//! An interface that is attached is a pair of links. The one in the instance's namespace has the interface's MAC
//! address and a name as the kernel would give it; the other is a port of the fabric. Each address and each prefix
//! that EC2 assigns is a route by this port, until EC2 takes it away.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result};
use ipam::ec2::Interface;
use ipnetwork::Ipv4Network;
use netcore::{Address, Family, IfIndex, MacAddr, Neighbour, Net, Netns, Protocol, Route, Sysctl, VethEnd};
use vpc::{Change, Cloud};

use super::links::nowhere;
use super::plan::MTU;
use super::rules::Rules;
use crate::fabric::UPLINK;

/// Where an interface is plugged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The instance's node.
    pub node: String,
    /// The link's name there.
    pub link: String,
    /// The other end's, in the fabric.
    pub name: String,
    index: IfIndex,
    gateway: Ipv4Addr,
}

/// Keeps links and routes as EC2 says.
#[derive(Debug)]
pub struct Plug {
    cloud: Cloud,
    fabric: Netns,
    net: Net,
    rules: Rules,
    /// Names and namespaces of nodes, by their instances.
    nodes: BTreeMap<String, (String, Netns)>,
    ports: BTreeMap<String, Port>,
}

impl Plug {
    /// Nothing is plugged in yet. `nodes` are names and namespaces by instances.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new(cloud: Cloud, fabric: Netns, nodes: BTreeMap<String, (String, Netns)>) -> Result<Self> {
        let net = Net::in_netns(&fabric)?;
        let rules = Rules::of(&fabric);
        Ok(Self { cloud, fabric, net, rules, nodes, ports: BTreeMap::new() })
    }

    /// Where interfaces are plugged in, by their ids.
    #[must_use]
    pub fn ports(&self) -> &BTreeMap<String, Port> {
        &self.ports
    }

    /// Does what a change of EC2's means.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn change(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::Attached(interface) => {
                let attached = self.attach(interface).await;
                attached.with_context(|| format!("plugging {} in", interface.id))
            }
            Change::Detached { interface, .. } => {
                let detached = self.detach(&interface.id).await;
                detached.with_context(|| format!("unplugging {}", interface.id))
            }
            Change::Assigned { interface_id, addresses, prefixes } => {
                let Some(port) = self.ports.get(interface_id) else { return Ok(()) };
                for network in networks(addresses, prefixes) {
                    self.lead(port, network).await?;
                }
                Ok(())
            }
            Change::Unassigned { interface_id, addresses, prefixes } => {
                let Some(port) = self.ports.get(interface_id) else { return Ok(()) };
                for network in networks(addresses, prefixes) {
                    self.net.delete_route(&route(port, network)).await?;
                }
                Ok(())
            }
            Change::SourceCheck { interface_id, on } => match self.ports.get(interface_id) {
                Some(port) => self.rules.check_source(&port.name, *on),
                None => Ok(()),
            },
            Change::Associated { cidr, .. } => {
                self.net.replace_route(&nowhere((*cidr).into())).await?;
                self.rules.inside(*cidr)
            }
            Change::Started { .. } | Change::Terminated { .. } | Change::Created(_) | Change::Deleted(_) => {
                Ok(())
            }
        }
    }

    async fn attach(&mut self, interface: &Interface) -> Result<()> {
        let attachment = interface.attachment.as_ref().context("it has no attachment")?;
        let Some((node, netns)) = self.nodes.get(&attachment.instance_id).cloned() else { return Ok(()) };
        let is_first = attachment.device_index == 0;
        let link = if is_first { UPLINK.to_owned() } else { self.free_name(&node) };
        let name = format!("{node}-{link}");
        let mac: MacAddr = interface.mac.parse()?;
        let subnet = self.subnet(&interface.subnet_id)?;
        let router = subnet.nth(1).with_context(|| format!("{subnet} has no router"))?;
        // Every subnet's first address is the VPC's router.
        let address = Address::new(IfIndex::LOOPBACK, IpAddr::from(router).into());
        self.net.replace_address(&address).await?;
        let (outside, inside) = (VethEnd::named(&name).up(), VethEnd::named(&link).mac(mac).netns(&netns));
        let index = self.net.create_veth(&outside, &inside, MTU).await?.index;
        // The kernel would let who asks wait for up to a second.
        self.fabric.set_sysctl(&Sysctl::new(format!("net/ipv4/neigh/{name}/proxy_delay"))?, "0")?;
        let primary = interface.primary_address;
        self.net.replace_neighbour(&Neighbour::new(index, primary.into(), mac)).await?;
        let port = Port { node, link, name, index, gateway: primary };
        for network in
            networks(&[primary], &[]).chain(networks(&interface.secondary_addresses, &interface.prefixes))
        {
            self.lead(&port, network).await?;
        }
        if is_first {
            self.rules.public(primary)?;
            boot(&netns, &port.link, primary, subnet, router).await?;
        }
        eprintln!(
            "{} of {} is {} with {primary} and {:?}",
            port.link, port.node, interface.id, interface.prefixes
        );
        self.ports.insert(interface.id.clone(), port);
        Ok(())
    }

    async fn detach(&mut self, interface_id: &str) -> Result<()> {
        let Some(port) = self.ports.remove(interface_id) else { return Ok(()) };
        eprintln!("{} of {} is gone: {interface_id}", port.link, port.node);
        self.rules.check_source(&port.name, true)?;
        // Its other end and its routes go with it.
        self.net.delete_link_named(&port.name).await.map(drop).map_err(Into::into)
    }

    async fn lead(&self, port: &Port, network: Ipv4Network) -> Result<()> {
        let led = self.net.replace_route(&route(port, network)).await;
        led.with_context(|| format!("the route to {network} by {}", port.name))
    }

    /// A name that the kernel would give to the node's next link.
    fn free_name(&self, node: &str) -> String {
        let taken = |name: &String| self.ports.values().any(|port| port.node == node && port.link == *name);
        (1..).map(|number| format!("eth{number}")).find(|name| !taken(name)).unwrap_or_default()
    }

    fn subnet(&self, id: &str) -> Result<Ipv4Network> {
        let find = |region: &mut vpc::Region, _| region.subnets().find(|subnet| subnet.id == id);
        Ok(self.cloud.with(find).with_context(|| format!("there is no {id}"))?.cidr)
    }
}

/// All that these are, single addresses as /32.
fn networks<'a>(
    addresses: &'a [Ipv4Addr],
    prefixes: &'a [Ipv4Network],
) -> impl Iterator<Item = Ipv4Network> + 'a {
    addresses.iter().map(|address| Ipv4Network::from(*address)).chain(prefixes.iter().copied())
}

/// The way to something of an interface: to its own first address directly, to all else by this.
fn route(port: &Port, network: Ipv4Network) -> Route {
    let route = Route::to(network.into()).dev(port.index).protocol(Protocol::BOOT);
    if network == Ipv4Network::from(port.gateway) { route } else { route.via(port.gateway.into()).onlink() }
}

/// Does what an instance's operating system does with its first interface, as DHCP tells it.
async fn boot(
    netns: &Netns,
    link: &str,
    address: Ipv4Addr,
    subnet: Ipv4Network,
    router: Ipv4Addr,
) -> Result<()> {
    let inside = Net::in_netns(netns)?;
    let link = inside.link(link).await?.index;
    inside.set_up(link).await?;
    let address = Ipv4Network::new(address, subnet.prefix())?;
    inside.add_address(&Address::new(link, address.into())).await?;
    let default = Route::to_all(Family::V4).via(router.into()).dev(link).protocol(Protocol::BOOT);
    inside.add_route(&default).await.map_err(Into::into)
}
