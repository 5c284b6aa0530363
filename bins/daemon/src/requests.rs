//! Requests to the API server: counted, timed, and taken for a sign of whether it answers.

use kubernetes::client::{Call, Observer};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::health::{Health, KUBERNETES};

/// The code of a request that nobody answered, as in clients made with Go.
const NO_ANSWER: &str = "<error>";

type Labels = Vec<(&'static str, String)>;

/// Is told of each request that a program's clients make.
#[derive(Clone, Debug)]
pub struct Requests {
    calls: Family<Labels, Counter>,
    latencies: Family<Labels, Histogram, fn() -> Histogram>,
    queued: Histogram,
    health: Health,
}

impl Requests {
    /// Nothing was asked yet. `health` is told whether the API server answers.
    #[must_use]
    pub fn new(health: &Health) -> Self {
        Self {
            calls: Family::default(),
            latencies: Family::new_with_constructor(times),
            queued: times(),
            health: health.clone(),
        }
    }

    /// Registers the metrics: `theirs` begins the names of those that mean what Cilium's mean, `ours` the others.
    pub fn register(&self, registry: &mut Registry, theirs: &str, ours: &str) {
        let own = registry.sub_registry_with_prefix(ours);
        own.register(
            "k8s_client_queued_seconds",
            "How long requests waited for their turn",
            self.queued.clone(),
        );
        let other = registry.sub_registry_with_prefix(theirs);
        other.register("k8s_client_api_calls", "Requests to the API server", self.calls.clone());
        other.register(
            "k8s_client_api_latency_time_seconds",
            "How long the API server took to answer",
            self.latencies.clone(),
        );
    }
}

impl Observer for Requests {
    fn called(&self, call: &Call<'_>) {
        let method = call.method.to_string();
        let code = call.status.as_ref().map_or(NO_ANSWER, |status| status.as_str()).to_owned();
        self.calls.get_or_create(&vec![("method", method.clone()), ("return_code", code)]).inc();
        self.queued.observe(call.queued.as_secs_f64());
        // A watch's first byte comes when something happens.
        if !call.watch {
            let labels = vec![("method", method), ("path", collection(call.path))];
            self.latencies.get_or_create(&labels).observe(call.latency.as_secs_f64());
        }
        self.health.set(
            KUBERNETES,
            match call.status {
                Some(status) if !status.is_server_error() => Ok(()),
                Some(status) => Err(format!("the API server answers {status}")),
                None => Err("the API server does not answer".to_owned()),
            },
        );
    }
}

/// From a millisecond to half a minute.
fn times() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

/// A path without the names of namespaces and objects, of which there are too many.
fn collection(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let root = if parts.first() == Some(&"api") { 2 } else { 3 };
    let (root, rest) = parts.split_at(root.min(parts.len()));
    let plural = match rest {
        ["namespaces", _, plural, ..] => plural,
        [plural, ..] => plural,
        [] => "",
    };
    format!("/{}/{plural}", root.join("/"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Method, StatusCode};
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn paths_are_those_of_collections() {
        for (path, expected) in [
            ("/api/v1/nodes/n1", "/api/v1/nodes"),
            ("/api/v1/namespaces/shop/pods/web", "/api/v1/pods"),
            ("/api/v1/namespaces", "/api/v1/namespaces"),
            ("/apis/cilium.io/v2/namespaces/shop/ciliumendpoints/web", "/apis/cilium.io/v2/ciliumendpoints"),
            ("/apis/cilium.io/v2/ciliumnodes/n1", "/apis/cilium.io/v2/ciliumnodes"),
        ] {
            assert_eq!(collection(path), expected);
        }
    }

    #[test]
    fn answers_and_their_lack_are_counted() {
        let health = Health::new();
        let requests = Requests::new(&health);
        let mut registry = Registry::default();
        requests.register(&mut registry, "cilium", "netloom");
        let call = |status, watch| Call {
            method: &Method::GET,
            path: "/api/v1/nodes/n1",
            watch,
            status,
            latency: Duration::from_millis(3),
            queued: Duration::ZERO,
        };
        requests.called(&call(Some(StatusCode::OK), true));
        requests.called(&call(Some(StatusCode::OK), false));
        requests.called(&call(None, false));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "cilium_k8s_client_api_calls_total{method=\"GET\",return_code=\"200\"} 2",
            "cilium_k8s_client_api_calls_total{method=\"GET\",return_code=\"<error>\"} 1",
            "cilium_k8s_client_api_latency_time_seconds_count{method=\"GET\",path=\"/api/v1/nodes\"} 2",
            "netloom_k8s_client_queued_seconds_count 3",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }
}
