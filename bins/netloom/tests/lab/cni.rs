//! The CNI verbs, called by hand on the real agent.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use netcore::Netns;
use serde_json::{Value, json};

use crate::runtime::{Runtime, addresses, ip_in};
use crate::support::{Lab, eventually, has};

/// Whether one of two sandboxes reaches the other over UDP, at each of its addresses.
fn reaches(from: &Netns, to: &Netns, addresses: &[IpAddr]) -> bool {
    addresses.iter().all(|address| {
        let at = SocketAddr::new(*address, 4000);
        let Ok(server) = to.run_in(|| UdpSocket::bind(at)).unwrap() else { return false };
        let any = if at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let client = from.run_in(|| UdpSocket::bind(any)).unwrap().unwrap();
        server.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        (0..10).any(|_| client.send_to(b"?", at).is_ok() && server.recv(&mut [0; 8]).is_ok())
    })
}

#[test]
fn add_check_damage_repair_del() {
    if !has("ip") {
        return;
    }
    let Some(lab) = Lab::up("verbs", 1, "") else { return };
    let runtime = Runtime::new(&lab);
    let (a, a_netns) = runtime.sandbox("a");
    let (b, b_netns) = runtime.sandbox("b");
    runtime.announce("a");
    runtime.announce("b");

    let added = runtime.call("ADD", "a", &a).good();
    assert_eq!(runtime.call("ADD", "a", &a).good(), added, "asked again");
    let other = runtime.call("ADD", "b", &b).good();
    assert_ne!(addresses(&added), addresses(&other));
    assert!(reaches(&b_netns, &a_netns, &addresses(&added)), "as soon as ADD has answered");
    runtime.call("CHECK", "a", &a).good();

    let v4 = &addresses(&added)[0];
    let v6 = &addresses(&added)[1];
    let host = added["interfaces"][0]["name"].as_str().unwrap();
    let damages: [(&str, String); 8] = [
        ("pod", format!("addr del {v4}/32 dev eth0")),
        ("pod", format!("addr del {v6}/128 dev eth0")),
        ("pod", "link set eth0 down".into()),
        ("pod", "link set eth0 mtu 1400".into()),
        ("pod", "route del default".into()),
        ("pod", "link del eth0".into()),
        ("node", format!("route del {v4}")),
        ("node", format!("link set {host} down")),
    ];
    for (side, damage) in damages {
        match side {
            "pod" => ip_in(&a, &damage),
            _ => drop(runtime.ip(&damage)),
        }
        assert_eq!(runtime.call("CHECK", "a", &a).code(), 101, "after {damage}");
        assert_eq!(runtime.call("ADD", "a", &a).good()["ips"], added["ips"], "after {damage}");
        runtime.call("CHECK", "a", &a).good();
        assert!(reaches(&b_netns, &a_netns, &addresses(&added)), "repaired after {damage}");
    }

    runtime.call("DEL", "a", &a).good();
    runtime.call("DEL", "a", &a).good();
    assert_eq!(runtime.call("CHECK", "a", &a).code(), 3);
    let again = runtime.call("ADD", "a", &a).good();
    assert!(
        addresses(&again).iter().all(|address| !addresses(&added).contains(address)),
        "not given again soon"
    );
    assert!(reaches(&b_netns, &a_netns, &addresses(&again)));
    runtime.call("CHECK", "a", &a).good();
    assert_eq!(lab.agent("node1").endpoints.len(), 2);
}

#[test]
fn del_and_add_of_the_same_attachment_in_turn() {
    let Some(lab) = Lab::up("turns", 1, "") else { return };
    let runtime = Runtime::new(&lab);
    let (a, _a) = runtime.sandbox("a");
    runtime.announce("a");
    for turn in 0..20 {
        let added = runtime.call("ADD", "a", &a);
        assert!(added.success, "turn {turn}: {}", added.said);
        runtime.call("DEL", "a", &a).good();
    }
    runtime.call("ADD", "a", &a).good();
    // Whatever a DEL leaves to be done later, it is not done to the next link.
    std::thread::sleep(Duration::from_millis(300));
    runtime.call("CHECK", "a", &a).good();
}

