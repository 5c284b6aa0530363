//! What is counted about ENIs. Names are the reference's.

use std::collections::BTreeSet;
use std::time::Duration;

use ipam::ec2::{Error, ErrorKind, Reply};
use ipam::eni::Figures;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfNode {
    target_node: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Category {
    category: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    operation: &'static str,
    response_code: String,
}

/// Gauges of nodes, and EC2's answers.
#[derive(Clone, Debug)]
pub(crate) struct EniMetrics {
    available: Family<OfNode, Gauge>,
    used: Family<OfNode, Gauge>,
    needed: Family<OfNode, Gauge>,
    nodes: Family<Category, Gauge>,
    calls: Family<Ended, Histogram, fn() -> Histogram>,
    pub(super) conflicts: Counter,
}

impl EniMetrics {
    pub(crate) fn new() -> Self {
        Self {
            available: Family::default(),
            used: Family::default(),
            needed: Family::default(),
            nodes: Family::default(),
            calls: Family::new_with_constructor(times),
            conflicts: Counter::default(),
        }
    }

    /// What only this operator counts.
    pub(crate) fn register_own(&self, own: &mut Registry) {
        own.register(
            "eni_write_conflicts",
            "CiliumNodes that were not written since they were others by then",
            self.conflicts.clone(),
        );
    }

    /// What the reference counts as well.
    pub(crate) fn register(&self, theirs: &mut Registry) {
        theirs.register("ipam_available_ips", "Pod addresses that a node has", self.available.clone());
        theirs.register("ipam_used_ips", "Pod addresses that a node uses", self.used.clone());
        theirs.register("ipam_needed_ips", "Pod addresses that a node lacks", self.needed.clone());
        theirs.register("ipam_nodes", "Nodes whose ENIs are managed, by how they fare", self.nodes.clone());
        theirs.register(
            "ec2_api_duration_seconds",
            "How long EC2 took to answer, by action and how it ended",
            self.calls.clone(),
        );
    }

    pub(super) fn answered(&self, operation: &'static str, result: &Result<Reply, Error>, took: Duration) {
        let response_code = match result {
            Ok(_) => "OK".to_owned(),
            Err(error) if error.kind == ErrorKind::Unanswered => "NoAnswer".to_owned(),
            Err(error) => error.code.clone(),
        };
        self.calls.get_or_create(&Ended { operation, response_code }).observe(took.as_secs_f64());
    }

    /// Says how all nodes fare. Those that were shown before and are gone are forgotten.
    pub(crate) fn show<'a>(
        &self,
        figures: impl Iterator<Item = (&'a str, Figures)>,
        shown: &mut BTreeSet<String>,
    ) {
        let mut gone = std::mem::take(shown);
        let (mut total, mut short, mut full) = (0, 0, 0);
        for (node, of) in figures {
            gone.remove(node);
            shown.insert(node.to_owned());
            let label = OfNode { target_node: node.to_owned() };
            for (family, number) in
                [(&self.available, of.available), (&self.used, of.used), (&self.needed, of.needed)]
            {
                family.get_or_create(&label).set(number.into());
            }
            total += 1;
            short += i64::from(of.needed > 0);
            full += i64::from(of.full);
        }
        for target_node in gone {
            let label = OfNode { target_node };
            for family in [&self.available, &self.used, &self.needed] {
                family.remove(&label);
            }
        }
        for (category, number) in [("total", total), ("in-deficit", short), ("at-capacity", full)] {
            self.nodes.get_or_create(&Category { category }).set(number);
        }
    }

    /// One of each, for the book.
    #[cfg(test)]
    pub(crate) fn exemplify(&self) {
        self.show([("n1", Figures::default())].into_iter(), &mut BTreeSet::new());
        self.answered("DescribeVpcs", &Ok(Reply::Vpcs(Vec::new())), Duration::ZERO);
    }
}

/// From 10 milliseconds to 40 seconds: a request ends after 30.
fn times() -> Histogram {
    Histogram::new(exponential_buckets(0.01, 2.0, 13))
}
