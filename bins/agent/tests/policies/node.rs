//! A cluster as the agent of node `n1` knows it, and its pods' packets.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use abi::{
    Addr, AddressRecord, Cell, CellAction, CidrRecord, Config, Direction, DropReason, Endpoint, EndpointId,
    Event, EventKind, Identity, IfIndex, PolicySlot,
};
use api::PodRef;
use netloom_agent::cluster::{Beginnings, Cluster};
use netloom_agent::source::Change;
use netloom_agent::tables::{cidr_key, compiled_policy};
use policy::manifest::{self, Object, Pod, parse};
use policy::oracle::{Judgement, Oracle, Party, Subject};
use policy::{Compiled, Verdict};
use policy_arbitrary::{Case, yaml};
use scenarios::{Engine, Entry};

use crate::packet::{Question, What};
use crate::tally::Tally;

/// The node.
const NODE: &str = "n1";
/// The link that test runs happen on.
const LINK: IfIndex = IfIndex(1);
/// Addresses that no pod and no node has.
const OUTSIDE: [&str; 6] =
    ["192.0.2.1", "192.0.2.200", "10.1.0.1", "10.0.1.77", "2001:db8::1", "2001:db9::1"];

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fate {
    kind: EventKind,
    reason: Option<DropReason>,
}

/// What is said of a packet, as the datapath's events tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    fate: Fate,
    /// The classes of peer and port, where policy was asked.
    classes: (u32, u32),
    peer: abi::Peer,
}

/// The agent's picture, and the oracle's.
pub(crate) struct Node {
    objects: Vec<Object>,
    oracle: Oracle,
    cluster: Cluster,
}

impl Node {
    /// Why it cannot be read, where it cannot.
    pub(crate) fn new(case: &Case) -> Result<Self, String> {
        let mut objects = Vec::new();
        for value in &case.objects {
            let text = yaml(value);
            for object in parse(&text, "cluster.yaml", 1) {
                objects.push(object.map_err(|rejected| format!("invalid: {rejected}\n{text}"))?);
            }
        }
        let oracle = Oracle::new(&objects, case.settings, case.names.clone());
        let beginnings = Beginnings { settings: case.settings, ..Beginnings::default() };
        let mut cluster = Cluster::new(NODE, beginnings, Vec::new());
        for object in &objects {
            if let Object::Pod(pod) = object
                && is_here(pod)
            {
                cluster.set_local(Some(&name(pod)), &pod.ips);
            }
            cluster.apply(Change::Set(Box::new(object.clone())));
        }
        for (addr, names) in &case.names {
            cluster.repository.set_names(*addr, names.clone());
        }
        Ok(Self { objects, oracle, cluster })
    }

    /// Asks everybody about every packet. Says which one is judged in different ways.
    pub(crate) fn judge(&mut self, questions: &[Question], engine: &mut dyn Engine) -> Result<Tally, String> {
        let Self { objects, oracle, cluster } = self;
        let pods: Vec<&Pod> = pods(objects).filter(|pod| is_here(pod)).collect();
        let mut tally = Tally::default();
        if pods.is_empty() {
            return Ok(tally);
        }
        engine.reset().unwrap();
        engine.set_config(&Config { events_per_tick: u32::MAX, ..Config::default() }).unwrap();
        for (network, peer) in cluster.repository.cidrs() {
            engine.set_cidr(cidr_key(network), CidrRecord { peer }).unwrap();
        }
        let mut of_pods: BTreeMap<(usize, bool), Vec<&Question>> = BTreeMap::new();
        for question in questions {
            let pod = question.pod.index(pods.len());
            of_pods.entry((pod, question.egress)).or_default().push(question);
        }
        let parties = parties(objects);
        // A number for each pod and direction, so that nothing is of a connection that is known.
        for (id, ((pod, egress), questions)) in (1..).zip(of_pods) {
            let direction = if egress { Direction::Egress } else { Direction::Ingress };
            let asked = Asked {
                pod: pods[pod],
                direction,
                subject: oracle.pod(pods[pod]),
                compiled: place(pods[pod], direction, EndpointId(id), cluster, engine),
                cluster,
            };
            asked.judge(&parties, &questions, engine, &mut tally)?;
        }
        Ok(tally)
    }
}

