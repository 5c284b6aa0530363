//! What the cluster is told of this node.

use std::collections::BTreeMap;

use abi::{Identity, PolicySlot};
use api::Attachment;
use policy::reserved_labels;
use tokio::sync::mpsc::UnboundedSender;

use super::Engine;
use crate::source::{Published, Report};

/// Tells what changed since it was told last. After a start all is told.
#[derive(Debug)]
pub(super) struct Reporter {
    to: UnboundedSender<Report>,
    endpoints: BTreeMap<Attachment, Published>,
    is_ready: Option<bool>,
}

impl Reporter {
    pub(super) const fn new(to: UnboundedSender<Report>) -> Self {
        Self { to, endpoints: BTreeMap::new(), is_ready: None }
    }

    pub(super) fn send(&self, report: Report) {
        // A source that has no use for reports does not listen.
        let _ = self.to.send(report);
    }

    fn endpoint(&mut self, published: Published) {
        if self.endpoints.get(&published.attachment) != Some(&published) {
            self.endpoints.insert(published.attachment.clone(), published.clone());
            self.send(Report::Endpoint(Box::new(published)));
        }
    }

    /// Tells that an attachment is gone. `pod` is whose it was.
    pub(super) fn gone(&mut self, attachment: &Attachment, pod: Option<&api::PodRef>) {
        self.endpoints.remove(attachment);
        if let Some(pod) = pod {
            self.send(Report::EndpointGone(pod.clone(), attachment.clone()));
        }
    }

    fn ready(&mut self, is_ready: bool) {
        if self.is_ready != Some(is_ready) {
            self.is_ready = Some(is_ready);
            self.send(Report::Ready(is_ready));
        }
    }
}

impl Engine {
    /// Tells which label sets need a number. Before the source has told all, it may be on its way.
    pub(super) fn report_wanted(&mut self) {
        if self.observed.is_none() {
            return;
        }
        for labels in self.cluster.take_wanted() {
            self.reports.send(Report::IdentityWanted(labels));
        }
    }

    /// Tells whether pods can be connected.
    pub(super) fn report_ready(&mut self) {
        let is_ready = self.settled && self.addresses.is_some() && self.failure.is_none();
        self.reports.ready(is_ready);
    }

    /// Tells how this node's pods are.
    pub(super) fn report_endpoints(&mut self) {
        for endpoint in self.endpoints.iter() {
            let Some(pod) = &endpoint.pod else { continue };
            let record = self.datapath.endpoints.get(&endpoint.link()).unwrap_or_default();
            let known = self.cluster.labels(pod);
            let identity = if known.is_some() { record.identity } else { Identity::INIT };
            self.reports.endpoint(Published {
                pod: pod.clone(),
                attachment: endpoint.attachment.clone(),
                id: endpoint.id,
                identity,
                labels: known.unwrap_or_else(|| reserved_labels(Identity::INIT)),
                addresses: endpoint.addresses.clone(),
                ingress_enforced: record.ingress != PolicySlot::ALLOW_ALL,
                egress_enforced: record.egress != PolicySlot::ALLOW_ALL,
            });
        }
    }
}
