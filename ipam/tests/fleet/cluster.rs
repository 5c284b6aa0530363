//! A cluster in virtual time: objects, agents with real pools, pods, and operators that run the real fleet.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
};

use fastrand::Rng;
use ipam::{
    Timestamp,
    ec2::{Error, Reply, Request},
    eni::{
        Config, Fleet, NodeRecord, NodeSettings, NodeStatus, Outgoing, RequestId, WriteError,
        handshake::Drained,
    },
};
use ipnetwork::{IpNetwork, Ipv4Network};

use crate::{
    cloud::{Cloud, VPC, ZONE},
    faults::Faults,
    node::Node,
};

pub const TICK: u64 = 500;
/// How long a leader leads without renewing.
const LEASE: u64 = 15_000;
/// Versions of an object that an API server may still show.
const PAST: usize = 100;
/// When who asked EC2 waits no longer for an answer.
const PATIENCE: u64 = 10_000;

/// A process that believes to lead, for a while.
struct Leader {
    fleet: Fleet,
    /// How far its clock is ahead.
    ahead: u64,
    /// When it leads at the earliest, and until when it does.
    begins: u64,
    until: u64,
    alive: bool,
    /// It was told something.
    stirred: bool,
}

/// A write of an object.
enum Change {
    Status(NodeStatus),
    Drain(String),
}

enum Due {
    Execute { leader: usize, id: Option<RequestId>, request: Request },
    Reply { leader: usize, id: RequestId, result: Result<Reply, Error> },
    Read { leader: usize, id: RequestId, node: String },
    Write { leader: usize, id: RequestId, node: String, uid: String, version: String, change: Change },
    Observe { leader: usize, record: Box<NodeRecord> },
    Forget { leader: usize, node: String },
}

pub struct Cluster {
    pub now: Timestamp,
    pub cloud: Cloud,
    pub nodes: BTreeMap<String, Node>,
    leaders: Vec<Leader>,
    config: Config,
    due: BTreeMap<(u64, u64), Due>,
    sequence: u64,
    pub faults: Faults,
    lots: Rng,
    freed: BTreeMap<IpAddr, Timestamp>,
    /// What the objects were lately.
    past: BTreeMap<String, VecDeque<NodeRecord>>,
    pub writes: u32,
}

impl Leader {
    fn new(fleet: Fleet) -> Self {
        Self { fleet, ahead: 0, begins: 0, until: 0, alive: true, stirred: true }
    }

    /// Its time.
    fn at(&self, now: Timestamp) -> Timestamp {
        Timestamp(now.0 + self.ahead)
    }
}

impl Cluster {
    pub fn new(cloud: Cloud, release: bool, seed: u64) -> Self {
        let config = Config {
            vpc_id: VPC.to_owned(),
            cluster_name: "test".to_owned(),
            release_excess: release,
            excess_release_delay: 30,
            ..Config::default()
        };
        Self {
            now: Timestamp(1_000_000),
            cloud,
            nodes: BTreeMap::new(),
            leaders: vec![Leader::new(Fleet::new(config.clone(), seed))],
            config,
            due: BTreeMap::new(),
            sequence: 0,
            faults: Faults::default(),
            lots: Rng::with_seed(seed),
            freed: BTreeMap::new(),
            past: BTreeMap::new(),
            writes: 0,
        }
    }

    pub fn add(&mut self, name: &str, change: impl FnOnce(&mut NodeSettings)) {
        let instance_id = format!("i-{name}");
        self.cloud.start(&instance_id);
        let mut settings = NodeSettings {
            instance_type: self.cloud.of.name.clone(),
            availability_zone: ZONE.to_owned(),
            node_subnet_id: Some("subnet-0".to_owned()),
            ..NodeSettings::default()
        };
        change(&mut settings);
        let object = NodeRecord {
            name: name.to_owned(),
            uid: format!("uid-{name}"),
            resource_version: "1".to_owned(),
            instance_id,
            requested: Some(settings.watermarks.pre_allocate),
            settings,
            drained: Some(Drained::default().to_string()),
            ..NodeRecord::default()
        };
        self.nodes.insert(name.to_owned(), Node::new(object));
        self.changed(name);
    }

    /// A node's agent does nothing for so many seconds, and has told nothing before.
    pub fn silence(&mut self, node: &str, seconds: u64) {
        let until = self.now.0 + seconds * 1000;
        let of = self.nodes.get_mut(node).unwrap();
        (of.agent.down_until, of.object.drained) = (until, None);
        self.changed(node);
    }

    pub fn want(&mut self, node: &str, pods: impl IntoIterator<Item = String>) {
        let waiting = &mut self.nodes.get_mut(node).unwrap().waiting;
        waiting.extend(pods);
    }

