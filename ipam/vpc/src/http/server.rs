//! Servers, and the EC2 Query protocol.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, task::JoinSet};

use super::{Asking, decode, encode, form::Form, imds};
use crate::{Cloud, Failure, Operation, Refusal};

/// The most that a request may be long.
const LONGEST: usize = 1 << 20;

/// How long a client may take to send the head of a request.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server in the background, until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    /// Aborted when dropped, and with it every connection.
    _tasks: JoinSet<()>,
}

/// There will be no answer: the connection is closed instead.
#[derive(Debug)]
pub(super) struct NoAnswer;

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is withheld")
    }
}

impl std::error::Error for NoAnswer {}

/// Who answers a request of a peer.
pub(super) trait Answers: Send + Sync + 'static {
    /// Answers, or does not.
    fn answer(&self, request: Request<Bytes>, peer: SocketAddr) -> Result<Response<Full<Bytes>>, NoAnswer>;

    /// How many hops answers to a peer reach, if not as many as usual.
    fn reach(&self, _peer: SocketAddr) -> Option<u32> {
        None
    }
}

impl Server {
    /// Serves the EC2 Query protocol at an address; port 0 is any that is free.
    ///
    /// # Errors
    ///
    /// If nobody can listen there.
    pub async fn query(cloud: Cloud, at: SocketAddr) -> io::Result<Self> {
        Self::start(TcpListener::bind(at).await?, cloud.clone(), Query { cloud })
    }

    /// Serves the EC2 Query protocol to whoever connects to a listener of the caller's (which may be in
    /// another network namespace).
    ///
    /// # Errors
    ///
    /// If the listener has no address.
    pub fn query_on(cloud: Cloud, listener: TcpListener) -> io::Result<Self> {
        Self::start(listener, cloud.clone(), Query { cloud })
    }

    /// Serves IMDSv2 at an address.
    ///
    /// # Errors
    ///
    /// If nobody can listen there.
    pub async fn metadata(cloud: Cloud, at: SocketAddr, asking: Asking) -> io::Result<Self> {
        Self::metadata_on(cloud, TcpListener::bind(at).await?, asking)
    }

    /// Serves IMDSv2 to whoever connects to a listener of the caller's: one for each instance, or one for all
    /// of them.
    ///
    /// # Errors
    ///
    /// If the listener has no address.
    pub fn metadata_on(cloud: Cloud, listener: TcpListener, asking: Asking) -> io::Result<Self> {
        Self::start(listener, cloud.clone(), imds::Metadata::new(cloud, asking))
    }

    fn start(listener: TcpListener, cloud: Cloud, answers: impl Answers) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::new(answers)));
        tasks.spawn(let_happen(cloud));
        Ok(Self { address, _tasks: tasks })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, answers: Arc<impl Answers>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Out of descriptors, or a peer that is gone already: the next one may fare better.
                let Ok((stream, peer)) = accepted else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                if let Some(hops) = answers.reach(peer) {
                    // A peer that is farther away than this never hears the answer, as with the real service.
                    let _unlimited = stream.set_ttl(hops.max(1));
                }
                let answers = answers.clone();
                connections.spawn(async move {
                    let serve = service_fn(move |request| take(answers.clone(), request, peer));
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(PATIENCE)
                        .serve_connection(TokioIo::new(stream), serve);
                    // A peer that went away, or an answer that is withheld: there is nobody to tell.
                    let _closed = connection.await;
                });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Reads a request whole, and has it answered.
async fn take(
    answers: Arc<impl Answers>,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Result<Response<Full<Bytes>>, NoAnswer> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LONGEST).collect().await else {
        let mut response = Response::new(Full::new(Bytes::from_static(b"the request is too long")));
        *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return Ok(response);
    };
    answers.answer(Request::from_parts(head, body.to_bytes()), peer)
}

/// Lets happen what is due by itself, so that subscribers hear of it when nobody asks anything.
async fn let_happen(cloud: Cloud) {
    loop {
        let wait = cloud.until_due().unwrap_or(Duration::MAX);
        tokio::time::sleep(wait.clamp(Duration::from_millis(10), Duration::from_millis(100))).await;
        if cloud.until_due().is_some_and(|wait| wait.is_zero()) {
            cloud.with(|_, _| ());
        }
    }
}

/// The EC2 Query protocol, version 2016-11-15.
struct Query {
    cloud: Cloud,
}

impl Answers for Query {
    fn answer(&self, request: Request<Bytes>, _: SocketAddr) -> Result<Response<Full<Bytes>>, NoAnswer> {
        let body = match *request.method() {
            Method::POST => request.body().clone(),
            Method::GET => Bytes::copy_from_slice(request.uri().query().unwrap_or_default().as_bytes()),
            _ => return Ok(xml(encode::refusal(&Refusal::new("InvalidAction", "POST or GET"), "0"), 405)),
        };
        let form = Form::parse(&body);
        // So that requests can be told apart in logs; what it is does not matter.
        let id = format!("{:08x}-0000-4000-8000-000000000000", crc(&body));
        match self.perform(&form) {
            Ok((operation, answer)) => {
                let about = self.cloud.with(|region, _| encode::About::of(region.settings()));
                Ok(xml(encode::answer(operation, &answer, &about, &id), 200))
            }
            Err(Failure::Refused(refusal)) => Ok(xml(encode::refusal(&refusal, &id), refusal.status)),
            Err(Failure::Unanswered) => Err(NoAnswer),
        }
    }
}

impl Query {
    fn perform(&self, form: &Form) -> Result<(Operation, crate::Answer), Failure> {
        let (call, dry_run) = decode::call(form)?;
        let answer = self.cloud.invoke(&call, dry_run)?;
        Ok((call.operation(), answer))
    }
}

fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum: u32, byte| sum.rotate_left(5) ^ u32::from(*byte))
}

fn xml(text: String, status: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml;charset=UTF-8"));
    response
}