/// Makes a pod the one under test, with a policy in this direction and none in the other, which must not be asked.
fn place(
    pod: &Pod,
    direction: Direction,
    id: EndpointId,
    cluster: &mut Cluster,
    engine: &mut dyn Engine,
) -> std::sync::Arc<Compiled> {
    let own = pod.ips[0];
    for (addr, peer) in cluster.repository.addresses() {
        let local = if addr == own { LINK } else { IfIndex(0) };
        engine.set_address(addr.into(), AddressRecord { peer, local, forward: IfIndex(0) }).unwrap();
    }
    let labels = cluster.labels(&name(pod)).unwrap();
    let compiled = cluster.repository.compile(&labels, direction);
    let slot = if compiled.tables.allow_all {
        PolicySlot::ALLOW_ALL
    } else {
        engine.install(&compiled_policy(&compiled.tables)).unwrap()
    };
    let [v4, v6] = [true, false].map(|v4| if own.is_ipv4() == v4 { own.into() } else { Addr::UNSPECIFIED });
    let identity = cluster.repository.peer(own).identity;
    let mut endpoint = Endpoint { v4, v6, identity, id, ifindex: LINK, ..Endpoint::default() };
    match direction {
        Direction::Ingress => endpoint.ingress = slot,
        Direction::Egress => endpoint.egress = slot,
    }
    engine.set_endpoint(endpoint).unwrap();
    compiled
}

/// A pod under test, in one direction.
struct Asked<'a> {
    pod: &'a Pod,
    direction: Direction,
    subject: Subject<'a>,
    compiled: std::sync::Arc<Compiled>,
    cluster: &'a Cluster,
}

