//! All nodes' interfaces: the operator's whole logic, as one state machine.

mod denied;
mod lists;
mod node;
mod outcome;
mod release;
mod step;
mod trouble;
mod turn;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fastrand::Rng;

use self::{
    denied::Denied,
    lists::{List, Lists},
    node::Node,
    turn::Kept,
};
use super::{Buckets, Config, History, Limits, NodeRecord, NodeStatus, Reason, garbage::Garbage, needed};
use crate::{
    Timestamp,
    ec2::{Action, Error, ErrorKind, Reply, Request, SecurityGroup, Subnet, Vpc},
};

/// How old what was looked at may be when a request is sent that takes something away. Leaders overlap by no more.
const FENCE: Duration = Duration::from_secs(15);
/// For how long EC2 may not show what it did.
const CONSISTENCY: Duration = Duration::from_secs(5);
/// How long after a failure a node's next request is sent, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// Names a request. None has the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

/// How a node fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Addresses that it has, used or not.
    pub available: u32,
    /// Addresses that it uses.
    pub used: u32,
    /// Addresses that it [lacks](super::needed).
    pub needed: u32,
    /// More is wanted than its instance can have.
    pub full: bool,
}

/// What the fleet wants done. Each is answered once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// Ask EC2 and hand the answer to [`Fleet::complete`].
    Request {
        /// What names it.
        id: RequestId,
        /// The request. It is sent once.
        request: Request,
        /// It takes something away, as of what was looked at lately: after this it is not sent any more, and the
        /// answer is [`Error::unsent`].
        not_after: Option<Timestamp>,
    },
    /// Write the status, and tell [`Fleet::written`].
    WriteStatus {
        /// What names it.
        id: RequestId,
        /// The node.
        node: String,
        /// The object's uid.
        uid: String,
        /// The write is refused if the object has another by now.
        resource_version: String,
        /// All of it.
        status: NodeStatus,
    },
    /// Write the annotation [`DRAIN`](super::handshake::DRAIN), and tell [`Fleet::written`].
    WriteDrain {
        /// What names it.
        id: RequestId,
        /// The node.
        node: String,
        /// The object's uid.
        uid: String,
        /// The write is refused if the object has another by now.
        resource_version: String,
        /// The annotation's value.
        value: String,
    },
    /// Read the object from the API server itself, no cache, and hand it to [`Fleet::read`].
    Read {
        /// What names it.
        id: RequestId,
        /// The node.
        node: String,
    },
}

/// Why an object was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// Somebody wrote it in between, or it is another object by now.
    Conflict,
    /// Anything else: it may have been written all the same.
    Failed,
}

/// The operator's logic without its I/O: events go in, requests and writes come out.
///
/// - [`Fleet::observe`] and [`Fleet::forget`] follow the CiliumNodes; what a watch brings may be old.
/// - [`Fleet::poll`] says what is to be done now; [`Fleet::wake`] when to ask again at the latest.
/// - [`Fleet::complete`], [`Fleet::written`] and [`Fleet::read`] take the answers.
/// - Nothing comes out but while it [leads](Fleet::leads_until). Whoever sends a request checks that once more.
///
/// Each node has one request under way at EC2, and one at the API server. What a request changed is known from its
/// reply; where none came, a look tells. All interfaces of the VPC are listed every five minutes, beside subnets, VPC
/// and, where tags choose security groups, those: an idle fleet of up to 1,000 interfaces makes three such calls, and
/// no others (36 an hour). What a node needs to know in between is asked for up to 200 nodes in one call.
///
/// It is deterministic: the same events at the same times, with the same seed, have the same outcome. Times are those
/// of one clock that goes on during suspend and is never set back, near enough to other operators' clocks (30 s).
#[derive(Clone, Debug)]
pub struct Fleet {
    config: Config,
    lots: Rng,
    buckets: Buckets,
    deadline: Option<Timestamp>,
    nodes: BTreeMap<String, Node>,
    limits: BTreeMap<String, Option<Limits>>,
    subnets: BTreeMap<String, Subnet>,
    groups: Vec<SecurityGroup>,
    vpc: Option<Vpc>,
    history: History,
    garbage: Garbage,
    lists: Lists,
    denied: Denied,
    flights: BTreeMap<RequestId, Flight>,
    last_id: u64,
    wake: Option<Timestamp>,
}

/// A request that is under way.
#[derive(Clone, Debug)]
enum Flight {
    /// Of a node, at EC2.
    Node { name: String, generation: u64, request: Request, sent: Timestamp },
    /// A write of its object.
    Write { name: String, generation: u64 },
    /// A read of its object.
    Read { name: String, generation: u64, sent: Timestamp },
    /// A page of a list.
    List(List),
    /// The end of an interface of ours.
    Delete { interface_id: String },
}

