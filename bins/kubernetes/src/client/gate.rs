//! What every request passes on its way out.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use kube::client::Body;
use tower::{BoxError, Service, ServiceExt as _};

use super::budget::Budget;
use super::idle::UntilIdle;
use super::retry::{Outcome, pause};
use crate::lease::Leadership;

/// A request that was sent, once for each attempt.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// What it does.
    pub method: &'a Method,
    /// Path without the server and without the query.
    pub path: &'a str,
    /// Whether it is a watch; its latency is that of the first byte.
    pub watch: bool,
    /// The answer's status; none where there was no answer.
    pub status: Option<StatusCode>,
    /// Until the whole answer was there.
    pub latency: Duration,
    /// How long it had waited for its turn under the limit.
    pub queued: Duration,
}

/// Is told of each request, for metrics. It must not block.
pub trait Observer: Send + Sync {
    /// A request has been answered, or given up.
    fn called(&self, call: &Call<'_>);
}

/// A request was given up: the server took too long.
#[derive(Debug, thiserror::Error)]
#[error("{method} {uri}: no answer within {limit:?}")]
struct TooLate {
    method: Method,
    uri: Uri,
    limit: Duration,
}

#[derive(Clone)]
pub(super) struct Terms {
    pub(super) budget: Option<Arc<Budget>>,
    pub(super) timeout: Duration,
    /// Whether what failed is sent again.
    pub(super) again: bool,
    /// A watch without a byte for so long ends.
    pub(super) silence: Duration,
    pub(super) fence: Option<Leadership>,
    pub(super) observer: Option<Arc<dyn Observer>>,
}

/// Limits, bounds, repeats, counts and fences requests.
pub(super) struct Gate<S> {
    service: S,
    terms: Terms,
}

impl<S> Gate<S> {
    pub(super) fn new(service: S, terms: Terms) -> Self {
        Self { service, terms }
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

impl<S, B> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Answer;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Answer, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (service, terms) = (self.service.clone(), self.terms.clone());
        Box::pin(pass(service, terms, request))
    }
}

async fn pass<S, B>(service: S, terms: Terms, request: Request<Body>) -> Result<Answer, BoxError>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let watch = is_watch(&parts.uri);
    let write = parts.method != Method::GET && parts.method != Method::HEAD;
    let bytes = body.collect().await?.to_bytes();
    let mut attempt = 0;
    loop {
        attempt += 1;
        let asked = Instant::now();
        if let Some(budget) = &terms.budget {
            budget.wait().await;
        }
        let sent = Instant::now();
        let request = Request::from_parts(parts.clone(), Body::from(bytes.clone()));
        let exchange = exchange(service.clone(), request, watch.then_some(terms.silence));
        let fence = terms.fence.as_ref().filter(|_| write);
        let outcome = match fence {
            None => bounded(exchange, terms.timeout, &parts).await,
            Some(leadership) => {
                leadership.check()?;
                tokio::select! {
                    biased;
                    // A connection that takes long must not carry it when another leads.
                    over = leadership.over() => Err(over.into()),
                    outcome = bounded(exchange, terms.timeout, &parts) => outcome,
                }
            }
        };
        if let Some(observer) = &terms.observer {
            observer.called(&Call {
                method: &parts.method,
                path: parts.uri.path(),
                watch,
                status: outcome.as_ref().ok().map(Response::status),
                latency: sent.elapsed(),
                queued: sent - asked,
            });
        }
        let became = match &outcome {
            Ok(answer) => Outcome::Answered(answer.status(), answer.headers()),
            Err(_) => Outcome::Lost,
        };
        // A watch is started anew by who watches, from where it was.
        let wait = if !terms.again || (watch && outcome.is_err()) {
            None
        } else {
            pause(&parts.method, &became, attempt, jitter())
        };
        let Some(wait) = wait else { return outcome };
        tracing::debug!(method = %parts.method, path = parts.uri.path(), ?wait, attempt, "request is sent again");
        tokio::time::sleep(wait).await;
    }
}

/// Waits so long for an answer.
async fn bounded(
    exchange: impl Future<Output = Result<Answer, BoxError>>,
    limit: Duration,
    parts: &http::request::Parts,
) -> Result<Answer, BoxError> {
    tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| {
        Err(TooLate { method: parts.method.clone(), uri: parts.uri.clone(), limit }.into())
    })
}

/// Sends a request, and takes in the whole of the answer unless it is a watch, which may be silent for so long.
async fn exchange<S, B>(
    service: S,
    request: Request<Body>,
    watch: Option<Duration>,
) -> Result<Answer, BoxError>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (head, body) = service.oneshot(request).await?.into_parts();
    let body = if let Some(silence) = watch.filter(|_| head.status.is_success()) {
        UntilIdle::new(body, silence).map_err(Into::into).boxed_unsync()
    } else {
        let whole = body.collect().await.map_err(Into::into)?.to_bytes();
        Full::new(whole).map_err(|never| match never {}).boxed_unsync()
    };
    Ok(Response::from_parts(head, body))
}

fn is_watch(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1")))
}

/// Some number from 0 to 1: clients that fail together must not come back together.
#[expect(clippy::cast_precision_loss, reason = "any number will do")]
pub(crate) fn jitter() -> f64 {
    RandomState::new().hash_one(0_u8) as f64 / u64::MAX as f64
}
