//! What EC2 made or showed a moment ago and does not know yet: that passes within seconds, and is not waited for longer.

use std::{cell::Cell, time::Duration};

use ipam::ec2::{Action, Request};

use crate::{
    cloud::{Cloud, Refused},
    cluster::{Cluster, TICK},
};

const UNKNOWN_INTERFACE: &str = "InvalidNetworkInterfaceID.NotFound";

fn cluster() -> Cluster {
    Cluster::new(Cloud::new(&["10.1.0.0/24"]), false, 5)
}

/// A node that needs an interface, and how many milliseconds it takes until it may use it.
fn until_usable(cluster: &mut Cluster) -> u64 {
    cluster.add("a", |settings| settings.first_interface_index = 1);
    let began = cluster.now;
    while cluster.status("a").usable().is_empty() {
        cluster.tick();
        assert_eq!(cluster.status("a").error, None, "nothing is wrong");
        assert!(cluster.now.since(began) < Duration::from_secs(60), "{:?}", cluster.cloud.calls);
    }
    cluster.now.0 - began.0
}

/// Refuses the first few requests of an action.
fn first(action: Action, count: u32) -> Refused {
    let left = Cell::new(count);
    Box::new(move |request, _| {
        let refused = request.action() == action && left.get() > 0;
        left.set(left.get() - u32::from(refused));
        refused
    })
}

#[test]
fn a_new_interface() {
    let at_once = until_usable(&mut cluster());
    for late in [500, 1500, 4000] {
        let mut cluster = cluster();
        cluster.cloud.forgets_new_ids_for(Duration::from_millis(late));
        let took = until_usable(&mut cluster);
        // The waiting times grow, and a tick is long.
        assert!(took <= at_once + 2 * late + 2 * TICK, "{late} late: {took}, not {at_once}");
        let calls = &cluster.cloud.calls;
        assert!(calls[&Action::AttachNetworkInterface] <= 8, "{calls:?}");
        assert_eq!(calls[&Action::CreateNetworkInterface], 1);
    }
}

#[test]
fn a_new_attachment() {
    for code in ["InvalidAttachmentID.NotFound", UNKNOWN_INTERFACE] {
        let mut cluster = cluster();
        cluster.cloud.refuse.push((first(Action::ModifyNetworkInterfaceAttribute, 3), code));
        until_usable(&mut cluster);
        cluster.run(6);
        let ends_with_it = cluster
            .cloud
            .interfaces
            .values()
            .all(|of| of.attachment.as_ref().is_some_and(|to| to.delete_on_termination));
        assert!(ends_with_it, "{code}: {:?}", cluster.cloud.calls);
        assert_eq!(cluster.status("a").error, None);
    }
}

/// The interface that was made for it is not thrown away.
#[test]
fn a_new_instance() {
    let at_once = until_usable(&mut cluster());
    let mut cluster = cluster();
    cluster.cloud.refuse.push((first(Action::AttachNetworkInterface, 3), "InvalidInstanceID.NotFound"));
    let took = until_usable(&mut cluster);
    assert!(took <= at_once + 5000, "{took}, not {at_once}");
    assert_eq!(cluster.cloud.calls[&Action::CreateNetworkInterface], 1);
}

/// What stays unknown is told, and asked for ever more seldom.
#[test]
fn what_ec2_never_knows() {
    // cilium #9533: interfaces were made for an instance that was gone, for ever.
    for code in [UNKNOWN_INTERFACE, "InvalidInstanceID.NotFound"] {
        let mut cluster = cluster();
        let attach = |request: &Request, _: Option<&_>| matches!(request, Request::Attach { .. });
        cluster.cloud.refuse.push((Box::new(attach), code));
        cluster.add("a", |settings| settings.first_interface_index = 1);
        cluster.run(5);
        assert_eq!(cluster.status("a").error, None, "it may be late");
        cluster.run(30);
        let told = cluster.status("a").error.clone().unwrap_or_default();
        assert!(told.contains("AttachNetworkInterface") && told.contains(code), "{told}");
        let calls = cluster.cloud.calls.clone();
        assert!(calls[&Action::AttachNetworkInterface] <= 20, "{calls:?}");
        cluster.run(3600);
        let calls = &cluster.cloud.calls;
        assert!(cluster.cloud.mutating() < 200, "{calls:?}");
        assert!(cluster.unattached() <= 3, "{calls:?}");
    }
}
