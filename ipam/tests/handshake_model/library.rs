//! The library's code, asked about a world made of numbers. Answers are kept: a search asks the same over and over.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::Hash,
    net::IpAddr,
    rc::Rc,
    time::Duration,
};

use hashbrown::HashMap;
use ipam::{
    Epoch, Family, Pool, Record, State, Timestamp,
    eni::handshake::{
        Drain, Drained,
        agent::{self, Told, members},
        operator::{self, Known, MayUse, QUARANTINE, Sight, may_use},
    },
};
use ipnetwork::Ipv4Network;

use crate::world::{
    ADDRESSES, Addresses, Age, Answer, Ask, Journal, Mask, Object, PREFIXES, Scope, address, prefixes,
};

/// Addresses rest as long as prefixes.
const COOLDOWN: Duration = QUARANTINE;

/// The property that is broken.
pub type Broken = &'static str;

/// How an agent comes to an end with an object that it reads, or is brought to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Crashes,
    /// It will write this.
    Answers(Answer),
    Nothing,
}

/// What reading an object leads to: the journal, and what the pool may give.
pub type Read = (Journal, Mask, End);

/// All that reading an object may lead to, by when the agent crashes.
pub type Reads = Rc<[Result<Read, Broken>]>;

/// What an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Writes(Ask),
    Sends(Mask),
    Nothing,
}

/// The library.
pub struct Library {
    scope: Scope,
    reads: HashMap<(Journal, Mask, Object), Reads>,
    gives: HashMap<(Journal, Mask), Rc<[Journal]>>,
    ends: HashMap<(Journal, usize), Journal>,
    acts: HashMap<(Object, Mask, Mask), Act>,
    lists: HashMap<(Object, Mask, u8), Mask>,
    said: HashMap<Journal, Option<Answer>>,
    sums: HashMap<(Journal, Mask), bool>,
}

/// The answer that is known, or is known from now on.
fn known<K: Hash + Eq + Copy, V: Clone>(of: &mut HashMap<K, V>, key: K, ask: impl FnOnce() -> V) -> V {
    of.entry(key).or_insert_with(ask).clone()
}

impl Library {
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            reads: HashMap::new(),
            gives: HashMap::new(),
            ends: HashMap::new(),
            acts: HashMap::new(),
            lists: HashMap::new(),
            said: HashMap::new(),
            sums: HashMap::new(),
        }
    }

    /// An agent reads an object and does what the library says, to the end or until it crashes.
    pub fn reads(&mut self, journal: Journal, uses: Mask, told: Object) -> Reads {
        let scope = self.scope;
        known(&mut self.reads, (journal, uses, told), || scope.reads(journal, uses, told).into())
    }

    /// The journals that giving an address to one more pod may lead to.
    pub fn gives(&mut self, journal: Journal, uses: Mask) -> Rc<[Journal]> {
        let scope = self.scope;
        known(&mut self.gives, (journal, uses), || scope.gives(journal, uses).into())
    }

    /// The pod with the address ends.
    pub fn ends(&mut self, journal: Journal, of: usize) -> Journal {
        let scope = self.scope;
        known(&mut self.ends, (journal, of), || {
            let mut state = scope.state(journal);
            state.apply(&Record::Released { owner: of.to_string(), at: now() }).unwrap();
            scope.journal(&state)
        })
    }

    /// What an operator does that was shown `attached` and could do without `excess`.
    pub fn acts(&mut self, object: Object, attached: Mask, excess: Mask) -> Act {
        let scope = self.scope;
        known(&mut self.acts, (object, attached, excess), || scope.acts(object, attached, excess))
    }

    /// What an operator lists after a look of this age that showed `attached`.
    pub fn lists(&mut self, object: Object, attached: Mask, age: u8) -> Mask {
        let scope = self.scope;
        known(&mut self.lists, (object, attached, age), || scope.lists(object, attached, age))
    }

    /// What an object says that an agent with this journal makes.
    pub fn said(&mut self, journal: Journal) -> Option<Answer> {
        let scope = self.scope;
        known(&mut self.said, journal, || {
            let said = scope.mutation.introduction(&scope.pool(journal, 0));
            said.map(|said| scope.answer(&said))
        })
    }

    /// P4: used, free, cooling and draining addresses are all of a prefix.
    pub fn adds_up(&mut self, journal: Journal, uses: Mask) -> bool {
        let scope = self.scope;
        known(&mut self.sums, (journal, uses), || {
            let sum = |part: ipam::PrefixUse| part.used + part.cooling + part.free + part.draining;
            scope.pool(journal, uses).report(now()).all(|part| sum(part) == scope.size as u128)
        })
    }
}

