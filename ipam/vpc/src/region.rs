//! A region: the way in, time, and what is due.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use fastrand::Rng;
use ipam::{
    Timestamp,
    ec2::{self, Reply, Request},
};

use crate::{
    Answer, Buckets, Call, Counters, CreateInterface, Event, Failure, Fault, Faults, InstanceView, Operation,
    Outcome, Refusal, RunInstances, Settings, Violation,
    events::Change,
    history::{History, after, before},
    pods::Pods,
    state::{State, SubnetState, status},
};

/// A region of EC2: an account's VPCs and all that is in them.
///
/// It is plain data: it can be cloned, so that a model checker or a dry run can try something. Callers say
/// what time it is; time that goes back is taken for the latest that was told.
#[derive(Clone, Debug)]
pub struct Region {
    pub(crate) settings: Settings,
    pub(crate) state: State,
    pub(crate) history: History,
    pub(crate) now: Timestamp,
    /// Chooses ids and addresses.
    pub(crate) rng: Rng,
    /// Chooses faults: which ones happen does not depend on what is chosen.
    pub(crate) luck: Rng,
    due: BTreeMap<(Timestamp, u64), Due>,
    sequence: u64,
    pub(crate) made: BTreeMap<String, Made>,
    pub(crate) started: BTreeMap<String, (RunInstances, Vec<String>)>,
    buckets: Buckets,
    pub(crate) faults: Faults,
    counters: Counters,
    events: VecDeque<Event>,
    pub(crate) pods: Pods,
    pub(crate) broken: Vec<Violation>,
}

/// What was made with a client token.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) by: CreateInterface,
    pub(crate) answer: Answer,
    pub(crate) interface_id: String,
}

/// What happens by itself, later.
#[derive(Clone, Debug)]
pub(crate) enum Due {
    Running { instance_id: String },
    Terminated { instance_id: String },
    Attached { attachment_id: String },
    Detached { attachment_id: String },
    Associated { vpc_id: String, association_id: String },
    Delivered(Box<Call>),
}

