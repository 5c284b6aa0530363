//! How the agent is.

use abi::{Counter, CounterKey, Direction, PolicySlot};
use api::{ConntrackSummary, EndpointStatus, MapFill, Status, Traffic};

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
        let traffic = self.traffic();
        let forwarded = traffic.iter().filter(|traffic| traffic.dropped.is_none());
        let dropped = traffic.iter().filter_map(|traffic| {
            Some((traffic.dropped.clone()?, traffic.direction.clone(), traffic.packets))
        });
        let connections = self.datapath.connections.list().map(|list| list.len());
        let [established, unconfirmed] = connections.map(|count| count as u64);
        let maps = self.datapath.fill(connections).into_iter().map(|fill| MapFill {
            map: fill.map.to_owned(),
            entries: fill.entries,
            capacity: fill.capacity,
        });
        let settings = self.cluster.repository.settings();
        let mut warnings = self.cluster.warnings();
        warnings.extend(self.failure.clone());
        warnings.extend(self.eni.iter().flat_map(super::EniMode::complaints));
        warnings.extend(self.obstacles.sentences());
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
            unreachable_pod_cidrs: self.obstacles.ranges(),
            attach: self.datapath.attach_mode().name().to_owned(),
            endpoints: endpoints.collect(),
            policies: self.cluster.policies(),
            warnings,
            forwarded: forwarded.map(|traffic| traffic.packets).sum(),
            dropped: dropped.collect(),
            events_lost: count(CounterKey::EventsLost),
            events_limited: count(CounterKey::EventsLimited),
            conntrack: ConntrackSummary { established, unconfirmed },
            maps: maps.collect(),
            traffic,
        }
    }

    /// What became of packets.
    fn traffic(&self) -> Vec<Traffic> {
        let counters = &self.datapath.counters;
        let of = |direction: Direction, dropped: Option<&str>, counter: Counter| Traffic {
            direction: if direction == Direction::Ingress { "ingress" } else { "egress" }.to_owned(),
            dropped: dropped.map(str::to_owned),
            packets: counter.packets,
            bytes: counter.bytes,
        };
        let forwarded = [Direction::Ingress, Direction::Egress].map(|direction| {
            of(direction, None, counters.get(CounterKey::Forwarded(direction)).unwrap_or_default())
        });
        let drops = counters.drops().unwrap_or_default().into_iter();
        let dropped =
            drops.map(|(reason, direction, counter)| of(direction, Some(reason.sentence()), counter));
        forwarded.into_iter().chain(dropped).collect()
    }
}