    /// Ends pods of a node, all but the first few.
    pub fn end(&mut self, node: &str, keep: usize) {
        let node = self.nodes.get_mut(node).unwrap();
        let ended: Vec<String> = node.pods.keys().skip(keep).cloned().collect();
        for pod in ended {
            self.freed.insert(node.end(&pod, self.now), self.now);
        }
    }

    /// EC2 lists so many at once.
    pub fn pages_of(&mut self, page: u32) {
        self.config.page = page;
        self.leaders = vec![Leader::new(Fleet::new(self.config.clone(), 7))];
    }

    /// An operator that knows nothing.
    pub fn another(&self) -> Fleet {
        Fleet::new(self.config.clone(), 99)
    }

    /// Another operator leads from now on; the one before is gone.
    pub fn succeed(&mut self, fleet: Fleet) {
        self.leaders = vec![Leader::new(fleet)];
    }

    /// An operator that knows nothing but the objects leads from now on.
    pub fn succeed_knowing_objects(&mut self) {
        let mut fleet = self.another();
        self.nodes.values().for_each(|node| fleet.observe(node.object.clone()));
        self.succeed(fleet);
    }

    /// Somebody writes a node's object.
    pub fn edit(&mut self, node: &str, change: impl FnOnce(&mut NodeRecord)) {
        change(&mut self.nodes.get_mut(node).unwrap().object);
        self.changed(node);
    }

    fn one_in(&mut self, often: u32) -> bool {
        often > 0 && self.lots.u32(..often) == 0
    }

    fn after(&mut self, delay: u64, due: Due) {
        self.sequence += 1;
        self.due.insert((self.now.0 + delay, self.sequence), due);
    }