/// Long after everything that a world remembers.
fn now() -> Timestamp {
    Timestamp(1000 * QUARANTINE.as_millis() as u64)
}

impl Scope {
    fn tick(self) -> u64 {
        QUARANTINE.as_millis() as u64 / u64::from(self.grain)
    }

    fn at(self, age: Age) -> Option<Timestamp> {
        (age != Age::NEVER).then(|| Timestamp(now().0 - u64::from(age.0) * self.tick()))
    }

    fn age(self, at: Option<Timestamp>) -> Age {
        at.map_or(Age::NEVER, |at| Age(((now().0 - at.0) / self.tick()) as u8))
    }

    pub fn set(self, mask: Mask) -> BTreeSet<Ipv4Network> {
        prefixes(mask).map(|index| self.prefix(index)).collect()
    }

    pub fn mask(self, set: &BTreeSet<Ipv4Network>) -> Mask {
        (0..PREFIXES).filter(|index| set.contains(&self.prefix(*index))).map(|index| 1 << index).sum()
    }

    fn state(self, journal: Journal) -> State {
        let mut state = State::default();
        let mut apply = |record| state.apply(&record).expect("it was a journal before");
        for (index, age) in journal.vacant.into_iter().enumerate() {
            if let Some(at) = self.at(age) {
                apply(Record::Vacant { addresses: vec![address(index).into()], at });
            }
        }
        apply(Record::Epoch { epoch: Epoch(journal.epoch.into()), at: now() });
        for (index, epoch) in journal.drains.into_iter().enumerate().filter(|(_, epoch)| *epoch != 0) {
            let prefixes = vec![self.prefix(index).into()];
            apply(Record::Drained { epoch: Epoch(epoch.into()), prefixes, at: now() });
        }
        for index in (0..ADDRESSES).filter(|index| journal.held & 1 << index != 0) {
            apply(allocated(address(index).into()));
        }
        state
    }

    fn journal(self, state: &State) -> Journal {
        let held = |index: &usize| state.owner_of(address(*index).into()).is_some();
        Journal {
            epoch: epoch(state.epoch()),
            drains: std::array::from_fn(|index| state.drain_of(self.prefix(index).into()).map_or(0, epoch)),
            held: (0..ADDRESSES).filter(held).map(|index| 1 << index).sum(),
            vacant: std::array::from_fn(|index| self.age(state.vacant_since(address(index).into()))),
        }
    }

    /// The pool of a node, as it is after its agent read the journal and was told what it may use.
    fn pool(self, journal: Journal, uses: Mask) -> Pool {
        let mut pool = Pool::restore([], COOLDOWN, self.state(journal), now()).unwrap();
        pool.set_prefixes(members(&self.set(uses))).unwrap();
        pool
    }

    fn drain(self, ask: Ask) -> Drain {
        let at = |index: usize| Some((self.prefix(index), self.at(ask.released[index])?));
        let released: BTreeMap<_, _> = (0..PREFIXES).filter_map(at).collect();
        let prefixes = self.set(ask.prefixes);
        Drain { epoch: Epoch(ask.epoch.into()), prefixes, released, adopted: self.at(ask.adopted) }
    }

    fn ask(self, drain: &Drain) -> Ask {
        Ask {
            epoch: epoch(drain.epoch),
            prefixes: self.mask(&drain.prefixes),
            released: std::array::from_fn(|index| self.age(drain.released.get(&self.prefix(index)).copied())),
            adopted: self.age(drain.adopted),
        }
    }

    /// What was asked for and is not promised was refused.
    fn drained(self, answer: Answer, ask: Ask) -> Drained {
        let refused = if answer.epoch == ask.epoch { ask.prefixes & !answer.prefixes } else { 0 };
        let epoch = Epoch(answer.epoch.into());
        Drained { epoch, prefixes: self.set(answer.prefixes), refused: self.set(refused) }
    }

    fn answer(self, drained: &Drained) -> Answer {
        Answer { epoch: epoch(drained.epoch), prefixes: self.mask(&drained.prefixes) }
    }

