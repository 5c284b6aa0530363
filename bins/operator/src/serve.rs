//! What others may ask the operator for: whether it is well, and what it counted.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

/// What Prometheus expects.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers `/healthz`, `/livez` and `/readyz` while the process goes on. An API server that does not answer is no
/// reason to restart the operator.
///
/// # Errors
///
/// When the address cannot be listened at.
pub async fn health(address: &str) -> Result<(SocketAddr, impl Future<Output = ()> + use<>)> {
    let ok = || get(|| async { "ok" });
    listen(address, Router::new().route("/healthz", ok()).route("/livez", ok()).route("/readyz", ok())).await
}

/// Answers `/metrics`.
///
/// # Errors
///
/// When the address cannot be listened at.
pub async fn metrics(
    address: &str,
    registry: Registry,
) -> Result<(SocketAddr, impl Future<Output = ()> + use<>)> {
    let registry = Arc::new(registry);
    let answer = get(move || {
        let mut text = String::new();
        // Writing to a String does not fail.
        _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        async move { ([(CONTENT_TYPE, OPENMETRICS)], text) }
    });
    listen(address, Router::new().route("/metrics", answer)).await
}

async fn listen(address: &str, router: Router) -> Result<(SocketAddr, impl Future<Output = ()> + use<>)> {
    // As in Go: without a host, every address.
    let every = address.strip_prefix(':').map(|port| format!("[::]:{port}"));
    let listener = TcpListener::bind(every.as_deref().unwrap_or(address)).await;
    let listener = listener.with_context(|| format!("listening at {address}"))?;
    let local = listener.local_addr()?;
    let serve = async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%local, %error, "not answering any more");
        }
    };
    Ok((local, serve))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;
    use crate::metrics::Metrics;

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn answers() {
        let (address, serve) = health("127.0.0.1:0").await.unwrap();
        tokio::spawn(serve);
        assert!(ask(address, "/healthz").await.ends_with("ok"));
        assert!(ask(address, "/other").await.starts_with("HTTP/1.1 404"));
        let mut registry = Registry::default();
        Metrics::register(&mut registry).leader.set(1);
        let (address, serve) = metrics("127.0.0.1:0", registry).await.unwrap();
        tokio::spawn(serve);
        let text = ask(address, "/metrics").await;
        assert!(text.contains("\nnetloom_operator_leader 1\n"), "{text}");
    }
}
