//! A scenario as data.

use std::net::IpAddr;

use abi::{
    Addr, AddressRecord, Be16, CidrKey, CidrRecord, Config, CtEntry, CtFlags, CtKey, Direction, DropReason,
    Endpoint, EndpointId, EventKind, Identity, IfIndex,
};
use datapath::CompiledPolicy;
use ebpf_core::CtTable;

use crate::engine::{Connection, Entry, Outcome};
use crate::frame::Packet;
use crate::paint::Paint;
use crate::world;

/// Which policy an endpoint has in a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyRef {
    /// None is known yet.
    None,
    /// None selects it: everything is allowed.
    AllowAll,
    /// A slot that nobody has written.
    Unwritten,
    /// The one that the case calls so.
    Named(&'static str),
}

impl From<&'static str> for PolicyRef {
    fn from(name: &'static str) -> Self {
        Self::Named(name)
    }
}

/// An endpoint and its policies. The record's own slots say nothing here.
#[derive(Clone, Debug)]
pub struct Pod {
    /// The record.
    pub endpoint: Endpoint,
    /// What it may receive.
    pub ingress: PolicyRef,
    /// What it may send.
    pub egress: PolicyRef,
}

/// A node's tables before the first packet.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The node's settings.
    pub config: Config,
    /// Pods of the node.
    pub pods: Vec<Pod>,
    /// Exact addresses.
    pub addresses: Vec<(Addr, AddressRecord)>,
    /// CIDRs in use.
    pub cidrs: Vec<(CidrKey, CidrRecord)>,
    /// Policies, by the case's own names.
    pub policies: Vec<(&'static str, CompiledPolicy)>,
}

/// What is to be reported of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The direction, for the endpoint.
    pub direction: Direction,
    /// Who the peer is, where that matters.
    pub peer: Option<Identity>,
}

/// What is expected of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// What becomes of it.
    pub outcome: Outcome,
    /// What is reported.
    pub event: Option<Event>,
}

/// A connection that is expected, with what matters of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conn {
    /// Where it is remembered.
    pub table: CtTable,
    /// Its name.
    pub key: CtKey,
    /// Whether the peer opened it.
    pub from_peer: bool,
    /// Whether it is closed or broken.
    pub closed: bool,
}

/// A step of a case.
#[derive(Clone, Debug)]
pub enum Step {
    /// A frame enters the datapath.
    Frame(Entry, Vec<u8>, Expect),
    /// An endpoint appears, or another one in its place.
    Place(Pod),
    /// The endpoint behind a link goes.
    Remove(IfIndex),
    /// The pod under test gets another policy.
    Policy(Direction, PolicyRef),
    /// An address becomes somebody else's.
    Address(Addr, AddressRecord),
    /// A CIDR comes into use, or its peer becomes another one.
    Cidr(CidrKey, CidrRecord),
    /// The settings change.
    Config(Config),
    /// Exactly these connections are remembered.
    Connections(Vec<Conn>),
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// What the tables hold.
    pub setup: Setup,
    /// What happens then.
    pub steps: Vec<Step>,
}

impl Expect {
    /// This outcome, and nothing to report.
    pub(crate) const fn quiet(outcome: Outcome) -> Self {
        Self { outcome, event: None }
    }

    /// This outcome, reported so.
    pub(crate) const fn reported(outcome: Outcome, kind: EventKind, direction: Direction) -> Self {
        Self { outcome, event: Some(Event { kind, direction, peer: None }) }
    }

    /// Dropped, and reported for an endpoint in this direction.
    pub(crate) const fn dropped(reason: DropReason, direction: Direction) -> Self {
        Self::reported(Outcome::Drop(reason), EventKind::Dropped, direction)
    }

    /// With this peer in the report.
    pub(crate) fn peer(mut self, identity: Identity) -> Self {
        if let Some(event) = &mut self.event {
            event.peer = Some(identity);
        }
        self
    }
}

impl Conn {
    /// A connection of the pod under test that it opened.
    pub(crate) fn new(table: CtTable, proto: u8, peer: IpAddr, ports: (u16, u16)) -> Self {
        let key = CtKey {
            peer: peer.into(),
            local_port: Be16::new(ports.0),
            peer_port: Be16::new(ports.1),
            endpoint: world::POD_ID,
            proto,
            pad: 0,
        };
        Self { table, key, from_peer: false, closed: false }
    }

    /// Both ends confirmed it.
    pub(crate) fn established(proto: u8, peer: IpAddr, ports: (u16, u16)) -> Self {
        Self::new(CtTable::Established, proto, peer, ports)
    }

    /// Not both have.
    pub(crate) fn unconfirmed(proto: u8, peer: IpAddr, ports: (u16, u16)) -> Self {
        Self::new(CtTable::Unconfirmed, proto, peer, ports)
    }

