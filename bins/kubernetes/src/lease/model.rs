//! The elector against every schedule of a small world, and against long random schedules.
//!
//! The world: a server with one lease, contenders with one request under way each. At each turn time goes on, the
//! server acts on a request, an answer arrives, or a request or an answer is lost. Requests may be acted on long
//! after they were sent, and after their sender gave up. Never do two lead at a time.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;

use super::elector::{Answer, Elector, Record, Request, Step, Timing};

/// One unit of the model's time.
const TICK: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
enum Turn {
    Tick,
    /// The contender does what is due.
    Act(usize),
    /// The server acts on the contender's request.
    Serve(usize),
    /// The contender hears the answer.
    Hear(usize),
    /// The contender hears nothing any more; what was sent may still be acted on.
    GiveUp(usize),
    /// The contender gives the lease back and starts over.
    Release(usize),
    /// The contender is started anew, with a new identity.
    Restart(usize),
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Contender {
    elector: Elector<u32>,
    restarts: u32,
    /// Under way to the server; one more may be left of a request that was given up.
    requests: Vec<Request<u32>>,
    answers: Vec<Answer<u32>>,
    waits: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    now: Duration,
    timing: Timing,
    lease: Option<(Record, u32)>,
    contenders: Vec<Contender>,
}

fn elector(contender: usize, restarts: u32, timing: Timing) -> Elector<u32> {
    Elector::new(format!("{contender}.{restarts}"), timing)
}

impl World {
    fn new(contenders: usize, duration: u32, deadline: u32, retry: u32) -> Self {
        let timing =
            Timing { duration: duration * TICK, renew_deadline: deadline * TICK, retry_period: retry * TICK };
        let contender = |index| Contender {
            elector: elector(index, 0, timing),
            restarts: 0,
            requests: Vec::new(),
            answers: Vec::new(),
            waits: false,
        };
        Self { now: TICK, timing, lease: None, contenders: (0..contenders).map(contender).collect() }
    }

    /// Whether the turn can be taken; takes it if so.
    fn take(&mut self, turn: Turn) -> bool {
        let now = self.now;
        match turn {
            Turn::Tick => self.now += TICK,
            Turn::Act(index) => {
                let contender = &mut self.contenders[index];
                if contender.waits || contender.requests.len() > 1 {
                    return false;
                }
                let Step::Send(request) = contender.elector.step(now) else { return false };
                contender.requests.push(request);
                contender.waits = true;
            }
            Turn::Serve(index) => {
                if self.contenders[index].requests.is_empty() {
                    return false;
                }
                let request = self.contenders[index].requests.remove(0);
                let answer = self.serve(request);
                let contender = &mut self.contenders[index];
                // Only the answer to the last request is waited for.
                if contender.waits && contender.requests.is_empty() {
                    contender.answers.push(answer);
                }
            }
            Turn::Hear(index) => {
                let contender = &mut self.contenders[index];
                let Some(answer) = contender.answers.pop() else { return false };
                contender.waits = false;
                if let Step::Send(request) = contender.elector.answer(answer, now) {
                    contender.requests.push(request);
                    contender.waits = true;
                }
            }
            Turn::GiveUp(index) => {
                let contender = &mut self.contenders[index];
                if !contender.waits {
                    return false;
                }
                contender.waits = false;
                contender.answers.clear();
                contender.elector.answer(Answer::Unknown, now);
            }
            Turn::Release(index) => {
                let contender = &mut self.contenders[index];
                if contender.waits {
                    return false;
                }
                let Some(request) = contender.elector.release(now) else { return false };
                contender.requests.push(request);
                contender.waits = true;
            }
            Turn::Restart(index) => {
                let timing = self.timing;
                let contender = &mut self.contenders[index];
                contender.restarts += 1;
                contender.elector = elector(index, contender.restarts, timing);
                contender.answers.clear();
                contender.waits = false;
            }
        }
        true
    }

    fn serve(&mut self, request: Request<u32>) -> Answer<u32> {
        match (request, &self.lease) {
            (Request::Read, None) => Answer::Absent,
            (Request::Read, Some((record, version))) => Answer::Found(record.clone(), *version),
            (Request::Create(record), None) => {
                self.lease = Some((record, 1));
                Answer::Written(1)
            }
            (Request::Replace(record, over), Some((_, version))) if over == *version => {
                let version = over + 1;
                self.lease = Some((record, version));
                Answer::Written(version)
            }
            _ => Answer::Conflict,
        }
    }

