//! A proxy between a client and an API server that makes what goes wrong in a network and in a server go wrong.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode, Uri};
use futures_util::{StreamExt, future, stream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What is answered in place of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// An error with this code.
    Status(u16),
    /// A watch that says at once that its place is not known any more.
    WatchGone,
}

#[derive(Debug)]
struct Rule {
    method: &'static str,
    /// A part of path and query.
    part: &'static str,
    fault: Fault,
    times: u32,
}

#[derive(Debug)]
struct Inner {
    target: String,
    rules: Mutex<Vec<Rule>>,
    /// How many requests each rule answered, by its part.
    answered: Mutex<Vec<&'static str>>,
    frozen: watch::Sender<bool>,
    client: Client<HttpConnector, Body>,
}

/// The proxy; it ends with its runtime.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    pub(crate) url: String,
    inner: Arc<Inner>,
}

impl Proxy {
    /// Stands before a server without TLS.
    pub(crate) async fn start(target: &str) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            target: target.to_owned(),
            rules: Mutex::default(),
            answered: Mutex::default(),
            frozen: watch::Sender::new(false),
            client: Client::builder(TokioExecutor::new()).build_http(),
        });
        let router = Router::new().fallback(handle).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inner }
    }

    /// Answers the next requests of a method, whose path and query have this part, with a fault.
    pub(crate) fn fail(&self, method: &'static str, part: &'static str, fault: Fault, times: u32) {
        self.inner.rules.lock().unwrap().push(Rule { method, part, fault, times });
    }

    /// How many requests were answered by the rules about this part.
    pub(crate) fn failed(&self, part: &str) -> usize {
        self.inner.answered.lock().unwrap().iter().filter(|known| **known == part).count()
    }

    /// Whether nothing is answered, and nothing is refused: neither requests that are under way then, nor watches that
    /// were opened before, ever go on.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.inner.frozen.send_replace(frozen);
    }
}

impl Inner {
    fn fault(&self, method: &str, path: &str) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap();
        let rule = rules.iter_mut().find(|rule| {
            rule.times > 0 && rule.method == method && rule.part.split(' ').all(|part| path.contains(part))
        })?;
        rule.times -= 1;
        self.answered.lock().unwrap().push(rule.part);
        Some(rule.fault)
    }
}

async fn handle(State(inner): State<Arc<Inner>>, request: Request<Body>) -> Response<Body> {
    let frozen = inner.frozen.subscribe();
    if *frozen.borrow() {
        future::pending::<()>().await;
    }
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    if let Some(fault) = inner.fault(parts.method.as_str(), &path) {
        return answer(fault);
    }
    parts.uri = format!("{}{path}", inner.target).parse::<Uri>().unwrap();
    match inner.client.request(Request::from_parts(parts, body)).await {
        Ok(response) => response.map(|body| until_frozen(Body::new(body), frozen)),
        Err(error) => {
            let mut response = Response::new(Body::from(error.to_string()));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}

/// A body of which nothing comes any more once all is frozen.
fn until_frozen(body: Body, frozen: watch::Receiver<bool>) -> Body {
    let parts = stream::unfold((body.into_data_stream(), frozen), |(mut body, mut frozen)| async {
        let part = tokio::select! {
            biased;
            () = async { drop(frozen.wait_for(|frozen| *frozen).await) } => future::pending().await,
            part = body.next() => part?,
        };
        Some((part, (body, frozen)))
    });
    Body::from_stream(parts)
}

fn answer(fault: Fault) -> Response<Body> {
    let status = |code: u16| {
        serde_json::json!({
            "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "message": "a fault",
            "reason": if code == 410 { "Expired" } else { "Fault" },
        })
    };
    let (code, body) = match fault {
        Fault::Status(code) => (code, status(code).to_string()),
        Fault::WatchGone => (200, format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", status(410))),
    };
    let mut response = Response::builder().status(code).header("content-type", "application/json");
    if code == 429 {
        response = response.header("retry-after", "1");
    }
    response.body(Body::from(body)).unwrap()
}
