//! The committed programs in the kernel, run packet by packet.

use std::collections::HashMap;
use std::time::Instant;

use abi::{
    Addr, AddressRecord, CidrKey, CidrRecord, Config, CounterKey, Direction, DropReason, Endpoint, Event,
    EventKind, IfIndex, PolicySlot, proto,
};
use datapath::{Capacities, CompiledPolicy, Datapath, Events, GRACE, Options};
use ebpf_core::CtTable;

use crate::engine::{Connection, Counted, Engine, EngineError, Entry, Outcome, Run};

/// Verdicts of a classifier (`linux/pkt_cls.h`).
const TC_ACT_OK: i32 = 0;
const TC_ACT_SHOT: i32 = 2;
const TC_ACT_REDIRECT: i32 = 7;

/// The datapath in the kernel.
pub struct KernelEngine {
    /// The datapath.
    pub datapath: Datapath,
    events: Events,
    slots: Vec<PolicySlot>,
}

/// Nothing is pinned, and tables have a size that tests need.
fn options() -> Options {
    let capacities =
        Capacities { addresses: 4096, established: 16_384, unconfirmed: 16_384, policy_peers: 65_536 };
    Options { capacities, ..Options::default() }
}

impl KernelEngine {
    /// Loads the committed programs, nothing pinned.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn load() -> Result<Self, EngineError> {
        Self::new(Datapath::load(&options())?)
    }

    /// Uses a datapath that is loaded, whose events nobody else has taken.
    ///
    /// # Errors
    /// When somebody has.
    pub fn new(mut datapath: Datapath) -> Result<Self, EngineError> {
        let events = datapath.take_events().ok_or(EngineError::Taken { what: "events" })?;
        Ok(Self { datapath, events, slots: Vec::new() })
    }

    fn take_events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.next_event()).map(|event| Event { time: 0, ..event }).collect()
    }

    /// The counters that stand otherwise than in `before`, and by how much.
    fn moved(&self, before: &Tally) -> Result<Vec<(Counted, u64)>, EngineError> {
        let now = self.tally()?;
        Ok(now
            .iter()
            .map(|(counted, packets)| {
                let earlier =
                    before.iter().find(|(other, _)| other == counted).map_or(0, |(_, packets)| *packets);
                (*counted, packets - earlier)
            })
            .filter(|(_, packets)| *packets > 0)
            .collect())
    }

    fn tally(&self) -> Result<Tally, EngineError> {
        let mut tally = Tally::new();
        for direction in [Direction::Ingress, Direction::Egress] {
            let packets = self.datapath.counters.get(CounterKey::Forwarded(direction))?.packets;
            tally.push((Counted::Forwarded(direction), packets));
        }
        for (reason, direction, counter) in self.datapath.counters.drops()? {
            tally.push((Counted::Dropped(reason, direction), counter.packets));
        }
        Ok(tally)
    }
}

/// Counters and packets.
type Tally = Vec<(Counted, u64)>;

impl std::fmt::Debug for KernelEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelEngine").field("datapath", &self.datapath).finish_non_exhaustive()
    }
}

impl Engine for KernelEngine {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn reset(&mut self) -> Result<(), EngineError> {
        let datapath = &mut self.datapath;
        datapath.endpoints.replace(&HashMap::new())?;
        datapath.addresses.remove_where(|_| true)?;
        datapath.cidrs.replace(&HashMap::new())?;
        let now = Instant::now();
        for slot in self.slots.drain(..) {
            datapath.policies.retire(slot, now);
        }
        datapath.policies.collect(now + GRACE)?;
        datapath.connections.collect(|_| true)?;
        datapath.set_config(&Config::default())?;
        while self.events.next_event().is_some() {}
        Ok(())
    }

    fn set_config(&mut self, config: &Config) -> Result<(), EngineError> {
        Ok(self.datapath.set_config(config)?)
    }

    fn set_endpoint(&mut self, endpoint: Endpoint) -> Result<(), EngineError> {
        self.datapath.endpoints.set(endpoint.ifindex, endpoint)?;
        Ok(())
    }

    fn remove_endpoint(&mut self, link: IfIndex) -> Result<(), EngineError> {
        self.datapath.endpoints.remove(&link)?;
        Ok(())
    }

    fn set_address(&mut self, addr: Addr, record: AddressRecord) -> Result<(), EngineError> {
        self.datapath.addresses.set(addr, record)?;
        Ok(())
    }

    fn set_cidr(&mut self, key: CidrKey, record: CidrRecord) -> Result<(), EngineError> {
        self.datapath.cidrs.set(key, record)?;
        Ok(())
    }

    fn install(&mut self, policy: &CompiledPolicy) -> Result<PolicySlot, EngineError> {
        let (slot, _) = self.datapath.policies.install(policy)?;
        self.slots.push(slot);
        Ok(slot)
    }

    fn run(&mut self, entry: Entry, frame: &[u8]) -> Result<Run, EngineError> {
        let program = entry.program();
        let before = self.tally()?;
        let result = self.datapath.test_run(program, frame, 1)?;
        let counted: Vec<Counted> = self.moved(&before)?.iter().map(|(counted, _)| *counted).collect();
        let events = self.take_events();
        let outcome = match result.verdict {
            TC_ACT_OK => Outcome::Pass,
            TC_ACT_REDIRECT => redirected(&self.datapath, &result.packet),
            TC_ACT_SHOT => Outcome::Drop(
                reason(&counted, &events)
                    .ok_or(EngineError::Counters { program: program.name(), counted: counted.clone() })?,
            ),
            verdict => return Err(EngineError::Verdict { program: program.name(), verdict }),
        };
        Ok(Run { outcome, events, counted, packet: result.packet })
    }

    fn report(&mut self, entry: Entry, frame: &[u8]) -> Result<Vec<Event>, EngineError> {
        self.datapath.test_run(entry.program(), frame, 1)?;
        Ok(self.take_events())
    }

    fn connections(&self) -> Result<Vec<Connection>, EngineError> {
        let [established, unconfirmed] = self.datapath.connections.list();
        let mut list: Vec<Connection> =
            [(CtTable::Established, established), (CtTable::Unconfirmed, unconfirmed)]
                .into_iter()
                .flat_map(|(table, all)| {
                    all.into_iter().map(move |(key, entry)| Connection::new(table, key, entry))
                })
                .collect();
        list.sort_by_key(Connection::place);
        Ok(list)
    }
}

/// Where a redirected packet goes. The kernel does not say, but what was written into it does.
fn redirected(datapath: &Datapath, packet: &[u8]) -> Outcome {
    if packet.get(12..14) == Some(&proto::ETH_ARP.to_be_bytes()) {
        return Outcome::Arp;
    }
    let macs = packet.get(..12);
    if datapath.endpoints.entries().values().any(|endpoint| macs == Some(&endpoint.macs)) {
        Outcome::Deliver
    } else {
        Outcome::Forward
    }
}

/// The reason of a drop: exactly one is counted, beside that the packet has left a pod of the node, and where one
/// is reported it is the same.
fn reason(counted: &[Counted], events: &[Event]) -> Option<DropReason> {
    let counted = counted.strip_prefix(&[Counted::Forwarded(Direction::Egress)]).unwrap_or(counted);
    let [Counted::Dropped(reason, _)] = counted else { return None };
    events
        .iter()
        .filter(|event| event.kind == EventKind::Dropped as u8)
        .all(|event| event.reason == *reason as u8)
        .then_some(*reason)
}
