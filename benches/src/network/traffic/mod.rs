//! The benchmark's own traffic: between a pod and a server, over plain sockets, with threads of this process that
//! entered the pods' namespaces.
//!
//! | file | what it does |
//! |---|---|
//! | `window` | when counting begins and ends, and what the processors did meanwhile |
//! | `stream` | as many bytes as go through, over one connection or several |
//! | `exchange` | a small request and its answer, one after the other, over one connection |
//! | `connect` | a connection for each request |
//! | `datagrams` | as many datagrams as go through |

mod connect;
mod datagrams;
mod exchange;
mod stream;
mod window;

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use netcore::Netns;

use super::Error;
use super::report::Metric;
pub(crate) use connect::Responder;
pub(crate) use exchange::MESSAGE;
pub(crate) use window::Window;

/// The ports of the servers: those that the policies open.
pub(crate) mod ports {
    use crate::network::rules::PORTS;

    pub(crate) const STREAM: u16 = *PORTS.start();
    pub(crate) const EXCHANGE: u16 = STREAM + 1;
    pub(crate) const CONNECT: u16 = STREAM + 2;
    pub(crate) const DATAGRAMS: u16 = STREAM + 3;
    /// Of sockperf's server, over TCP: it does not start where connections of a server before it still linger.
    pub(crate) const SOCKPERF: u16 = STREAM + 3;
    /// Of other programs' servers.
    pub(crate) const TOOLS: u16 = *PORTS.end();
}

/// How long a single step of a connection may take before the network counts as broken.
const PATIENCE: Duration = Duration::from_secs(3);

/// From where to where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path<'a> {
    /// The client's namespace.
    pub(crate) from: &'a Netns,
    /// The server's namespace.
    pub(crate) to: &'a Netns,
    /// The server's address.
    pub(crate) address: Ipv4Addr,
}

impl Path<'_> {
    fn on(&self, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, port)
    }
}

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// As many bytes as go through.
    Stream {
        /// Connections at a time.
        streams: u32,
    },
    /// Requests and answers over one connection.
    Exchange,
    /// A connection for each request.
    Connect,
    /// As many datagrams as go through.
    Datagrams {
        /// Their payload, in bytes.
        bytes: u32,
    },
}

/// What was measured in one window.
pub(crate) type Measured = Vec<(Metric, f64)>;

/// Sends for a while, and measures.
///
/// # Errors
/// [`Error::Traffic`] when it cannot be sent, or nothing arrives.
pub(crate) fn send(path: Path<'_>, work: Work, window: Window) -> Result<Measured, Error> {
    let measured = match work {
        Work::Stream { streams } => stream::send(path, streams, window),
        Work::Exchange => exchange::send(path, window),
        Work::Connect => connect::send(path, window),
        Work::Datagrams { bytes } => datagrams::send(path, bytes, window),
    };
    measured.map_err(|source| Error::Traffic { work, source })
}

/// Does something in a namespace, on a thread that entered it.
pub(super) fn inside<T: Send>(netns: &Netns, body: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    netns.run_in(body).map_err(io::Error::other).and_then(|done| done)
}

/// What a thread ended with; its panic goes on here.
fn join<T>(thread: std::thread::ScopedJoinHandle<'_, io::Result<T>>) -> io::Result<T> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn nothing_arrived() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "nothing arrived")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loopback of the namespace that tests run in; the ports are the benchmark's, so one test takes them in turn.
    #[test]
    fn every_kind_of_work_is_measured() {
        let here = Netns::current().unwrap();
        let path = Path { from: &here, to: &here, address: Ipv4Addr::LOCALHOST };
        let window = Window { warm_up: Duration::from_millis(20), time: Duration::from_millis(150) };
        let works = [
            Work::Stream { streams: 1 },
            Work::Stream { streams: 3 },
            Work::Exchange,
            Work::Connect,
            Work::Datagrams { bytes: 64 },
        ];
        for work in works {
            for (metric, value) in send(path, work, window).unwrap() {
                assert!(value.is_finite() && value >= 0.0, "{work:?}: {metric} {value}");
                if !metric.name().starts_with("cpu") {
                    assert!(value > 0.0, "{work:?}: {metric} {value}");
                }
            }
        }
        for tool in super::super::tools::Tool::ALL {
            if !tool.is_here() {
                eprintln!("skipped: {} is not on this machine", tool.program());
                continue;
            }
            assert!(tool.measure(path, window).unwrap() > 0.0, "{}", tool.program());
        }
    }

    #[test]
    fn nobody_there_is_an_error_that_names_the_work() {
        let empty = Netns::anonymous().map_err(|error| error.to_string());
        let Ok(empty) = empty else {
            eprintln!("skipped: network namespaces need root");
            return;
        };
        let here = Netns::current().unwrap();
        let path = Path { from: &empty, to: &here, address: Ipv4Addr::LOCALHOST };
        let window = Window { warm_up: Duration::ZERO, time: Duration::from_millis(10) };
        let error = send(path, Work::Exchange, window).unwrap_err();
        assert!(error.to_string().starts_with("Exchange: "), "{error}");
    }
}