    /// The peer opened it.
    pub(crate) const fn peer_opened(mut self) -> Self {
        self.from_peer = true;
        self
    }

    /// It is closed.
    pub(crate) const fn closed(mut self) -> Self {
        self.closed = true;
        self
    }

    /// It is another endpoint's.
    pub(crate) const fn of(mut self, endpoint: EndpointId) -> Self {
        self.key.endpoint = endpoint;
        self
    }

    /// What matters of a connection that is remembered.
    pub(crate) fn seen(connection: &Connection) -> Self {
        let CtEntry { flags, .. } = connection.entry;
        Self {
            table: connection.table,
            key: connection.key,
            from_peer: flags.has(CtFlags::FROM_PEER),
            closed: flags.has(CtFlags::BOTH_FIN) || flags.has(CtFlags::RESET),
        }
    }

    pub(crate) fn place(&self) -> (bool, u16, u8, Addr, u16, u16) {
        Connection::new(self.table, self.key, CtEntry::default()).place()
    }
}

/// Written so that a case reads from top to bottom as it happens.
impl Case {
    /// A case in the ordinary world, where nobody is restricted.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), setup: world::setup(), steps: Vec::new() }
    }

    /// A policy of this name.
    pub(crate) fn policy(mut self, name: &'static str, paint: &Paint) -> Self {
        self.setup.policies.push((name, paint.compile()));
        self
    }

    /// What the pod may receive at first.
    pub(crate) fn ingress(mut self, policy: impl Into<PolicyRef>) -> Self {
        self.setup.pods[0].ingress = policy.into();
        self
    }

    /// What the pod may send at first.
    pub(crate) fn egress(mut self, policy: impl Into<PolicyRef>) -> Self {
        self.setup.pods[0].egress = policy.into();
        self
    }

    /// Other settings at first.
    pub(crate) fn config(mut self, config: Config) -> Self {
        self.setup.config = config;
        self
    }

    /// Changes what the tables hold at first.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Setup)) -> Self {
        change(&mut self.setup);
        self
    }

    /// A step.
    pub(crate) fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// A frame.
    pub(crate) fn frame(self, entry: Entry, frame: Vec<u8>, expect: Expect) -> Self {
        self.then(Step::Frame(entry, frame, expect))
    }

    /// The pod sends what is of a connection that is known, or below connections: nothing is reported.
    pub(crate) fn sends(self, packet: &Packet, outcome: Outcome) -> Self {
        self.frame(Entry::FromPod, packet.frame(), Expect::quiet(outcome))
    }

    /// The pod sends what policy is asked about, and lets out.
    pub(crate) fn opens(self, packet: &Packet, outcome: Outcome) -> Self {
        let expect = Expect::reported(outcome, EventKind::Allowed, Direction::Egress);
        self.frame(Entry::FromPod, packet.frame(), expect)
    }

    /// The pod sends what may not leave.
    pub(crate) fn cannot_send(self, packet: &Packet, reason: DropReason) -> Self {
        self.frame(Entry::FromPod, packet.frame(), Expect::dropped(reason, Direction::Egress))
    }

    /// The stack has something of a known connection for the pod.
    pub(crate) fn receives(self, packet: &Packet) -> Self {
        self.frame(Entry::ToPod, packet.frame(), Expect::quiet(Outcome::Pass))
    }

    /// The stack has something for the pod that policy is asked about, and lets in.
    pub(crate) fn accepts(self, packet: &Packet) -> Self {
        let expect = Expect::reported(Outcome::Pass, EventKind::Allowed, Direction::Ingress);
        self.frame(Entry::ToPod, packet.frame(), expect)
    }

    /// The stack has something for the pod that may not reach it.
    pub(crate) fn refuses(self, packet: &Packet, reason: DropReason) -> Self {
        self.frame(Entry::ToPod, packet.frame(), Expect::dropped(reason, Direction::Ingress))
    }

    /// Something arrives on the uplink.
    pub(crate) fn arrives(self, packet: &Packet, expect: Expect) -> Self {
        self.frame(Entry::FromNetdev, packet.frame(), expect)
    }

    /// Exactly these connections are remembered now.
    pub(crate) fn remembers(self, connections: &[Conn]) -> Self {
        self.then(Step::Connections(connections.to_vec()))
    }

    /// Another policy for what the pod receives.
    pub(crate) fn ingress_becomes(self, policy: impl Into<PolicyRef>) -> Self {
        self.then(Step::Policy(Direction::Ingress, policy.into()))
    }

    /// Another policy for what the pod sends.
    pub(crate) fn egress_becomes(self, policy: impl Into<PolicyRef>) -> Self {
        self.then(Step::Policy(Direction::Egress, policy.into()))
    }
}
