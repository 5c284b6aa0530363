//! A node with two pods, and real packets between them: what policy allows arrives, what it denies does not,
//! and a change of mind cuts what was established.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use abi::{
    Addr, AddressRecord, CellAction, CidrKey, CidrRecord, CidrSet, CounterKey, Direction, DropReason,
    EndpointId, Identity, IfIndex, Peer, PeerClass, PolicySlot, PortClass, proto,
};
use anyhow::{Context, Result, bail, ensure};
use datapath::{CompiledPolicy, Datapath, Options};
use ipnetwork::IpNetwork;
use netcore::pod::Wiring;
use netcore::{Address, MacAddr, Net, Netns};

use crate::checks::Outcome;

/// How long to wait for what should arrive. Emulated machines are slow.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait for what should not.
const SILENCE: Duration = Duration::from_secs(2);

const OPEN: u16 = 8080;
const CLOSED: u16 = 8081;

/// Both families, with the programs attached as this kernel has it.
pub(crate) fn policy() -> Result<Outcome> {
    let node = Netns::anonymous()?;
    node.run_in(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("starting a runtime")?;
        for v4 in [true, false] {
            runtime.block_on(check(v4)).with_context(|| if v4 { "over IPv4" } else { "over IPv6" })?;
        }
        Ok(Outcome::Passed)
    })?
}

struct Pod {
    netns: Netns,
    address: IpAddr,
    link: IfIndex,
    identity: Identity,
}

async fn check(v4: bool) -> Result<()> {
    let addresses: [IpAddr; 3] = if v4 {
        [[10, 9, 0, 1].into(), [10, 9, 0, 2].into(), [10, 9, 1, 1].into()]
    } else {
        [
            [0xfd09, 0, 0, 0, 0, 0, 0, 1].into(),
            [0xfd09, 0, 0, 0, 0, 0, 0, 2].into(),
            [0xfd09, 0, 0, 1, 0, 0, 0, 1].into(),
        ]
    };
    let [client, server, own] = addresses;
    let net = Net::current()?;
    net.set_up(netcore::IfIndex::LOOPBACK).await?;
    net.add_address(&Address::new(netcore::IfIndex::LOOPBACK, IpNetwork::from(own))).await?;
    let mut datapath = Datapath::load(&Options::default())?;
    let client = connect(&net, &mut datapath, client, own, 1).await?;
    let server = connect(&net, &mut datapath, server, own, 2).await?;
    let host = Peer { identity: Identity::HOST, cidrs: CidrSet::EMPTY };
    datapath.addresses.set(own.into(), AddressRecord { peer: host, ..AddressRecord::default() })?;
    let world = Peer { identity: Identity::WORLD, cidrs: CidrSet::EMPTY };
    datapath.cidrs.set(CidrKey { prefix_len: 0, addr: Addr::UNSPECIFIED }, CidrRecord { peer: world })?;

    // The client may open the one port, and nobody any other.
    let (slot, _) = datapath.policies.install(&allow(client.identity, OPEN))?;
    set_ingress(&mut datapath, &server, slot)?;
    let [open, closed] = [listen(&server, OPEN)?, listen(&server, CLOSED)?];

    let mut established = dial(&client.netns, &server, OPEN, PATIENCE).context("the allowed connection")?;
    let (mut accepted, _) = open.accept().context("accepting the allowed connection")?;
    accepted.set_read_timeout(Some(PATIENCE))?;
    exchange(&mut established, &mut accepted).context("talking over the allowed connection")?;
    // TCP keeps data outside the linear part, where only the common headers may be looked for.
    with_options(&established, v4).context("asking for options between the headers")?;
    exchange(&mut established, &mut accepted).context("talking with options between the headers")?;

    refused(&client.netns, &server, CLOSED).context("the denied connection")?;
    let drops = datapath.counters.get(CounterKey::Dropped(DropReason::PolicyDenied, Direction::Ingress))?;
    ensure!(drops.packets > 0, "the denied connection was not counted");

    // The node itself reaches its pods whatever policy says.
    let here = Netns::current()?;
    dial(&here, &server, CLOSED, PATIENCE).context("the node's own connection")?;
    closed.accept().context("accepting the node's own connection")?;

    // Another policy, which knows nobody: what was established goes silent at the next packet.
    let (shut, _) = datapath.policies.install(&allow(Identity(9_999), OPEN))?;
    set_ingress(&mut datapath, &server, shut)?;
    established.write_all(b"still there?")?;
    accepted.set_read_timeout(Some(SILENCE))?;
    let heard = accepted.read(&mut [0; 16]);
    ensure!(
        heard
            .as_ref()
            .is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)),
        "after its policy was revoked the connection still carried {heard:?}"
    );
    Ok(())
}

