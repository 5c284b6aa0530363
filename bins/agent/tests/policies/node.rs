//! A cluster, as it is to the datapath of a node.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use abi::{
    Addr, AddressRecord, Cell, CellAction, CidrRecord, Config, Direction, DropReason, Endpoint, EndpointId,
    Event, EventKind, Identity, IfIndex, PolicySlot,
};
use netloom_agent::tables::{cidr_key, compiled_policy};
use policy::manifest::{Object, Pod, parse};
use policy::{
    Compiled, IdentityAllocator, LabelSet, LocalIdentities, Numbers, Repository, Settings, pod_labels,
    reserved_labels,
};
use scenarios::{Engine, Entry};
use serde_json::{Value, json};

use crate::probe::{Probe, What};

/// The link that test runs happen on.
const LINK: IfIndex = IfIndex(1);

/// Peers that are no pods.
const OTHERS: [(&str, Identity); 8] = [
    ("10.0.9.1", Identity::HOST),
    ("10.0.9.2", Identity::REMOTE_NODE),
    ("10.0.9.3", Identity::KUBE_APISERVER),
    ("10.0.9.4", Identity::HEALTH),
    ("192.0.2.1", Identity::WORLD_IPV4),
    ("192.0.2.200", Identity::WORLD_IPV4),
    ("10.1.0.1", Identity::WORLD_IPV4),
    ("2001:db8::1", Identity::WORLD_IPV6),
];

/// What came of judging.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Packets that were judged.
    pub(crate) pairs: usize,
    pub(crate) allowed: usize,
    pub(crate) dropped: usize,
    pub(crate) audited: usize,
}

impl Counts {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            pairs: self.pairs + other.pairs,
            allowed: self.allowed + other.allowed,
            dropped: self.dropped + other.dropped,
            audited: self.audited + other.audited,
        }
    }

    /// They are worth something only where all kinds of things happen.
    pub(crate) fn assert_worth(self) {
        for kind in [self.allowed, self.dropped, self.audited] {
            assert!(kind > self.pairs / 100, "{self:?}");
        }
    }
}

/// What is said of a packet: as the event that tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    kind: EventKind,
    reason: Option<DropReason>,
    /// The classes of peer and port, where policy was asked.
    classes: (u32, u32),
    peer: abi::Peer,
}

pub(crate) struct Cluster {
    pods: Vec<(Pod, LabelSet)>,
    peers: Vec<IpAddr>,
    repository: Repository,
}

impl Cluster {
    pub(crate) fn new(objects: &[Value], settings: Settings) -> Self {
        let text = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        let objects: Vec<Object> = parse(&text, "cluster.yaml", 1)
            .into_iter()
            .map(|o| o.unwrap_or_else(|e| panic!("{e}")))
            .collect();
        let mut repository = Repository::new(settings, Numbers::default());
        let mut identities = LocalIdentities::cluster();
        let mut namespaces = BTreeMap::new();
        for object in &objects {
            if let Object::Namespace(namespace) = object {
                namespaces.insert(namespace.meta.name.clone(), namespace.meta.labels.clone());
            }
        }
        let mut peers = Vec::new();
        for (addr, identity) in OTHERS {
            let addr = addr.parse().unwrap();
            peers.push(addr);
            if !identity.is_world() {
                repository.set_address(addr, identity, reserved_labels(identity));
            }
        }
        let mut pods = Vec::new();
        for object in &objects {
            if let Object::Pod(pod) = object {
                let labels =
                    pod_labels(pod, namespaces.get(pod.meta.namespace()).unwrap_or(&BTreeMap::new()));
                peers.push(pod.ips[0]);
                repository.set_address(pod.ips[0], identities.allocate(&labels).unwrap(), labels.clone());
                pods.push((pod.clone(), labels));
            }
        }
        repository.set_policies(objects.iter().filter_map(Object::policy));
        Self { pods, peers, repository }
    }

    /// Asks an engine about every packet. Says which one it decides otherwise.
    pub(crate) fn judge(&mut self, engine: &mut dyn Engine, probes: &[Probe]) -> Result<Counts, String> {
        engine.reset().unwrap();
        engine.set_config(&Config { events_per_tick: u32::MAX, ..Config::default() }).unwrap();
        for (network, peer) in self.repository.cidrs() {
            engine.set_cidr(cidr_key(network), CidrRecord { peer }).unwrap();
        }
        let mut subjects: HashMap<(usize, bool), Vec<&Probe>> = HashMap::new();
        for probe in probes {
            subjects.entry((probe.pod.index(self.pods.len()), probe.egress)).or_default().push(probe);
        }
        let mut counts = Counts::default();
        for (id, ((pod, egress), probes)) in (1..).zip(subjects) {
            counts = counts.plus(self.judge_pod(engine, id, pod, egress, &probes)?);
        }
        Ok(counts)
    }

