//! What Prometheus is told: under Cilium's names where it means the same, and ours for the rest.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use api::{Reply, Request, Status, Traffic};
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

/// A number of a kind of traffic's.
type Number = fn(&Traffic) -> u64;

/// The metrics that something counts while it happens.
#[derive(Clone, Debug)]
pub struct Counts {
    events: Family<Labels, Counter>,
    identities: Gauge,
    nodes: Gauge,
    bootstrap: Family<Labels, Gauge<f64, std::sync::atomic::AtomicU64>>,
    started: Instant,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            events: Family::default(),
            identities: Gauge::default(),
            nodes: Gauge::default(),
            bootstrap: Family::default(),
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
        let labels = vec![("scope", "overall".into()), ("outcome", "success".into())];
        self.bootstrap.get_or_create(&labels).set(self.started.elapsed().as_secs_f64());
    }

    /// All metrics of an agent.
    fn metrics(&self, requests: &Requests, latest: &Latest) -> Metrics {
        let mut metrics = Metrics::new("netloom-agent", env!("CARGO_PKG_VERSION"), "cilium");
        self.register(metrics.registry());
        requests.register(metrics.registry(), "cilium", "netloom");
        metrics.registry().register_collector(Box::new(latest.clone()));
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("cilium_kubernetes_events", "What watches told, by kind", self.events.clone());
        registry.register("cilium_identity", "Numbers of label sets that are known", self.identities.clone());
        registry.register("cilium_nodes_all_num", "Nodes that are known", self.nodes.clone());
        registry.register(
            "cilium_agent_bootstrap_seconds",
            "From the start until pods could be connected",
            self.bootstrap.clone(),
        );
        let version: Family<Labels, Gauge> = Family::default();
        let labels = vec![
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("revision", String::new()),
            ("arch", std::env::consts::ARCH.into()),
        ];
        version.get_or_create(&labels).set(1);
        registry.register("cilium_version", "The agent's version", version);
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
    let latest = Latest { calls, status: Arc::default() };
    let metrics = counts.metrics(requests, &latest);
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
        "netloom_unreachable_pod_cidrs",
        "Ranges of other nodes' pods that no route leads to",
        status.unreachable_pod_cidrs,
    )?;
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
    let mut enforcement: BTreeMap<String, u64> = BTreeMap::new();
    for endpoint in &status.endpoints {
        let directions = match (endpoint.ingress_enforced, endpoint.egress_enforced) {
            (true, true) => "both",
            (true, false) => "ingress",
            (false, true) => "egress",
            (false, false) => "none",
        };
        let audit = if status.policy_audit && directions != "none" { "audit-" } else { "" };
        *enforcement.entry(format!("{audit}{directions}")).or_default() += 1;
    }
    let enforcement = enforcement.iter().map(|(value, count)| (value.as_str(), *count)).collect();
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
    let help = "Pods by the directions in which policy is enforced on them";
    let described =
        encoder.encode_descriptor("cilium_policy_endpoint_enforcement_status", help, None, kind)?;
    gauges("enforcement", enforcement, described)?;
    let help = "Entries of a map in use, as a part of its room";
    let mut described = encoder.encode_descriptor("cilium_bpf_map_pressure", help, None, kind)?;
    for fill in &status.maps {
        let labels = [("map_name", fill.map.as_str())];
        let pressure = fill.entries as f64 / fill.capacity.max(1) as f64;
        ConstGauge::new(pressure).encode(described.encode_family(&labels)?)?;
    }
    encode_traffic(&status.traffic, encoder)
}

