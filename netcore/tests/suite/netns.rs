//! Namespaces: names, handles, threads and children.

use std::{fs, process::Command};

use crate::support::{TestName, can_run};
use netcore::{Error, Family, Netns, Sysctl, spawn};

fn own() -> (u64, u64) {
    Netns::current().unwrap().id().unwrap()
}

#[test]
fn a_named_namespace_is_made_found_and_removed() {
    if !can_run() {
        return;
    }
    let name = TestName::new();
    let made = Netns::create(&name.0).unwrap();
    assert_ne!(made.id().unwrap(), own());
    assert_eq!(Netns::open(&name.0).unwrap().id().unwrap(), made.id().unwrap());
    assert_eq!(Netns::open_path(Netns::path(&name.0).unwrap()).unwrap().id().unwrap(), made.id().unwrap());
    assert_eq!(Netns::list(&name.0).unwrap(), std::slice::from_ref(&name.0));

    let again = Netns::create(&name.0);
    assert!(
        matches!(&again, Err(Error::Netns { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists)
    );
    assert_eq!(
        Netns::open(&name.0).unwrap().id().unwrap(),
        made.id().unwrap(),
        "the failed attempt broke it"
    );

    Netns::delete(&name.0).unwrap();
    assert!(Netns::list(&name.0).unwrap().is_empty());
    assert!(Netns::delete(&name.0).unwrap_err().is_not_found());
    assert!(Netns::open(&name.0).unwrap_err().is_not_found());
}

#[test]
fn iproute2_sees_the_same_names() {
    if !can_run() {
        return;
    }
    let name = TestName::new();
    let Ok(listed) = Command::new("ip").args(["netns", "add", &name.0]).status() else {
        eprintln!("skipped: there is no ip program");
        return;
    };
    assert!(listed.success());
    let theirs = Netns::open(&name.0).unwrap();
    assert_ne!(theirs.id().unwrap(), own());
    Netns::delete(&name.0).unwrap();

    let ours = Netns::create(&name.0).unwrap();
    let shown = Command::new("ip").args(["netns", "exec", &name.0, "readlink", "/proc/self/ns/net"]).output();
    let expected = format!("net:[{}]\n", ours.id().unwrap().1);
    assert_eq!(String::from_utf8(shown.unwrap().stdout).unwrap(), expected);
}

#[test]
fn a_leftover_file_is_removed_as_a_name() {
    if !can_run() {
        return;
    }
    // The directory is prepared by the first name.
    let first = TestName::new();
    Netns::create(&first.0).unwrap();
    let name = TestName::new();
    fs::write(Netns::path(&name.0).unwrap(), "").unwrap();
    Netns::delete(&name.0).unwrap();
    assert!(Netns::list(&name.0).unwrap().is_empty());
}

#[test]
fn wrong_names_are_refused() {
    for name in ["", ".", "..", "a/b", "a\0b"] {
        assert!(matches!(Netns::create(name), Err(Error::InvalidName { .. })), "{name:?}");
        assert!(matches!(Netns::delete(name), Err(Error::InvalidName { .. })), "{name:?}");
    }
}

#[test]
fn only_the_throw_away_thread_enters() {
    if !can_run() {
        return;
    }
    let before = own();
    let netns = Netns::anonymous().unwrap();
    let inside = netns.run_in(own).unwrap();
    assert_eq!(inside, netns.id().unwrap());
    assert_eq!(own(), before);
}

#[test]
fn a_child_runs_inside() {
    if !can_run() {
        return;
    }
    let netns = Netns::anonymous().unwrap();
    let mut command = Command::new("readlink");
    spawn::in_netns(&mut command, &netns).unwrap();
    let output = command.arg("/proc/self/ns/net").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("net:[{}]\n", netns.id().unwrap().1));
}

#[test]
fn parameters_belong_to_their_namespace() {
    if !can_run() {
        return;
    }
    let (one, other) = (Netns::anonymous().unwrap(), Netns::anonymous().unwrap());
    for family in [Family::V4, Family::V6] {
        one.set_sysctl(&Sysctl::forwarding(family), "0").unwrap();
        other.enable_forwarding(family).unwrap();
        assert_eq!(one.sysctl(&Sysctl::forwarding(family)).unwrap(), "0");
        assert_eq!(other.sysctl(&Sysctl::forwarding(family)).unwrap(), "1");
    }
    let absent = one.sysctl(&Sysctl::rp_filter("no-such-link")).unwrap_err();
    assert!(absent.is_not_found());
    assert!(absent.to_string().contains("net/ipv4/conf/no-such-link/rp_filter"), "{absent}");
}
