//! A cluster in virtual time: objects, agents with real pools, pods, and operators that run the real fleet.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
};

use fastrand::Rng;
use ipam::{
    Timestamp,
    eni::{Config, Fleet, NodeRecord, NodeSettings, NodeStatus, handshake::Drained},
};
use ipnetwork::IpNetwork;

use crate::{
    cloud::{Cloud, ZONE},
    faults::Faults,
    node::Node,
    wire::Due,
};

pub const TICK: u64 = 500;
/// How long a leader leads without renewing.
const LEASE: u64 = 15_000;
/// Versions of an object that an API server may still show.
const PAST: usize = 100;
/// A process that believes to lead, for a while.
pub struct Leader {
    pub fleet: Fleet,
    /// How far its clock is ahead.
    ahead: u64,
    /// When it leads at the earliest, and until when it does.
    begins: u64,
    pub until: u64,
    /// When the last event of its watch comes: they keep their order.
    watched: u64,
    pub alive: bool,
    /// It was told something.
    pub stirred: bool,
}

pub struct Cluster {
    pub now: Timestamp,
    pub cloud: Cloud,
    pub nodes: BTreeMap<String, Node>,
    pub leaders: Vec<Leader>,
    config: Config,
    pub due: BTreeMap<(u64, u64), Due>,
    sequence: u64,
    pub faults: Faults,
    pub lots: Rng,
    freed: BTreeMap<IpAddr, Timestamp>,
    /// What the objects were lately.
    past: BTreeMap<String, VecDeque<NodeRecord>>,
    pub writes: u32,
}

impl Leader {
    fn new(fleet: Fleet) -> Self {
        Self { fleet, ahead: 0, begins: 0, until: 0, watched: 0, alive: true, stirred: true }
    }

    /// Its time.
    pub fn at(&self, now: Timestamp) -> Timestamp {
        Timestamp(now.0 + self.ahead)
    }
}

impl Cluster {
    pub fn new(cloud: Cloud, release: bool, seed: u64) -> Self {
        let config = Config {
            vpc_id: cloud.vpc_id.clone(),
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
        let instance_id = self.cloud.start();
        let mut settings = NodeSettings {
            instance_type: self.cloud.of.name.clone(),
            availability_zone: ZONE.to_owned(),
            node_subnet_id: Some(self.cloud.subnet().to_owned()),
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

    pub fn one_in(&mut self, often: u32) -> bool {
        often > 0 && self.lots.u32(..often) == 0
    }

    pub fn after(&mut self, delay: u64, due: Due) {
        self.sequence += 1;
        self.due.insert((self.now.0 + delay, self.sequence), due);
    }

    /// An object has changed: it gets a new version, and the watches show it, in order or late.
    pub fn changed(&mut self, name: &str) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        let version: u64 = node.object.resource_version.parse().unwrap();
        node.object.resource_version = (version + 1).to_string();
        let record = node.object.clone();
        let past = self.past.entry(name.to_owned()).or_default();
        past.push_front(record.clone());
        past.truncate(PAST);
        let delay = if self.one_in(self.faults.late_watch) { self.lots.u64(..3000) } else { 0 };
        for leader in self.alive() {
            self.show(leader, delay, Due::Observe { leader, record: Box::new(record.clone()) });
        }
    }

    /// A watch shows something, after all that it shows before.
    fn show(&mut self, leader: usize, delay: u64, event: Due) {
        let watched = &mut self.leaders[leader].watched;
        *watched = (*watched).max(self.now.0 + delay);
        let delay = *watched - self.now.0;
        self.after(delay, event);
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
        self.settle();
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
        leader.ahead = self.lots.u64(..=self.faults.skew * 1000);
        let wait = if self.one_in(self.faults.overlap) { self.lots.u64(..LEASE) } else { LEASE };
        leader.begins = now + wait;
        self.leaders.push(leader);
        let leader = self.leaders.len() - 1;
        for name in self.names() {
            // Its first list may be old; the watch then shows what is.
            let (old, lag) = (self.one_in(self.faults.old_news), self.lots.u64(..60_000));
            let past = self.past[&name].clone();
            if old {
                self.leaders[leader].fleet.observe(past[self.lots.usize(..past.len())].clone());
            }
            let record = Box::new(past[0].clone());
            self.show(leader, if old { lag } else { 0 }, Due::Observe { leader, record });
        }
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
            node.replaced(self.cloud.start());
        }
        // The object of an instance that is gone is mostly gone with it.
        if self.one_in(anew) || replaced && self.lots.bool() {
            self.sequence += 1;
            let uid = format!("uid-{name}-{}", self.sequence);
            let by_agent = self.lots.bool();
            let node = self.nodes.get_mut(name).unwrap();
            node.made_anew(uid, by_agent && node.agent.down_until <= now.0);
            for leader in self.alive() {
                self.show(leader, 0, Due::Forget { leader, node: name.to_owned() });
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
    }

    /// Pods that wait.
    pub fn waiting(&self) -> usize {
        self.nodes.values().map(|node| node.waiting.len()).sum()
    }

    /// Interfaces that are attached to nothing.
    pub fn unattached(&self) -> usize {
        self.cloud.interfaces.values().filter(|of| of.attachment.is_none()).count()
    }

    /// A node's first interface.
    pub fn primary(&self, node: &str) -> &str {
        let instance = &self.nodes[node].object.instance_id;
        let first = |of: &&ipam::ec2::Interface| {
            of.attachment.as_ref().is_some_and(|to| to.instance_id == *instance && to.device_index == 0)
        };
        &self.cloud.interfaces.values().find(first).unwrap().id
    }

    pub fn status(&self, node: &str) -> &NodeStatus {
        &self.nodes[node].object.status
    }
}
