//! The links between the nodes, and the world beyond them.

use anyhow::Result;
use ipnetwork::IpNetwork;
use netcore::{Address, Family, Net, Netns, Protocol, Route, Sysctl, VethEnd};

use crate::name::LabName;
use crate::namespaces;
use crate::plan::{self, MTU, Node};

/// The fabric's bridge.
pub(crate) const BRIDGE: &str = "fabric";
/// The node's link to the fabric.
pub const UPLINK: &str = "eth0";

/// Makes the fabric's namespace, with the bridge and the world's addresses; says its name.
///
/// # Errors
/// When the kernel refuses.
pub async fn make_fabric(name: &LabName, ipv4_only: bool) -> Result<(String, Netns)> {
    let (netns_name, netns) = namespaces::create(name, "fabric")?;
    route_packets(&netns)?;
    let net = Net::in_netns(&netns)?;
    let lo = net.link("lo").await?;
    net.set_up(lo.index).await?;
    let bridge = net.create_bridge(BRIDGE, MTU).await?;
    net.set_up(bridge.index).await?;
    for address in plan::fabric().into_iter().chain(plan::api()).filter(|a| a.is_ipv4() || !ipv4_only) {
        net.add_address(&Address::new(bridge.index, address)).await?;
    }
    for address in plan::world().into_iter().filter(|a| a.is_ipv4() || !ipv4_only) {
        net.add_address(&Address::new(lo.index, address.into())).await?;
    }
    Ok((netns_name, netns))
}

/// Makes a node's namespace, joins it to the fabric and writes the namespace's name into the node.
///
/// # Errors
/// When the kernel refuses.
pub async fn make_node(name: &LabName, fabric: &Netns, node: &mut Node) -> Result<()> {
    let (netns_name, netns) = namespaces::create(name, &node.name)?;
    node.netns = netns_name;
    route_packets(&netns)?;
    let outside = Net::in_netns(fabric)?;
    let bridge = outside.link(BRIDGE).await?;
    let port = VethEnd::named(&node.name).up();
    let port = outside.create_veth(&port, &VethEnd::named(UPLINK).netns(&netns), MTU).await?;
    outside.set_controller(port.index, Some(bridge.index)).await?;

    let inside = Net::in_netns(&netns)?;
    inside.set_up(inside.link("lo").await?.index).await?;
    let uplink = inside.link(UPLINK).await?;
    inside.set_up(uplink.index).await?;
    for address in &node.addresses {
        inside.add_address(&Address::new(uplink.index, *address)).await?;
    }
    for gateway in plan::fabric().iter().filter(|gateway| has_family(node, gateway)) {
        // The machine's own route, as `ip route` makes one: the agent removes routes of its own that it did
        // not plan.
        let route = Route::to(everywhere(gateway)).via(gateway.ip()).dev(uplink.index);
        inside.add_route(&route.protocol(Protocol::BOOT)).await?;
    }
    Ok(())
}

/// Gives the links of these namespaces, but loopback, another MTU.
///
/// # Errors
/// When the kernel refuses.
pub async fn set_mtu(all: &[Netns], mtu: u32) -> netcore::Result<()> {
    for netns in all {
        let net = Net::in_netns(netns)?;
        let mut links = net.links().await?;
        links.retain(|link| matches!(link.kind.as_str(), "veth" | "bridge"));
        // A bridge takes no more than its ports do.
        links.sort_by_key(|link| link.kind == "bridge");
        for link in links {
            net.set_mtu(link.index, mtu).await?;
        }
    }
    Ok(())
}

fn has_family(node: &Node, address: &IpNetwork) -> bool {
    node.addresses.iter().any(|own| own.is_ipv4() == address.is_ipv4())
}

fn everywhere(family_of: &IpNetwork) -> IpNetwork {
    let any = match family_of {
        IpNetwork::V4(_) => IpNetwork::new(std::net::Ipv4Addr::UNSPECIFIED.into(), 0),
        IpNetwork::V6(_) => IpNetwork::new(std::net::Ipv6Addr::UNSPECIFIED.into(), 0),
    };
    any.expect("zero is a prefix length of both families")
}

/// Makes the namespace forward packets. Return paths are not checked: the datapath checks sources itself.
pub(crate) fn route_packets(netns: &Netns) -> Result<()> {
    netns.enable_forwarding(Family::V4)?;
    netns.enable_forwarding(Family::V6)?;
    let off = [
        Sysctl::rp_filter("all"),
        Sysctl::rp_filter("default"),
        Sysctl::new("net/ipv4/conf/all/send_redirects")?,
        Sysctl::new("net/ipv4/conf/default/send_redirects")?,
    ];
    for sysctl in &off {
        netns.set_sysctl(sysctl, "0")?;
    }
    // Nobody else has the fabric's addresses, and until a link-local address is known to be unique a router
    // asks nobody for neighbours. Without IPv6 in the kernel there is nothing to set.
    match netns.set_sysctl(&Sysctl::accept_dad("default"), "0") {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}