impl Fleet {
    /// A fleet that knows no node and does not lead. The seed is for waiting times.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        Self {
            config,
            lots: Rng::with_seed(seed),
            buckets: Buckets::default(),
            deadline: None,
            nodes: BTreeMap::new(),
            limits: BTreeMap::new(),
            subnets: BTreeMap::new(),
            groups: Vec::new(),
            vpc: None,
            history: History::default(),
            garbage: Garbage::default(),
            lists: Lists::default(),
            denied: Denied::default(),
            flights: BTreeMap::new(),
            last_id: 0,
            wake: None,
        }
    }

    /// It leads until then, at `now`; nothing if it does not. Where leading is not seamless, all that was known of EC2
    /// is forgotten, since another may have led in between.
    pub fn leads_until(&mut self, deadline: Option<Timestamp>, now: Timestamp) {
        if self.deadline.is_none_or(|until| until <= now) {
            self.flights.retain(|_, flight| !matches!(flight, Flight::List(_) | Flight::Delete { .. }));
            self.lists = Lists::default();
            self.denied = Denied::default();
            self.garbage = Garbage::default();
            for node in self.nodes.values_mut() {
                self.last_id += 1;
                node.forget_ec2(self.last_id);
            }
        }
        self.deadline = deadline;
    }

    /// A CiliumNode as a watch shows it.
    pub fn observe(&mut self, record: NodeRecord) {
        self.take_over(record, false);
    }

    fn take_over(&mut self, record: NodeRecord, current: bool) {
        if record.instance_id.is_empty() {
            self.nodes.remove(&record.name);
            return;
        }
        match self.nodes.get_mut(&record.name) {
            Some(node) if node.is(&record) => node.observe(record, current),
            _ => {
                self.last_id += 1;
                self.nodes.insert(record.name.clone(), Node::new(record, self.last_id));
            }
        }
    }

    /// A CiliumNode is gone.
    pub fn forget(&mut self, node: &str) {
        self.nodes.remove(node);
    }

    /// The node that a request is about, if it is the same still.
    fn same(&mut self, name: &str, generation: u64) -> Option<&mut Node> {
        self.nodes.get_mut(name).filter(|node| node.generation == generation)
    }

    /// The answer to [`Outgoing::Read`]; nothing if the object is gone, or an error if it could not be read.
    pub fn read(&mut self, id: RequestId, read: Result<Option<NodeRecord>, WriteError>, now: Timestamp) {
        let Some(Flight::Read { name, generation, sent }) = self.flights.remove(&id) else { return };
        let Some(node) = self.nodes.get_mut(&name).filter(|node| node.generation == generation) else {
            return;
        };
        node.at_api = false;
        node.stirred = true;
        match read {
            Ok(Some(record)) => {
                node.api.worked();
                self.take_over(record, true);
                if let Some(node) = self.same(&name, generation) {
                    // What it was when the read began is the least that is known.
                    node.read_at = Some(sent);
                }
            }
            Ok(None) => self.forget(&name),
            Err(_) => node.api.failed(RETRY.0, RETRY.1, now, &mut self.lots),
        }
    }

    /// The answer to a write: the new resource version, or why there is none.
    pub fn written(&mut self, id: RequestId, written: Result<String, WriteError>, now: Timestamp) {
        let Some(Flight::Write { name, generation }) = self.flights.remove(&id) else { return };
        let Some(node) = self.nodes.get_mut(&name).filter(|node| node.generation == generation) else {
            return;
        };
        node.at_api = false;
        node.stirred = true;
        match (written, node.writing.take()) {
            (Ok(resource_version), Some(record)) => {
                node.api.worked();
                node.wrote(*record, resource_version);
            }
            (Ok(_), None) => {}
            (Err(error), _) => {
                node.must_read = true;
                if error == WriteError::Failed {
                    node.api.failed(RETRY.0, RETRY.1, now, &mut self.lots);
                }
            }
        }
    }

    /// What is to be done now.
    pub fn poll(&mut self, now: Timestamp) -> Vec<Outgoing> {
        self.wake = None;
        if self.deadline.is_none_or(|until| until <= now) {
            return Vec::new();
        }
        let mut out = Vec::new();
        self.list(now, &mut out);
        self.denied.age(now);
        // Who has the least comes first.
        let due = self.nodes.iter().filter(|(_, node)| node.is_due(now));
        let mut order: Vec<_> = due.map(|(name, node)| (node.urgency(), name.clone())).collect();
        order.sort();
        for (_, name) in order {
            self.step(&name, now, &mut out);
        }
        self.collect(now, &mut out);
        let due = self.nodes.values().filter_map(|node| node.due).min();
        due.into_iter().for_each(|at| self.wake_at(at));
        out
    }

    /// When to [poll](Fleet::poll) again at the latest, if nothing happens before.
    #[must_use]
    pub fn wake(&self) -> Option<Timestamp> {
        self.wake
    }

    /// The answer to a request. One that was forgotten in the meantime changes nothing.
    pub fn complete(&mut self, id: RequestId, result: Result<Reply, Error>, now: Timestamp) {
        let Some(flight) = self.flights.remove(&id) else { return };
        if let Err(error) = &result
            && error.kind == ErrorKind::Throttled
        {
            self.buckets.throttled(error.action, now);
        }
        match flight {
            Flight::Node { name, generation, request, sent } => {
                let denied_for_one = outcome::denied_for_one(&request, &result);
                let subject = outcome::subject(&request);
                self.denied.answered(request.action(), &result, subject, denied_for_one, now);
                let unsent = result.as_ref().is_err_and(|error| error.kind == ErrorKind::Unsent);
                if self.same(&name, generation).is_some() {
                    self.outcome(&name, &request, result, sent, now);
                } else if let Some(node) = self.nodes.get_mut(&name).filter(|_| !unsent) {
                    // It was given up, or another node had the name; what was made for that one is garbage.
                    node.reconcile(now);
                }
            }
            // Answers of the API server come by another way.
            Flight::Write { .. } | Flight::Read { .. } => {}
            Flight::List(list) => self.listed(list, result, now),
            Flight::Delete { interface_id } => {
                // Whatever came of it, the next look at all interfaces tells.
                self.denied.answered(Action::DeleteNetworkInterface, &result, &interface_id, true, now);
                self.garbage.forget(&interface_id);
            }
        }
    }

    /// What the node has of EC2's, as far as it is known; for tests and for people.
    #[must_use]
    pub fn interfaces(&self, node: &str) -> Option<&[crate::ec2::Interface]> {
        self.nodes.get(node)?.interfaces.as_deref()
    }

    /// What keeps the whole fleet from lists or actions of EC2's: no credentials, no right, no answer. Empty if all is
    /// well, or while it does not lead.
    #[must_use]
    pub fn hindrances(&self) -> BTreeSet<&Reason> {
        self.lists.turns.failures().chain(self.denied.reasons()).collect()
    }

    /// How each node fares, as far as its interfaces are known; for metrics.
    pub fn figures(&self, now: Timestamp) -> impl Iterator<Item = (&str, Figures)> {
        self.nodes.iter().map(move |(name, node)| {
            let known = node.interfaces.is_some();
            let count = node.count(now);
            let needed = if known { needed(node.record.settings.watermarks, count) } else { 0 };
            let figures = Figures { available: count.available, used: count.used, needed, full: node.full };
            (name.as_str(), figures)
        })
    }

    fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// The name of something that is under way from now on.
    fn takes_off(&mut self, flight: Flight) -> RequestId {
        self.last_id += 1;
        let id = RequestId(self.last_id);
        self.flights.insert(id, flight);
        id
    }

    /// Sends a request if its action has a token left.
    fn send(
        &mut self,
        request: Request,
        flight: Flight,
        not_after: Option<Timestamp>,
        now: Timestamp,
        out: &mut Vec<Outgoing>,
    ) -> bool {
        match self.buckets.take(request.action(), now) {
            Ok(()) => {
                let id = self.takes_off(flight);
                out.push(Outgoing::Request { id, request, not_after });
                true
            }
            Err(wait) => {
                self.wake_at(now.after(wait));
                false
            }
        }
    }

    /// Deletes interfaces of ours that nobody needs.
    fn collect(&mut self, now: Timestamp, out: &mut Vec<Outgoing>) {
        if !self.lists.turns.knows(Kept::Interfaces) {
            return;
        }
        let condemned: Vec<String> = self.garbage.condemned().map(ToOwned::to_owned).collect();
        for interface_id in condemned {
            let request = Request::DeleteInterface { interface_id: interface_id.clone() };
            let flight = Flight::Delete { interface_id: interface_id.clone() };
            if !self.send(request, flight, Some(now.after(FENCE)), now, out) {
                return;
            }
            self.garbage.forget(&interface_id);
            for node in self.nodes.values_mut() {
                node.unattached.retain(|interface| interface.id != interface_id);
            }
        }
    }
}
