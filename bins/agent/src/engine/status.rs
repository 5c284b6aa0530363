//! How the agent is.

use abi::{CounterKey, Direction, PolicySlot};
use api::{ConntrackSummary, EndpointStatus, Status};

use super::Engine;

impl Engine {
    pub(super) fn status(&self) -> Status {
        let endpoints = self.endpoints.iter().map(|endpoint| {
            let record = self.datapath.endpoints.get(&endpoint.link()).unwrap_or_default();
            let labels = endpoint.pod.as_ref().and_then(|pod| self.cluster.labels(pod));
            EndpointStatus {
                id: endpoint.id,
                attachment: endpoint.attachment.clone(),
                pod: endpoint.pod.clone(),
                identity: record.identity.0,
                labels: labels.iter().flat_map(|labels| labels.iter()).map(ToString::to_string).collect(),
                addresses: endpoint.addresses.clone(),
                host_ifname: endpoint.host_ifname.clone(),
                ingress_enforced: record.ingress != PolicySlot::ALLOW_ALL,
                egress_enforced: record.egress != PolicySlot::ALLOW_ALL,
                policy_revision: self.realised.get(&endpoint.link()).copied().unwrap_or_default(),
            }
        });
        let count = |key| self.datapath.counters.get(key).unwrap_or_default().packets;
        let dropped = self.datapath.counters.drops().unwrap_or_default().into_iter().map(
            |(reason, direction, counter)| {
                let direction = if direction == Direction::Ingress { "ingress" } else { "egress" };
                (reason.sentence().to_owned(), direction.to_owned(), counter.packets)
            },
        );
        let [established, unconfirmed] = self.datapath.connections.list().map(|list| list.len() as u64);
        let settings = self.cluster.repository.settings();
        let mut warnings = self.cluster.warnings();
        warnings.extend(self.failure.clone());
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            node: self.args.node.clone(),
            ready: self.is_ready(),
            revision: *self.published.objects.borrow(),
            policy_revision: self.cluster.repository.revision(),
            policy_enforcement: settings.enforcement.to_string(),
            policy_audit: settings.audit,
            pod_cidrs: self.cluster.own_node().map(|node| node.pod_cidrs.clone()).unwrap_or_default(),
            addresses_used: self.addresses.as_ref().map_or(0, crate::addresses::AddressBook::used),
            attach: self.datapath.attach_mode().name().to_owned(),
            endpoints: endpoints.collect(),
            policies: self.cluster.policies(),
            warnings,
            forwarded: count(CounterKey::Forwarded(Direction::Ingress))
                + count(CounterKey::Forwarded(Direction::Egress)),
            dropped: dropped.collect(),
            events_lost: count(CounterKey::EventsLost),
            events_limited: count(CounterKey::EventsLimited),
            conntrack: ConntrackSummary { established, unconfirmed },
        }
    }
}
