//! The cases: which packet goes into which program, and the proof that it does there what the case says.

use abi::bench::Course;
use datapath::Program;

use super::Error;
use super::frame::{Flags, Flow};
use super::report::{Direction, Kind, Layout};
use super::stage::{Stage, Wrapper};
use super::world::{CLOSED, NEIGHBOUR, POD, Tally, World, address};

/// Flows that are sent in turn.
pub(crate) const FLOWS: u32 = 10_000;
/// `TC_ACT_OK`: the stack goes on with the packet.
const OK: i32 = 0;
/// `TC_ACT_SHOT`: the packet is dropped.
const SHOT: i32 = 2;
/// `TC_ACT_REDIRECT`: the packet goes to another link.
const REDIRECT: i32 = 7;
/// Runs that are looked at before any is timed.
const PROOFS: i64 = 3;

/// The way of the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the pod to a peer elsewhere.
    Out,
    /// From a peer elsewhere to the pod, through the stack.
    In,
    /// From a peer elsewhere to the pod, straight from the uplink.
    Wire,
    /// From the pod to another one of the same node.
    Pods,
}

/// One thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    pub(crate) way: Way,
    /// Connections that take turns; where there is one, it is the same packet over and over.
    pub(crate) flows: u32,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.direction())?;
        match self.way {
            Way::Out | Way::In => {}
            Way::Wire => write!(f, " from the wire")?,
            Way::Pods => write!(f, " between pods")?,
        }
        if self.flows > 1 { write!(f, " of {} flows", self.flows) } else { Ok(()) }
    }
}