impl Region {
    /// An empty region.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let mut rng = Rng::with_seed(settings.seed);
        let luck = rng.fork();
        Self {
            settings,
            state: State::default(),
            history: History::default(),
            now: Timestamp(0),
            rng,
            luck,
            due: BTreeMap::new(),
            sequence: 0,
            made: BTreeMap::new(),
            started: BTreeMap::new(),
            buckets: Buckets::default(),
            faults: Faults::default(),
            counters: Counters::default(),
            events: VecDeque::new(),
            pods: Pods::default(),
            broken: Vec::new(),
        }
    }

    /// Carries out a planner's request.
    ///
    /// # Errors
    ///
    /// What EC2 would answer, and [`ec2::ErrorKind::Unanswered`] where a fault swallowed the answer.
    pub fn call(&mut self, now: Timestamp, request: Request) -> Result<Reply, ec2::Error> {
        let action = request.action();
        let answer = self.invoke(now, &request.into(), false).map_err(|failure| failure.of(action))?;
        let unexpected = || ec2::Error::unanswered(action, "the emulator's answer is of another action");
        answer.reply().ok_or_else(unexpected)
    }

    /// Carries out any request, or only says whether it would be.
    ///
    /// # Errors
    ///
    /// What EC2 would answer (a dry run is always one: `DryRunOperation` is its success), or that no answer
    /// comes.
    pub fn invoke(&mut self, now: Timestamp, call: &Call, dry_run: bool) -> Result<Answer, Failure> {
        self.advance(now);
        let result = self.attempt(call, dry_run);
        self.counters.count(call.operation(), Outcome::of(&result));
        result
    }

    fn attempt(&mut self, call: &Call, dry_run: bool) -> Result<Answer, Failure> {
        let operation = call.operation();
        if self.settings.throttled && !self.buckets.take(operation, call.is_unfiltered(), self.now) {
            return Err(Refusal::throttled().into());
        }
        let on_time = Duration::ZERO;
        let Some(fault) = self.faults.draw(operation, &mut self.luck) else {
            return Ok(self.perform_or_try(call, dry_run, on_time)?);
        };
        match fault {
            Fault::LostRequest => Err(Failure::Unanswered),
            Fault::LostReply => {
                // Whether it was carried out or refused, nobody hears of it.
                let _unheard = self.perform_or_try(call, dry_run, on_time);
                Err(Failure::Unanswered)
            }
            Fault::Late(delay) => {
                self.schedule(delay, Due::Delivered(Box::new(call.clone())));
                Err(Failure::Unanswered)
            }
            Fault::Twice(delay) => {
                let answer = self.perform_or_try(call, dry_run, on_time);
                self.schedule(delay, Due::Delivered(Box::new(call.clone())));
                Ok(answer?)
            }
            Fault::InternalError { carried_out } => {
                let message = "An internal error has occurred";
                self.fail(call, dry_run, carried_out, Refusal::server("InternalError", 500, message))
            }
            Fault::Unavailable { carried_out } => {
                let message = "The service is unavailable. Please try again shortly.";
                self.fail(call, dry_run, carried_out, Refusal::server("Unavailable", 503, message))
            }
            Fault::Throttled => Err(Refusal::throttled().into()),
            Fault::Stale(age) => Ok(self.perform_or_try(call, dry_run, age)?),
        }
    }

    fn fail(
        &mut self,
        call: &Call,
        dry_run: bool,
        carried_out: bool,
        with: Refusal,
    ) -> Result<Answer, Failure> {
        if carried_out {
            let _unheard = self.perform_or_try(call, dry_run, Duration::ZERO);
        }
        Err(with.into())
    }

    fn perform_or_try(&mut self, call: &Call, dry_run: bool, age: Duration) -> Result<Answer, Refusal> {
        if dry_run {
            self.clone().perform(call, age)?;
            return Err(Refusal::dry_run());
        }
        self.perform(call, age)
    }

    /// Lets time pass: what is due by then happens, in order.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((at, _), due) = entry.remove_entry();
            self.now = self.now.max(at);
            self.happen(due);
        }
        self.now = self.now.max(now);
    }

    /// When something happens next by itself.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Running { instance_id } => self.running(&instance_id),
            Due::Terminated { instance_id } => self.terminated(&instance_id),
            Due::Attached { attachment_id } => self.attached(&attachment_id),
            Due::Detached { attachment_id } => self.detached(&attachment_id),
            Due::Associated { vpc_id, association_id } => self.associated(&vpc_id, &association_id),
            Due::Delivered(call) => {
                // Who sent it listens no more.
                let _unheard = self.perform(&call, Duration::ZERO);
            }
        }
    }

    pub(crate) fn schedule(&mut self, delay: Duration, due: Due) {
        self.sequence += 1;
        self.due.insert((after(self.now, delay), self.sequence), due);
    }

    /// Something changed.
    pub(crate) fn tell(&mut self, change: Change) {
        self.events.push_back(Event { at: self.now, change });
    }

    /// An interface changed: brings its status and its past up to date.
    pub(crate) fn changed(&mut self, interface_id: &str) {
        let is = self.state.interfaces.get_mut(interface_id).map(|one| {
            one.is.status = status(&one.is);
            one.is.clone()
        });
        if is.is_none() {
            self.history.forget(self.now, self.settings.remembered);
        }
        self.history.record(interface_id, is, self.now, self.settings.remembered);
    }

    /// What readers see that are so far behind.
    pub(crate) fn then(&self, lag: Duration) -> Timestamp {
        before(self.now, lag)
    }

    /// A new id, `kind-` and 17 hexadecimal digits as EC2 has them.
    pub(crate) fn id(&mut self, kind: &str) -> String {
        format!("{kind}-0{:016x}", self.rng.u64(..))
    }

    /// What happened since the last time. They are kept until they are asked for.
    pub fn drain_events(&mut self) -> Vec<Event> {
        self.events.drain(..).collect()
    }

    /// The latest time that was told.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The settings; what changes holds from now on.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// What goes wrong.
    pub fn faults(&mut self) -> &mut Faults {
        &mut self.faults
    }

    /// The buckets.
    pub fn buckets(&mut self) -> &mut Buckets {
        &mut self.buckets
    }

    /// How many requests there were, and how they ended.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Counts from zero.
    pub fn reset_counters(&mut self) {
        self.counters = Counters::default();
    }

    /// Free /28 blocks of a subnet, which EC2 itself tells nobody.
    #[must_use]
    pub fn free_blocks(&self, subnet_id: &str) -> usize {
        self.state.subnets.get(subnet_id).map_or(0, |subnet| subnet.space.free_blocks())
    }

    /// All interfaces as they are, whatever Describe shows.
    pub fn interfaces(&self) -> impl Iterator<Item = &ec2::Interface> {
        self.state.interfaces.values().map(|one| &one.is)
    }

    /// All instances as they are, terminated ones too.
    pub fn instances(&self) -> impl Iterator<Item = InstanceView> {
        self.state.instances.values().map(|one| self.instance_view(one, self.now))
    }

    /// All subnets as they are.
    pub fn subnets(&self) -> impl Iterator<Item = ec2::Subnet> {
        self.state.subnets.values().map(SubnetState::view)
    }

    /// All VPCs as they are.
    pub fn vpcs(&self) -> impl Iterator<Item = ec2::Vpc> {
        self.state.networks.values().map(|one| one.view().vpc)
    }

    /// Whether the operation's bucket would let a request through, in how long; zero where nothing is
    /// throttled.
    pub fn wait(&mut self, operation: Operation, unfiltered: bool) -> Duration {
        if !self.settings.throttled {
            return Duration::ZERO;
        }
        self.buckets.wait(operation, unfiltered, self.now)
    }
}