    /// Asks about packets of one pod and direction. It gets a number of its own, so that nothing is of a connection
    /// that is known.
    fn judge_pod(
        &mut self,
        engine: &mut dyn Engine,
        id: u16,
        pod: usize,
        egress: bool,
        probes: &[&Probe],
    ) -> Result<Counts, String> {
        let (name, labels) = (self.pods[pod].0.meta.name.clone(), self.pods[pod].1.clone());
        let own = self.pods[pod].0.ips[0];
        let direction = if egress { Direction::Egress } else { Direction::Ingress };
        for (addr, peer) in self.repository.addresses() {
            let local = if addr == own { LINK } else { IfIndex(0) };
            engine.set_address(addr.into(), AddressRecord { peer, local, forward: IfIndex(0) }).unwrap();
        }
        let compiled = self.repository.compile(&labels, direction);
        let slot = if compiled.tables.allow_all {
            PolicySlot::ALLOW_ALL
        } else {
            engine.install(&compiled_policy(&compiled.tables)).unwrap()
        };
        let (v4, v6) =
            if own.is_ipv4() { (own.into(), Addr::UNSPECIFIED) } else { (Addr::UNSPECIFIED, own.into()) };
        let mut endpoint = Endpoint {
            v4,
            v6,
            identity: self.repository.peer(own).identity,
            id: EndpointId(id),
            ifindex: LINK,
            ..Endpoint::default()
        };
        // The other direction has no policy, and must not be asked.
        if egress {
            endpoint.egress = slot
        } else {
            endpoint.ingress = slot
        }
        engine.set_endpoint(endpoint).unwrap();

        let peers: Vec<IpAddr> = self
            .peers
            .iter()
            .copied()
            .filter(|peer| *peer != own && peer.is_ipv4() == own.is_ipv4())
            .collect();
        let mut counts = Counts::default();
        let mut asked = HashSet::new();
        for (number, probe) in (10_000..).zip(probes) {
            let peer = *probe.peer.get(&peers);
            if probe.what.is_only_one(own.is_ipv4()) && !asked.insert((peer, probe.what)) {
                continue;
            }
            let expected = self.expected(&compiled, direction, peer, probe.what);
            let (src, dst) = if egress { (own, peer) } else { (peer, own) };
            let frame = probe.what.packet(src, dst, number).frame();
            let is_host = self.repository.peer(peer).identity == Identity::HOST;
            let entry = match direction {
                Direction::Egress => Entry::FromPod,
                Direction::Ingress if is_host || number % 2 == 0 => Entry::ToPod,
                Direction::Ingress => Entry::FromNetdev,
            };
            let found: Vec<Said> =
                engine.report(entry, &frame).unwrap().iter().map(|event| said(event, direction)).collect();
            if found != [expected] {
                return Err(format!(
                    "pod {name} ({own}), {direction:?}, {peer}, {:?}, entering by {entry:?}:\ntables: {expected:?}\n\
                     {}: {found:?}\n{:#?}",
                    probe.what,
                    engine.name(),
                    compiled.tables
                ));
            }
            counts.pairs += 1;
            match expected.kind {
                EventKind::Allowed => counts.allowed += 1,
                EventKind::Dropped => counts.dropped += 1,
                EventKind::Audited => counts.audited += 1,
            }
        }
        Ok(counts)
    }

    /// What compiled tables say.
    fn expected(&self, compiled: &Compiled, direction: Direction, peer: IpAddr, what: What) -> Said {
        let v4 = peer.is_ipv4();
        let peer = self.repository.peer(peer);
        let allowed = Said { kind: EventKind::Allowed, reason: None, classes: (0, 0), peer };
        // A pod's own node always reaches it.
        let is_exempt = direction == Direction::Ingress && peer.identity == Identity::HOST;
        if is_exempt || compiled.tables.allow_all {
            return allowed;
        }
        let (proto, port) = what.key(v4);
        let (cell, peer_class, port_class) = compiled.tables.lookup(peer, proto, port);
        let said = Said { classes: (peer_class.0, port_class.0), ..allowed };
        match denied(cell) {
            None => said,
            Some(_) if compiled.tables.audit => Said { kind: EventKind::Audited, ..said },
            reason => Said { kind: EventKind::Dropped, reason, ..said },
        }
    }
}

/// Why what a cell says of a packet drops it, as long as there are no proxies and nobody can prove who they are.
fn denied(cell: Cell) -> Option<DropReason> {
    let [allow, deny, redirect] =
        [CellAction::Allow, CellAction::Deny, CellAction::Redirect].map(|action| cell.action == action as u8);
    if deny {
        Some(DropReason::PolicyDeny)
    } else if !allow && !redirect {
        Some(DropReason::PolicyDenied)
    } else if cell.auth != 0 {
        Some(DropReason::AuthRequired)
    } else {
        redirect.then_some(DropReason::RedirectUnsupported)
    }
}

fn said(event: &Event, direction: Direction) -> Said {
    assert_eq!(event.direction, direction as u8, "{event:?}");
    let kinds = [EventKind::Allowed, EventKind::Dropped, EventKind::Audited];
    Said {
        kind: kinds.into_iter().find(|kind| *kind as u8 == event.kind).unwrap(),
        reason: DropReason::from_code(event.reason),
        classes: (event.peer_class.0, event.port_class.0),
        peer: event.peer,
    }
}
