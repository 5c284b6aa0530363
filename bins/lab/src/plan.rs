//! The lab's addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Result, ensure};
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cloud;
use crate::state::Ipam;

/// The most nodes of a lab: pod ranges are numbered by a byte, and a machine has only so much room.
pub const MAX_NODES: u8 = 64;
/// The MTU of the fabric's links, in bytes.
pub const MTU: u32 = 1500;
/// The API server's port.
pub const API_PORT: u16 = 6443;
/// The ports that the world answers on, TCP and UDP.
pub const WORLD_PORTS: [u16; 4] = [53, 80, 443, 8080];

/// The fabric's addresses on the link that it shares with the nodes.
#[must_use]
pub fn fabric() -> [IpNetwork; 2] {
    on_link(1)
}

/// The API server's addresses on the same link.
#[must_use]
pub fn api() -> [IpNetwork; 2] {
    on_link(2)
}

/// The world's addresses: beyond the fabric, known to no node.
#[must_use]
pub fn world() -> [IpAddr; 2] {
    [Ipv4Addr::new(198, 51, 100, 10).into(), Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 0x10).into()]
}

/// A node as `lab up` planned it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its addresses with the prefix of the fabric's link, IPv4 first.
    pub addresses: Vec<IpNetwork>,
    /// Its ranges of pod addresses, one a family.
    #[serde(rename = "podCIDRs")]
    pub pod_cidrs: Vec<IpNetwork>,
    /// Its availability zone, where it is an instance of a VPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Its network namespace.
    pub netns: String,
}

impl Node {
    /// The node with this number, from 1.
    #[must_use]
    pub fn numbered(number: u8, ipv4_only: bool) -> Self {
        let families = if ipv4_only { 1 } else { 2 };
        let v4 = Ipv4Network::new_checked(Ipv4Addr::new(10, 244, number, 0), 24);
        let v6 = Ipv6Network::new_checked(Ipv6Addr::new(0xfd00, 0x10, 0x244, number.into(), 0, 0, 0, 0), 64);
        let cidrs = [v4.map(IpNetwork::V4), v6.map(IpNetwork::V6)];
        Self {
            name: format!("node{number}"),
            addresses: on_link(10 + number).into_iter().take(families).collect(),
            pod_cidrs: cidrs.into_iter().flatten().take(families).collect(),
            zone: None,
            netns: String::new(),
        }
    }

    /// Its object in the store.
    #[must_use]
    pub fn manifest(&self) -> Value {
        let addresses: Vec<_> = self
            .addresses
            .iter()
            .map(|address| json!({"type": "InternalIP", "address": address.ip()}))
            .chain([json!({"type": "Hostname", "address": self.name})])
            .collect();
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self.name, "labels": {"kubernetes.io/hostname": self.name}},
            "spec": {"podCIDR": self.pod_cidrs.first(), "podCIDRs": self.pod_cidrs},
            "status": {"addresses": addresses},
        })
    }
}

/// The nodes of a lab, without their namespaces' names.
///
/// # Errors
/// When the number is out of range.
pub fn nodes(count: u8, mode: Ipam, ipv4_only: bool) -> Result<Vec<Node>> {
    ensure!((1..=MAX_NODES).contains(&count), "a lab has 1 to {MAX_NODES} nodes, not {count}");
    let node = |number| match mode {
        Ipam::Eni => cloud::plan::node(number),
        Ipam::ClusterPool | Ipam::Kubernetes => Node::numbered(number, ipv4_only),
    };
    Ok((1..=count).map(node).collect())
}

/// The addresses of the fabric's link that end in this number.
fn on_link(number: u8) -> [IpNetwork; 2] {
    let v4 = Ipv4Network::new_checked(Ipv4Addr::new(172, 30, 0, number), 24);
    let v6 = Ipv6Network::new_checked(Ipv6Addr::new(0xfd00, 0x30, 0, 0, 0, 0, 0, number.into()), 64);
    [
        v4.map(IpNetwork::V4).expect("24 is a prefix length of IPv4"),
        v6.map(IpNetwork::V6).expect("64 is a prefix length of IPv6"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_ranges_of_their_own() {
        let nodes = nodes(2, Ipam::Kubernetes, false).unwrap();
        assert_eq!(nodes[1].addresses[0].to_string(), "172.30.0.12/24");
        assert_eq!(nodes[1].addresses[1].to_string(), "fd00:30::c/64");
        assert_eq!(nodes[1].pod_cidrs[0].to_string(), "10.244.2.0/24");
        assert_eq!(nodes[1].pod_cidrs[1].to_string(), "fd00:10:244:2::/64");
        assert_eq!(Node::numbered(1, true).addresses.len(), 1);
        assert!(super::nodes(0, Ipam::Eni, false).is_err() && super::nodes(65, Ipam::Eni, false).is_err());
    }
}
