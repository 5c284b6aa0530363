//! A cluster in virtual time: objects, agents with real pools, pods, and operators that run the real fleet.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    time::Duration,
};

use fastrand::Rng;
use ipam::{
    Family, Pool, Record, State, Timestamp,
    ec2::{Error, Reply, Request},
    eni::{
        Config, Fleet, NodeRecord, NodeSettings, NodeStatus, Outgoing, RequestId, WriteError,
        handshake::{
            Drain, Drained,
            agent::{self, Told, members},
        },
    },
};
use ipnetwork::IpNetwork;

use crate::cloud::{Cloud, VPC, ZONE};

pub const TICK: u64 = 500;
const COOLDOWN: Duration = Duration::from_secs(30);
/// How long a leader leads without renewing.
const LEASE: u64 = 15_000;

/// What goes wrong, each once in so many times; 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// A request is carried out, but no answer comes.
    pub lost_reply: u32,
    /// A request is never carried out, and no answer comes.
    pub lost_request: u32,
    /// A request to unassign is carried out a second time, up to 50 s later.
    pub repeated: u32,
    /// EC2 has too much to do.
    pub throttled: u32,
    /// EC2 shows what was up to 4 s ago.
    pub stale: u32,
    /// The agent crashes, in a tick.
    pub agent_crash: u32,
    /// The leader goes away and another leads when its time is over, in a tick.
    pub operator_crash: u32,
    /// A watch event comes late, by up to 3 s.
    pub late_watch: u32,
    /// A request waits for its turn, by up to 25 s.
    pub late_turn: u32,
}

pub struct Agent {
    journal: State,
    uses: BTreeSet<ipnetwork::Ipv4Network>,
    pool: Pool,
    down_until: u64,
}

pub struct Node {
    pub object: NodeRecord,
    pub agent: Agent,
    /// Pods that wait for an address, and those that have one.
    pub waiting: VecDeque<String>,
    pub pods: BTreeMap<String, IpAddr>,
}

enum Due {
    Execute { leader: usize, id: Option<RequestId>, request: Request, reply: bool },
    Reply { leader: usize, id: RequestId, result: Result<Reply, Error> },
    Observe { leader: usize, record: Box<NodeRecord> },
}

