//! Answers for a pod on every port that it declares, with its own name.
//!
//! Over TCP and SCTP the name and a line break, or that as the body of an HTTP response where the client
//! begins with an HTTP request; over UDP one datagram for each. What the client says is not looked at
//! otherwise.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use netcore::Netns;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, listen, setsockopt,
    socket, sockopt,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::pod::Port;

/// How long a client may take to say that it speaks HTTP.
const HTTP: Duration = Duration::from_millis(50);
/// How long a client may keep a connection after it was answered.
const LINGER: Duration = Duration::from_secs(10);
/// After an error of a socket that may repeat itself.
const PAUSE: Duration = Duration::from_millis(50);

/// Who answers where.
#[derive(Clone, Debug)]
pub struct Answering {
    /// The answer.
    pub name: String,
    /// On these addresses.
    pub addresses: Vec<IpAddr>,
    /// On these ports.
    pub ports: Vec<Port>,
}

/// Sockets in a network namespace that answer until this is dropped.
#[derive(Debug)]
pub struct Responder {
    _tasks: JoinSet<()>,
    problems: Vec<String>,
}

enum Socket {
    Stream(std::net::TcpListener),
    Datagram(std::net::UdpSocket),
}

impl Responder {
    /// Opens the sockets inside the namespace and answers on the calling runtime. A port that cannot be
    /// opened is a [problem](Self::problems), and one of SCTP where the kernel has none is passed over.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn start(netns: &Netns, answering: &Answering) -> Result<Self> {
        let mut problems = Vec::new();
        let mut sockets = Vec::new();
        netns.run_in(|| {
            for port in &answering.ports {
                for address in &answering.addresses {
                    let at = SocketAddr::new(*address, port.number);
                    match open(&port.protocol, at) {
                        Ok(socket) => sockets.extend(socket),
                        Err(error) => {
                            problems.push(format!("cannot answer on {at}/{}: {error}", port.protocol));
                        }
                    }
                }
            }
        })?;
        let name: Arc<str> = format!("{}\n", answering.name).into();
        let mut tasks = JoinSet::new();
        for socket in sockets {
            let name = Arc::clone(&name);
            match socket {
                Socket::Stream(listener) => {
                    tasks.spawn(accept(TcpListener::from_std(listener)?, name));
                }
                Socket::Datagram(socket) => {
                    tasks.spawn(echo(UdpSocket::from_std(socket)?, name));
                }
            }
        }
        Ok(Self { _tasks: tasks, problems })
    }

    /// The ports that could not be opened, and why.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

fn open(protocol: &str, at: SocketAddr) -> io::Result<Option<Socket>> {
    match protocol {
        "TCP" => {
            let listener = std::net::TcpListener::bind(at)?;
            listener.set_nonblocking(true)?;
            Ok(Some(Socket::Stream(listener)))
        }
        "UDP" => {
            let socket = std::net::UdpSocket::bind(at)?;
            socket.set_nonblocking(true)?;
            Ok(Some(Socket::Datagram(socket)))
        }
        "SCTP" => sctp(at).map(|socket| socket.map(Socket::Stream)),
        other => Err(io::Error::other(format!("unknown protocol {other}"))),
    }
}

/// An SCTP socket in the style of TCP, which accepts and reads like one. None where the kernel has no SCTP.
fn sctp(at: SocketAddr) -> io::Result<Option<std::net::TcpListener>> {
    let family = if at.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let Ok(socket): Result<OwnedFd, _> = socket(family, SockType::Stream, flags, SockProtocol::Sctp) else {
        return Ok(None);
    };
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &SockaddrStorage::from(at))?;
    listen(&socket, Backlog::MAXCONN)?;
    Ok(Some(socket.into()))
}

async fn accept(listener: TcpListener, name: Arc<str>) {
    let mut clients = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                clients.spawn(answer(client, Arc::clone(&name)));
            }
            // For example no descriptors left: others may become free.
            Err(_) => sleep(PAUSE).await,
        }
        while clients.try_join_next().is_some() {}
    }
}

async fn answer(mut client: TcpStream, name: Arc<str>) {
    let mut said = [0; 1024];
    let length = match timeout(HTTP, client.read(&mut said)).await {
        Ok(Ok(length)) => length,
        _ => 0,
    };
    let http =
        [&b"GET "[..], b"HEAD ", b"POST ", b"PUT "].iter().any(|verb| said[..length].starts_with(verb));
    let answer = if http {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{name}",
            name.len()
        )
    } else {
        name.to_string()
    };
    let finish = async {
        client.write_all(answer.as_bytes()).await?;
        client.shutdown().await?;
        // Closed with something unread, the connection would be reset and the answer perhaps lost.
        while client.read(&mut said).await? > 0 {}
        io::Result::Ok(())
    };
    // A client that goes away before its answer is not our concern.
    let _ = timeout(LINGER, finish).await;
}

async fn echo(socket: UdpSocket, name: Arc<str>) {
    let mut said = [0; 2048];
    loop {
        match socket.recv_from(&mut said).await {
            // A client that has closed its socket does not want the answer.
            Ok((_, client)) => drop(socket.send_to(name.as_bytes(), client).await),
            Err(_) => sleep(PAUSE).await,
        }
    }
}
