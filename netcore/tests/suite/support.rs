//! What tests with real namespaces share.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use netcore::{Link, MacAddr, Net, Netns, VethEnd};

/// No test takes longer.
const LIMIT: Duration = Duration::from_secs(30);

/// Whether namespaces can be made here; says so if not.
pub(crate) fn can_run() -> bool {
    match Netns::anonymous() {
        Ok(_) => true,
        Err(error) => {
            eprintln!("skipped: {error}");
            false
        }
    }
}

/// Runs a test that needs namespaces, for a bounded time.
pub(crate) fn run<F: Future<Output = ()>>(test: F) {
    if !can_run() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, test).await.expect("the test takes too long") });
}

/// A name that no other test has, whose namespace is removed with it.
pub(crate) struct TestName(pub(crate) String);

impl TestName {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        Self(format!("nlt-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
    }
}

impl Drop for TestName {
    fn drop(&mut self) {
        let _ = Netns::delete(&self.0);
    }
}

pub(crate) fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A UDP socket in a namespace, with a second's patience.
pub(crate) fn udp(netns: &Netns, address: IpAddr) -> UdpSocket {
    let socket = netns.run_in(|| UdpSocket::bind(SocketAddr::new(address, 0))).unwrap().unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    socket
}

/// Sends a datagram each way and tells the source address that the far end saw.
pub(crate) fn exchange(from: &UdpSocket, to: &UdpSocket) -> io::Result<SocketAddr> {
    let mut buffer = [0; 16];
    from.send_to(b"ping", to.local_addr()?)?;
    let (length, source) = to.recv_from(&mut buffer)?;
    assert_eq!(&buffer[..length], b"ping");
    to.send_to(b"pong", source)?;
    let (length, _) = from.recv_from(&mut buffer)?;
    assert_eq!(&buffer[..length], b"pong");
    Ok(source)
}

/// A veth pair with both ends in one namespace and up; its first end.
pub(crate) async fn pair(net: &Net, name: &str) -> Link {
    let peer = format!("{name}-peer");
    net.create_veth(&VethEnd::named(name).up(), &VethEnd::named(&peer).up(), 1500).await.unwrap()
}
