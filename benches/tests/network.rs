//! The setups of the benchmark of networks in the real kernel: each is made, proved, changed and removed.

use std::time::Duration;

use netloom_benches::network::proof::prove;
use netloom_benches::network::setup::{Setup, SetupName, build, missing};
use netloom_benches::network::{Error, change};

/// The setup of this name; none, and why, where this machine cannot have it.
fn built(name: SetupName) -> Option<Vec<Box<dyn Setup>>> {
    if let Some(first) = missing(&[name]).first() {
        eprintln!("skipped: {first}");
        return None;
    }
    match build(&[name]) {
        Err(Error::NotRoot) => {
            eprintln!("skipped: {}", Error::NotRoot);
            None
        }
        setups => Some(setups.unwrap()),
    }
}

/// `prove` fails where a packet was judged otherwise than the policies say, or by other rules than those.
fn judges_changes_and_is_gone(name: SetupName) {
    let Some(mut setups) = built(name) else { return };
    for peers in [0, 10, 3, 40] {
        setups[0].load(peers).unwrap();
        prove(&setups, peers).unwrap();
    }
    if setups[0].enforces() {
        assert!(setups[0].rules().unwrap().contains("server"));
        let setup = setups[0].as_mut();
        for changed in [change::add_peer(setup).unwrap(), change::add_policy(setup).unwrap()] {
            assert!(changed.took > Duration::ZERO && changed.update > Duration::ZERO, "{changed:?}");
        }
    }
    for mtu in [9001, 1500] {
        setups[0].set_mtu(mtu).unwrap();
        prove(&setups, 40).unwrap();
    }
    let netns = setups[0].pods().server.netns.to_string();
    drop(setups);
    assert!(netcore::Netns::open(&netns).is_err(), "{netns} is still there");
}

#[test]
fn veth() {
    judges_changes_and_is_gone(SetupName::Veth);
}

#[test]
fn iptables_legacy() {
    judges_changes_and_is_gone(SetupName::IptablesLegacy);
}

#[test]
fn iptables_nft() {
    judges_changes_and_is_gone(SetupName::IptablesNft);
}

#[test]
fn ipset() {
    judges_changes_and_is_gone(SetupName::Ipset);
}

#[test]
fn nftables() {
    judges_changes_and_is_gone(SetupName::Nftables);
}

#[test]
fn netloom() {
    judges_changes_and_is_gone(SetupName::Netloom);
}
