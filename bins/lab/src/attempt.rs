//! One attempt to reach a port, made from inside a network namespace.

use std::fmt;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use netcore::Netns;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, getsockopt, socket, sockopt,
};
use serde::{Serialize, Serializer};

/// A transport protocol that ports belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_uppercase().as_str() {
            "TCP" => Ok(Self::Tcp),
            "UDP" => Ok(Self::Udp),
            "SCTP" => Ok(Self::Sctp),
            _ => Err(format!("{text:?} is none of TCP, UDP and SCTP")),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

impl Serialize for Protocol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The other end answered: over TCP and SCTP it accepted, over UDP it sent a datagram.
    Connected,
    /// Nothing came back.
    Timeout,
    /// The other end has nobody on this port.
    Refused,
    /// The network says that it cannot be reached.
    Unreachable,
    /// Something else: see the message.
    Error,
}

/// What to try.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// From inside this namespace.
    pub from: Netns,
    /// With this source address, where it matters.
    pub source: Option<IpAddr>,
    /// Whom to reach.
    pub to: SocketAddr,
    /// By which protocol.
    pub protocol: Protocol,
    /// How long to try.
    pub timeout: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Reached {
    /// How it ended.
    pub outcome: Outcome,
    /// What the other end said.
    pub answer: Option<String>,
    /// Why it ended so, where that is no common outcome.
    pub message: Option<String>,
    /// Our end; the port is zero where it never had one.
    pub local: SocketAddr,
    /// When it began, nanoseconds since 1970.
    pub began_ns: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl Attempt {
    /// Tries, on a thread of its own in the namespace.
    ///
    /// # Errors
    /// When the namespace cannot be entered. What happens inside is the outcome.
    pub fn run(&self) -> Result<Reached> {
        Ok(self.from.run_in(|| self.run_here())?)
    }

    fn run_here(&self) -> Reached {
        let began_ns = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let start = Instant::now();
        let unbound: IpAddr = if self.to.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
        let mut local = SocketAddr::new(self.source.unwrap_or(unbound), 0);
        let tried = match self.protocol {
            Protocol::Udp => self.datagram(&mut local),
            Protocol::Tcp => self.stream(SockProtocol::Tcp, &mut local, start),
            Protocol::Sctp => self.stream(SockProtocol::Sctp, &mut local, start),
        };
        let (outcome, answer, message) = match tried {
            Ok(answer) => (Outcome::Connected, answer, None),
            Err(error) => match classify(&error) {
                Outcome::Error => (Outcome::Error, None, Some(error.to_string())),
                outcome => (outcome, None, None),
            },
        };
        let began_ns = began_ns.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        Reached { outcome, answer, message, local, began_ns, elapsed: start.elapsed() }
    }

    /// Connects and reads the answer, if one comes in time.
    fn stream(
        &self,
        protocol: SockProtocol,
        local: &mut SocketAddr,
        start: Instant,
    ) -> io::Result<Option<String>> {
        let family = if self.to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd: OwnedFd = socket(family, SockType::Stream, flags, protocol)?;
        // Bound before it connects, so that the port is known even if nobody answers.
        nix::sys::socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(*local))?;
        let to = SockaddrStorage::from(self.to);
        let connecting = connect(fd.as_raw_fd(), &to);
        let mut stream = TcpStream::from(fd);
        *local = stream.local_addr()?;
        match connecting {
            Ok(()) => {}
            Err(Errno::EINPROGRESS) => self.await_connection(&stream)?,
            Err(errno) => return Err(errno.into()),
        }
        stream.set_nonblocking(false)?;
        let left = self.timeout.saturating_sub(start.elapsed()).max(Duration::from_millis(100));
        stream.set_read_timeout(Some(left))?;
        let mut said = [0; 1024];
        match stream.read(&mut said) {
            Ok(length) if length > 0 => Ok(Some(text(&said[..length]))),
            // It is reached, whatever it says.
            _ => Ok(None),
        }
    }

    fn await_connection(&self, stream: &TcpStream) -> io::Result<()> {
        let mut waiting = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
        let timeout = PollTimeout::try_from(self.timeout).unwrap_or(PollTimeout::MAX);
        if poll(&mut waiting, timeout)? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match getsockopt(&stream.as_fd(), sockopt::SocketError)? {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    /// Sends a datagram and waits for one. Only the first, which may be waiting for a neighbour's address, is
    /// sent again.
    fn datagram(&self, local: &mut SocketAddr) -> io::Result<Option<String>> {
        let socket = UdpSocket::bind(*local)?;
        socket.connect(self.to)?;
        *local = socket.local_addr()?;
        let half = (self.timeout / 2).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(half))?;
        let mut said = [0; 1024];
        for _ in 0..2 {
            socket.send(b"?")?;
            match socket.recv(&mut said) {
                Err(error) if classify(&error) == Outcome::Timeout => {}
                received => return received.map(|length| Some(text(&said[..length]))),
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

fn classify(error: &io::Error) -> Outcome {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Outcome::Timeout,
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Outcome::Refused,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Outcome::Unreachable,
        _ => Outcome::Error,
    }
}

/// The first line of what was said.
fn text(said: &[u8]) -> String {
    String::from_utf8_lossy(said).lines().next().unwrap_or_default().to_owned()
}
