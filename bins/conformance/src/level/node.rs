//! A node in memory: the agent's picture of the cluster, and the datapath's tables and code on the host.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use abi::{
    Addr, AddressRecord, CidrRecord, CidrSet, Config, Direction, DropReason, Endpoint, EndpointId, Identity,
    IfIndex, PolicySlot,
};
use agent::cluster::{Beginnings, Cluster};
use agent::source::Change;
use agent::tables::{cidr_key, compiled_policy};
use api::PodRef;
use policy::manifest::{Object, ObjectKey, Pod};
use policy::{Compiled, Settings};
use scenarios::{Counted, Engine as _, EngineError, Entry, HostEngine, Outcome};

use super::rule_name;
use crate::error::Error;
use crate::expect::Packet;
use crate::objects::Thing;

/// The uplink.
const UPLINK: IfIndex = IfIndex(1_000_000);

/// Where a packet goes that a pod was let send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Into another pod of the node.
    Pod,
    /// To another pod of the node, which did not let it in.
    IngressDropped(DropReason),
    /// Out by the uplink.
    Wire,
    /// To the node's stack.
    Stack,
}

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    name: String,
    cluster: Cluster,
    engine: HostEngine,
    /// The node's own pods, each behind its link.
    pods: BTreeMap<PodRef, (IfIndex, Vec<IpAddr>)>,
    next: u32,
}

impl Node {
    /// A node that knows of nothing yet.
    pub(super) fn new(name: &str, settings: Settings) -> Self {
        Self {
            name: name.to_owned(),
            cluster: Cluster::new(name, Beginnings { settings, ..Beginnings::default() }, Vec::new()),
            engine: HostEngine::default(),
            pods: BTreeMap::new(),
            next: 1,
        }
    }

    /// Takes note of objects that went, came or changed.
    pub(super) fn take(&mut self, gone: &[ObjectKey], changed: &[&Thing]) {
        for key in gone {
            let pod = PodRef { namespace: key.namespace.clone().unwrap_or_default(), name: key.name.clone() };
            if key.kind == "Pod"
                && let Some((_, addresses)) = self.pods.remove(&pod)
            {
                self.cluster.remove_local(Some(&pod), &addresses);
            }
            self.cluster.apply(Change::Removed(key.clone()));
        }
        for thing in changed {
            if let Object::Pod(pod) = &thing.object
                && pod.node_name.as_deref() == Some(&self.name)
                && !pod.host_network
            {
                self.connect(pod);
            }
            self.cluster.apply(Change::Set(Box::new(thing.object.clone())));
        }
    }

    /// Takes note of the DNS names of addresses outside, as a DNS proxy would learn them.
    pub(super) fn know_names(&mut self, names: &BTreeMap<IpAddr, BTreeSet<String>>) {
        for (address, names) in names {
            self.cluster.repository.set_names(*address, names.clone());
        }
    }

    /// Does what the plugin does for a new pod.
    fn connect(&mut self, pod: &Pod) {
        let name = PodRef { namespace: pod.meta.namespace().to_owned(), name: pod.meta.name.clone() };
        if self.pods.get(&name).is_some_and(|(_, addresses)| *addresses == pod.ips) {
            return;
        }
        if let Some((_, addresses)) = self.pods.remove(&name) {
            self.cluster.remove_local(Some(&name), &addresses);
        }
        self.cluster.set_local(Some(&name), &pod.ips);
        self.pods.insert(name, (IfIndex(self.next), pod.ips.clone()));
        self.next += 1;
    }

    /// Writes the tables anew from what is known. Connections are forgotten.
    pub(super) fn enforce(&mut self) -> Result<(), Error> {
        let filled = self.fill();
        filled.map_err(|source| self.failed("filling the tables", source))
    }

    fn fill(&mut self) -> Result<(), EngineError> {
        self.engine.reset()?;
        self.engine.set_config(&Config::default())?;
        let local: BTreeMap<IpAddr, IfIndex> = self
            .pods
            .values()
            .flat_map(|(link, addresses)| addresses.iter().map(|address| (*address, *link)))
            .collect();
        for (address, peer) in self.cluster.repository.addresses() {
            let here = local.get(&address).copied().unwrap_or_default();
            let elsewhere = here == IfIndex(0) && self.cluster.is_elsewhere(address);
            let forward = if elsewhere { UPLINK } else { IfIndex(0) };
            self.engine.set_address(Addr::from(address), AddressRecord { peer, local: here, forward })?;
        }
        for (cidr, peer) in self.cluster.repository.cidrs() {
            self.engine.set_cidr(cidr_key(cidr), CidrRecord { peer })?;
        }
        let mut installed: Vec<(Arc<Compiled>, PolicySlot)> = Vec::new();
        for (pod, (link, addresses)) in &self.pods {
            let Some(labels) = self.cluster.labels(pod) else { continue };
            let mut slots = [PolicySlot::NONE; 2];
            for (slot, direction) in slots.iter_mut().zip([Direction::Ingress, Direction::Egress]) {
                let compiled = self.cluster.repository.compile(&labels, direction);
                let known = installed.iter().find(|(known, _)| Arc::ptr_eq(known, &compiled));
                *slot = match known {
                    _ if compiled.tables.allow_all => PolicySlot::ALLOW_ALL,
                    Some((_, slot)) => *slot,
                    None => {
                        let slot = self.engine.install(&compiled_policy(&compiled.tables))?;
                        installed.push((compiled, slot));
                        slot
                    }
                };
            }
            let record = endpoint(&self.cluster, *link, addresses, slots);
            self.engine.set_endpoint(record)?;
        }
        Ok(())
    }

