//! The network namespaces of a lab in a VPC: a router with the world beyond it, and instances that have no interface
//! until EC2 attaches one.

use anyhow::Result;
use ipnetwork::IpNetwork;
use netcore::{Address, IfIndex, Net, Netns, Protocol, Route, RouteKind, Sysctl};

use super::plan;
use super::rules::Rules;
use crate::fabric::route_packets;
use crate::name::LabName;
use crate::namespaces;
use crate::plan::{Node, world};

/// Makes the fabric's namespace: what is at its loopback is the control plane's, or the world's. Says its name.
///
/// # Errors
/// When the kernel refuses.
pub async fn make_fabric(name: &LabName) -> Result<(String, Netns)> {
    let (netns_name, netns) = namespaces::create(name, "fabric")?;
    route_packets(&netns)?;
    // Of each interface that comes: whoever asks for an address that there is a route to is answered.
    netns.set_sysctl(&Sysctl::new("net/ipv4/conf/default/proxy_arp")?, "1")?;
    let net = Net::in_netns(&netns)?;
    net.set_up(IfIndex::LOOPBACK).await?;
    let world = world().into_iter().filter(std::net::IpAddr::is_ipv4);
    for address in [plan::API.into(), plan::EC2.into()].into_iter().chain(world) {
        net.add_address(&Address::new(IfIndex::LOOPBACK, address.into())).await?;
    }
    for cidr in [plan::primary(), plan::secondary()] {
        // What nobody has: EC2 says nothing, and neither does a black hole.
        net.add_route(&nowhere(cidr.into())).await?;
    }
    Rules::make(&netns)?;
    Ok((netns_name, netns))
}

/// The route to those addresses of a CIDR that nobody has.
pub(crate) fn nowhere(cidr: IpNetwork) -> Route {
    Route::to(cidr).kind(RouteKind::Blackhole).protocol(Protocol::BOOT)
}

/// Makes a node's namespace, where the metadata service answers and nothing else is yet, and writes its name into
/// the node.
///
/// # Errors
/// When the kernel refuses.
pub async fn make_node(name: &LabName, node: &mut Node) -> Result<()> {
    let (netns_name, netns) = namespaces::create(name, &node.name)?;
    node.netns = netns_name;
    route_packets(&netns)?;
    let net = Net::in_netns(&netns)?;
    net.set_up(IfIndex::LOOPBACK).await?;
    net.add_address(&Address::new(
        IfIndex::LOOPBACK,
        IpNetwork::from(std::net::IpAddr::from(plan::METADATA)),
    ))
    .await?;
    Ok(())
}
