//! Traffic between two places that notices every loss.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use lab::attempt::{Attempt, Outcome, Protocol};
use netcore::Netns;

use crate::support::{PATIENCE, eventually};

/// Between two messages.
const INTERVAL: Duration = Duration::from_millis(2);
/// A datagram that is not answered by then is lost.
const LOST: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    sent: AtomicU64,
    answered: AtomicU64,
}

/// A stream of messages, each answered by the other side, until it is finished.
pub(crate) struct Traffic {
    what: String,
    shared: Arc<Shared>,
    thread: JoinHandle<Result<(), String>>,
}

impl Traffic {
    /// One TCP connection to a server of its own.
    pub(crate) fn tcp(from: &Netns, to: &Netns, at: SocketAddr) -> Self {
        let listener = to.run_in(|| TcpListener::bind(at)).unwrap().unwrap();
        spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut said = [0; 8];
            while client.read_exact(&mut said).and_then(|()| client.write_all(&said)).is_ok() {}
        });
        let mut client = from.run_in(|| TcpStream::connect_timeout(&at, PATIENCE)).unwrap().unwrap();
        client.set_nodelay(true).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        Self::start(format!("TCP to {at}"), move |number| {
            let (message, mut answer) = (number.to_be_bytes(), [0; 8]);
            client.write_all(&message).and_then(|()| client.read_exact(&mut answer))?;
            assert_eq!(message, answer, "another message comes back");
            Ok(true)
        })
    }

    /// Datagrams to a server of its own, from one socket.
    pub(crate) fn udp(from: &Netns, to: &Netns, at: SocketAddr) -> Self {
        let server = to.run_in(|| UdpSocket::bind(at)).unwrap().unwrap();
        let any = if at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let client = from.run_in(|| UdpSocket::bind(any)).unwrap().unwrap();
        client.set_read_timeout(Some(LOST)).unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        spawn(move || {
            let mut said = [0; 8];
            while let Ok((length, client)) = server.recv_from(&mut said) {
                // One that is gone does not want the answer.
                let _ = server.send_to(&said[..length], client);
            }
        });
        Self::start(format!("UDP to {at}"), move |number| {
            client.send_to(&number.to_be_bytes(), at)?;
            let mut answer = [0; 8];
            loop {
                match client.recv(&mut answer) {
                    Ok(_) if u64::from_be_bytes(answer) == number => return Ok(true),
                    // Of one that was given up.
                    Ok(_) => {}
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                        return Ok(false);
                    }
                    Err(error) => return Err(error),
                }
            }
        })
    }

    fn start(what: String, mut exchange: impl FnMut(u64) -> std::io::Result<bool> + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let inside = Arc::clone(&shared);
        let thread = spawn(move || {
            while !inside.stop.load(Ordering::Relaxed) {
                let number = inside.sent.fetch_add(1, Ordering::Relaxed);
                match exchange(number) {
                    Ok(true) => drop(inside.answered.fetch_add(1, Ordering::Relaxed)),
                    Ok(false) => {}
                    Err(error) => return Err(format!("after {number} messages: {error}")),
                }
                sleep(INTERVAL);
            }
            Ok(())
        });
        Self { what, shared, thread }
    }

    fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Waits until messages are answered (again).
    pub(crate) fn flows(&self) {
        let before = self.answered();
        eventually(&format!("{} flows", self.what), || (self.answered() > before + 3).then_some(()));
    }

    /// Waits until nothing is answered any more for a while.
    pub(crate) fn stands_still(&self) {
        let start = Instant::now();
        loop {
            let before = self.answered();
            sleep(Duration::from_millis(250));
            if self.answered() == before {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{} still flows", self.what);
        }
    }

    /// Ends it: nothing must have been lost.
    pub(crate) fn finish(self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join().unwrap();
        let (sent, answered) =
            (self.shared.sent.load(Ordering::Relaxed), self.shared.answered.load(Ordering::Relaxed));
        assert_eq!(ended, Ok(()), "{}", self.what);
        assert!(sent > 0 && sent == answered, "{}: {answered} of {sent} messages were answered", self.what);
    }
}

/// Attempts at a TCP port that policy closes, one after another until they are finished.
pub(crate) struct Denied {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Outcome>>,
}

impl Denied {
    /// Nobody needs to listen there: what is let through is refused.
    pub(crate) fn begin(from: &Netns, to: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (inside, from) = (Arc::clone(&stop), from.clone());
        let thread = spawn(move || {
            let mut outcomes = Vec::new();
            while !inside.load(Ordering::Relaxed) {
                let timeout = Duration::from_millis(200);
                let attempt =
                    Attempt { from: from.clone(), source: None, to, protocol: Protocol::Tcp, timeout };
                outcomes.push(attempt.run().unwrap().outcome);
            }
            outcomes
        });
        Self { stop, thread }
    }

    /// Ends it: nothing must have come through.
    pub(crate) fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        let outcomes = self.thread.join().unwrap();
        let through = outcomes.iter().filter(|outcome| **outcome != Outcome::Timeout).count();
        assert!(!outcomes.is_empty() && through == 0, "{through} of {} came through", outcomes.len());
    }
}
