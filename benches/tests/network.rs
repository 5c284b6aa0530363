//! The setups of the benchmark of networks in the real kernel: each is made, proved, changed and removed.

use std::process::Command;
use std::time::Duration;

use netcore::spawn::in_netns;
use netcore::{Net, Netns};
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

/// The MTU of a pod's link.
fn mtu(netns: &Netns) -> u32 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { Net::in_netns(netns).unwrap().link("eth0").await.unwrap().mtu })
}

/// Runs `nft` on a setup's second node, where the server is.
fn nft(setup: &str, arguments: &[&str]) {
    let node = Netns::open(&format!("netloom-bench-{setup}-node2")).unwrap();
    let mut command = Command::new("nft");
    assert!(in_netns(&mut command, &node).unwrap().args(arguments).status().unwrap().success());
}

/// `prove` fails where a packet was judged otherwise than the policies say, or by other rules than those. `last` is done
/// with the setup before it goes.
fn judges_changes_and_is_gone(name: SetupName, last: impl FnOnce(&mut Vec<Box<dyn Setup>>)) {
    let Some(mut setups) = built(name) else { return };
    let mut entries = Vec::new();
    for peers in [0, 10, 3, 40] {
        entries.push(setups[0].load(peers).unwrap().entries);
        prove(&setups, peers).unwrap();
    }
    // Counted in what is in force: nothing in the limit, and elsewhere something for each peer.
    let more = entries[3].checked_sub(entries[2]);
    assert!(if setups[0].enforces() { more >= Some(37) } else { entries == [0; 4] }, "{entries:?}");
    if setups[0].enforces() {
        assert!(setups[0].rules().unwrap().contains("server"));
        let setup = setups[0].as_mut();
        for changed in [change::add_peer(setup).unwrap(), change::add_policy(setup).unwrap()] {
            assert!(changed.took > Duration::ZERO && changed.update > Duration::ZERO, "{changed:?}");
        }
    }
    for bytes in [9001, 1500] {
        setups[0].set_mtu(bytes).unwrap();
        assert_eq!(mtu(&setups[0].pods().server.netns), bytes);
        prove(&setups, 40).unwrap();
    }
    last(&mut setups);
    let netns = setups[0].pods().server.netns.to_string();
    drop(setups);
    assert!(Netns::open(&netns).is_err(), "{netns} is still there");
}

#[test]
fn veth() {
    judges_changes_and_is_gone(SetupName::Veth, |setups| {
        // The limit with anything hooked into it is no limit.
        setups[0].inspect(40).unwrap();
        let pods = setups[0].pods().clone();
        if in_netns(&mut Command::new("nft"), &pods.server.netns).unwrap().arg("-v").output().is_err() {
            return;
        }
        nft("veth", &["add", "table", "ip", "stray"]);
        let error = prove(setups, 40).unwrap_err();
        assert!(matches!(error, Error::Impure { .. }) && error.to_string().contains("stray"), "{error}");
    });
}

#[test]
fn iptables_legacy() {
    judges_changes_and_is_gone(SetupName::IptablesLegacy, |_| {});
}

#[test]
fn iptables_nft() {
    judges_changes_and_is_gone(SetupName::IptablesNft, |_| {});
}

#[test]
fn ipset() {
    judges_changes_and_is_gone(SetupName::Ipset, |_| {});
}

#[test]
fn nftables() {
    judges_changes_and_is_gone(SetupName::Nftables, |setups| {
        // Without its rules a setup is quicker, and the run void.
        nft("nftables", &["flush", "chain", "ip", "netpol", "forward"]);
        let error = prove(setups, 40).unwrap_err();
        let void =
            "nftables with 40 peers: first to server port 5206/TCP: let through, and it has to be dropped";
        assert!(error.to_string().starts_with(void), "{error}");
        // The same, at another size and for another reason: one peer too many.
        setups[0].load(10).unwrap();
        setups[0].add_peer().unwrap();
        let error = prove(setups, 10).unwrap_err();
        assert!(error.to_string().contains("newcomer to server"), "{error}");
        setups[0].remove_peer().unwrap();
        prove(setups, 10).unwrap();
        assert!(matches!(setups[0].load(2), Err(Error::Peers { peers: 2, .. })));
    });
}

#[test]
fn netloom() {
    judges_changes_and_is_gone(SetupName::Netloom, |_| {});
}
