//! A proxy between the agent and the API server, that counts.
//!
//! It listens in the agent's network namespace. Where the connection is plain, it reads the heads of requests: bytes
//! of a connection belong to its last request.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::agent::Place;
use super::report::{Count, Requests};
use super::server::Server;
use crate::Error;

/// What was counted, by kind.
type Counts = Arc<Mutex<BTreeMap<String, Count>>>;

/// The proxy; it ends when it is dropped.
pub(super) struct Proxy {
    address: SocketAddr,
    counts: Counts,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub(super) async fn start(server: &Server, place: &Place) -> Result<Self, Error> {
        let failed = |source| Error::doing("listening for the agent", source);
        let listener = place.listen()?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let counts = Counts::default();
        let (to, is_plain) = (server.address.clone(), server.is_plain);
        let counted = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            while let Ok((agent, _)) = listener.accept().await {
                // A server that is not there is the agent's to deal with.
                let Ok(server) = TcpStream::connect(&to).await else { continue };
                let kind = Arc::new(Mutex::new("connections".to_owned()));
                let (from_agent, to_agent) = agent.into_split();
                let (from_server, to_server) = server.into_split();
                let up = Way { counts: Arc::clone(&counted), kind: Arc::clone(&kind), is_request: is_plain };
                let down = Way { counts: Arc::clone(&counted), kind, is_request: false };
                tokio::spawn(up.carry(from_agent, to_server));
                tokio::spawn(down.carry(from_server, to_agent));
            }
        });
        Ok(Self { address, counts, task })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn counts(&self) -> Requests {
        Requests(self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One direction of a connection.
struct Way {
    counts: Counts,
    kind: Arc<Mutex<String>>,
    /// Whether requests come this way that can be read.
    is_request: bool,
}

impl Way {
    async fn carry(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
            let bytes = &buffer[..read];
            // Clients do not begin a request before the last one is answered: each has reads of its own.
            let begins = if self.is_request { request(bytes) } else { None };
            self.count(begins, read as u64);
            if to.write_all(bytes).await.is_err() {
                return;
            }
        }
    }

    fn count(&self, begins: Option<String>, bytes: u64) {
        let mut kind = self.kind.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = u64::from(begins.is_some());
        if let Some(begins) = begins {
            *kind = begins;
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(kind.clone()).or_default();
        count.requests += requests;
        count.bytes += bytes;
    }
}

/// What a request is about, if bytes begin with one: `list pods`, `watch ciliumnodes`, `patch ciliumendpoints`.
fn request(bytes: &[u8]) -> Option<String> {
    let line = bytes.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if !version.starts_with("HTTP/1") {
        return None;
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let rest = match segments.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        _ => return Some(format!("{} other", method.to_lowercase())),
    };
    let (resource, name) = match rest {
        ["namespaces", _, resource, name @ ..] => (*resource, name.first()),
        [resource, name @ ..] => (*resource, name.first()),
        [] => ("other", None),
    };
    let verb = match (method, name) {
        ("GET", None) if query.split('&').any(|part| part == "watch=true" || part == "watch=1") => "watch",
        ("GET", None) => "list",
        ("GET", Some(_)) => "get",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", _) => "delete",
        _ => "other",
    };
    Some(format!("{verb} {resource}"))
}

#[cfg(test)]
mod tests {
    use super::request;

    #[test]
    fn requests_are_told_apart() {
        for (line, expected) in [
            ("GET /api/v1/pods?limit=500 HTTP/1.1\r\nhost: x", Some("list pods")),
            ("GET /apis/cilium.io/v2/ciliumnodes?watch=true&x=y HTTP/1.1\r\n", Some("watch ciliumnodes")),
            (
                "PATCH /apis/cilium.io/v2/namespaces/a/ciliumendpoints/b?f HTTP/1.1\r\n",
                Some("patch ciliumendpoints"),
            ),
            ("GET /api/v1/nodes/a HTTP/1.1\r\n", Some("get nodes")),
            ("GET /version HTTP/1.1\r\n", Some("get other")),
            ("{\"GET\": 1}", None),
        ] {
            assert_eq!(request(line.as_bytes()).as_deref(), expected, "{line}");
        }
    }
}
