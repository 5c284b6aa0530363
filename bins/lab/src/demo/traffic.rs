//! Traffic between two pods that notices every loss.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use netcore::Netns;
use serde::Serialize;

/// Between two messages.
const INTERVAL: Duration = Duration::from_millis(2);
/// A datagram that is not answered by then is lost.
const LOST: Duration = Duration::from_millis(500);
/// A connection that stands still for so long is broken.
const BROKEN: Duration = Duration::from_secs(5);

/// What became of a stream of messages.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tally {
    /// Messages sent.
    pub(super) sent: u64,
    /// Messages answered.
    pub(super) answered: u64,
    /// The longest time between two answers, in milliseconds.
    pub(super) longest_gap_ms: u64,
    /// Why it ended early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

impl Tally {
    /// Whether every message was answered.
    pub(super) fn is_whole(&self) -> bool {
        self.error.is_none() && self.sent > 0 && self.sent == self.answered
    }

    fn answer(&mut self, last: &mut Instant) {
        self.answered += 1;
        let gap = u64::try_from(last.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.longest_gap_ms = self.longest_gap_ms.max(gap);
        *last = Instant::now();
    }
}

/// A stream of messages, under way until it is stopped.
pub(super) struct Traffic {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Tally>,
}

impl Traffic {
    /// One TCP connection from `from` to a server of its own in `to`, on this address.
    pub(super) fn tcp(from: &Netns, to: &Netns, at: SocketAddr) -> Result<Self> {
        let listener =
            to.run_in(|| TcpListener::bind(at))?.context("cannot listen for the demo's traffic")?;
        let server = std::thread::Builder::new().name("echo".into());
        server.spawn(move || echo(&listener)).context("cannot start a thread")?;
        let client = from.run_in(|| TcpStream::connect_timeout(&at, BROKEN))?;
        let client = client.with_context(|| format!("cannot connect to {at}"))?;
        client.set_nodelay(true)?;
        client.set_read_timeout(Some(BROKEN))?;
        Self::start(move |stop| stream(client, stop))
    }

    /// Datagrams from `from` to whoever answers on this address.
    pub(super) fn udp(from: &Netns, at: SocketAddr) -> Result<Self> {
        let unbound: IpAddr = if at.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
        let socket = from.run_in(|| UdpSocket::bind((unbound, 0)))?.context("cannot open a socket")?;
        socket.connect(at).with_context(|| format!("cannot reach {at}"))?;
        socket.set_read_timeout(Some(LOST))?;
        Self::start(move |stop| datagrams(&socket, stop))
    }

    fn start(body: impl FnOnce(&AtomicBool) -> Tally + Send + 'static) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("traffic".into()).spawn(move || body(&watched));
        Ok(Self { stop, thread: thread.context("cannot start a thread")? })
    }

    /// Ends the traffic and says what became of it.
    pub(super) fn finish(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn echo(listener: &TcpListener) {
    let Ok((mut client, _)) = listener.accept() else { return };
    let mut said = [0; 8];
    // The client notices when this ends before it does.
    while client.read_exact(&mut said).and_then(|()| client.write_all(&said)).is_ok() {}
}

fn stream(mut client: TcpStream, stop: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    let mut last = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let message = tally.sent.to_be_bytes();
        let mut answer = [0; 8];
        tally.sent += 1;
        if let Err(error) = client.write_all(&message).and_then(|()| client.read_exact(&mut answer)) {
            tally.error = Some(error.to_string());
            break;
        }
        if answer != message {
            tally.error = Some(format!("message {} came back as another", tally.sent));
            break;
        }
        tally.answer(&mut last);
        sleep(INTERVAL);
    }
    tally
}

fn datagrams(socket: &UdpSocket, stop: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    let mut last = Instant::now();
    let mut answer = [0; 256];
    while !stop.load(Ordering::Relaxed) {
        tally.sent += 1;
        match socket.send(b"?").and_then(|_| socket.recv(&mut answer)) {
            Ok(_) => tally.answer(&mut last),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => {
                tally.error = Some(error.to_string());
                break;
            }
        }
        sleep(INTERVAL);
    }
    tally
}
