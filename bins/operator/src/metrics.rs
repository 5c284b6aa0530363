//! What the operator counts. Names are the reference's where the meaning is the same.

use std::sync::atomic::AtomicU64;

use daemon::health::Health;
use daemon::requests::Requests;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::eni::EniMetrics;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Outcome {
    pub(crate) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Status {
    pub(crate) status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfFamily {
    pub(crate) family: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Action {
    pub(crate) action: &'static str,
}

/// Counters and gauges, shared by all controllers.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) leader: Gauge,
    pub(crate) requests: Requests,
    pub(crate) pod_cidrs: Family<OfFamily, Gauge>,
    pub(crate) pod_cidrs_free: Family<OfFamily, Gauge>,
    pub(crate) ipam_errors: Gauge,
    pub(crate) identity_entries: Family<Status, Gauge>,
    pub(crate) identity_runs: Family<Outcome, Counter>,
    pub(crate) identity_duplicates: Gauge,
    pub(crate) identities_created: Counter,
    pub(crate) endpoints_collected: Family<Outcome, Counter>,
    pub(crate) nodes_collected: Family<Outcome, Counter>,
    pub(crate) unmanaged_pods: Gauge,
    pub(crate) slice_writes: Family<Action, Counter>,
    pub(crate) invalid_policies: Gauge,
    pub(crate) seconds_leading: Gauge<f64, AtomicU64>,
    pub(crate) eni: EniMetrics,
}

impl Metrics {
    /// Registers everything. `health` is told whether the API server answers.
    pub fn register(registry: &mut Registry, health: &Health) -> Self {
        let metrics = Self {
            leader: Gauge::default(),
            requests: Requests::new(health),
            pod_cidrs: Family::default(),
            pod_cidrs_free: Family::default(),
            ipam_errors: Gauge::default(),
            identity_entries: Family::default(),
            identity_runs: Family::default(),
            identity_duplicates: Gauge::default(),
            identities_created: Counter::default(),
            endpoints_collected: Family::default(),
            nodes_collected: Family::default(),
            unmanaged_pods: Gauge::default(),
            slice_writes: Family::default(),
            invalid_policies: Gauge::default(),
            seconds_leading: Gauge::default(),
            eni: EniMetrics::new(),
        };
        metrics.requests.register(registry, "cilium_operator", "netloom_operator");
        let own = registry.sub_registry_with_prefix("netloom_operator");
        own.register("leader", "Whether this process leads", metrics.leader.clone());
        own.register(
            "leading_since_seconds",
            "When this term began, in Unix time",
            metrics.seconds_leading.clone(),
        );
        own.register("pod_cidrs", "Pod CIDRs that can be given to nodes", metrics.pod_cidrs.clone());
        own.register("pod_cidrs_free", "Pod CIDRs that no node has", metrics.pod_cidrs_free.clone());
        own.register(
            "nodes_without_pod_cidrs",
            "Nodes whose pod CIDRs are missing or wrong",
            metrics.ipam_errors.clone(),
        );
        own.register(
            "identity_duplicates",
            "Identities beside an older one",
            metrics.identity_duplicates.clone(),
        );
        own.register("identities_created", "Identities that were made", metrics.identities_created.clone());
        own.register("nodes_collected", "CiliumNodes without a Node", metrics.nodes_collected.clone());
        own.register("ces_writes", "Writes of CiliumEndpointSlices", metrics.slice_writes.clone());
        own.register("invalid_policies", "Policies that are not valid", metrics.invalid_policies.clone());
        metrics.eni.register_own(own);
        let theirs = registry.sub_registry_with_prefix("cilium_operator");
        theirs.register(
            "identity_gc_entries",
            "Identities in the last run",
            metrics.identity_entries.clone(),
        );
        theirs.register(
            "identity_gc_runs",
            "Runs of the identities' garbage collection",
            metrics.identity_runs.clone(),
        );
        theirs.register(
            "endpoint_gc_objects",
            "CiliumEndpoints that were collected",
            metrics.endpoints_collected.clone(),
        );
        theirs.register("unmanaged_pods", "Pods that no agent has connected", metrics.unmanaged_pods.clone());
        metrics.eni.register(theirs);
        metrics
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Method, StatusCode};
    use kubernetes::client::{Call, Observer as _};

    use super::*;

    #[test]
    fn every_family_is_in_the_book() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        let page = std::fs::read_to_string(file).unwrap();
        let mut all = daemon::metrics::Metrics::new("netloom-operator", "0", "cilium_operator");
        let metrics = Metrics::register(all.registry(), &Health::new());
        metrics.requests.called(&Call {
            method: &Method::GET,
            path: "/api/v1/pods",
            watch: false,
            status: Some(StatusCode::OK),
            latency: Duration::ZERO,
            queued: Duration::ZERO,
        });
        for family in [&metrics.pod_cidrs, &metrics.pod_cidrs_free] {
            family.get_or_create(&OfFamily { family: "IPv4".to_owned() }).set(1);
        }
        metrics.identity_entries.get_or_create(&Status { status: "alive" }).set(1);
        for family in [&metrics.identity_runs, &metrics.endpoints_collected, &metrics.nodes_collected] {
            family.get_or_create(&Outcome { outcome: "success" }).inc();
        }
        metrics.slice_writes.get_or_create(&Action { action: "create" }).inc();
        metrics.eni.exemplify();
        let table = daemon::metrics::table(all.registry()).unwrap();
        let wanted = daemon::book::with_table(&page, "Operator", &table).expect("the section");
        if std::env::var_os("NETLOOM_WRITE_DOCS").is_some() {
            std::fs::write(file, &wanted).unwrap();
        } else {
            assert!(page == wanted, "{file} is out of date: run this test with NETLOOM_WRITE_DOCS=1");
        }
    }
}
