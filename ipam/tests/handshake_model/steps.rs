//! What can happen next. Whatever decides, agent or operator, is the code of the library.

use ipam::{
    Epoch, Family, Record,
    eni::handshake::{
        agent::{self, Told, members},
        operator::{self, Known, MayUse, Sight, may_use},
    },
};
use ipnetwork::IpNetwork;

use crate::{
    mutation::Mutation,
    world::{COOLDOWN, Mask, NODES, Object, PREFIXES, World, mask, prefix, set},
};

/// How far the search goes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub epochs: u64,
    pub ticks: u8,
    pub nodes: usize,
    pub prefixes: usize,
    pub pods: usize,
    /// Objects may be deleted and made anew so often.
    pub recreated: u8,
}

/// The property that a step breaks.
pub type Broken = String;

/// All that can happen in a world, in an order that depends on nothing else.
pub struct Steps<'a> {
    world: &'a World,
    bounds: Bounds,
    mutation: Mutation,
    pub next: Vec<Result<World, Broken>>,
    /// What each step is called, if that is asked for.
    pub names: Option<Vec<String>>,
}

impl<'a> Steps<'a> {
    pub fn of(world: &'a World, bounds: Bounds, mutation: Mutation, named: bool) -> Self {
        let names = named.then(Vec::new);
        let mut steps = Self { world, bounds, mutation, next: Vec::new(), names };
        for node in 0..bounds.nodes {
            steps.agent(node);
            steps.says(node);
            steps.pods(node);
            steps.ec2(node);
            steps.operators(node);
            steps.object(node);
        }
        if world.now < bounds.ticks
            && (world.underway == [0; NODES] || mutation.requests_outlive_their_leader())
        {
            steps.then(|| "time passes".to_owned(), World::tick);
        }
        steps
    }

    fn step(&mut self, name: impl FnOnce() -> String, next: Result<World, Broken>) {
        if let Some(names) = &mut self.names {
            names.push(name());
        }
        self.next.push(next);
    }

    fn then(&mut self, name: impl FnOnce() -> String, change: impl FnOnce(&mut World)) {
        let mut world = self.world.clone();
        change(&mut world);
        self.step(name, Ok(world));
    }

    fn object(&mut self, node: usize) {
        let object = &self.world.objects[node];
        let older = (object.clone(), self.world.incarnation[node]);
        if older != self.world.older[node] {
            self.then(
                || format!("version {object:?} of {node} stays readable"),
                |world| world.older[node] = older,
            );
        }
        if self.world.incarnation[node] <= self.bounds.recreated && *object != Object::default() {
            self.then(
                || format!("object {node} is made anew"),
                |world| {
                    world.incarnation[node] += 1;
                    world.objects[node] = Object::default();
                    // It is for an object of another uid.
                    world.agents[node].answer = None;
                },
            );
            if let Some(said) = self.world.agents[node].said.clone() {
                self.then(
                    || format!("object {node} is made anew by its agent, with {said}"),
                    |world| {
                        world.incarnation[node] += 1;
                        world.objects[node] = Object { drained: Some(said.clone()), ..Object::default() };
                        world.agents[node].answer = None;
                    },
                );
            }
        }
    }

    /// Who makes objects hears what the agent says some time after it journalled, but before it hears the answer.
    fn says(&mut self, node: usize) {
        let said = self.mutation.introduction(&self.world.pool(node));
        if self.world.incarnation[node] <= self.bounds.recreated && said != self.world.agents[node].said {
            self.then(
                || format!("agent {node} says {said:?}"),
                |world| world.agents[node].said = said.clone(),
            );
        }
    }

    fn agent(&mut self, node: usize) {
        let (agent, mutation) = (&self.world.agents[node], self.mutation);
        if agent.seen != 0 {
            self.then(|| format!("agent {node} crashes"), |world| restart(world, node, mutation));
        }
        let (older, incarnation) = &self.world.older[node];
        let current = self.world.incarnation[node];
        self.reads(node, &self.world.objects[node], current);
        if agent.seen != 0 && *incarnation >= agent.seen && *older != self.world.objects[node] {
            self.reads(node, older, *incarnation);
        }
        if let Some(answer) = &agent.answer {
            self.then(
                || format!("agent {node} answers {answer}"),
                |world| {
                    if let Some(answer) = world.agents[node].answer.take() {
                        world.agents[node].said = mutation.introduction(&world.pool(node));
                        world.objects[node].drained = Some(answer);
                    }
                },
            );
        }
    }

