//! The addresses of the lab's VPC.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use crate::plan::Node;

/// Where the API server's interface in the VPC is, as EKS has one.
pub const API: Ipv4Addr = Ipv4Addr::new(10, 0, 240, 10);
/// Where EC2 answers in the VPC, as an interface endpoint does.
pub const EC2: Ipv4Addr = Ipv4Addr::new(10, 0, 240, 20);
/// Where every instance has its metadata.
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// The port of EC2 and of the metadata.
pub const HTTP: u16 = 80;
/// The MTU of interfaces in a VPC, in bytes.
pub const MTU: u32 = 9001;
/// What tells subnets for pods from others, as the VPC CNI has it.
pub const POD_SUBNET: (&str, &str) = ("kubernetes.io/role/cni", "1");
/// The region.
pub const REGION: &str = "eu-central-1";

/// An availability zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// What its name ends in.
    pub letter: &'static str,
    /// The subnet of instances.
    pub nodes: Ipv4Network,
    /// The subnet of pods.
    pub pods: Ipv4Network,
}

/// The VPC's own CIDR.
#[must_use]
pub fn primary() -> Ipv4Network {
    network([10, 0, 0, 0], 16)
}

/// The CIDR that was added for pods.
#[must_use]
pub fn secondary() -> Ipv4Network {
    network([100, 64, 0, 0], 16)
}

/// Where the control plane's interfaces are; nobody else has addresses of it.
#[must_use]
pub fn control_plane() -> Ipv4Network {
    network([10, 0, 240, 0], 24)
}

/// The zones.
#[must_use]
pub fn zones() -> [Zone; 2] {
    [
        Zone { letter: "a", nodes: network([10, 0, 0, 0], 20), pods: network([100, 64, 0, 0], 18) },
        Zone { letter: "b", nodes: network([10, 0, 16, 0], 20), pods: network([100, 64, 64, 0], 18) },
    ]
}

/// The zone of a node, by its number from 1: they take turns.
#[must_use]
pub fn zone(number: u8) -> Zone {
    zones()[usize::from(number.wrapping_sub(1)) % 2]
}

/// The node with this number, from 1. Its address is that of its instance's first interface.
#[must_use]
pub fn node(number: u8) -> Node {
    let zone = zone(number);
    let [a, b, c, _] = zone.nodes.network().octets();
    let address = Ipv4Addr::new(a, b, c, 10_u8.saturating_add(number));
    let address = Ipv4Network::new_checked(address, zone.nodes.prefix()).unwrap_or(address.into());
    Node {
        name: format!("node{number}"),
        addresses: vec![address.into()],
        pod_cidrs: Vec::new(),
        zone: Some(format!("{REGION}{}", zone.letter)),
        netns: String::new(),
    }
}

fn network(octets: [u8; 4], length: u8) -> Ipv4Network {
    Ipv4Network::new_checked(octets.into(), length).expect("the length is a constant of at most 32")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_take_turns_in_the_zones() {
        let shown = |number| (node(number).addresses[0].to_string(), node(number).zone.unwrap());
        assert_eq!(shown(1), ("10.0.0.11/20".to_owned(), "eu-central-1a".to_owned()));
        assert_eq!(shown(2), ("10.0.16.12/20".to_owned(), "eu-central-1b".to_owned()));
        assert_eq!(shown(64), ("10.0.16.74/20".to_owned(), "eu-central-1b".to_owned()));
    }

    #[test]
    fn nothing_overlaps() {
        let mut all: Vec<Ipv4Network> =
            zones().into_iter().flat_map(|zone| [zone.nodes, zone.pods]).collect();
        all.push(control_plane());
        for (number, one) in all.iter().enumerate() {
            assert!(primary().is_supernet_of(*one) || secondary().is_supernet_of(*one), "{one}");
            assert!(all[number + 1..].iter().all(|other| !one.overlaps(*other)), "{one}");
        }
        assert!(control_plane().contains(API) && control_plane().contains(EC2));
    }
}
