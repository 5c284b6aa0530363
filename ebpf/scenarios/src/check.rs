//! Runs a case, and says where it came out otherwise.

use std::collections::HashMap;

use abi::{Config, Direction, Endpoint, EndpointId, IfIndex, PolicySlot, proto};
use ebpf_core::Rewrite;
use etherparse::Ipv4Header;

use crate::case::{Case, Conn, Expect, Pod, PolicyRef, Step};
use crate::engine::{Counted, Engine, EngineError, Entry, Outcome, Run};
use crate::world;

/// A case that did not come out as it should.
#[derive(Debug, thiserror::Error)]
#[error("{case} ({engine}), step {step}: {difference}")]
pub struct Mismatch {
    /// The case.
    pub case: String,
    /// The engine.
    pub engine: &'static str,
    /// Which step, counted from one; zero is the setup.
    pub step: usize,
    /// How.
    #[source]
    pub difference: Box<Difference>,
}

/// How something came out otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Difference {
    /// The engine could not do it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The case names a policy that it does not have.
    #[error("the case has no policy {0:?}")]
    NoSuchPolicy(&'static str),
    /// Something else became of a packet.
    #[error("expected {expected:?}, found {found:?}")]
    Outcome {
        /// What should have.
        expected: Outcome,
        /// What did.
        found: Outcome,
    },
    /// Something else was reported.
    #[error("expected the event {expected:?}, found {found:?}")]
    Event {
        /// What should have been.
        expected: Expect,
        /// What was.
        found: Vec<abi::Event>,
    },
    /// Something else was counted.
    #[error("expected {expected:?}, counted {found:?}")]
    Counters {
        /// What should have been.
        expected: Outcome,
        /// What was.
        found: Vec<Counted>,
    },
    /// The packet is not what it should be afterwards.
    #[error("{what}: {found:02x?}")]
    Packet {
        /// What is wrong.
        what: &'static str,
        /// The packet.
        found: Vec<u8>,
    },
    /// Other connections are remembered.
    #[error("expected the connections {expected:?}, found {found:?}")]
    Connections {
        /// What should be.
        expected: Vec<Conn>,
        /// What is.
        found: Vec<Conn>,
    },
}

/// Runs a case on an engine, which is emptied first.
///
/// # Errors
/// The first step that came out otherwise.
pub fn run(case: &Case, engine: &mut dyn Engine) -> Result<(), Mismatch> {
    let mut scene = Scene { slots: HashMap::new(), pods: HashMap::new() };
    let name = engine.name();
    let mismatch = |step| {
        move |difference| Mismatch {
            case: case.name.clone(),
            engine: name,
            step,
            difference: Box::new(difference),
        }
    };
    scene.set_up(case, engine).map_err(mismatch(0))?;
    for (number, step) in (1..).zip(&case.steps) {
        scene.play(step, engine).map_err(mismatch(number))?;
    }
    Ok(())
}

/// What a running case remembers.
struct Scene {
    slots: HashMap<&'static str, PolicySlot>,
    pods: HashMap<IfIndex, Pod>,
}

impl Scene {
    fn set_up(&mut self, case: &Case, engine: &mut dyn Engine) -> Result<(), Difference> {
        engine.reset()?;
        let setup = &case.setup;
        engine.set_config(&setup.config)?;
        for (addr, record) in &setup.addresses {
            engine.set_address(*addr, *record)?;
        }
        for (key, record) in &setup.cidrs {
            engine.set_cidr(*key, *record)?;
        }
        for (name, policy) in &setup.policies {
            self.slots.insert(name, engine.install(policy)?);
        }
        setup.pods.iter().try_for_each(|pod| self.place(pod, engine))
    }

    fn play(&mut self, step: &Step, engine: &mut dyn Engine) -> Result<(), Difference> {
        match step {
            Step::Frame(entry, frame, expect) => {
                let run = engine.run(*entry, frame)?;
                self.check(*entry, frame, expect, &run)
            }
            Step::Place(pod) => self.place(pod, engine),
            Step::Remove(link) => {
                self.pods.remove(link);
                Ok(engine.remove_endpoint(*link)?)
            }
            Step::Policy(direction, policy) => {
                let Some(mut pod) = self.pods.get(&world::POD_LINK).cloned() else { return Ok(()) };
                match direction {
                    Direction::Ingress => pod.ingress = *policy,
                    Direction::Egress => pod.egress = *policy,
                }
                self.place(&pod, engine)
            }
            Step::Address(addr, record) => Ok(engine.set_address(*addr, *record)?),
            Step::Cidr(key, record) => Ok(engine.set_cidr(*key, *record)?),
            Step::Config(config) => Ok(engine.set_config(config)?),
            Step::Connections(expected) => {
                let found: Vec<Conn> = engine.connections()?.iter().map(Conn::seen).collect();
                let mut expected = expected.clone();
                expected.sort_by_key(Conn::place);
                if found == expected { Ok(()) } else { Err(Difference::Connections { expected, found }) }
            }
        }
    }

    fn place(&mut self, pod: &Pod, engine: &mut dyn Engine) -> Result<(), Difference> {
        let endpoint =
            Endpoint { ingress: self.slot(pod.ingress)?, egress: self.slot(pod.egress)?, ..pod.endpoint };
        engine.set_endpoint(endpoint)?;
        self.pods.insert(endpoint.ifindex, pod.clone());
        Ok(())
    }

