//! The decisions as functions, over collections.

use abi::{
    Addr, AddressRecord, CidrKey, CidrRecord, Config, Direction, DropReason, Endpoint, Event, EventKind,
    Generation, IfIndex, PolicySlot,
};
use datapath::{CompiledPolicy, allow_all};
use ebpf_core::host::{Bytes, HostTables};
use ebpf_core::{Action, CtTable, Rewrite, Scratch, arp_reply, from_netdev, from_pod, to_endpoint, to_pod};

use crate::engine::{Connection, Counted, Engine, EngineError, Entry, Outcome, Run};

/// The link that test runs happen on, in the kernel and so here.
pub(crate) const LINK: IfIndex = IfIndex(1);

/// The datapath on the host. Its clock stands still unless it is moved.
#[derive(Debug)]
pub struct HostEngine {
    /// The tables.
    pub tables: HostTables,
    /// The time in ticks.
    pub now: u32,
    next: Generation,
}

impl Default for HostEngine {
    fn default() -> Self {
        let mut tables = HostTables::default();
        tables.policies.insert(PolicySlot::ALLOW_ALL, allow_all());
        Self { tables, now: 1000, next: Generation::FIRST }
    }
}

impl HostEngine {
    /// The first of the stages that a frame passes.
    fn enter(&self, link: IfIndex, entry: Entry, packet: &Bytes<'_>, scratch: &mut Scratch) -> Action {
        scratch.begin();
        match entry {
            Entry::FromPod => from_pod(&self.tables, packet, link, self.now, scratch),
            Entry::ToPod => to_pod(&self.tables, packet, link, scratch),
            Entry::FromNetdev => from_netdev(&self.tables, packet, scratch),
        }
    }

    /// Runs a frame at the link of any pod of the node.
    ///
    /// # Errors
    /// None on the host.
    pub fn run_at(&mut self, link: IfIndex, entry: Entry, frame: &[u8]) -> Result<Run, EngineError> {
        let mut scratch = Scratch::default();
        let mut action = self.enter(link, entry, &Bytes(frame), &mut scratch);
        let (mut events, mut counted) = (Vec::new(), Vec::new());
        if action == Action::ToEndpoint {
            // What has left its sender is reported and counted before it goes on.
            if scratch.report.kind != 0 {
                events.push(event(link, &scratch, frame.len(), scratch.report.kind, 0));
                scratch.report.kind = 0;
            }
            let left = entry == Entry::FromPod;
            action = to_endpoint(&self.tables, &Bytes(frame), self.now, &mut scratch);
            counted.extend(left.then_some(Counted::Forwarded(Direction::Egress)));
        }
        let mut packet = frame.to_vec();
        let result = self.carry_out(&mut packet, &mut scratch, action);
        let direction = if scratch.report.direction == Direction::Egress as u8 {
            Direction::Egress
        } else {
            Direction::Ingress
        };
        // The program that answers ARP reports nothing.
        let reports = action != Action::Arp;
        let (outcome, kind, reason) = match result {
            Ok(outcome) => (outcome, scratch.report.kind, 0),
            Err(reason) => (Outcome::Drop(reason), EventKind::Dropped as u8, reason as u8),
        };
        if reports && kind != 0 {
            events.push(event(link, &scratch, packet.len(), kind, reason));
        }
        match outcome {
            Outcome::Drop(reason) => counted.push(Counted::Dropped(reason, direction)),
            // In the order of the counters.
            _ if direction == Direction::Ingress => counted.insert(0, Counted::Forwarded(direction)),
            _ => counted.push(Counted::Forwarded(direction)),
        }
        Ok(Run { outcome, events, counted, packet })
    }

    /// What the programs do to a frame that is neither dropped nor left alone.
    fn carry_out(
        &self,
        frame: &mut [u8],
        scratch: &mut Scratch,
        action: Action,
    ) -> Result<Outcome, DropReason> {
        match action {
            Action::Pass | Action::PassAnswer => Ok(Outcome::Pass),
            Action::Drop(reason) => Err(reason),
            Action::ToEndpoint => Err(DropReason::MissedTailCall),
            Action::Forward(_) => {
                hop(frame, scratch)?;
                Ok(Outcome::Forward)
            }
            Action::Deliver(link) => {
                hop(frame, scratch)?;
                let endpoint = self.tables.endpoints.get(&link).ok_or(DropReason::EndpointUnknown)?;
                write(frame, 0, &endpoint.macs)?;
                Ok(Outcome::Deliver)
            }
            Action::Arp => {
                if !arp_reply(&Bytes(frame), Config::GATEWAY_MAC, &mut scratch.frame) {
                    return Err(DropReason::UnsupportedNetwork);
                }
                write(frame, 0, &scratch.frame)?;
                Ok(Outcome::Arp)
            }
        }
    }
}