    /// An object has changed: it gets a new version, and the watches show it, in order or late.
    fn changed(&mut self, name: &str) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        let version: u64 = node.object.resource_version.parse().unwrap();
        node.object.resource_version = (version + 1).to_string();
        let record = node.object.clone();
        let past = self.past.entry(name.to_owned()).or_default();
        past.push_front(record.clone());
        past.truncate(PAST);
        let delay = if self.one_in(self.faults.late_watch) { self.lots.u64(..3000) } else { 0 };
        for leader in self.alive() {
            self.after(delay, Due::Observe { leader, record: Box::new(record.clone()) });
        }
    }

    fn alive(&self) -> Vec<usize> {
        (0..self.leaders.len()).filter(|leader| self.leaders[*leader].alive).collect()
    }

    pub fn run(&mut self, seconds: u64) {
        for _ in 0..seconds * 1000 / TICK {
            self.tick();
        }
    }

    pub fn tick(&mut self) {
        self.now = Timestamp(self.now.0 + TICK);
        self.succession();
        for name in self.names() {
            self.misfortune(&name);
        }
        while let Some(entry) = self.due.first_entry()
            && entry.key().0 <= self.now.0
        {
            let due = entry.remove();
            self.happen(due);
        }
        for name in self.names() {
            let node = self.nodes.get_mut(&name).unwrap();
            let before = node.object.clone();
            node.turn(&self.freed, self.now);
            if node.object != before {
                self.changed(&name);
            }
        }
        self.lead();
        self.check();
    }

    fn names(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }

    /// Another operator is made, which leads soon. The one that led is gone at once, or only fails to renew; what it
    /// sent is still on its way.
    fn succession(&mut self) {
        let now = self.now.0;
        for leader in &mut self.leaders {
            // Nothing of who lost the lease so long ago is on its way.
            leader.alive &= leader.until == 0 || leader.until + 120_000 > now;
        }
        let last = self.leaders.len() - 1;
        if self.leaders[last].until <= now || !self.one_in(self.faults.operator_crash) {
            return;
        }
        self.leaders[last].alive = self.lots.bool();
        let mut leader = Leader::new(Fleet::new(self.config.clone(), self.lots.u64(..)));
        for name in self.names() {
            let old = self.one_in(self.faults.old_news);
            let past = &self.past[&name];
            let version = if old { self.lots.usize(..past.len()) } else { 0 };
            leader.fleet.observe(past[version].clone());
        }
        leader.ahead = self.lots.u64(..=self.faults.skew * 1000);
        let wait = if self.one_in(self.faults.overlap) { self.lots.u64(..LEASE) } else { LEASE };
        leader.begins = now + wait;
        self.leaders.push(leader);
    }

    /// What befalls a node.
    fn misfortune(&mut self, name: &str) {
        let now = self.now;
        let (crashes, anew, replaced) =
            (self.faults.agent_crash, self.faults.made_anew, self.faults.replaced);
        if self.one_in(crashes) {
            self.nodes.get_mut(name).unwrap().agent.crash(now);
        }
        let replaced = self.one_in(replaced);
        if replaced {
            let node = self.nodes.get_mut(name).unwrap();
            // Nobody knows what rested on it.
            let lost = self.cloud.assigned(&node.object.instance_id);
            self.freed.retain(|address, _| !lost.iter().any(|of| IpNetwork::from(*of).contains(*address)));
            self.cloud.terminate(&node.object.instance_id);
            self.sequence += 1;
            let instance_id = format!("i-{name}-{}", self.sequence);
            self.cloud.start(&instance_id);
            node.replaced(instance_id);
        }
        // The object of an instance that is gone is mostly gone with it.
        if self.one_in(anew) || replaced && self.lots.bool() {
            self.sequence += 1;
            let uid = format!("uid-{name}-{}", self.sequence);
            let by_agent = self.lots.bool();
            let node = self.nodes.get_mut(name).unwrap();
            node.made_anew(uid, by_agent && node.agent.down_until <= now.0);
            for leader in self.alive() {
                self.after(0, Due::Forget { leader, node: name.to_owned() });
            }
            self.changed(name);
        } else if replaced {
            self.changed(name);
        }
    }

    fn lead(&mut self) {
        let now = self.now;
        let last = self.leaders.len() - 1;
        if self.leaders[last].begins <= now.0 {
            let leader = &mut self.leaders[last];
            leader.until = now.0 + LEASE;
            leader.fleet.leads_until(Some(leader.at(Timestamp(leader.until))), leader.at(now));
        }
        for index in self.alive() {
            // Nobody asks without need.
            let leader = &mut self.leaders[index];
            let at = leader.at(now);
            if leader.fleet.wake().is_none_or(|wake| wake <= at) || std::mem::take(&mut leader.stirred) {
                for outgoing in leader.fleet.poll(at) {
                    self.send(index, outgoing);
                }
            }
        }
    }

    fn send(&mut self, leader: usize, outgoing: Outgoing) {
        let api = if self.one_in(self.faults.slow_api) { self.lots.u64(..2000) } else { 0 };
        match outgoing {
            Outgoing::Request { id, request, not_after } => self.ask(leader, id, request, not_after),
            Outgoing::WriteStatus { id, node, uid, resource_version: version, status } => {
                let change = Change::Status(status);
                self.after(api, Due::Write { leader, id, node, uid, version, change });
            }
            Outgoing::WriteDrain { id, node, uid, resource_version: version, value } => {
                let change = Change::Drain(value);
                self.after(api, Due::Write { leader, id, node, uid, version, change });
            }
            Outgoing::Read { id, node } => self.after(api, Due::Read { leader, id, node }),
        }
        if api == 0 && self.faults.slow_api == 0 {
            self.settle();
        }
    }

    /// What is due now happens before the next thing is asked.
    fn settle(&mut self) {
        while let Some(entry) = self.due.first_entry()
            && entry.key().0 <= self.now.0
        {
            let due = entry.remove();
            self.happen(due);
        }
    }

    /// A request to EC2, when its turn has come.
    fn ask(&mut self, leader: usize, id: RequestId, request: Request, not_after: Option<Timestamp>) {
        let action = request.action();
        let turn = if self.one_in(self.faults.late_turn) { self.lots.u64(..25_000) } else { 0 };
        let then = Timestamp(self.now.0 + turn);
        if not_after.is_some_and(|at| self.leaders[leader].at(then) > at) {
            let result = Err(Error::unsent(action, "too late"));
            return self.after(turn, Due::Reply { leader, id, result });
        }
        let lost = Err(Error::unanswered(action, "lost"));
        // Who sends looks at the lease once more; nobody knows whether it will be renewed, and it may.
        if self.leaders[leader].until + TICK <= then.0 && leader + 1 < self.leaders.len() {
            return self.after(turn, Due::Reply { leader, id, result: lost });
        }
        if self.one_in(self.faults.lost_request) {
            return self.after(turn + PATIENCE, Due::Reply { leader, id, result: lost });
        }
        if self.one_in(self.faults.repeated) && matches!(request, Request::Unassign { .. }) {
            let again = turn + self.lots.u64(1000..50_000);
            self.after(again, Due::Execute { leader, id: None, request: request.clone() });
        }
        let quick = self.lots.u64(50..400);
        if self.one_in(self.faults.lost_reply) {
            // It is carried out all the same, at some time.
            let delay = if self.lots.bool() { quick } else { self.lots.u64(..50_000) };
            self.after(turn + delay, Due::Execute { leader, id: None, request });
            return self.after(turn + PATIENCE, Due::Reply { leader, id, result: lost });
        }
        self.after(turn + quick, Due::Execute { leader, id: Some(id), request });
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Execute { leader, id, request } => {
                let result = self.execute(&request);
                if let Some(id) = id {
                    self.happen(Due::Reply { leader, id, result });
                }
            }
            Due::Reply { leader, id, result } => {
                self.tell(leader, |fleet, now| fleet.complete(id, result, now));
            }
            Due::Read { leader, id, node } => {
                let object = self.nodes.get(&node).map(|node| node.object.clone());
                let failed = self.one_in(self.faults.failed_read);
                let read = if failed { Err(WriteError::Failed) } else { Ok(object) };
                self.tell(leader, |fleet, now| fleet.read(id, read, now));
            }
            Due::Write { leader, id, node, uid, version, change } => {
                let written = self.write(&node, &uid, &version, change);
                self.tell(leader, |fleet, now| fleet.written(id, written, now));
            }
            Due::Observe { leader, record } => {
                self.tell(leader, |fleet, _| fleet.observe(*record));
            }
            Due::Forget { leader, node } => self.tell(leader, |fleet, _| fleet.forget(&node)),
        }
    }

    fn tell(&mut self, leader: usize, event: impl FnOnce(&mut Fleet, Timestamp)) {
        let Some(leader) = self.leaders.get_mut(leader).filter(|leader| leader.alive) else { return };
        let at = leader.at(self.now);
        event(&mut leader.fleet, at);
        leader.stirred = true;
    }

    fn execute(&mut self, request: &Request) -> Result<Reply, Error> {
        let action = request.action();
        let lag = if self.one_in(self.faults.stale) { self.lots.u64(..4000) } else { 0 };
        if self.one_in(self.faults.throttled) {
            return Err(Error::answered(action, "RequestLimitExceeded", "too many"));
        }
        if matches!(request, Request::Attach { .. }) && self.one_in(self.faults.refused_attach) {
            return Err(Error::answered(action, "Weather", "so it was decided"));
        }
        if let Request::Unassign { interface_id, addresses, prefixes } = request {
            let singles = addresses.iter().map(|address| Ipv4Network::from(*address));
            self.may_be_taken(interface_id, prefixes.iter().copied().chain(singles));
        }
        self.cloud.call(request, self.now, lag)
    }

    /// P3.
    fn may_be_taken(&self, interface_id: &str, prefixes: impl Iterator<Item = Ipv4Network>) {
        let Some(interface) = self.cloud.interfaces.get(interface_id) else { return };
        let Some(to) = &interface.attachment else { return };
        let node = self.nodes.values().find(|node| node.object.instance_id == to.instance_id);
        let singles = |prefix: &Ipv4Network| interface.secondary_addresses.contains(&prefix.ip());
        for prefix in prefixes.filter(|prefix| interface.prefixes.contains(prefix) || singles(prefix)) {
            if let Some(why) = node.and_then(|node| node.needs(prefix, self.now)) {
                panic!("P3: {prefix} was taken from {}, and {why}", to.instance_id);
            }
        }
    }

    fn write(&mut self, name: &str, uid: &str, version: &str, change: Change) -> Result<String, WriteError> {
        self.writes += 1;
        let failed = self.one_in(self.faults.failed_write);
        if failed && self.lots.bool() {
            return Err(WriteError::Failed);
        }
        let node = self.nodes.get_mut(name).ok_or(WriteError::Conflict)?;
        if node.object.resource_version != version || node.object.uid != uid {
            return Err(WriteError::Conflict);
        }
        match change {
            Change::Status(status) => node.object.status = status,
            Change::Drain(value) => node.object.drain = Some(value),
        }
        self.changed(name);
        if failed { Err(WriteError::Failed) } else { Ok(self.nodes[name].object.resource_version.clone()) }
    }

    /// What has to hold at every moment.
    pub fn check(&self) {
        let mut all = BTreeSet::new();
        for (name, node) in &self.nodes {
            let assigned = self.cloud.assigned(&node.object.instance_id);
            for (pod, address) in &node.pods {
                assert!(all.insert(*address), "P1: {address} of {pod} is another's, too");
                let backed = assigned.iter().any(|prefix| IpNetwork::from(*prefix).contains(*address));
                assert!(backed, "P2: {address} of {pod} is not assigned to {name} at {:?}", self.now);
            }
            node.check(self.now);
        }
        self.cloud.check();
    }

    /// Pods that wait.
    pub fn waiting(&self) -> usize {
        self.nodes.values().map(|node| node.waiting.len()).sum()
    }

    /// Interfaces that are attached to nothing.
    pub fn unattached(&self) -> usize {
        self.cloud.interfaces.values().filter(|of| of.attachment.is_none()).count()
    }

    pub fn status(&self, node: &str) -> &NodeStatus {
        &self.nodes[node].object.status
    }
}