    fn leaders(&self) -> usize {
        self.contenders.iter().filter(|contender| contender.elector.leads(self.now)).count()
    }

    /// Acts, serves and hears without losses, for so long.
    fn run_well(&mut self, ticks: u32) {
        for _ in 0..ticks {
            for index in 0..self.contenders.len() {
                self.take(Turn::Act(index));
                while self.take(Turn::Serve(index)) | self.take(Turn::Hear(index)) {}
            }
            assert!(self.leaders() <= 1);
            self.take(Turn::Tick);
        }
    }
}

#[test]
fn every_schedule_has_one_leader_at_most() {
    let mut turns = vec![Turn::Tick];
    for index in 0..2 {
        turns.extend([Turn::Act(index), Turn::Serve(index), Turn::Hear(index)]);
    }
    // One whose replies are lost is enough: the two are alike.
    turns.push(Turn::GiveUp(0));
    let mut seen = HashSet::new();
    let mut layer = vec![World::new(2, 2, 1, 1)];
    let mut led = [false; 2];
    for _ in 0..15 {
        let mut next = Vec::new();
        for world in layer {
            for turn in &turns {
                let mut world = world.clone();
                if !world.take(*turn) || !seen.insert(world.clone()) {
                    continue;
                }
                assert!(world.leaders() <= 1, "two leaders after {turn:?}");
                for (led, contender) in led.iter_mut().zip(&world.contenders) {
                    *led |= contender.elector.leads(world.now);
                }
                next.push(world);
            }
        }
        layer = next;
    }
    assert_eq!(led, [true; 2], "both must have led somewhere");
    assert!(seen.len() > 10_000, "{} worlds", seen.len());
}

fn turn() -> impl Strategy<Value = Turn> {
    let who = 0..2_usize;
    prop_oneof![
        4 => Just(Turn::Tick),
        9 => who.clone().prop_map(Turn::Act),
        9 => who.clone().prop_map(Turn::Serve),
        6 => who.clone().prop_map(Turn::Hear),
        1 => who.clone().prop_map(Turn::GiveUp),
        1 => who.clone().prop_map(Turn::Release),
        1 => who.prop_map(Turn::Restart),
    ]
}

proptest! {
    #[test]
    fn long_schedules_have_one_leader_at_most(turns in proptest::collection::vec(turn(), 1..400)) {
        let mut world = World::new(2, 3, 2, 1);
        for turn in turns {
            world.take(turn);
            prop_assert!(world.leaders() <= 1);
        }
        // Whatever happened, somebody leads soon when all is well again.
        for index in 0..2 {
            world.take(Turn::GiveUp(index));
        }
        world.run_well(3 + 2 * 2);
        prop_assert_eq!(world.leaders(), 1);
    }
}

#[test]
fn takeover_waits_for_the_duration_and_no_longer() {
    let mut world = World::new(2, 15, 10, 2);
    world.run_well(30);
    assert!(world.contenders[0].elector.leads(world.now));
    // The first one is gone for good.
    let killed = world.now;
    let dead = world.contenders.remove(0);
    while world.leaders() == 0 {
        world.run_well(1);
        assert!(!world.contenders[0].elector.leads(world.now) || !dead.elector.leads(world.now));
        assert!(world.now - killed <= 18 * TICK, "nobody took over");
    }
    assert_eq!(world.lease.as_ref().map(|(record, _)| record.transitions), Some(1));
}

#[test]
fn given_back_is_taken_over_at_once() {
    let mut world = World::new(2, 15, 10, 2);
    world.run_well(5);
    assert!(world.take(Turn::Release(0)));
    assert!(world.take(Turn::Serve(0)));
    let mut second = world.contenders.remove(1);
    second.waits = false;
    world.contenders = vec![second];
    world.run_well(3);
    assert_eq!(world.leaders(), 1);
}

#[test]
fn stopped_leader_is_none_when_it_goes_on() {
    let mut world = World::new(1, 15, 10, 2);
    world.run_well(5);
    assert_eq!(world.leaders(), 1);
    world.now += 11 * TICK;
    assert_eq!(world.leaders(), 0);
    // Nobody else wanted it: it may have it again, by asking.
    world.run_well(3);
    assert_eq!(world.leaders(), 1);
}
