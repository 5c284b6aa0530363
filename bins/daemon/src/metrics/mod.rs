//! A registry of metrics, and how Prometheus reads it.
//!
//! The text is that of OpenMetrics, which every Prometheus of the last years reads; counters are named without the
//! `_total` that is added to them.

mod process;
mod table;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::info::Info;
pub use prometheus_client::registry::Registry;
pub use table::table;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of a program: those of its process are there from the beginning.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Of a program of this name and version. What is known of its process is there twice: under the names that
    /// everybody uses, and with the prefix that Cilium's program of the kind gives them.
    #[must_use]
    pub fn new(program: &'static str, version: &'static str, prefix: &'static str) -> Self {
        let mut registry = Registry::default();
        let build = Info::new([("program", program), ("version", version)]);
        registry.register("netloom_build", "The program, and its version", build);
        registry.register_collector(Box::new(process::Process { prefix }));
        Self { registry }
    }

    /// Where the program's own metrics are registered. `cilium_…` are those that mean the same in Cilium, `netloom_…`
    /// all others.
    pub const fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Serves them at `/metrics`.
    pub fn router(self) -> Router {
        let registry = Arc::new(self.registry);
        Router::new().route("/metrics", get(move || std::future::ready(text(&registry))))
    }
}

fn text(registry: &Registry) -> Response {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        // A collector could not be read. Half of the metrics would look as if the rest were gone.
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "a collector failed\n").into_response(),
    }
}