impl Asked<'_> {
    fn judge(
        &self,
        parties: &[(IpAddr, Party<'_>)],
        questions: &[&Question],
        engine: &mut dyn Engine,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let own = self.pod.ips[0];
        let parties: Vec<&(IpAddr, Party<'_>)> =
            parties.iter().filter(|(addr, _)| *addr != own && addr.is_ipv4() == own.is_ipv4()).collect();
        let mut asked = HashSet::new();
        for (number, question) in (10_000..).zip(questions) {
            let (addr, party) = **question.peer.get(&parties);
            let what = question.what.of_family(own.is_ipv4());
            if what.is_only_one(own.is_ipv4()) && !asked.insert((addr, what)) {
                continue;
            }
            let (proto, port) = what.key(own.is_ipv4());
            let judged = self.subject.verdict(self.direction, party, Some(addr), proto, port);
            let oracle = self.audited(of_oracle(&judged));
            let tables = self.of_tables(addr, proto, port);
            let (entry, frame) = self.frame(addr, what, number);
            let found: Vec<Said> = engine
                .report(entry, &frame)
                .unwrap()
                .iter()
                .map(|event| said(event, self.direction))
                .collect();
            if tables.fate != oracle || found != [tables] {
                return Err(format!(
                    "pod {} ({own}), {:?}, {addr}, {what:?}, entering by {entry:?}:\noracle: {oracle:?} {judged:?}\n\
                     tables: {tables:?}\n{}: {found:?}",
                    name(self.pod),
                    self.direction,
                    engine.name(),
                ));
            }
            tally.count(oracle.kind, judged.verdict == Verdict::Redirect, judged.authentication.is_some());
        }
        Ok(())
    }

    /// A packet between the pod and somebody, and where it enters.
    fn frame(&self, peer: IpAddr, what: What, number: u16) -> (Entry, Vec<u8>) {
        let own = self.pod.ips[0];
        let (src, dst) = if self.direction == Direction::Egress { (own, peer) } else { (peer, own) };
        let entry = match self.direction {
            Direction::Egress => Entry::FromPod,
            // The node's own packets do not come by the wire.
            Direction::Ingress if self.is_host(peer) || number.is_multiple_of(2) => Entry::ToPod,
            Direction::Ingress => Entry::FromNetdev,
        };
        (entry, what.packet(src, dst, number).frame())
    }

    fn is_host(&self, peer: IpAddr) -> bool {
        self.cluster.repository.peer(peer).identity == Identity::HOST
    }

    fn of_tables(&self, addr: IpAddr, proto: u8, port: u16) -> Said {
        let peer = self.cluster.repository.peer(addr);
        // A pod's own node always reaches it.
        let is_exempt = self.direction == Direction::Ingress && self.is_host(addr);
        if is_exempt || self.compiled.tables.allow_all {
            return Said { fate: fate(None), classes: (0, 0), peer };
        }
        let (cell, peer_class, port_class) = self.compiled.tables.lookup(peer, proto, port);
        Said { fate: self.audited(fate(denied(cell))), classes: (peer_class.0, port_class.0), peer }
    }

    fn audited(&self, fate: Fate) -> Fate {
        if self.cluster.repository.settings().audit && fate.kind == EventKind::Dropped {
            Fate { kind: EventKind::Audited, reason: None }
        } else {
            fate
        }
    }
}

const fn fate(denied: Option<DropReason>) -> Fate {
    Fate { kind: if denied.is_some() { EventKind::Dropped } else { EventKind::Allowed }, reason: denied }
}

/// What becomes of a packet, as long as there are no proxies and nobody can prove who they are.
fn of_oracle(judged: &Judgement) -> Fate {
    fate(match judged.verdict {
        _ if judged.authentication.is_some() => Some(DropReason::AuthRequired),
        Verdict::Allow => None,
        Verdict::Redirect => Some(DropReason::RedirectUnsupported),
        Verdict::Deny if judged.rules.is_empty() => Some(DropReason::PolicyDenied),
        Verdict::Deny => Some(DropReason::PolicyDeny),
    })
}

/// The same of a cell.
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
        fate: Fate {
            kind: kinds.into_iter().find(|kind| *kind as u8 == event.kind).unwrap(),
            reason: DropReason::from_code(event.reason),
        },
        classes: (event.peer_class.0, event.port_class.0),
        peer: event.peer,
    }
}

fn name(pod: &Pod) -> PodRef {
    PodRef { namespace: pod.meta.namespace().to_owned(), name: pod.meta.name.clone() }
}

/// Whether it is one of the node's endpoints.
fn is_here(pod: &Pod) -> bool {
    pod.node_name.as_deref() == Some(NODE) && !pod.host_network && !pod.is_finished() && !pod.ips.is_empty()
}

fn pods(objects: &[Object]) -> impl Iterator<Item = &Pod> {
    objects.iter().filter_map(|object| match object {
        Object::Pod(pod) => Some(pod),
        _ => None,
    })
}

/// Everybody who has an address. A pod on its node's network has none.
fn parties(objects: &[Object]) -> Vec<(IpAddr, Party<'_>)> {
    let of_pods = pods(objects)
        .filter(|pod| !pod.host_network)
        .flat_map(|pod| pod.ips.iter().map(move |addr| (*addr, Party::Pod(pod))));
    let nodes = objects.iter().filter_map(|object| match object {
        Object::Node(node) => Some(node),
        _ => None,
    });
    let of_nodes = nodes
        .flat_map(|node: &manifest::Node| node.addresses.iter().map(move |addr| (*addr, Party::Node(node))));
    let outside = OUTSIDE.iter().map(|addr| {
        let addr = addr.parse().unwrap();
        (addr, Party::outside(addr))
    });
    of_pods.chain(of_nodes).chain(outside).collect()
}