#[test]
fn what_is_wrong_has_its_code() {
    let Some(lab) = Lab::up("codes", 1, "") else { return };
    let runtime = Runtime::new(&lab);
    let (a, _a) = runtime.sandbox("a");
    let config = runtime.config();
    let with = |key: &str, value: Value| {
        let mut config = config.clone();
        config[key] = value;
        config.to_string()
    };
    let path = format!("/run/netns/{a}");
    let add = [("CNI_COMMAND", "ADD"), ("CNI_NETNS", path.as_str())];
    let code = |variables: &[(&str, &str)], input: &str| runtime.raw(variables, "a", input.as_bytes()).code();
    let good = config.to_string();

    assert_eq!(code(&add, "{"), 6);
    assert_eq!(code(&add, &with("cniVersion", json!("9.9.9"))), 1);
    assert_eq!(code(&add, &with("chaining-mode", json!("flannel"))), 2);
    assert_eq!(code(&[("CNI_COMMAND", "ADD")], &good), 4);
    assert_eq!(code(&[("CNI_COMMAND", "MAKE")], &good), 4);
    assert_eq!(code(&[add[0], add[1], ("CNI_CONTAINERID", "../a")], &good), 4);
    assert_eq!(code(&[add[0], add[1], ("CNI_IFNAME", "much-too-long-a-name")], &good), 4);
    for netns in ["/run/netns/none-such", "/etc/passwd", "/run"] {
        assert_eq!(code(&[add[0], ("CNI_NETNS", netns)], &good), 8, "{netns}");
    }
    assert_eq!(code(&[("CNI_COMMAND", "CHECK"), add[1]], &with("cniVersion", json!("0.3.1"))), 1);
    assert_eq!(code(&[("CNI_COMMAND", "CHECK"), add[1]], &good), 3);
    assert_eq!(code(&[("CNI_COMMAND", "GC")], &good), 7);
    assert_eq!(code(&add, &with("socket", json!("/run/netloom/none-such.sock"))), 11);
    assert_eq!(code(&[("CNI_COMMAND", "STATUS")], &with("socket", json!("/run/netloom/none-such.sock"))), 50);

    runtime.raw(&[("CNI_COMMAND", "STATUS")], "a", good.as_bytes()).good();
    let versions = runtime.raw(&[("CNI_COMMAND", "VERSION")], "a", b"{\"cniVersion\": \"0.4.0\"}").good();
    assert_eq!(versions["supportedVersions"], json!(["0.3.1", "0.4.0", "1.0.0", "1.1.0"]));
    let old = runtime.raw(&add, "a", with("cniVersion", json!("0.3.1")).as_bytes()).good();
    assert_eq!((&old["cniVersion"], &old["ips"][0]["version"]), (&json!("0.3.1"), &json!("4")));
    // Nothing of all that went wrong is left.
    assert_eq!(lab.agent("node1").addresses_used, 2);
}

#[test]
fn gc_keeps_what_it_is_told() {
    let Some(lab) = Lab::up("gc", 1, "") else { return };
    let runtime = Runtime::new(&lab);
    for pod in ["a", "b", "c"] {
        let (netns, _) = runtime.sandbox(pod);
        runtime.call("ADD", pod, &netns).good();
    }
    runtime.keep_only(&["b", "z"]).good();
    let left: Vec<_> = lab.agent("node1").endpoints.into_iter().map(|e| e.attachment.container_id).collect();
    assert_eq!(left, ["b"]);
    assert_eq!(lab.agent("node1").addresses_used, 2);
    eventually("the others' links are gone", || (runtime.links().len() == 1).then_some(()));
}

#[test]
fn del_while_the_agent_is_away_is_done_later() {
    let Some(lab) = Lab::up("queue", 1, "") else { return };
    let runtime = Runtime::new(&lab);
    let (a, a_netns) = runtime.sandbox("a");
    let (b, _b) = runtime.sandbox("b");
    let (c, c_netns) = runtime.sandbox("c");
    for pod in ["a", "b", "c"] {
        runtime.announce(pod);
    }
    let before = addresses(&runtime.call("ADD", "a", &a).good());
    runtime.call("ADD", "b", &b).good();
    runtime.kill();

    assert_eq!(
        runtime.raw(&[("CNI_COMMAND", "STATUS")], "a", runtime.config().to_string().as_bytes()).code(),
        50
    );
    for (pod, netns) in [("a", &a), ("b", &b)] {
        let answer = runtime.call("DEL", pod, netns);
        assert!(answer.elapsed < Duration::from_secs(4), "{answer:?}");
        answer.good();
    }
    // A new pod waits for the agent, and so does one that was to go and comes back.
    std::thread::scope(|scope| {
        let again = scope.spawn(|| runtime.call("ADD", "a", &a).good());
        let new = scope.spawn(|| runtime.call("ADD", "c", &c).good());
        std::thread::sleep(Duration::from_millis(300));
        runtime.start();
        let (again, new) = (addresses(&again.join().unwrap()), addresses(&new.join().unwrap()));
        assert!(
            again.iter().chain(&new).all(|address| !before.contains(address)),
            "{before:?} {again:?} {new:?}"
        );
        assert!(reaches(&c_netns, &a_netns, &again) && reaches(&a_netns, &c_netns, &new));
    });
    eventually("the queue is drained", || {
        let names = lab.agent("node1").endpoints.into_iter().map(|e| e.attachment.container_id);
        (names.collect::<BTreeSet<_>>() == BTreeSet::from(["a".into(), "c".into()])).then_some(())
    });
    runtime.call("CHECK", "a", &a).good();
    let left = std::fs::read_dir(lab.files("node1").queue()).unwrap().flatten();
    assert_eq!(left.filter(|file| file.file_name().to_string_lossy().ends_with(".json")).count(), 0);
}
