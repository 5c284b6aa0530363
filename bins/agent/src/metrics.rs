//! What Prometheus is told: under Cilium's names where it means the same, and ours for the rest.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use api::{Reply, Request, Status};
use axum::Router;
use axum::extract::State;
use axum::middleware::{Next, from_fn_with_state};
use daemon::metrics::{Metrics, Registry};
use daemon::requests::Requests;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use tokio::sync::{mpsc, oneshot};

use crate::engine;

type Labels = Vec<(&'static str, String)>;

/// The metrics that something counts while it happens.
#[derive(Clone, Debug)]
pub struct Counts {
    events: Family<Labels, Counter>,
    identities: Gauge,
    nodes: Gauge,
    bootstrap: Gauge<f64, std::sync::atomic::AtomicU64>,
    started: Instant,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            events: Family::default(),
            identities: Gauge::default(),
            nodes: Gauge::default(),
            bootstrap: Gauge::default(),
            started: Instant::now(),
        }
    }
}

impl Counts {
    /// A watch told something of a kind.
    pub(crate) fn told(&self, kind: &'static str, action: &'static str) {
        self.events.get_or_create(&vec![("scope", kind.into()), ("action", action.into())]).inc();
    }

    /// The source knows so many numbers and nodes.
    pub(crate) fn known(&self, identities: usize, nodes: usize) {
        self.identities.set(i64::try_from(identities).unwrap_or(i64::MAX));
        self.nodes.set(i64::try_from(nodes).unwrap_or(i64::MAX));
    }

    /// Pods can be connected for the first time.
    pub(crate) fn begun(&self) {
        self.bootstrap.set(self.started.elapsed().as_secs_f64());
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("cilium_kubernetes_events", "What watches told, by kind", self.events.clone());
        registry.register("cilium_identity", "Numbers of label sets that are known", self.identities.clone());
        registry.register("cilium_nodes_all_num", "Nodes that are known", self.nodes.clone());
        registry.register(
            "netloom_bootstrap_seconds",
            "From the start until pods could be connected",
            self.bootstrap.clone(),
        );
    }
}

/// Reads the agent's status whenever somebody reads the metrics.
#[derive(Clone, Debug)]
struct Latest {
    calls: mpsc::Sender<engine::Call>,
    status: Arc<Mutex<Option<Status>>>,
}

/// Serves the metrics of an agent whose engine takes calls here.
pub fn router(counts: &Counts, requests: &Requests, calls: mpsc::Sender<engine::Call>) -> Router {
    let mut metrics = Metrics::new("netloom-agent", env!("CARGO_PKG_VERSION"));
    let latest = Latest { calls, status: Arc::default() };
    counts.register(metrics.registry());
    requests.register(metrics.registry(), "cilium", "netloom");
    metrics.registry().register_collector(Box::new(latest.clone()));
    let read = async |State(latest): State<Latest>, request, next: Next| {
        latest.read().await;
        next.run(request).await
    };
    metrics.router().layer(from_fn_with_state(latest, read))
}

impl Latest {
    async fn read(&self) {
        let (answer, answered) = oneshot::channel();
        let call = engine::Call { request: Request::Status, netns: None, answer };
        if self.calls.send(call).await.is_ok()
            && let Ok(Reply::Status(status)) = answered.await
        {
            *self.status.lock().unwrap_or_else(PoisonError::into_inner) = Some(*status);
        }
    }
}

impl Collector for Latest {
    fn encode(&self, encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.as_ref().map_or(Ok(()), |status| encode(status, encoder))
    }
}

fn encode(status: &Status, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
    let mut gauge = |name, help, value: u64| {
        let gauge = ConstGauge::new(value);
        gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
    };
    gauge("netloom_ready", "Whether pods can be connected", status.ready.into())?;
    gauge("cilium_policy", "Policies that are known", status.policies.len() as u64)?;
    let invalid = status.policies.iter().filter(|policy| !policy.valid).count() as u64;
    gauge("netloom_policy_invalid", "Policies whose newest revision is not valid", invalid)?;
    gauge("cilium_policy_max_revision", "Revision of all that policy depends on", status.policy_revision)?;
    gauge("netloom_source_revision", "Revision of the source that is enforced", status.revision)?;
    gauge(
        "netloom_conntrack_established",
        "Connections that both ends confirmed",
        status.conntrack.established,
    )?;
    gauge("netloom_conntrack_unconfirmed", "All other connections", status.conntrack.unconfirmed)?;

    let mut states = BTreeMap::from([("ready", 0_u64), ("waiting-for-identity", 0)]);
    let mut families = BTreeMap::from([("ipv4", 0_u64), ("ipv6", 0)]);
    for endpoint in &status.endpoints {
        let is_known = !matches!(endpoint.identity, 0 | 5);
        *states.entry(if is_known { "ready" } else { "waiting-for-identity" }).or_default() += 1;
        for address in &endpoint.addresses {
            *families.entry(if address.is_ipv4() { "ipv4" } else { "ipv6" }).or_default() += 1;
        }
    }
    let gauges = |label: &'static str, values: BTreeMap<&str, u64>, mut encoder: MetricEncoder<'_>| {
        for (value, count) in values {
            let labels = [(label, value)];
            ConstGauge::new(count).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    };
    let kind = ConstGauge::new(0_u64).metric_type();
    let described = encoder.encode_descriptor("cilium_endpoint_state", "Pods of this node", None, kind)?;
    gauges("endpoint_state", states, described)?;
    let described = encoder.encode_descriptor("cilium_ip_addresses", "Addresses in use", None, kind)?;
    gauges("family", families, described)?;

    let forwarded = ConstCounter::new(status.forwarded);
    forwarded.encode(encoder.encode_descriptor(
        "cilium_forward_count",
        "Packets let through",
        None,
        forwarded.metric_type(),
    )?)?;
    let kind = ConstCounter::new(0_u64).metric_type();
    let mut described = encoder.encode_descriptor("cilium_drop_count", "Packets dropped", None, kind)?;
    for (reason, direction, count) in &status.dropped {
        let labels = [("reason", reason.as_str()), ("direction", direction.as_str())];
        ConstCounter::new(*count).encode(described.encode_family(&labels)?)?;
    }
    Ok(())
}