    fn slot(&self, policy: PolicyRef) -> Result<PolicySlot, Difference> {
        match policy {
            PolicyRef::None => Ok(PolicySlot::NONE),
            PolicyRef::AllowAll => Ok(PolicySlot::ALLOW_ALL),
            PolicyRef::Unwritten => Ok(PolicySlot(9_000)),
            PolicyRef::Named(name) => self.slots.get(name).copied().ok_or(Difference::NoSuchPolicy(name)),
        }
    }

    fn check(&self, entry: Entry, before: &[u8], expect: &Expect, run: &Run) -> Result<(), Difference> {
        let expected = expect.outcome;
        if run.outcome != expected {
            return Err(Difference::Outcome { expected, found: run.outcome });
        }
        // A packet between two pods of the node leaves the one before it comes to the other.
        let crossed = entry == Entry::FromPod && run.counted.len() == 2;
        let (events, counted) = (run.events.as_slice(), run.counted.as_slice());
        let (events, counted) = match (crossed, events, counted) {
            (false, ..) => (events, counted),
            (true, _, counted) if !counted.contains(&Counted::Forwarded(Direction::Egress)) => {
                (events, counted)
            }
            (true, [first, rest @ ..], _) if first.direction == Direction::Egress as u8 => (rest, counted),
            (true, ..) => (events, counted),
        };
        let counted: Vec<Counted> = counted
            .iter()
            .copied()
            .filter(|counted| !(crossed && *counted == Counted::Forwarded(Direction::Egress)))
            .collect();
        let reported = match (expect.event, events) {
            (None, []) => true,
            (Some(event), [found]) => {
                let reason = if let Outcome::Drop(reason) = expected { reason as u8 } else { 0 };
                found.kind == event.kind as u8
                    && found.reason == reason
                    && found.direction == event.direction as u8
                    && found.ifindex == world::POD_LINK.0
                    && found.len as usize == before.len()
                    && event.peer.is_none_or(|peer| found.peer.identity == peer)
                    && (entry == Entry::FromNetdev || self.is_of_endpoint(found))
            }
            _ => false,
        };
        if !reported {
            return Err(Difference::Event { expected: *expect, found: run.events.clone() });
        }
        let counted = match (expected, counted.as_slice()) {
            (Outcome::Drop(reason), [Counted::Dropped(counted, _)]) => *counted == reason,
            (Outcome::Drop(_), _) => false,
            (_, [Counted::Forwarded(_)]) => true,
            _ => false,
        };
        if !counted {
            return Err(Difference::Counters { expected, found: run.counted.clone() });
        }
        self.check_packet(expected, before, &run.packet)
            .map_err(|what| Difference::Packet { what, found: run.packet.clone() })
    }

    /// Whether an event names an endpoint that there is, or none where none was found yet.
    fn is_of_endpoint(&self, event: &abi::Event) -> bool {
        event.endpoint == EndpointId(0) || self.pods.values().any(|pod| pod.endpoint.id == event.endpoint)
    }

    /// What the datapath may have done to a packet.
    fn check_packet(&self, outcome: Outcome, before: &[u8], after: &[u8]) -> Result<(), &'static str> {
        match outcome {
            Outcome::Pass | Outcome::Drop(_) if before == after => Ok(()),
            Outcome::Pass | Outcome::Drop(_) => Err("the packet was changed"),
            Outcome::Forward => check_hop(before, after, &before[..12]),
            Outcome::Deliver => {
                let macs =
                    self.pods.values().map(|pod| pod.endpoint.macs).find(|macs| after.starts_with(macs));
                check_hop(before, after, &macs.ok_or("the MAC addresses are no pod's")?)
            }
            Outcome::Arp => check_arp(before, after),
        }
    }
}

/// The packet is a hop further, its checksum is right, and nothing else is different.
fn check_hop(before: &[u8], after: &[u8], macs: &[u8]) -> Result<(), &'static str> {
    let mut expected = before.to_vec();
    expected[..12].copy_from_slice(macs);
    if before[12..14] == proto::ETH_IPV4.to_be_bytes() {
        let (header, _) =
            Ipv4Header::from_slice(&after[proto::ETH_HEADER..]).map_err(|_| "no IPv4 header")?;
        if header.header_checksum != header.calc_header_checksum() {
            return Err("the checksum is wrong");
        }
        expected[Rewrite::V4_OFFSET] -= 1;
        expected[Rewrite::V4_OFFSET + 2..Rewrite::V4_OFFSET + 4]
            .copy_from_slice(&header.header_checksum.to_be_bytes());
    } else {
        expected[Rewrite::V6_OFFSET] -= 1;
    }
    if expected == after { Ok(()) } else { Err("something else was changed") }
}

/// The answer says that the address asked for is where the gateway is, to whom asked.
fn check_arp(before: &[u8], after: &[u8]) -> Result<(), &'static str> {
    let mut expected = Vec::new();
    expected.extend(&before[6..12]);
    expected.extend(Config::GATEWAY_MAC);
    expected.extend([0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 2]);
    expected.extend(Config::GATEWAY_MAC);
    expected.extend(&before[38..42]);
    expected.extend(&before[22..32]);
    if after.starts_with(&expected) { Ok(()) } else { Err("not the answer to the question") }
}