    fn reads(self, journal: Journal, mut uses: Mask, told: Object) -> Vec<Result<Read, Broken>> {
        let mut pool = self.pool(journal, uses);
        let listed = self.set(told.listed);
        let drain = self.drain(told.ask);
        let drained = told.answer.map(|answer| self.drained(answer, told.ask));
        let told = Told { drain: &drain, drained: drained.as_ref(), listed: &listed };
        let mut found = Vec::new();
        for _ in 0..8 {
            let step = agent::next(&pool, told, now());
            let end = match self.mutation.agent_step(step, &pool, told) {
                agent::Step::Journal(record) => {
                    if pool.apply(&record).is_err() {
                        Err("P6: the journal contradicts itself")
                    } else {
                        found.push(Ok((self.journal(pool.state()), 0, End::Crashes)));
                        continue;
                    }
                }
                agent::Step::Use(prefixes) => {
                    pool.set_prefixes(members(&prefixes)).unwrap();
                    uses = self.mask(&prefixes);
                    continue;
                }
                agent::Step::Answer(answer) => Ok(End::Answers(self.answer(&answer))),
                agent::Step::Stale | agent::Step::Nothing => Ok(End::Nothing),
                agent::Step::Broken(_) => Err("P3: a promise cannot be kept"),
            };
            found.push(end.map(|end| (self.journal(pool.state()), uses, end)));
            return found;
        }
        panic!("an agent comes to no end with {told:?}");
    }

    /// Which prefix a pod's address is of is left open, so that prefixes are alike: the pool's own choice is one of
    /// these.
    fn gives(self, journal: Journal, uses: Mask) -> Vec<Journal> {
        let choice = |uses| {
            let mut pool = self.pool(journal, uses);
            let Ok(Some(record)) = pool.decide("new", "", &[Family::V4], now()) else { return None };
            let Record::Allocated { addresses, .. } = record else { unreachable!() };
            let mut state = pool.state().clone();
            state.apply(&allocated(addresses[0])).expect("a decision");
            Some(self.journal(&state))
        };
        let free: Vec<_> = prefixes(uses).filter_map(|index| choice(1 << index)).collect();
        let own = choice(uses);
        assert!(own.map_or(free.is_empty(), |own| free.contains(&own)), "{journal:?} {uses}");
        free
    }

    fn acts(self, object: Object, attached: Mask, excess: Mask) -> Act {
        let drain = self.drain(object.ask);
        let drained = object.answer.map(|answer| self.drained(answer, object.ask));
        let known = Known {
            drain: &drain,
            drained: drained.as_ref(),
            listed: &self.set(object.listed),
            attached: &self.set(attached).into_iter().map(|prefix| (prefix, String::new())).collect(),
            excess: &self.set(excess),
        };
        match self.mutation.operator_step(operator::next(known, now()), known) {
            operator::Step::Write(drain) => Act::Writes(self.ask(&drain)),
            operator::Step::Release(prefixes) => {
                Act::Sends(self.mask(&prefixes.into_values().flatten().collect()))
            }
            _ => Act::Nothing,
        }
    }

    fn lists(self, object: Object, attached: Mask, age: u8) -> Mask {
        let drain = self.drain(object.ask);
        let drained = object.answer.map(|answer| self.drained(answer, object.ask));
        let seen = self.at(Age(age)).expect("looks are of some time");
        let may = |index: &usize| {
            let sight = Sight { listed: object.listed & 1 << index != 0, seen, now: now() };
            let may = may_use(self.prefix(*index), &drain, drained.as_ref(), sight);
            may == MayUse::Yes || self.mutation.lists_what_it_may_not()
        };
        prefixes(attached).filter(may).map(|index| 1 << index).sum()
    }
}

/// Owners are called as their addresses: who it is decides nothing.
fn allocated(address: IpAddr) -> Record {
    let IpAddr::V4(v4) = address else { unreachable!() };
    let owner = (v4.to_bits() & 0xff).to_string();
    Record::Allocated { owner, addresses: vec![address], pod: String::new(), at: now() }
}

fn epoch(epoch: Epoch) -> u8 {
    epoch.0.try_into().expect("walks are short")
}

/// Whether a set of addresses and a prefix have one in common.
pub fn meet(scope: Scope, addresses: Addresses, prefix: usize) -> bool {
    addresses & scope.addresses(prefix) != 0
}
