//! A node of the cluster: its object, its agent with a real pool and a journal that survives, and its pods.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    time::Duration,
};

use ipam::{
    Family, Pool, Record, State, Timestamp,
    eni::{
        NodeRecord,
        handshake::{
            Drain, Drained,
            agent::{self, Told, introduce, members},
        },
    },
};
use ipnetwork::{IpNetwork, Ipv4Network};

pub const COOLDOWN: Duration = Duration::from_secs(30);

pub struct Node {
    pub object: NodeRecord,
    pub agent: Agent,
    /// Pods that wait for an address, and those that have one.
    pub waiting: VecDeque<String>,
    pub pods: BTreeMap<String, IpAddr>,
    /// Interfaces that an instance had which had the node's name before: there is no link of theirs.
    pub missing: BTreeSet<String>,
}

pub struct Agent {
    journal: State,
    uses: BTreeSet<Ipv4Network>,
    pool: Pool,
    pub down_until: u64,
}

impl Node {
    pub fn new(object: NodeRecord) -> Self {
        let (waiting, pods, missing) = Default::default();
        Self { object, agent: Agent::new(), waiting, pods, missing }
    }

    /// Whether something is asked back.
    pub fn asks_back(&self) -> bool {
        !self.drain().prefixes.is_empty()
    }

    /// Whether the agent promised something back that is still asked.
    pub fn promises(&self) -> bool {
        !self.drain().promised(self.drained().as_ref()).is_empty()
    }

    fn drain(&self) -> Drain {
        self.object.drain.as_deref().map_or_else(Drain::default, |of| Drain::parse(of).unwrap())
    }

    fn drained(&self) -> Option<Drained> {
        self.object.drained.as_deref().map(|of| Drained::parse(of).unwrap())
    }

    /// What the status lets its pods use.
    fn listed(&self) -> BTreeSet<Ipv4Network> {
        let mut status = self.object.status.clone();
        status.interfaces.retain(|id, _| !self.missing.contains(id));
        status.usable()
    }

    /// The agent reads its object, gives addresses, and writes what it is to write. `freed` is when addresses were last
    /// given up.
    pub fn turn(&mut self, freed: &BTreeMap<IpAddr, Timestamp>, now: Timestamp) {
        if self.agent.down_until > now.0 {
            return;
        }
        self.read(now);
        while let Some(pod) = self.waiting.front() {
            let Ok(Some(record)) = self.agent.pool.decide(pod, pod, &[Family::V4], now) else { break };
            self.agent.apply(&record);
            let Record::Allocated { addresses, owner, .. } = record else { unreachable!() };
            if let Some(freed) = freed.get(&addresses[0]) {
                assert!(now.since(*freed) >= COOLDOWN, "P10: {} of {owner} is given too early", addresses[0]);
            }
            self.pods.insert(owner, addresses[0]);
            self.waiting.pop_front();
        }
        let used = self.pods.len() as u32;
        self.object.requested = Some(used + self.object.settings.watermarks.pre_allocate);
        self.object.pending_pods = self.waiting.len() as u32;
        let report = self.agent.pool.report(now).filter(|part| part.used + part.cooling > 0);
        self.object.allocated = report.filter_map(|part| v4(part.cidr)).collect();
    }

    fn read(&mut self, now: Timestamp) {
        let listed = self.listed();
        for turn in 0.. {
            assert!(turn < 10);
            let (drain, drained) = (self.drain(), self.drained());
            let told = Told { drain: &drain, drained: drained.as_ref(), listed: &listed };
            match agent::next(&self.agent.pool, told, now) {
                agent::Step::Journal(record) => self.agent.apply(&record),
                agent::Step::Use(prefixes) => {
                    self.agent.pool.set_prefixes(members(&prefixes)).unwrap();
                    self.agent.uses = prefixes;
                }
                agent::Step::Answer(answer) => self.object.drained = Some(answer.to_string()),
                agent::Step::Broken(prefixes) => {
                    panic!("{} cannot keep its promise of {prefixes:?}", self.object.name)
                }
                agent::Step::Stale | agent::Step::Nothing => break,
            }
        }
    }

    /// Ends a pod; the address that it had.
    pub fn end(&mut self, pod: &str, now: Timestamp) -> IpAddr {
        self.agent.apply(&Record::Released { owner: pod.to_owned(), at: now });
        self.pods.remove(pod).unwrap()
    }

    /// The object is another, which may be made by the agent and then tells its promises.
    pub fn made_anew(&mut self, uid: String, by_agent: bool) {
        let introduced = by_agent.then(|| introduce(&self.agent.pool).to_string());
        let NodeRecord { name, resource_version, instance_id, settings, .. } =
            std::mem::take(&mut self.object);
        let drained = introduced;
        self.object = NodeRecord {
            name,
            uid,
            resource_version,
            instance_id,
            settings,
            drained,
            ..NodeRecord::default()
        };
        self.missing.clear();
    }

    /// The instance is another: no pod is left, and nothing that was on its disk.
    pub fn replaced(&mut self, instance_id: String) {
        self.object.instance_id = instance_id;
        self.missing.extend(self.object.status.interfaces.keys().cloned());
        self.waiting.extend(std::mem::take(&mut self.pods).into_keys());
        self.agent = Agent::new();
    }

    /// P3: why nothing of a prefix may be taken now.
    pub fn needs(&self, prefix: Ipv4Network, now: Timestamp) -> Option<&'static str> {
        let whole = IpNetwork::from(prefix);
        let Agent { journal, uses, .. } = &self.agent;
        let rests = journal.vacant().any(|(a, at)| whole.contains(a) && now.since(at) < COOLDOWN);
        let held = journal.held().any(|address| whole.contains(address));
        let given = uses.contains(&prefix) && journal.drain_of(whole).is_none();
        let why = [(held, "is used"), (rests, "rests"), (given, "may be given")];
        why.into_iter().find(|(holds, _)| *holds).map(|(_, why)| why)
    }

    /// P4: what there is of each prefix is all of it.
    pub fn check(&self, now: Timestamp) {
        for part in self.agent.pool.report(now) {
            let Some(cidr) = v4(part.cidr) else { continue };
            let all = part.used + part.cooling + part.free + part.draining;
            assert_eq!(u64::from(cidr.size()), all as u64, "P4: {part:?} of {}", self.object.name);
        }
    }
}

impl Agent {
    fn new() -> Self {
        let (journal, uses, down_until) = Default::default();
        Self { journal, uses, pool: Pool::new([], COOLDOWN).unwrap(), down_until }
    }

    /// It starts again, with what its journal knows.
    pub fn crash(&mut self, now: Timestamp) {
        self.pool = Pool::restore([], COOLDOWN, self.journal.clone(), now).unwrap();
        self.uses.clear();
        self.down_until = now.0 + 2000;
    }

    fn apply(&mut self, record: &Record) {
        self.journal.apply(record).unwrap();
        self.pool.apply(record).unwrap();
    }
}

fn v4(network: IpNetwork) -> Option<Ipv4Network> {
    match network {
        IpNetwork::V4(network) => Some(network),
        IpNetwork::V6(_) => None,
    }
}