    /// An agent reads an object and does what the library says, to the end or until it crashes.
    fn reads(&mut self, node: usize, told: &Object, incarnation: u8) {
        let mut world = self.world.clone();
        world.agents[node].answer = None;
        world.agents[node].seen = incarnation;
        let mut pool = world.pool(node);
        let now = World::time(world.now);
        let listed = set(told.listed);
        for turn in 0.. {
            assert!(turn < 8, "agent {node} comes to no end with {told:?}");
            let step = agent::next(
                &pool,
                Told { drain: &told.drain, drained: told.drained.as_ref(), listed: &listed },
                now,
            );
            let name = || format!("agent {node} reads {told:?} of {incarnation}, last {step:?}");
            match self.mutation.agent_step(step.clone(), &pool, told) {
                agent::Step::Journal(record) => {
                    if let Err(conflict) = pool.apply(&record) {
                        return self.step(name, Err(conflict.to_string()));
                    }
                    world.agents[node].journal = pool.state().clone();
                    let mut crashed = world.clone();
                    restart(&mut crashed, node, self.mutation);
                    self.step(|| format!("{} and crashes", name()), Ok(crashed));
                }
                agent::Step::Use(prefixes) => {
                    pool.set_prefixes(members(&prefixes)).unwrap();
                    world.agents[node].uses = mask(&prefixes);
                }
                // An answer for an object that is gone fails.
                agent::Step::Answer(_) if incarnation != world.incarnation[node] => {
                    return self.step(name, Ok(world));
                }
                agent::Step::Answer(answer) => {
                    world.agents[node].answer = Some(answer);
                    return self.step(name, Ok(world));
                }
                agent::Step::Stale | agent::Step::Nothing => return self.step(name, Ok(world)),
                agent::Step::Broken(_) => {
                    return self.step(name, Err("a promise cannot be kept".to_owned()));
                }
            }
        }
    }

    fn pods(&mut self, node: usize) {
        let now = World::time(self.world.now);
        for pod in 0..self.bounds.pods {
            match self.world.pods[pod] {
                None => {
                    // Pods are alike: the lowest that has none.
                    if self.world.pods[..pod].contains(&None) {
                        continue;
                    }
                    let mut pool = self.world.pool(node);
                    let Ok(Some(record)) = pool.decide(&pod.to_string(), "", &[Family::V4], now) else {
                        continue;
                    };
                    let Record::Allocated { addresses, .. } = &record else { unreachable!() };
                    let address = addresses[0];
                    self.journal(
                        || format!("pod {pod} gets {address} on {node}"),
                        node,
                        &record,
                        |world| world.pods[pod] = Some((node, address)),
                    );
                }
                Some((on, address)) if on == node => {
                    let record = Record::Released { owner: pod.to_string(), at: now };
                    self.journal(
                        || format!("pod {pod} ends"),
                        node,
                        &record,
                        |world| {
                            world.pods[pod] = None;
                            world.freed.insert(address, world.now);
                        },
                    );
                }
                Some(_) => {}
            }
        }
    }

    fn journal(
        &mut self,
        name: impl FnOnce() -> String,
        node: usize,
        record: &Record,
        also: impl FnOnce(&mut World),
    ) {
        let mut world = self.world.clone();
        let done = world.agents[node].journal.apply(record).map_err(|conflict| conflict.to_string());
        also(&mut world);
        self.step(name, done.map(|()| world));
    }

