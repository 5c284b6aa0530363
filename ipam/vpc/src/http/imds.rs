//! IMDSv2: a token first, then paths.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use ipam::Timestamp;

use super::server::{Answers, NoAnswer};
use crate::Cloud;

const TOKEN: &str = "x-aws-ec2-metadata-token";
const LIFETIME: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// The longest that a token lives, in seconds.
const LONGEST: u64 = 21_600;

/// Which instance asks.
#[derive(Clone)]
pub enum Asking {
    /// This one: the listener is its own.
    Instance(String),
    /// The one that has the peer's address.
    ByAddress,
    /// Whom the function says the peer to be.
    By(Arc<dyn Fn(IpAddr) -> Option<String> + Send + Sync>),
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance(id) => f.debug_tuple("Instance").field(id).finish(),
            Self::ByAddress => f.write_str("ByAddress"),
            Self::By(_) => f.write_str("By"),
        }
    }
}

pub(super) struct Metadata {
    cloud: Cloud,
    asking: Asking,
    tokens: Mutex<Tokens>,
}

/// Tokens that were given out: whose they are, and until when.
#[derive(Default)]
struct Tokens {
    given: BTreeMap<String, (String, Timestamp)>,
    number: u64,
}

impl Metadata {
    pub(super) fn new(cloud: Cloud, asking: Asking) -> Self {
        Self { cloud, asking, tokens: Mutex::default() }
    }

    fn instance(&self, peer: SocketAddr) -> Option<String> {
        match &self.asking {
            Asking::Instance(id) => Some(id.clone()),
            Asking::ByAddress => {
                let address = v4(peer.ip())?;
                self.cloud.with(|region, _| region.instance_at(address))
            }
            Asking::By(who) => who(peer.ip()),
        }
    }

    /// A token, if its lifetime is asked for as it has to be.
    fn token(&self, headers: &HeaderMap, instance: &str) -> Response<Full<Bytes>> {
        // Whoever is forwarded to is not on the instance.
        if headers.contains_key("x-forwarded-for") {
            return status(StatusCode::FORBIDDEN);
        }
        let lifetime = headers.get(LIFETIME).and_then(|value| value.to_str().ok()?.parse().ok());
        let Some(seconds) = lifetime.filter(|seconds| (1..=LONGEST).contains(seconds)) else {
            return status(StatusCode::BAD_REQUEST);
        };
        let now = self.cloud.now();
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.given.retain(|_, (_, until)| *until > now);
        tokens.number += 1;
        // No secret is needed: nothing here is worth stealing.
        let token = format!("AQAE{:052x}==", tokens.number);
        tokens.given.insert(token.clone(), (instance.to_owned(), Timestamp(now.0 + seconds * 1_000)));
        let mut response = text(token);
        response.headers_mut().insert(LIFETIME, HeaderValue::from(seconds));
        response
    }

    fn is_good(&self, headers: &HeaderMap, instance: &str) -> bool {
        let Some(token) = headers.get(TOKEN).and_then(|value| value.to_str().ok()) else { return false };
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.given.get(token).is_some_and(|(of, until)| of == instance && *until > self.cloud.now())
    }
}

impl Answers for Metadata {
    fn answer(&self, request: Request<Bytes>, peer: SocketAddr) -> Result<Response<Full<Bytes>>, NoAnswer> {
        // Who is nobody's instance reaches no service.
        let Some(instance) = self.instance(peer) else { return Err(NoAnswer) };
        let path = request.uri().path();
        let is_token = path.trim_end_matches('/') == "/latest/api/token";
        Ok(match *request.method() {
            Method::PUT if is_token => self.token(request.headers(), &instance),
            Method::GET if is_token => status(StatusCode::METHOD_NOT_ALLOWED),
            Method::GET if !self.is_good(request.headers(), &instance) => status(StatusCode::UNAUTHORIZED),
            Method::GET if path == "/" => text("latest".to_owned()),
            Method::GET => {
                let beneath =
                    path.strip_prefix("/latest").filter(|rest| rest.is_empty() || rest.starts_with('/'));
                let value = beneath
                    .and_then(|rest| self.cloud.with(|region, now| region.metadata(now, &instance, rest)));
                value.map_or_else(|| status(StatusCode::NOT_FOUND), text)
            }
            _ => status(StatusCode::METHOD_NOT_ALLOWED),
        })
    }

    fn reach(&self, peer: SocketAddr) -> Option<u32> {
        let instance = self.instance(peer)?;
        self.cloud.with(|region, _| region.hop_limit(&instance)).map(u32::from)
    }
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(address) => address.to_ipv4_mapped(),
    }
}

fn text(text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = text(status.canonical_reason().unwrap_or_default().to_owned());
    *response.status_mut() = status;
    response
}
