//! What fails for want of credentials, of a right, or of an answer is told, by the action's name and with why.

use std::{cell::Cell, rc::Rc};

use ipam::ec2::{Action, AttachmentStatus, InterfaceStatus, Request};

use crate::{
    cloud::{Cloud, Refused},
    cluster::Cluster,
    pods,
};

fn cluster() -> Cluster {
    Cluster::new(Cloud::new(&["10.1.0.0/24"]), false, 5)
}

fn error(cluster: &Cluster, node: &str) -> String {
    cluster.status(node).error.clone().unwrap_or_default()
}

fn hindrances(cluster: &Cluster) -> Vec<String> {
    cluster.leaders[0].fleet.hindrances().into_iter().map(ToString::to_string).collect()
}

/// Refuses what it is told to, while it is told to.
fn while_set(on: &Rc<Cell<bool>>, which: fn(&Request) -> bool) -> Refused {
    let on = Rc::clone(on);
    Box::new(move |request, _| on.get() && which(request))
}

/// Credentials end while all is known and nobody wants anything: each node is told, and the operator is; then they are
/// renewed.
#[test]
fn credentials_that_end() {
    for code in ["ExpiredToken", "RequestExpired", "AuthFailure", "NoCredentials", "UnauthorizedOperation"] {
        let mut cluster = cluster();
        cluster.add("a", |_| ());
        cluster.run(30);
        assert_eq!((error(&cluster, "a"), hindrances(&cluster)), (String::new(), Vec::new()));
        let on = Rc::new(Cell::new(true));
        cluster.cloud.refuse.push((while_set(&on, |_| true), code));
        let listed = cluster.status("a").interfaces.clone();
        cluster.writes = 0;
        cluster.run(600);
        for action in ["DescribeSubnets", "DescribeVpcs", "DescribeNetworkInterfaces"] {
            let told = format!("{action} fails: {code}: so it was decided");
            assert!(error(&cluster, "a").contains(&told), "{}", error(&cluster, "a"));
            assert!(hindrances(&cluster).contains(&told), "{:?}", hindrances(&cluster));
        }
        assert_eq!(cluster.status("a").interfaces, listed);
        // Once as each of the lists fails.
        assert!(cluster.writes <= 3, "{}", cluster.writes);
        on.set(false);
        cluster.run(700);
        assert_eq!((error(&cluster, "a"), hindrances(&cluster)), (String::new(), Vec::new()));
    }
}

/// What nobody may do is told of the operator as a whole, until it may.
#[test]
fn an_action_that_is_not_allowed() {
    let mut cluster = cluster();
    let on = Rc::new(Cell::new(true));
    let create = |request: &Request| matches!(request, Request::CreateInterface(_));
    cluster.cloud.refuse.push((while_set(&on, create), "UnauthorizedOperation"));
    cluster.add("a", |settings| settings.first_interface_index = 1);
    cluster.run(30);
    let told = "EC2 refused CreateNetworkInterface for subnet-";
    assert!(error(&cluster, "a").contains(told), "{}", error(&cluster, "a"));
    assert!(hindrances(&cluster)[0].starts_with(told), "{:?}", hindrances(&cluster));
    on.set(false);
    cluster.run(600);
    assert_eq!((error(&cluster, "a"), hindrances(&cluster)), (String::new(), Vec::new()));
}

/// What nobody wants any more is not asked for again, and not told for ever.
#[test]
fn a_denial_that_nobody_asks_about_again() {
    let mut cluster = cluster();
    let create = |request: &Request| matches!(request, Request::CreateInterface(_));
    cluster.cloud.refuse.push((while_set(&Rc::new(Cell::new(true)), create), "UnauthorizedOperation"));
    cluster.add("a", |settings| settings.first_interface_index = 1);
    cluster.run(600);
    assert_eq!(hindrances(&cluster).len(), 1);
    cluster.edit("a", |record| record.settings.first_interface_index = 0);
    cluster.run(1200);
    assert_eq!((error(&cluster, "a"), hindrances(&cluster)), (String::new(), Vec::new()));
}

/// A right that is missing for one interface is that node's matter.
#[test]
fn one_interface_that_is_not_ours_to_change() {
    let mut cluster = cluster();
    cluster.add("a", |_| ());
    cluster.run(30);
    let untagged = |request: &Request, about: Option<&ipam::ec2::Interface>| {
        matches!(request, Request::Assign { .. }) && about.is_some_and(|of| of.tags.is_empty())
    };
    cluster.cloud.refuse.push((Box::new(untagged), "UnauthorizedOperation"));
    cluster.want("a", pods("a", 20));
    cluster.run(60);
    assert!(error(&cluster, "a").contains("UnauthorizedOperation"), "{}", error(&cluster, "a"));
    assert_eq!(hindrances(&cluster), Vec::<String>::new());
}

/// A state that EC2 has since this version was made: the interface stays in use, and its node is told.
#[test]
fn states_that_nobody_knows() {
    let attachment: fn(&mut ipam::ec2::Interface) = |of| {
        of.attachment.iter_mut().for_each(|to| to.status = AttachmentStatus::Unknown);
    };
    for distort in [attachment, |of| of.status = InterfaceStatus::Unknown] {
        let mut cluster = cluster();
        cluster.cloud.distort = Some(distort);
        cluster.add("a", |_| ());
        cluster.want("a", pods("a", 20));
        cluster.run(700);
        assert_eq!(cluster.waiting(), 0);
        let told = format!("interface {} in a state", cluster.primary("a"));
        assert!(error(&cluster, "a").contains(&told), "{}", error(&cluster, "a"));
    }
}

/// Limits come by pages.
#[test]
fn types_on_several_pages() {
    let mut cluster = cluster();
    cluster.cloud.pages_of(1);
    for (node, name) in [("a", "m5.large"), ("b", "m5.xlarge"), ("c", "m5.2xlarge")] {
        cluster.add(node, |settings| settings.instance_type = name.to_owned());
    }
    cluster.run(30);
    for node in ["a", "b", "c"] {
        assert_eq!(
            (cluster.status(node).usable().len(), error(&cluster, node)),
            (1, String::new()),
            "{node}"
        );
    }
    assert_eq!(cluster.cloud.calls[&Action::DescribeInstanceTypes], 3);
}