impl Case {
    /// The six that every report has.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [Kind::Established, Kind::New, Kind::Denied]
            .into_iter()
            .flat_map(|kind| [Way::In, Way::Out].map(|way| Self { kind, way, flows: 1 }))
    }

    /// The direction of the policy that is asked.
    pub(crate) const fn direction(self) -> Direction {
        match self.way {
            Way::Out => Direction::Egress,
            Way::In | Way::Wire => Direction::Ingress,
            Way::Pods => Direction::Both,
        }
    }

    /// The program that the packets go into.
    pub(crate) const fn program(self) -> Program {
        match self.way {
            Way::Out | Way::Pods => Program::FromPod,
            Way::In => Program::ToPod,
            Way::Wire => Program::FromNetdev,
        }
    }

    /// What changes the packet between runs.
    pub(crate) const fn wrapper(self) -> Wrapper {
        match (self.kind, self.flows, self.way) {
            (Kind::Established | Kind::Denied, 1, _) => Wrapper::Again,
            (_, _, Way::Out | Way::Pods) => Wrapper::NextDestination,
            (_, _, Way::In | Way::Wire) => Wrapper::NextSource,
        }
    }

    /// How it changes.
    pub(crate) const fn course(self, world: &World) -> Course {
        let turns = match self.kind {
            // No turn comes back before the table has long forgotten it.
            Kind::New => 0,
            Kind::Established | Kind::Denied => self.flows,
        };
        Course { next: 0, turns, peers: world.peers(), slot: world.slot() }
    }

    /// The packet.
    pub(crate) fn frame(self) -> Result<Vec<u8>, Error> {
        let flags = if self.kind == Kind::Established { Flags::Ack } else { Flags::Syn };
        self.flow(address(0), 40_000).frame(flags)
    }

    fn flow(self, peer: std::net::Ipv4Addr, port: u16) -> Flow {
        let service = if self.kind == Kind::Denied { CLOSED } else { Course::PORT };
        match self.way {
            Way::Out => Flow { src: (POD.address, port), dst: (peer, service) },
            Way::In | Way::Wire => Flow { src: (peer, port), dst: (POD.address, service) },
            Way::Pods => Flow { src: (POD.address, port), dst: (NEIGHBOUR.address, service) },
        }
    }

    /// Forgets all connections, and opens those that the case needs.
    pub(crate) fn prepare(self, stage: &mut Stage, world: &World) -> Result<(), Error> {
        stage.node.connections.collect(|_| true)?;
        if self.kind != Kind::Established {
            return Ok(());
        }
        if self.flows == 1 {
            return self.establish(stage, world, self.flow(address(0), 40_000));
        }
        let course = self.course(world);
        (0..self.flows).try_for_each(|turn| {
            self.establish(stage, world, self.flow(address(course.peer(turn)), Course::port(turn)))
        })
    }

    /// Opens a connection as its ends would: SYN, SYN and ACK, ACK.
    fn establish(self, stage: &mut Stage, world: &World, flow: Flow) -> Result<(), Error> {
        let (opener, answerer) = match self.way {
            Way::Out => (Program::FromPod, Program::ToPod),
            Way::In | Way::Wire => (Program::ToPod, Program::FromPod),
            Way::Pods => (Program::FromPod, Program::FromPod),
        };
        stage.node.test_run(opener, &flow.frame(Flags::Syn)?, 1)?;
        let answer = flow.reverse().frame(Flags::SynAck)?;
        if self.way == Way::Pods {
            // A test run is always on the same link: the pods change places for the answer.
            world.place_pods(stage, NEIGHBOUR, POD)?;
            stage.node.test_run(answerer, &answer, 1)?;
            world.place_pods(stage, POD, NEIGHBOUR)?;
        } else {
            stage.node.test_run(answerer, &answer, 1)?;
        }
        stage.node.test_run(opener, &flow.frame(Flags::Ack)?, 1)?;
        Ok(())
    }

    /// Runs the case a few times in a layout, and looks at what came of it.
    pub(crate) fn prove(self, stage: &mut Stage, world: &World, layout: Layout) -> Result<(), Error> {
        let ends = if self.way == Way::Pods { 2 } else { 1 };
        let forwarded = if self.way == Way::In { OK } else { REDIRECT };
        self.prepare(stage, world)?;
        let before = World::tally(stage)?;
        let known = if self.kind == Kind::Established { i64::from(self.flows) * ends } else { 0 };
        self.check(layout, "established connections before", before.established, known)?;
        self.check(layout, "unconfirmed connections before", before.unconfirmed, 0)?;

        let verdict = self.run(stage, world, layout)?;
        let after = World::tally(stage)?;
        let (verdict_due, due) = match self.kind {
            Kind::Established => (forwarded, Tally { forwarded: before.forwarded + PROOFS * ends, ..before }),
            Kind::New => (
                forwarded,
                Tally {
                    forwarded: before.forwarded + PROOFS * ends,
                    unconfirmed: before.unconfirmed + PROOFS * ends,
                    ..before
                },
            ),
            Kind::Denied => (SHOT, Tally { denied: before.denied + PROOFS, ..before }),
        };
        self.check(layout, "the verdict", verdict.into(), verdict_due.into())?;
        self.check(layout, "packets forwarded", after.forwarded, due.forwarded)?;
        self.check(layout, "packets denied", after.denied, due.denied)?;
        self.check(layout, "established connections", after.established, due.established)?;
        self.check(layout, "unconfirmed connections", after.unconfirmed, due.unconfirmed)?;
        if self.kind == Kind::Established && self.flows == 1 {
            self.prove_judgement(stage, world, layout)?;
        }
        Ok(())
    }

    /// Closes the trie alone: the layout that asks it for each packet must drop an established connection
    /// now, ours must not notice.
    fn prove_judgement(self, stage: &mut Stage, world: &World, layout: Layout) -> Result<(), Error> {
        world.open_in_trie(stage, false)?;
        let before = World::tally(stage)?;
        let ran = self.run(stage, world, layout).and_then(|_| World::tally(stage));
        world.open_in_trie(stage, true)?;
        let denied = if layout == Layout::TwoLpm { PROOFS } else { 0 };
        self.check(layout, "packets denied by the trie", ran?.denied - before.denied, denied)
    }

    /// A few runs; the last one's verdict.
    fn run(self, stage: &mut Stage, world: &World, layout: Layout) -> Result<i32, Error> {
        stage.aim(Some((layout, self.program())))?;
        stage.set_course(self.course(world))?;
        let run = stage.run(self.wrapper().name(), &self.frame()?, PROOFS as u32)?;
        Ok(run.verdict)
    }

    fn check(self, layout: Layout, what: &'static str, found: i64, expected: i64) -> Result<(), Error> {
        if found == expected {
            return Ok(());
        }
        Err(Error::Untrue { case: self.to_string(), layout, what, found, expected })
    }
}
