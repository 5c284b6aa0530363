//! Packets that are not plain: fragments, large transfers, errors, other sources.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use lab::place::Family;
use netcore::Netns;

use crate::support::{FAMILIES, Lab, PATIENCE, eventually, has};

/// Two pods on one node and one on another, all of them under policy in both directions.
const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: near}
spec: {nodeName: node1, containers: [{name: c, image: x}]}
---
apiVersion: v1
kind: Pod
metadata: {name: far}
spec: {nodeName: node2, containers: [{name: c, image: x}]}
---
apiVersion: v1
kind: Pod
metadata: {name: server}
spec: {nodeName: node1, containers: [{name: c, image: x}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {}}]}]
  egress: [{to: [{podSelector: {}}]}, {to: [{ipBlock: {cidr: 198.51.100.0/24}}, {ipBlock: {cidr: '2001:db8::/32'}}]}]
";

fn any(of: IpAddr) -> SocketAddr {
    SocketAddr::new(if of.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() }, 0)
}

fn udp(netns: &Netns, at: SocketAddr) -> UdpSocket {
    let socket = netns.run_in(|| UdpSocket::bind(at)).unwrap().unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    socket
}

/// Sends datagrams of this length there and back; says whether they came whole.
fn fragments_pass(from: &Netns, to: &Netns, at: SocketAddr, length: usize) -> bool {
    let (client, server) = (udp(from, any(at.ip())), udp(to, at));
    let message: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
    let mut said = vec![0; 65536];
    let mut exchange = || {
        client.send_to(&message, at).ok()?;
        let (there, from) = server.recv_from(&mut said).ok()?;
        server.send_to(&said[..there], from).ok()?;
        let back = client.recv(&mut said).ok()?;
        (said[..back] == message).then_some(())
    };
    (0..3).any(|_| exchange().is_some())
}

/// Sends this much over TCP, and waits until the other end has all of it.
fn transfer(from: &Netns, to: &Netns, at: SocketAddr, length: usize) -> std::io::Result<SocketAddr> {
    let listener = to.run_in(|| TcpListener::bind(at)).unwrap()?;
    let reader = std::thread::spawn(move || {
        let (mut client, peer) = listener.accept()?;
        client.set_read_timeout(Some(PATIENCE))?;
        let (mut room, mut read) = (vec![0; 1 << 16], 0);
        while read < length {
            match client.read(&mut room)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                more => read += more,
            }
        }
        client.write_all(b"!")?;
        Ok(peer)
    });
    let mut client = from.run_in(|| TcpStream::connect_timeout(&at, PATIENCE)).unwrap()?;
    client.set_write_timeout(Some(PATIENCE))?;
    client.set_read_timeout(Some(PATIENCE))?;
    let block = vec![7; 1 << 16];
    let mut left = length;
    while left > 0 {
        left -= client.write(&block[..left.min(block.len())])?;
    }
    client.read_exact(&mut [0])?;
    reader.join().unwrap()
}

#[test]
fn fragments_transfers_and_errors() {
    let Some(lab) = Lab::up("packets", 2, PODS) else { return };
    let server = lab.netns("server");
    for (from, family) in ["near", "far"].iter().flat_map(|from| FAMILIES.map(|family| (from, family))) {
        let what = format!("{from} to server, {family}");
        let (client, address) = (lab.netns(from), lab.address("server", family));
        for length in [1472, 1473, 4000, 30000] {
            let at = SocketAddr::new(address, 4000);
            assert!(fragments_pass(&client, &server, at, length), "{what}: {length} bytes");
        }
        let peer = transfer(&client, &server, SocketAddr::new(address, 4000), 32 << 20).unwrap();
        assert_eq!(peer.ip(), lab.address(from, family), "{what}");

        // Nobody listens: the error belongs to the datagram, and comes through the sender's policy.
        let socket = udp(&client, any(address));
        socket.connect(SocketAddr::new(address, 9)).unwrap();
        socket.send(b"?").unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionRefused, "{what}");
    }
}

#[test]
fn the_way_is_told_by_errors() {
    if !has("ping") {
        return;
    }
    let Some(lab) = Lab::up("hops", 2, PODS) else { return };
    for (to, family) in ["server", "far"].iter().flat_map(|to| FAMILIES.map(|family| (to, family))) {
        let address = lab.address(to, family);
        // The pod's node is the first hop, also to a pod that packets reach without the node's stack.
        let (_, said) = lab.exec("near", &format!("ping -n -c 1 -W 2 -t 1 {address}"));
        let hop = lab.address("node/node1", family).to_string();
        assert!(said.contains(&hop) && said.contains("exceeded"), "{to}, {family}: {said}");
        let (good, said) = lab.exec("near", &format!("ping -n -c 1 -W 2 -s 4000 {address}"));
        assert!(good, "{to}, {family}: {said}");
    }
}

#[test]
fn the_world_sees_the_node_and_the_path_may_be_narrow() {
    if !has("ip") {
        return;
    }
    let Some(lab) = Lab::up("narrow", 2, PODS) else { return };
    let world = lab.netns("world");
    for (from, node) in [("near", "node/node1"), ("far", "node/node2")] {
        for family in FAMILIES {
            let at = SocketAddr::new(lab.address("world", family), 4000);
            let peer = transfer(&lab.netns(from), &world, at, 1 << 20).unwrap();
            assert_eq!(peer.ip(), lab.address(node, family), "{from}, {family}");
            let (client, server) = (udp(&lab.netns(from), any(at.ip())), udp(&world, at));
            eventually("a datagram arrives", || {
                client.send_to(b"?", at).unwrap();
                let (_, peer) = server.recv_from(&mut [0; 8]).ok()?;
                assert_eq!(peer.ip(), lab.address(node, family), "{from}, {family}");
                server.send_to(b"!", peer).unwrap();
                client.recv(&mut [0; 8]).ok()
            });
        }
    }

    // Somebody behind a link that takes less than the nodes' does.
    let (name, narrow) = lab::namespaces::create(&lab.name.parse().unwrap(), "narrow").unwrap();
    let fabric = lab.state().fabric;
    for line in [
        format!("-n {fabric} link add narrow mtu 1300 type veth peer name eth0 netns {name}"),
        format!("-n {fabric} link set narrow up"),
        format!("-n {fabric} addr add 198.51.100.129/25 dev narrow"),
        format!("-n {fabric} addr add 2001:db8:129::1/64 dev narrow nodad"),
        format!("-n {name} link set eth0 mtu 1300 up"),
        format!("-n {name} addr add 198.51.100.130/25 dev eth0"),
        format!("-n {name} addr add 2001:db8:129::2/64 dev eth0 nodad"),
        format!("-n {name} route add default via 198.51.100.129"),
        format!("-n {name} route add default via 2001:db8:129::1"),
    ] {
        assert!(Command::new("ip").args(line.split(' ')).status().unwrap().success(), "ip {line}");
    }
    for (from, family) in ["near", "far"].iter().flat_map(|from| FAMILIES.map(|family| (from, family))) {
        let address: IpAddr = match family {
            Family::V4 => "198.51.100.130".parse().unwrap(),
            Family::V6 => "2001:db8:129::2".parse().unwrap(),
        };
        // Stands still unless "too big" finds its way back through the node's masquerade and the pod's policy.
        let sent = transfer(&lab.netns(from), &narrow, SocketAddr::new(address, 4000), 1 << 20);
        assert!(sent.is_ok(), "{from}, {family}: {sent:?}");
    }
}
