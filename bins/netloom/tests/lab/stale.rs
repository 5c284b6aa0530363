//! What nobody disconnected, and what nobody remembers.

use std::fs;

use netcore::Netns;

use crate::runtime::Runtime;
use crate::support::{Lab, has};

#[test]
fn what_went_without_del_is_collected() {
    if !has("ip") {
        return;
    }
    let Some(lab) = Lab::up("stale", 1, "") else { return };
    let runtime = Runtime::new(&lab);
    let stays = runtime.pod("stays");
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
    runtime.settles(&[&stays]);
    runtime.call("CHECK", "stays", &stays.path).good();
    assert!(!runtime.ip("-o link").contains("orphan"));
    assert_eq!(fs::read_dir(lab.files("node1").state().join("endpoints")).unwrap().count(), 1);
    let left = runtime.pod("new");
    runtime.settles(&[&stays, &left]);
}