/// Takes one hop from a frame.
fn hop(frame: &mut [u8], scratch: &Scratch) -> Result<(), DropReason> {
    match Rewrite::hop(&Bytes(frame), &scratch.headers) {
        Some(Rewrite::V4(bytes)) => write(frame, Rewrite::V4_OFFSET, &bytes),
        Some(Rewrite::V6(limit)) => write(frame, Rewrite::V6_OFFSET, &[limit]),
        None => Err(DropReason::WriteFailed),
    }
}

fn write(frame: &mut [u8], offset: usize, bytes: &[u8]) -> Result<(), DropReason> {
    let place = frame.get_mut(offset..offset + bytes.len()).ok_or(DropReason::WriteFailed)?;
    place.copy_from_slice(bytes);
    Ok(())
}

/// The event that the programs report.
fn event(link: IfIndex, scratch: &Scratch, len: usize, kind: u8, reason: u8) -> Event {
    let (headers, report) = (&scratch.headers, &scratch.report);
    Event {
        time: 0,
        src: headers.src,
        dst: headers.dst,
        peer: report.peer,
        own: report.own,
        generation: report.generation,
        peer_class: report.peer_class,
        port_class: report.port_class,
        len: len as u32,
        ifindex: link.0,
        src_port: headers.src_port,
        dst_port: headers.dst_port,
        endpoint: report.endpoint,
        kind,
        reason,
        direction: report.direction,
        proto: headers.proto,
        tcp_flags: headers.tcp_flags,
        icmp_type: headers.icmp_type,
    }
}

impl Engine for HostEngine {
    fn name(&self) -> &'static str {
        "host"
    }

    fn reset(&mut self) -> Result<(), EngineError> {
        *self = Self { next: self.next, ..Self::default() };
        Ok(())
    }

    fn set_config(&mut self, config: &Config) -> Result<(), EngineError> {
        self.tables.config = *config;
        Ok(())
    }

    fn set_endpoint(&mut self, endpoint: Endpoint) -> Result<(), EngineError> {
        self.tables.endpoints.insert(endpoint.ifindex, endpoint);
        Ok(())
    }

    fn remove_endpoint(&mut self, link: IfIndex) -> Result<(), EngineError> {
        self.tables.endpoints.remove(&link);
        Ok(())
    }

    fn set_address(&mut self, addr: Addr, record: AddressRecord) -> Result<(), EngineError> {
        self.tables.addresses.insert(addr, record);
        Ok(())
    }

    fn set_cidr(&mut self, key: CidrKey, record: CidrRecord) -> Result<(), EngineError> {
        self.tables.cidrs.insert(key, record);
        Ok(())
    }

    fn install(&mut self, policy: &CompiledPolicy) -> Result<PolicySlot, EngineError> {
        let generation = self.next;
        self.next = Generation(generation.0 + 1);
        let slot = PolicySlot(PolicySlot::FIRST.0 + self.tables.policies.len() as u32);
        let first_cell = self.tables.cells.len() as u32;
        policy.install_on_host(&mut self.tables, slot, generation, first_cell);
        Ok(slot)
    }

    fn run(&mut self, entry: Entry, frame: &[u8]) -> Result<Run, EngineError> {
        self.run_at(LINK, entry, frame)
    }

    fn connections(&self) -> Result<Vec<Connection>, EngineError> {
        let mut list: Vec<Connection> = [
            (CtTable::Established, &self.tables.established),
            (CtTable::Unconfirmed, &self.tables.unconfirmed),
        ]
        .into_iter()
        .flat_map(|(table, connections)| {
            let connections = connections.borrow();
            let all: Vec<_> = connections.iter().map(|(key, entry)| (table, *key, entry.get())).collect();
            all
        })
        .filter(|(_, _, entry)| entry.expires > self.now)
        .map(|(table, key, entry)| Connection::new(table, key, entry))
        .collect();
        list.sort_by_key(Connection::place);
        Ok(list)
    }
}
