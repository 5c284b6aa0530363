//! Masquerading with packets: what leaves the cluster bears the node's address, what stays does not.

use std::collections::BTreeSet;

use crate::support::{exchange, ip, run, udp};
use netcore::{
    Address, Error, Family, Net, Netns, Route, VethEnd,
    masquerade::{self, Masquerade},
};

fn networks(texts: &[&str]) -> BTreeSet<ipnetwork::IpNetwork> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

async fn connect(one: &Netns, name: &str, other: &Netns, peer: &str, addresses: &[(&str, &str)]) {
    let (near, far) = (Net::in_netns(one).unwrap(), Net::in_netns(other).unwrap());
    let link = near
        .create_veth(&VethEnd::named(name).up(), &VethEnd::named(peer).netns(other).up(), 1500)
        .await
        .unwrap();
    for (here, there) in addresses {
        near.add_address(&Address::new(link.index, here.parse().unwrap())).await.unwrap();
        far.add_address(&Address::new(link.peer.unwrap(), there.parse().unwrap())).await.unwrap();
    }
}

#[test]
fn only_what_leaves_the_cluster_is_masqueraded() {
    run(async {
        let [pod, node, world] = [(); 3].map(|()| Netns::anonymous().unwrap());
        connect(
            &node,
            "pod",
            &pod,
            "eth0",
            &[("10.0.1.1/24", "10.0.1.2/24"), ("fd00:1::1/64", "fd00:1::2/64")],
        )
        .await;
        connect(
            &node,
            "uplink",
            &world,
            "eth0",
            &[("192.0.2.7/24", "192.0.2.8/24"), ("2001:db8::7/64", "2001:db8::8/64")],
        )
        .await;
        for family in [Family::V4, Family::V6] {
            node.enable_forwarding(family).unwrap();
        }
        let to = |text: &str, gateway| Route::to(text.parse().unwrap()).via(ip(gateway));
        let (inside, outside) = (Net::in_netns(&pod).unwrap(), Net::in_netns(&world).unwrap());
        inside.add_route(&to("0.0.0.0/0", "10.0.1.1")).await.unwrap();
        inside.add_route(&to("::/0", "fd00:1::1")).await.unwrap();
        outside.add_route(&to("10.0.0.0/16", "192.0.2.7")).await.unwrap();
        outside.add_route(&to("fd00::/16", "2001:db8::7")).await.unwrap();

        let mut rules = Masquerade {
            uplinks: ["up+".to_owned()].into(),
            pods: networks(&["10.0.1.0/24", "fd00:1::/64"]),
            native: networks(&["10.0.0.0/8", "10.1.0.0/16"]),
            except: None,
            mark_answers: false,
        };
        match rules.apply(&node) {
            Err(Error::NftMissing) => {
                eprintln!("skipped: {}", Error::NftMissing);
                return;
            }
            // A kernel without nf_tables or NAT.
            Err(error @ Error::NftRefused { .. }) if error.to_string().contains("not supported") => {
                eprintln!("skipped: {error}");
                return;
            }
            applied => applied.unwrap(),
        }
        let source =
            |from: &str, to: &str| exchange(&udp(&pod, ip(from)), &udp(&world, ip(to))).unwrap().ip();
        assert_eq!(source("10.0.1.2", "192.0.2.8"), ip("192.0.2.7"));
        assert_eq!(source("fd00:1::2", "2001:db8::8"), ip("2001:db8::7"));

        // Replaced as a whole, and more than once.
        rules.native = networks(&["192.0.2.0/24", "2001:db8::8/128", "2001:db8::/32"]);
        rules.apply(&node).unwrap();
        rules.apply(&node).unwrap();
        assert_eq!(source("10.0.1.2", "192.0.2.8"), ip("10.0.1.2"));
        assert_eq!(source("fd00:1::2", "2001:db8::8"), ip("fd00:1::2"));
        let shown = masquerade::show(&node).unwrap();
        assert_eq!(shown.matches("masquerade").count(), 2, "{shown}");
        assert!(shown.contains("192.0.2.0/24"), "{shown}");

        masquerade::remove(&node).unwrap();
        masquerade::remove(&node).unwrap();
        assert!(matches!(masquerade::show(&node), Err(Error::NftRefused { .. })));
    });
}
