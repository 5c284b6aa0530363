//! What a pod's ports answer.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use netcore::{Net, Netns, Route, RouteKind};
use netloom_lab::attempt::{Attempt, Outcome, Protocol, Reached};
use netloom_lab::daemon::{Answering, Responder};
use netloom_lab::pod::Port;

fn port(number: u16, protocol: &str) -> Port {
    Port { name: None, number, protocol: protocol.into() }
}

/// A namespace with a loopback, in which `shop/web` answers.
async fn answering() -> Option<(Netns, Responder)> {
    if !crate::can_make_namespaces() {
        return None;
    }
    let netns = Netns::anonymous().unwrap();
    let net = Net::in_netns(&netns).unwrap();
    net.set_up(net.link("lo").await.unwrap().index).await.unwrap();
    let mut nowhere = Route::to("192.0.2.1/32".parse().unwrap());
    nowhere = nowhere.kind(RouteKind::Unreachable);
    net.add_route(&nowhere).await.unwrap();
    let responder = Responder::start(
        &netns,
        &Answering {
            name: "shop/web".into(),
            addresses: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            ports: vec![port(80, "TCP"), port(53, "UDP"), port(9, "SCTP")],
        },
    );
    Some((netns, responder.unwrap()))
}

async fn attempt(from: &Netns, to: &str, protocol: Protocol) -> Reached {
    let attempt = Attempt {
        from: from.clone(),
        source: None,
        to: to.parse().unwrap(),
        protocol,
        timeout: Duration::from_millis(600),
    };
    tokio::task::spawn_blocking(move || attempt.run()).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_itself_on_every_protocol_and_family() {
    let Some((netns, responder)) = answering().await else { return };
    assert_eq!(responder.problems(), [] as [String; 0]);
    for (to, protocol) in [
        ("127.0.0.1:80", Protocol::Tcp),
        ("[::1]:80", Protocol::Tcp),
        ("127.0.0.1:53", Protocol::Udp),
        ("[::1]:53", Protocol::Udp),
    ] {
        let reached = attempt(&netns, to, protocol).await;
        assert_eq!(reached.outcome, Outcome::Connected, "{to} {reached:?}");
        assert_eq!(reached.answer.as_deref(), Some("shop/web"), "{to}");
        assert_ne!(reached.local.port(), 0);
    }
    drop(responder);
    // Tasks end at their next turn.
    let start = Instant::now();
    while attempt(&netns, "127.0.0.1:80", Protocol::Tcp).await.outcome != Outcome::Refused {
        assert!(start.elapsed() < Duration::from_secs(5), "still answers");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_are_told_apart() {
    let Some((netns, _responder)) = answering().await else { return };
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        assert_eq!(attempt(&netns, "127.0.0.1:81", protocol).await.outcome, Outcome::Refused, "{protocol}");
        assert_eq!(
            attempt(&netns, "192.0.2.1:81", protocol).await.outcome,
            Outcome::Unreachable,
            "{protocol}"
        );
    }
    // Somebody is there, and never says a word.
    let silent = netns.run_in(|| std::net::UdpSocket::bind("127.0.0.1:70")).unwrap().unwrap();
    assert_eq!(attempt(&netns, "127.0.0.1:70", Protocol::Udp).await.outcome, Outcome::Timeout);
    drop(silent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speaks_http_to_those_who_do() {
    let Some((netns, _responder)) = answering().await else { return };
    let fetch = move || {
        let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, 80))).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = tokio::task::spawn_blocking(move || netns.run_in(fetch).unwrap()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nshop/web\n"), "{answer}");
}
