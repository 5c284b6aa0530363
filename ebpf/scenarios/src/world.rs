//! Who there is, in every case unless it says otherwise.

use std::net::IpAddr;

use abi::{
    Addr, AddressRecord, CidrKey, CidrRecord, CidrSet, Config, Endpoint, EndpointId, Identity, IfIndex, Peer,
    PolicySlot,
};

use crate::case::{Pod, PolicyRef, Setup};
use crate::family::Family;

/// The pod under test.
pub(crate) const POD_LINK: IfIndex = IfIndex(1);
/// Its number.
pub(crate) const POD_ID: EndpointId = EndpointId(1);
/// Its identity.
pub(crate) const POD: Identity = Identity(300);
/// The link of the node's other pod.
pub(crate) const NEIGHBOUR_LINK: IfIndex = IfIndex(2);
/// Its number.
pub(crate) const NEIGHBOUR_ID: EndpointId = EndpointId(2);
/// Its identity.
pub(crate) const NEIGHBOUR: Identity = Identity(301);
/// A pod of another node.
pub(crate) const REMOTE: Identity = Identity(400);
/// Another pod of another node.
pub(crate) const OTHER: Identity = Identity(401);
/// The uplink.
pub(crate) const UPLINK: IfIndex = IfIndex(9);

/// The ordinary world: two pods here, two elsewhere, two nodes, and everything else. Nobody is restricted.
pub(crate) fn setup() -> Setup {
    let mut addresses = Vec::new();
    for family in Family::ALL {
        let mut add = |addr: IpAddr, identity, local, forward| {
            addresses.push((Addr::from(addr), AddressRecord { peer: peer(identity), local, forward }));
        };
        add(family.pod(), POD, POD_LINK, IfIndex(0));
        add(family.neighbour(), NEIGHBOUR, NEIGHBOUR_LINK, IfIndex(0));
        add(family.remote(), REMOTE, IfIndex(0), UPLINK);
        add(family.other(), OTHER, IfIndex(0), IfIndex(0));
        add(family.host(), Identity::HOST, IfIndex(0), IfIndex(0));
        add(family.node(), Identity::REMOTE_NODE, IfIndex(0), IfIndex(0));
    }
    Setup {
        config: Config::default(),
        pods: vec![pod(), neighbour()],
        addresses,
        cidrs: vec![
            cidr([0, 0, 0, 0].into(), 0, peer(Identity::WORLD_IPV4)),
            cidr([0u16; 8].into(), 0, peer(Identity::WORLD_IPV6)),
        ],
        policies: Vec::new(),
    }
}

/// A peer whom no CIDR in use covers.
pub(crate) const fn peer(identity: Identity) -> Peer {
    Peer { identity, cidrs: CidrSet::EMPTY }
}

/// An entry of the trie of CIDRs.
pub(crate) fn cidr(network: IpAddr, bits: u32, peer: Peer) -> (CidrKey, CidrRecord) {
    let prefix_len = if network.is_ipv4() { 96 + bits } else { bits };
    (CidrKey { prefix_len, addr: network.into() }, CidrRecord { peer })
}

/// The pod under test.
pub(crate) fn pod() -> Pod {
    endpoint(POD_LINK, POD_ID, POD, [0x02, 0, 0, 0, 0, 0x10], [Family::V4.pod(), Family::V6.pod()])
}

/// The node's other pod.
pub(crate) fn neighbour() -> Pod {
    let addresses = [Family::V4.neighbour(), Family::V6.neighbour()];
    endpoint(NEIGHBOUR_LINK, NEIGHBOUR_ID, NEIGHBOUR, [0x02, 0, 0, 0, 0, 0x11], addresses)
}

fn endpoint(
    ifindex: IfIndex,
    id: EndpointId,
    identity: Identity,
    mac: [u8; 6],
    [v4, v6]: [IpAddr; 2],
) -> Pod {
    let endpoint = Endpoint {
        v4: v4.into(),
        v6: v6.into(),
        identity,
        ingress: PolicySlot::NONE,
        egress: PolicySlot::NONE,
        ifindex,
        id,
        macs: Endpoint::macs_to(mac),
        ..Endpoint::default()
    };
    Pod { endpoint, ingress: PolicyRef::AllowAll, egress: PolicyRef::AllowAll }
}
