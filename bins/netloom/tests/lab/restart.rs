//! Agents that are killed at any moment, under traffic.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lab::attempt::{Attempt, Outcome, Protocol};

use crate::runtime::{Pod, Runtime};
use crate::support::{FAMILIES, Lab};
use crate::traffic::Traffic;

/// Milliseconds that an agent lives: it dies in the middle of its start, of its first work, of a change.
const LIVES: [u64; 12] = [0, 5, 10, 15, 20, 30, 40, 60, 90, 140, 220, 350];

/// A pod of the other node, which the lab itself runs as long as it can.
const FAR: &str = "
apiVersion: v1
kind: Pod
metadata: {name: far, labels: {app: far}}
spec: {nodeName: node2, containers: [{name: c, image: x}]}
";

/// Two policies that let the clients in, by other means.
const POLICIES: [&str; 2] = [
    "ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [stranger]}]}}], ports: [{port: 1000, endPort: 1999}, {port: 1000, endPort: 1999, protocol: UDP}]}]",
    "ingress: [{from: [{podSelector: {matchLabels: {app: near}}}, {podSelector: {matchLabels: {app: far}}}, {podSelector: {matchExpressions: [{key: app, operator: Exists}, {key: app, operator: NotIn, values: [stranger]}]}}], ports: [{port: 1, endPort: 1999}, {protocol: UDP}]}]",
];

fn policy(number: usize) -> String {
    let rules = POLICIES[number % POLICIES.len()];
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\n\
         spec: {{podSelector: {{matchLabels: {{app: server}}}}, {rules}}}\n"
    )
}

/// Whether a new TCP connection is made.
fn connects(from: &Pod, to: SocketAddr, expected: bool) -> bool {
    let timeout = Duration::from_millis(if expected { 5000 } else { 200 });
    let attempt = Attempt { from: from.netns.clone(), source: None, to, protocol: Protocol::Tcp, timeout };
    // With nobody there a refusal is what shows that the packet was let through.
    attempt.run().unwrap().outcome == Outcome::Refused
}

#[test]
fn agents_killed_at_any_moment() {
    let Some(lab) = Lab::up("kills", 2, &format!("{FAR}---\n{}", policy(0))) else { return };
    let addresses = FAMILIES.map(|family| lab.address("far", family)).to_vec();
    let far = Pod { path: String::new(), netns: lab.netns("far"), addresses };
    let runtime = Runtime::new(&lab);
    let (server, near, stranger) = (runtime.pod("server"), runtime.pod("near"), runtime.pod("stranger"));
    let mut port = 1000;
    let mut traffic = Vec::new();
    for (client, address) in
        [&near, &far].iter().flat_map(|client| server.addresses.iter().map(move |a| (client, a)))
    {
        port += 1;
        let at = SocketAddr::new(*address, port);
        traffic.push(Traffic::tcp(&client.netns, &server.netns, at));
        traffic.push(Traffic::udp(&client.netns, &server.netns, at));
    }

    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        // Pods come and go all the time.
        let churn = scope.spawn(|| {
            let mut seen = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let name = format!("new{}", seen.len());
                let pod = runtime.pod(&name);
                let at = SocketAddr::new(server.addresses[seen.len() % 2], 1999);
                assert!(connects(&pod, at, true), "a pod that was just added does not reach {at}");
                runtime.call("DEL", &name, &pod.path).good();
                seen.push(pod);
            }
            seen
        });
        for (round, life) in LIVES.into_iter().enumerate() {
            std::thread::sleep(Duration::from_millis(life));
            runtime.kill();
            // Nobody is there to judge but the datapath.
            for address in &server.addresses {
                assert!(connects(&near, SocketAddr::new(*address, 1998), true), "round {round}: {address}");
                assert!(!connects(&near, SocketAddr::new(*address, 2000), false), "round {round}: {address}");
                assert!(
                    !connects(&stranger, SocketAddr::new(*address, 1998), false),
                    "round {round}: {address}"
                );
            }
            lab.announce(&policy(round + 1));
            runtime.start();
        }
        runtime.ready();
        done.store(true, Ordering::Relaxed);
        churn.join().unwrap()
    });
    traffic.into_iter().for_each(Traffic::finish);

    runtime.settles(&[&server, &near, &stranger]);
    for pods in seen.windows(2) {
        assert!(pods[0].addresses != pods[1].addresses, "not given again soon");
    }
    let last = runtime.pod("last");
    assert!(connects(&last, SocketAddr::new(server.addresses[0], 1999), true));
    runtime.settles(&[&server, &near, &stranger, &last]);
    for (name, pod) in [("server", &server), ("near", &near), ("last", &last)] {
        runtime.call("CHECK", name, &pod.path).good();
    }
}