/// Wires a pod, and makes it part of the datapath; nothing is denied to it yet.
async fn connect(
    net: &Net,
    datapath: &mut Datapath,
    address: IpAddr,
    own: IpAddr,
    number: u8,
) -> Result<Pod> {
    let netns = Netns::anonymous()?;
    let mac = MacAddr([0x0a, 0x6c, 0, 0, u8::from(address.is_ipv4()), number]);
    let wiring = Wiring {
        host_interface: format!("pod{number}-{}", if address.is_ipv4() { 4 } else { 6 }),
        pod_interface: "eth0".into(),
        pod_mac: mac,
        gateway_mac: MacAddr(abi::Config::GATEWAY_MAC),
        addresses: vec![address],
        mtu: 1500,
        node_addresses: vec![own],
    };
    let wired = wiring.wire(net, &netns).await?;
    let (link, identity) = (IfIndex(wired.host.index.0), Identity(300 + u32::from(number)));
    let peer = Peer { identity, cidrs: CidrSet::EMPTY };
    let (v4, v6) = if address.is_ipv4() {
        (address.into(), Addr::UNSPECIFIED)
    } else {
        (Addr::UNSPECIFIED, address.into())
    };
    datapath.endpoints.set(
        link,
        abi::Endpoint {
            v4,
            v6,
            identity,
            ingress: PolicySlot::ALLOW_ALL,
            egress: PolicySlot::ALLOW_ALL,
            ifindex: link,
            id: EndpointId(number.into()),
            macs: abi::Endpoint::macs_to(mac.0),
            ..abi::Endpoint::default()
        },
    )?;
    datapath.addresses.set(address.into(), AddressRecord { peer, local: link, forward: IfIndex(0) })?;
    datapath.attach_pod(&wired.host.name)?;
    Ok(Pod { netns, address, link, identity })
}

/// The policy that lets one peer open one TCP port.
fn allow(identity: Identity, port: u16) -> CompiledPolicy {
    let allowed = abi::Cell { action: CellAction::Allow as u8, ..abi::Cell::default() };
    let none = abi::Cell::default();
    CompiledPolicy {
        peers: [(Peer { identity, cidrs: CidrSet::EMPTY }, PeerClass(1))].into(),
        ports: [((proto::TCP, port), PortClass(1))].into(),
        cells: vec![none, none, none, allowed],
        stride: 2,
        ..CompiledPolicy::default()
    }
}

fn set_ingress(datapath: &mut Datapath, pod: &Pod, slot: PolicySlot) -> Result<()> {
    let record = datapath.endpoints.get(&pod.link).context("the pod is not in the datapath")?;
    datapath.endpoints.set(pod.link, abi::Endpoint { ingress: slot, ..record })?;
    Ok(())
}

fn listen(pod: &Pod, port: u16) -> Result<TcpListener> {
    let address = SocketAddr::new(pod.address, port);
    pod.netns.run_in(|| TcpListener::bind(address))?.with_context(|| format!("listening on {address}"))
}

fn dial(from: &Netns, to: &Pod, port: u16, patience: Duration) -> Result<TcpStream> {
    let address = SocketAddr::new(to.address, port);
    from.run_in(|| TcpStream::connect_timeout(&address, patience))?
        .with_context(|| format!("connecting to {address}"))
}

fn refused(from: &Netns, to: &Pod, port: u16) -> Result<()> {
    let address = SocketAddr::new(to.address, port);
    match from.run_in(|| TcpStream::connect_timeout(&address, SILENCE))? {
        Ok(_) => bail!("{address} was reached"),
        Err(error) if error.kind() == ErrorKind::TimedOut => Ok(()),
        Err(error) => Err(error).with_context(|| format!("connecting to {address} did not just time out")),
    }
}

fn exchange(one: &mut TcpStream, other: &mut TcpStream) -> Result<()> {
    one.set_read_timeout(Some(PATIENCE))?;
    say(one, other)?;
    say(other, one)
}

/// Has a socket send options between the network header and TCP's, which mean nothing: four no-operations, or padding
/// for the destination.
#[expect(unsafe_code, reason = "libraries do not know these options of sockets")]
fn with_options(socket: &TcpStream, v4: bool) -> Result<()> {
    const NO_OPERATIONS: [u8; 4] = [1; 4];
    // Next header, which the kernel fills in; no further eight bytes; PadN of four.
    const PADDING: [u8; 8] = [0, 0, 1, 4, 0, 0, 0, 0];
    let (level, name, value) = if v4 {
        (libc::IPPROTO_IP, libc::IP_OPTIONS, NO_OPERATIONS.as_slice())
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_DSTOPTS, PADDING.as_slice())
    };
    let length = libc::socklen_t::try_from(value.len())?;
    // SAFETY: `value` is readable for `length` bytes, and the descriptor is open.
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), length) };
    nix::errno::Errno::result(set).map(drop).context("setsockopt")
}

fn say(from: &mut TcpStream, to: &mut TcpStream) -> Result<()> {
    from.write_all(b"hello")?;
    let mut heard = [0; 5];
    to.read_exact(&mut heard)?;
    ensure!(&heard == b"hello", "heard {heard:?}");
    Ok(())
}
