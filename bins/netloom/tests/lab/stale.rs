//! What nobody disconnected, and what nobody remembers.

use std::fs;
use std::net::SocketAddr;

use netcore::Netns;

use crate::runtime::Runtime;
use crate::support::{Lab, has};
use crate::traffic::Traffic;

#[test]
fn what_went_without_del_is_collected() {
    if !has("ip") {
        return;
    }
    let Some(lab) = Lab::up("stale", 1, "") else { return };
    let runtime = Runtime::new(&lab);
    let (stays, peer) = (runtime.pod("stays"), runtime.pod("peer"));
    let traffic: Vec<Traffic> = stays
        .addresses
        .iter()
        .map(|address| Traffic::udp(&peer.netns, &stays.netns, SocketAddr::new(*address, 1000)))
        .collect();
    for pod in ["gone", "also-gone"] {
        let pod = runtime.pod(pod);
        Netns::delete(&pod.path).unwrap();
    }
    runtime.kill();

    // A link that an agent made which died before it could remember it.
    runtime.ip("link add nl-0123456789ab type veth peer name orphan");
    // A disconnection that nobody can read is put aside, and does not stop the others.
    fs::create_dir_all(lab.files("node1").queue()).unwrap();
    fs::write(lab.files("node1").queue().join("x:eth0.json"), "{").unwrap();
    runtime.start();
    runtime.ready();
    runtime.settles(&[&stays, &peer]);
    // Those that stay did not notice.
    traffic.into_iter().for_each(Traffic::finish);
    runtime.call("CHECK", "stays", &stays.path).good();
    assert!(!runtime.ip("-o link").contains("orphan"));
    assert_eq!(fs::read_dir(lab.files("node1").state().join("endpoints")).unwrap().count(), 2);
    let new = runtime.pod("new");
    runtime.settles(&[&stays, &peer, &new]);
}