pub struct Cluster {
    pub now: Timestamp,
    pub cloud: Cloud,
    pub nodes: BTreeMap<String, Node>,
    pub fleets: Vec<Fleet>,
    /// Until when each leads, and whether it is alive.
    leads: Vec<(u64, bool)>,
    config: Config,
    due: BTreeMap<(u64, u64), Due>,
    sequence: u64,
    pub faults: Faults,
    lots: Rng,
    freed: BTreeMap<IpAddr, Timestamp>,
    /// Operators that something was told.
    stirred: BTreeSet<usize>,
    pub writes: u32,
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
            fleets: vec![Fleet::new(config.clone(), seed)],
            leads: vec![(0, true)],
            config,
            due: BTreeMap::new(),
            sequence: 0,
            faults: Faults::default(),
            lots: Rng::with_seed(seed),
            freed: BTreeMap::new(),
            stirred: BTreeSet::new(),
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
        let agent = Agent {
            journal: State::default(),
            uses: BTreeSet::new(),
            pool: Pool::new([], COOLDOWN).unwrap(),
            down_until: 0,
        };
        let node = Node { object, agent, waiting: VecDeque::new(), pods: BTreeMap::new() };
        self.nodes.insert(name.to_owned(), node);
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
        let ended: Vec<String> = self.nodes[node].pods.keys().skip(keep).cloned().collect();
        for pod in ended {
            let now = self.now;
            let node = self.nodes.get_mut(node).unwrap();
            node.agent.apply(&Record::Released { owner: pod.clone(), at: now });
            self.freed.insert(node.pods.remove(&pod).unwrap(), now);
        }
    }

    /// EC2 lists so many at once.
    pub fn pages_of(&mut self, page: u32) {
        self.config.page = page;
        self.fleets = vec![Fleet::new(self.config.clone(), 7)];
    }

    /// An operator that knows nothing.
    pub fn another(&mut self) -> Fleet {
        self.leads[0].0 = 0;
        Fleet::new(self.config.clone(), 99)
    }

    /// An operator that knows nothing leads from now on.
    pub fn succeed(&mut self) {
        let mut fleet = self.another();
        self.nodes.values().for_each(|node| fleet.observe(node.object.clone()));
        self.fleets[0] = fleet;
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
        let delay = if self.one_in(self.faults.late_watch) { self.lots.u64(..3000) } else { 0 };
        for leader in 0..self.fleets.len() {
            self.after(delay, Due::Observe { leader, record: Box::new(record.clone()) });
        }
    }

    pub fn run(&mut self, seconds: u64) {
        for _ in 0..seconds * 1000 / TICK {
            self.tick();
        }
    }

    pub fn tick(&mut self) {
        self.now = Timestamp(self.now.0 + TICK);
        let last = self.fleets.len() - 1;
        if self.leads[last].0 > self.now.0 && self.one_in(self.faults.operator_crash) {
            // Another is made, which leads when this one's time is over. This one is gone at once, or only fails to
            // renew; what it sent is still on its way.
            self.leads[last].1 = self.lots.bool();
            let mut fleet = Fleet::new(self.config.clone(), self.lots.u64(..));
            self.nodes.values().for_each(|node| fleet.observe(node.object.clone()));
            self.fleets.push(fleet);
            self.leads.push((0, true));
        }
        while let Some(entry) = self.due.first_entry()
            && entry.key().0 <= self.now.0
        {
            let due = entry.remove();
            self.happen(due);
        }
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        for name in names {
            self.agent(&name);
        }
        let last = self.fleets.len() - 1;
        if self.leads[..last].iter().all(|(until, _)| *until <= self.now.0) {
            self.leads[last].0 = self.now.0 + LEASE;
            self.fleets[last].leads_until(Some(Timestamp(self.leads[last].0)), self.now);
        }
        for leader in 0..self.fleets.len() {
            // Nobody asks without need.
            let asked = self.fleets[leader].wake().is_none_or(|wake| wake <= self.now);
            let told = self.stirred.remove(&leader);
            if self.leads[leader].1 && (asked || told) {
                for outgoing in self.fleets[leader].poll(self.now) {
                    self.send(leader, outgoing);
                }
            }
        }
        self.check();
    }

    fn send(&mut self, leader: usize, outgoing: Outgoing) {
        if !matches!(outgoing, Outgoing::Request { .. }) {
            self.stirred.insert(leader);
        }
        match outgoing {
            Outgoing::Request { id, request, not_after } => {
                let turn = if self.one_in(self.faults.late_turn) { self.lots.u64(..25_000) } else { 0 };
                if not_after.is_some_and(|at| self.now.0 + turn > at.0) {
                    let result = Err(Error::unsent(request.action(), "too late"));
                    return self.after(turn, Due::Reply { leader, id, result });
                }
                let delay = turn + self.lots.u64(50..400);
                if self.one_in(self.faults.lost_request) {
                    let result = Err(Error::unanswered(request.action(), "lost"));
                    return self.after(10_000, Due::Reply { leader, id, result });
                }
                if self.one_in(self.faults.repeated) && matches!(request, Request::Unassign { .. }) {
                    let request = request.clone();
                    let again = self.lots.u64(1000..50_000);
                    self.after(again, Due::Execute { leader, id: None, request, reply: false });
                }
                let reply = !self.one_in(self.faults.lost_reply);
                self.after(delay, Due::Execute { leader, id: Some(id), request, reply });
            }
            Outgoing::WriteStatus { id, node, uid, resource_version, status } => {
                self.writes += 1;
                self.write(leader, id, &node, &uid, &resource_version, |object| object.status = status);
            }
            Outgoing::WriteDrain { id, node, uid, resource_version, value } => {
                self.writes += 1;
                self.write(leader, id, &node, &uid, &resource_version, |object| object.drain = Some(value));
            }
            Outgoing::Read { id, node } => {
                let object = self.nodes.get(&node).map(|node| node.object.clone());
                self.fleets[leader].read(id, Ok(object), self.now);
            }
        }
    }

    fn write(
        &mut self,
        leader: usize,
        id: RequestId,
        name: &str,
        uid: &str,
        version: &str,
        change: impl FnOnce(&mut NodeRecord),
    ) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        if node.object.resource_version != version || node.object.uid != uid {
            return self.fleets[leader].written(id, Err(WriteError::Conflict), self.now);
        }
        change(&mut node.object);
        self.changed(name);
        let version = self.nodes[name].object.resource_version.clone();
        self.fleets[leader].written(id, Ok(version), self.now);
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Execute { leader, id, request, reply } => {
                let action = request.action();
                let lag = if self.one_in(self.faults.stale) { self.lots.u64(..4000) } else { 0 };
                let result = if self.one_in(self.faults.throttled) {
                    Err(Error::answered(action, "RequestLimitExceeded", "too many"))
                } else {
                    self.cloud.call(&request, self.now, lag)
                };
                if let Some(id) = id {
                    let lost = || Err(Error::unanswered(action, "lost"));
                    let result = if reply { result } else { lost() };
                    self.after(if reply { 0 } else { 10_000 }, Due::Reply { leader, id, result });
                }
            }
            Due::Reply { leader, id, result } => {
                if self.leads[leader].1 {
                    self.stirred.insert(leader);
                    self.fleets[leader].complete(id, result, self.now);
                }
            }
            Due::Observe { leader, record } => {
                if self.nodes.contains_key(&record.name) {
                    self.stirred.insert(leader);
                    self.fleets[leader].observe(*record);
                }
            }
        }
    }

    /// A node's agent: reads, gives addresses, reports.
    fn agent(&mut self, name: &str) {
        let now = self.now;
        let crashed = self.one_in(self.faults.agent_crash);
        let node = self.nodes.get_mut(name).unwrap();
        if crashed {
            node.agent.pool = Pool::restore([], COOLDOWN, node.agent.journal.clone(), now).unwrap();
            node.agent.uses.clear();
            node.agent.down_until = now.0 + 2000;
        }
        if node.agent.down_until > now.0 {
            return;
        }
        let before = node.object.clone();
        let listed = node.object.status.usable();
        for turn in 0.. {
            assert!(turn < 10);
            let drain =
                node.object.drain.as_deref().map_or_else(Drain::default, |of| Drain::parse(of).unwrap());
            let drained = node.object.drained.as_deref().map(|of| Drained::parse(of).unwrap());
            let told = Told { drain: &drain, drained: drained.as_ref(), listed: &listed };
            match agent::next(&node.agent.pool, told, now) {
                agent::Step::Journal(record) => node.agent.apply(&record),
                agent::Step::Use(prefixes) => {
                    node.agent.pool.set_prefixes(members(&prefixes)).unwrap();
                    node.agent.uses = prefixes;
                }
                agent::Step::Answer(answer) => node.object.drained = Some(answer.to_string()),
                agent::Step::Broken(prefixes) => panic!("{name} cannot keep its promise of {prefixes:?}"),
                agent::Step::Stale | agent::Step::Nothing => break,
            }
        }
        while let Some(pod) = node.waiting.front() {
            let Ok(Some(record)) = node.agent.pool.decide(pod, pod, &[Family::V4], now) else { break };
            node.agent.apply(&record);
            let Record::Allocated { addresses, owner, .. } = record else { unreachable!() };
            if let Some(freed) = self.freed.get(&addresses[0]) {
                assert!(now.since(*freed) >= COOLDOWN, "P10: {} of {owner} is given too early", addresses[0]);
            }
            node.pods.insert(owner, addresses[0]);
            node.waiting.pop_front();
        }
        let used = node.pods.len() as u32;
        node.object.requested = Some(used + node.object.settings.watermarks.pre_allocate);
        node.object.pending_pods = node.waiting.len() as u32;
        let report = node.agent.pool.report(now).filter(|part| part.used + part.cooling > 0);
        node.object.allocated = report
            .filter_map(|part| match part.cidr {
                IpNetwork::V4(cidr) => Some(cidr),
                IpNetwork::V6(_) => None,
            })
            .collect();
        if node.object != before {
            self.changed(name);
        }
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
        }
        for interface in self.cloud.interfaces.values() {
            assert!(interface.slots() <= self.cloud.of.ipv4_per_interface, "P11: {interface:?}");
        }
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

impl Node {
    /// Whether something is asked back.
    pub fn asks_back(&self) -> bool {
        let drain = self.object.drain.as_deref().map(|drain| Drain::parse(drain).unwrap());
        drain.is_some_and(|drain| !drain.prefixes.is_empty())
    }
}

impl Node {
    /// Whether the agent promised something back that is still asked.
    pub fn promises(&self) -> bool {
        let drain = self.object.drain.as_deref().map(|drain| Drain::parse(drain).unwrap());
        let drained = self.object.drained.as_deref().map(|drained| Drained::parse(drained).unwrap());
        drain.is_some_and(|drain| !drain.promised(drained.as_ref()).is_empty())
    }
}

impl Agent {
    fn apply(&mut self, record: &Record) {
        self.journal.apply(record).unwrap();
        self.pool.apply(record).unwrap();
    }
}
