//! The machine's way to the API, which serves in the fabric's namespace: a port of its loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use netcore::Netns;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// After an error of the listening socket, which may repeat itself.
const PAUSE: Duration = Duration::from_millis(50);

/// Connections to a port of this machine's loopback that go on to an address of another namespace, until this is
/// dropped.
#[derive(Debug)]
pub(super) struct Forward {
    _task: JoinSet<()>,
}

impl Forward {
    /// Opens the port.
    ///
    /// # Errors
    /// When it is taken.
    pub(super) async fn start(port: u16, netns: Netns, to: SocketAddr) -> Result<Self> {
        let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        let listener = TcpListener::bind(at).await.with_context(|| format!("cannot listen on {at}"))?;
        let mut task = JoinSet::new();
        task.spawn(accept(listener, netns, to));
        Ok(Self { _task: task })
    }
}

async fn accept(listener: TcpListener, netns: Netns, to: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((client, _)) => match inside(&netns, to) {
                Ok(server) => {
                    connections.spawn(carry(client, server, to));
                }
                Err(error) => eprintln!("the way to the API: {error:#}"),
            },
            // For example no descriptors left: others may become free.
            Err(_) => sleep(PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

/// A socket belongs to the namespace that it was made in, whoever connects it.
fn inside(netns: &Netns, to: SocketAddr) -> Result<TcpSocket> {
    let make = || if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    netns.run_in(make)?.context("cannot make a socket")
}

async fn carry(mut client: TcpStream, server: TcpSocket, to: SocketAddr) {
    // A server that is not there closes the client's connection too: that is what it is to see.
    if let Ok(mut server) = server.connect(to).await {
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}