    /// A pod of the node sends. The inner error is why it may not.
    pub(super) fn pod_sends(
        &mut self,
        pod: &str,
        bytes: &mut Vec<u8>,
    ) -> Result<Result<Way, DropReason>, Error> {
        let link = self.link(pod);
        let run = self.engine.run_at(link, Entry::FromPod, bytes);
        let run = run.map_err(|source| self.failed("sending from a pod", source))?;
        let left = run.counted.contains(&Counted::Forwarded(Direction::Egress));
        *bytes = run.packet;
        Ok(match run.outcome {
            Outcome::Drop(reason) if left => Ok(Way::IngressDropped(reason)),
            Outcome::Drop(reason) => Err(reason),
            Outcome::Deliver => Ok(Way::Pod),
            Outcome::Forward => Ok(Way::Wire),
            Outcome::Pass | Outcome::Arp => Ok(Way::Stack),
        })
    }

    /// The node's stack sends to a pod of the node. The inner error is why it is not let in.
    pub(super) fn stack_delivers(
        &mut self,
        pod: &str,
        bytes: &[u8],
    ) -> Result<Result<(), DropReason>, Error> {
        self.deliver(pod, Entry::ToPod, bytes)
    }

    /// Something arrives on the uplink, for a pod of the node. The inner error is why it is not let in.
    pub(super) fn wire_delivers(&mut self, pod: &str, bytes: &[u8]) -> Result<Result<(), DropReason>, Error> {
        self.deliver(pod, Entry::FromNetdev, bytes)
    }

    fn deliver(&mut self, pod: &str, entry: Entry, bytes: &[u8]) -> Result<Result<(), DropReason>, Error> {
        let link = self.link(pod);
        let run = self.engine.run_at(link, entry, bytes);
        let run = run.map_err(|source| self.failed("delivering to a pod", source))?;
        match (run.outcome, entry) {
            (Outcome::Drop(reason), _) => Ok(Err(reason)),
            // The datapath left it to the stack, which delivers it.
            (Outcome::Pass, Entry::FromNetdev) => self.deliver(pod, Entry::ToPod, &run.packet),
            _ => Ok(Ok(())),
        }
    }

    /// The rules that decide about a pod's packet, or the specs that closed the direction.
    pub(super) fn rules(
        &self,
        pod: &str,
        direction: Direction,
        peer: IpAddr,
        packet: &Packet,
    ) -> Vec<String> {
        let Some(labels) = self.cluster.labels(&pod_ref(pod)) else { return Vec::new() };
        let repository = &self.cluster.repository;
        let why = repository.explain(&labels, direction, repository.peer(peer), packet.proto(), packet.port);
        let decisive = if why.rules.is_empty() { &why.closed_by } else { &why.rules };
        decisive.iter().map(rule_name).collect()
    }

    fn link(&self, pod: &str) -> IfIndex {
        self.pods.get(&pod_ref(pod)).map(|(link, _)| *link).unwrap_or_default()
    }

    fn failed(&self, doing: &'static str, source: EngineError) -> Error {
        Error::Core { node: self.name.clone(), doing, source }
    }
}

fn pod_ref(name: &str) -> PodRef {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    PodRef { namespace: namespace.to_owned(), name: name.to_owned() }
}

fn endpoint(
    cluster: &Cluster,
    link: IfIndex,
    addresses: &[IpAddr],
    [ingress, egress]: [PolicySlot; 2],
) -> Endpoint {
    let address = |v4: bool| addresses.iter().copied().find(|address| address.is_ipv4() == v4);
    let cidrs = |v4| address(v4).map_or(CidrSet::EMPTY, |address| cluster.repository.peer(address).cidrs);
    let number = link.0 as u16;
    let [high, low] = number.to_be_bytes();
    Endpoint {
        v4: address(true).map_or(Addr::UNSPECIFIED, Addr::from),
        v6: address(false).map_or(Addr::UNSPECIFIED, Addr::from),
        identity: addresses.first().map_or(Identity::INIT, |address| cluster.identity(*address)),
        v4_cidrs: cidrs(true),
        v6_cidrs: cidrs(false),
        ingress,
        egress,
        ifindex: link,
        id: EndpointId(number),
        macs: Endpoint::macs_to([0x02, 0, 0, 0, high, low]),
        ..Endpoint::default()
    }
}