    /// EC2 assigns what it likes; requests to unassign arrive, once or twice, or never.
    fn ec2(&mut self, node: usize) {
        let taken = self.world.ec2.iter().fold(0, |all, mask| all | mask);
        for index in 0..self.bounds.prefixes {
            let bit: Mask = 1 << index;
            if taken & bit == 0 {
                self.then(
                    || format!("{} is assigned to {node}", prefix(index)),
                    |world| world.assign(node, world.ec2[node] | bit),
                );
            }
            if self.world.underway[node] & bit == 0 {
                continue;
            }
            self.then(
                || format!("the request to unassign {} of {node} is lost", prefix(index)),
                |world| world.underway[node] &= !bit,
            );
            if self.world.ec2[node] & bit != 0 {
                let broken = self.unpromised(node, index);
                // The request stays underway: it may arrive again.
                let mut world = self.world.clone();
                world.assign(node, world.ec2[node] & !bit);
                let name = || format!("{} of {node} is unassigned", prefix(index));
                self.step(name, broken.map_or(Ok(world), Err));
            }
        }
    }

    /// P3, P12: a prefix is taken only while no pod has an address of it, none had lately, and none can get one.
    fn unpromised(&self, node: usize, index: usize) -> Option<Broken> {
        let agent = &self.world.agents[node];
        let prefix = IpNetwork::from(prefix(index));
        let now = World::time(self.world.now);
        let rests = agent.journal.vacant().any(|(a, at)| prefix.contains(a) && now.since(at) < COOLDOWN);
        let held = agent.journal.held().any(|address| prefix.contains(address));
        let given = agent.uses & 1 << index != 0 && agent.journal.drain_of(prefix).is_none();
        (held || rests || given).then(|| format!("P3: {prefix} was taken from node {node}, which may use it"))
    }

    fn operators(&mut self, node: usize) {
        for shown in (0..1 << PREFIXES).filter(|mask| self.world.shown[node] & 1 << mask != 0) {
            self.status(node, shown);
            for excess in (0..1 << PREFIXES).filter(|excess| excess & !shown == 0) {
                self.handshake(node, shown, excess);
            }
        }
    }

    /// The status is written as the fleet does, from a look at EC2 that began since time passed.
    fn status(&mut self, node: usize, shown: Mask) {
        let object = &self.world.objects[node];
        let now = World::time(self.world.now);
        let may = |index: &usize| {
            let sight = Sight { listed: object.listed & 1 << index != 0, seen: now, now };
            let may = may_use(prefix(*index), &object.drain, object.drained.as_ref(), sight);
            shown & 1 << index != 0 && (may == MayUse::Yes || self.mutation.lists_what_it_may_not())
        };
        let listed: Mask = (0..PREFIXES).filter(may).map(|index| 1 << index).sum();
        if listed != object.listed {
            self.then(
                || format!("an operator lists {listed:02b} for {node}"),
                |world| world.objects[node].listed = listed,
            );
        }
    }

    fn handshake(&mut self, node: usize, shown: Mask, excess: Mask) {
        let object = &self.world.objects[node];
        let known = Known {
            drain: &object.drain,
            drained: object.drained.as_ref(),
            listed: &set(object.listed),
            attached: &set(shown).into_iter().map(|prefix| (prefix, format!("eni-{node}"))).collect(),
            excess: &set(excess),
        };
        let step = operator::next(known, World::time(self.world.now));
        match self.mutation.operator_step(step, object, shown) {
            operator::Step::Write(drain) if drain.epoch <= Epoch(self.bounds.epochs) => {
                self.then(
                    || format!("an operator writes {drain} for {node}"),
                    |world| world.objects[node].drain = drain.clone(),
                );
            }
            operator::Step::Release(prefixes) => {
                let prefixes = mask(&prefixes.into_values().flatten().collect());
                if self.world.underway[node] & prefixes != prefixes {
                    self.then(
                        || format!("an operator sends to unassign {prefixes:02b} of {node}"),
                        |world| world.underway[node] |= prefixes,
                    );
                }
            }
            _ => {}
        }
    }
}

fn restart(world: &mut World, node: usize, mutation: Mutation) {
    let said = mutation.introduction(&world.pool(node));
    let agent = &mut world.agents[node];
    (agent.uses, agent.seen, agent.answer, agent.said) = (0, 0, None, said);
}