fn encode_traffic(traffic: &[Traffic], mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
    let kind = ConstCounter::new(0_u64).metric_type();
    let units: [(&str, &str, Number); 2] =
        [("count", "Packets", |traffic| traffic.packets), ("bytes", "Bytes", |traffic| traffic.bytes)];
    for (unit, what, number) in units {
        let (name, help) = (format!("cilium_forward_{unit}"), format!("{what} let through"));
        let mut described = encoder.encode_descriptor(&name, &help, None, kind)?;
        for traffic in traffic.iter().filter(|traffic| traffic.dropped.is_none()) {
            let labels = [("direction", traffic.direction.as_str())];
            ConstCounter::new(number(traffic)).encode(described.encode_family(&labels)?)?;
        }
        let (name, help) = (format!("cilium_drop_{unit}"), format!("{what} dropped"));
        let mut described = encoder.encode_descriptor(&name, &help, None, kind)?;
        for traffic in traffic {
            let Some(reason) = &traffic.dropped else { continue };
            let labels = [("reason", reason.as_str()), ("direction", traffic.direction.as_str())];
            ConstCounter::new(number(traffic)).encode(described.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api::{Attachment, ConntrackSummary, EndpointStatus, MapFill, PolicyStatus};
    use axum::http::{Method, StatusCode};
    use daemon::health::Health;
    use kubernetes::client::{Call, Observer as _};

    use super::*;

    /// A node with something of everything.
    fn status() -> Status {
        let endpoint = |ingress_enforced| EndpointStatus {
            id: 7,
            attachment: Attachment { container_id: "c".into(), ifname: "eth0".into() },
            pod: None,
            identity: 300,
            labels: Vec::new(),
            addresses: vec![[10, 0, 0, 1].into()],
            host_ifname: "lxc7".into(),
            ingress_enforced,
            egress_enforced: false,
            policy_revision: 1,
        };
        let traffic = |dropped: Option<&str>| Traffic {
            direction: "ingress".into(),
            dropped: dropped.map(str::to_owned),
            packets: 3,
            bytes: 180,
        };
        Status {
            version: "1".into(),
            pid: 1,
            node: "n1".into(),
            ready: true,
            revision: 5,
            policy_revision: 6,
            policy_enforcement: "default".into(),
            policy_audit: true,
            pod_cidrs: Vec::new(),
            addresses_used: 2,
            unreachable_pod_cidrs: 1,
            attach: "tcx".into(),
            endpoints: vec![endpoint(true), endpoint(false)],
            policies: vec![PolicyStatus {
                policy: "NetworkPolicy default/p".into(),
                valid: true,
                message: None,
                warnings: Vec::new(),
            }],
            warnings: Vec::new(),
            forwarded: 3,
            dropped: Vec::new(),
            events_lost: 0,
            events_limited: 0,
            conntrack: ConntrackSummary::default(),
            traffic: vec![traffic(None), traffic(Some("no policy rule allows it"))],
            maps: vec![MapFill { map: "ADDRESSES".into(), entries: 1, capacity: 4 }],
        }
    }

    /// All metrics, as an agent serves them.
    fn metrics() -> Metrics {
        let counts = Counts::default();
        counts.told("Pod", "set");
        counts.begun();
        let requests = Requests::new(&Health::new());
        requests.called(&Call {
            method: &Method::GET,
            path: "/api/v1/pods",
            watch: false,
            status: Some(StatusCode::OK),
            latency: Duration::from_millis(100),
            queued: Duration::ZERO,
        });
        let (calls, _) = mpsc::channel(1);
        let status = Arc::new(Mutex::new(Some(status())));
        counts.metrics(&requests, &Latest { calls, status })
    }

    #[test]
    fn every_family_is_in_the_book() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        let page = std::fs::read_to_string(file).unwrap();
        let table = daemon::metrics::table(metrics().registry()).unwrap();
        let wanted = daemon::book::with_table(&page, "Agent", &table).expect("the section");
        if std::env::var_os("NETLOOM_WRITE_DOCS").is_some() {
            std::fs::write(file, &wanted).unwrap();
        } else {
            assert!(page == wanted, "{file} is out of date: run this test with NETLOOM_WRITE_DOCS=1");
        }
    }

    #[test]
    fn what_dashboards_ask_for() {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, metrics().registry()).unwrap();
        for line in [
            r#"cilium_bpf_map_pressure{map_name="ADDRESSES"} 0.25"#,
            r#"cilium_policy_endpoint_enforcement_status{enforcement="audit-ingress"} 1"#,
            r#"cilium_policy_endpoint_enforcement_status{enforcement="none"} 1"#,
            r#"cilium_forward_bytes_total{direction="ingress"} 180"#,
            r#"cilium_drop_bytes_total{reason="no policy rule allows it",direction="ingress"} 180"#,
            r#"cilium_drop_count_total{reason="no policy rule allows it",direction="ingress"} 3"#,
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
        }
        assert!(text.contains("cilium_process_open_fds ") && text.contains("cilium_version{version="));
    }
}
