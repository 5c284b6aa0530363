//! Plain HTTP with an end: every exchange has a time limit.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

/// The most that an answer may be long: some 30,000 interfaces.
const LONGEST: usize = 64 << 20;

/// What is no address of a server.
#[derive(Debug, thiserror::Error)]
#[error("{endpoint:?} is no http:// address of a server: {why}")]
pub struct BadEndpoint {
    /// What was given.
    pub endpoint: String,
    /// What is wrong with it.
    pub why: String,
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not in time.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// The connection could not be made, or was lost.
    #[error("connection to the server")]
    Connection(#[source] hyper_util::client::legacy::Error),
    /// The answer ended before its end, or is far too long.
    #[error("reading the answer")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A request that HTTP can't express.
    #[error("making the request")]
    Request(#[from] http::Error),
}

/// A server, and connections to it.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    http: Client<HttpConnector, Full<Bytes>>,
    endpoint: Uri,
    patience: Duration,
}

impl Transport {
    pub(crate) fn new(endpoint: &str, patience: Duration) -> Result<Self, BadEndpoint> {
        let bad = |why: String| BadEndpoint { endpoint: endpoint.to_owned(), why };
        let uri: Uri = endpoint.parse().map_err(|error: http::uri::InvalidUri| bad(error.to_string()))?;
        if uri.scheme_str() != Some("http") || uri.host().is_none() {
            return Err(bad("http:// and a host are needed".to_owned()));
        }
        if uri.query().is_some() || !matches!(uri.path(), "" | "/") {
            return Err(bad("it has a path".to_owned()));
        }
        // Sending again by itself what the server closed a connection on is off: a request is sent once.
        let mut builder = Client::builder(TokioExecutor::new());
        builder.retry_canceled_requests(false).pool_timer(TokioTimer::new());
        builder.pool_idle_timeout(Duration::from_secs(10));
        Ok(Self { http: builder.build_http(), endpoint: uri, patience })
    }

    /// The address of a path on the server.
    pub(crate) fn at(&self, path: &str) -> String {
        let authority = self.endpoint.authority().map_or("", http::uri::Authority::as_str);
        format!("http://{authority}{path}")
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, HttpError> {
        let exchange = async {
            let response = self.http.request(request).await.map_err(HttpError::Connection)?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, LONGEST).collect().await.map_err(HttpError::Body)?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        let ended = tokio::time::timeout(self.patience, exchange).await;
        ended.unwrap_or(Err(HttpError::Late(self.patience)))
    }
}
