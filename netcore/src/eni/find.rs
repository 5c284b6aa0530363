//! The links of ENIs, by their MAC addresses.

use std::collections::BTreeMap;

use crate::{
    link::Link,
    mac::{IfIndex, MacAddr},
};

/// Links that show the MAC address of another: they are made from it, or gather it.
const DERIVED: [&str; 9] =
    ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "bridge", "bond", "team", "macsec"];

/// The link of each MAC address that has one, of all links of the namespace. Names are of no account: they
/// change while the operating system gets to know an interface. Links that borrow their address from
/// another, as VLANs do, are not meant.
#[must_use]
pub fn find(links: &[Link], macs: impl IntoIterator<Item = MacAddr>) -> BTreeMap<MacAddr, &Link> {
    let find = |mac| {
        let own = links.iter().filter(|link| link.mac == Some(mac) && !is_derived(link, links));
        // Of several the one that was there first: what came later was made to look like it.
        Some((mac, own.min_by_key(|link| link.index)?))
    };
    macs.into_iter().filter_map(find).collect()
}

fn is_derived(link: &Link, links: &[Link]) -> bool {
    let parent = |index: IfIndex| links.iter().any(|other| other.index == index && other.mac == link.mac);
    // The other end of a veth pair may have any number, in a namespace of its own.
    let has_parent = link.kind != "veth" && link.peer.is_some_and(parent);
    has_parent || DERIVED.contains(&link.kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, mac: u8, kind: &str, peer: Option<u32>) -> Link {
        Link {
            name: name.to_owned(),
            index: IfIndex(index),
            mac: Some(MacAddr([2, 0, 0, 0, 0, mac])),
            mtu: 9001,
            up: true,
            operational: true,
            kind: kind.to_owned(),
            peer: peer.map(IfIndex),
            peer_netnsid: None,
            controller: None,
        }
    }

    #[test]
    fn not_a_link_that_borrows_the_address() {
        let links = [
            link(3, "eth1.7", 1, "vlan", Some(9)),
            link(4, "br0", 2, "bridge", None),
            link(5, "mystery", 1, "", Some(9)),
            link(9, "eth1", 1, "", None),
            link(10, "eth2", 2, "veth", Some(9)),
        ];
        let mac = |last| MacAddr([2, 0, 0, 0, 0, last]);
        let found = find(&links, [mac(1), mac(2), mac(3)]);
        let names: Vec<_> = found.values().map(|link| link.name.as_str()).collect();
        assert_eq!(names, ["eth1", "eth2"]);
    }
}
