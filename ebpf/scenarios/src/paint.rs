//! Compiled policies, written as a list of who may do what.

use std::collections::BTreeMap;

use abi::{Cell, CellAction, CidrSet, Identity, Peer, PeerClass, PolicyRecord, PortClass, proto};
use datapath::{CompiledPolicy, PortPrefix};

/// Whom a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// Everybody.
    Any,
    /// This peer.
    Peer(Peer),
}

impl Who {
    /// The peer with this identity whom no CIDR in use covers.
    #[must_use]
    pub const fn identity(identity: Identity) -> Self {
        Self::Peer(Peer { identity, cidrs: CidrSet::EMPTY })
    }
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Everything.
    Any,
    /// All of a protocol that no other line names.
    Protocol(u8),
    /// One port, or ICMP type.
    Port(u8, u16),
    /// Ports that share leading bits.
    Range(PortPrefix),
}

/// A policy as a matrix that is painted line by line: a later line goes over an earlier one. What is never
/// painted is closed.
#[derive(Clone, Debug, Default)]
pub struct Paint {
    lines: Vec<(Who, What, Cell)>,
    /// Rows and columns that nothing is painted on.
    spare: (u32, u32),
    audit: bool,
}

impl Paint {
    /// A policy that allows nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Another line.
    #[must_use]
    pub fn line(mut self, who: Who, what: What, action: CellAction) -> Self {
        let cookie = self.lines.len() as u32;
        self.lines.push((who, what, Cell { action: action as u8, cookie, ..Cell::default() }));
        self
    }

    /// A line that allows.
    #[must_use]
    pub fn allow(self, who: Who, what: What) -> Self {
        self.line(who, what, CellAction::Allow)
    }

    /// A line that denies.
    #[must_use]
    pub fn deny(self, who: Who, what: What) -> Self {
        self.line(who, what, CellAction::Deny)
    }

    /// A line that wants the two ends to prove who they are.
    #[must_use]
    pub fn authenticated(mut self, who: Who, what: What, action: CellAction) -> Self {
        self = self.line(who, what, action);
        if let Some((_, _, cell)) = self.lines.last_mut() {
            cell.auth = 1;
        }
        self
    }

    /// In audit mode.
    #[must_use]
    pub const fn audited(mut self) -> Self {
        self.audit = true;
        self
    }

    /// With so many rows and columns more that no line is about. Large matrices with little in them are kept
    /// sparse.
    #[must_use]
    pub const fn spare(mut self, rows: u32, columns: u32) -> Self {
        self.spare = (rows, columns);
        self
    }

    /// The compiled policy.
    #[must_use]
    pub fn compile(&self) -> CompiledPolicy {
        let mut rows: BTreeMap<Peer, PeerClass> = BTreeMap::new();
        let mut columns: BTreeMap<What, PortClass> = BTreeMap::new();
        for (who, what, _) in &self.lines {
            if let Who::Peer(peer) = who {
                let next = PeerClass(rows.len() as u32 + 1);
                rows.entry(*peer).or_insert(next);
            }
            if *what != What::Any {
                let next = PortClass(columns.len() as u32 + 1);
                columns.entry(*what).or_insert(next);
            }
        }
        let height = rows.len() as u32 + 1 + self.spare.0;
        let stride = columns.len() as u32 + 1 + self.spare.1;
        let mut cells = vec![Cell::default(); (height * stride) as usize];
        for (who, what, cell) in &self.lines {
            let row = |row: u32| match who {
                Who::Any => true,
                Who::Peer(peer) => rows.get(peer).is_some_and(|class| class.0 == row),
            };
            let column =
                |column: u32| *what == What::Any || columns.get(what).is_some_and(|class| class.0 == column);
            for (index, place) in (0u32..).zip(cells.iter_mut()) {
                if row(index / stride) && column(index % stride) {
                    *place = *cell;
                }
            }
        }
        let mut compiled =
            CompiledPolicy { peers: rows, cells, stride, audit: self.audit, ..CompiledPolicy::default() };
        for (what, class) in columns {
            match what {
                What::Any => {}
                What::Protocol(protocol) => compiled.other_ports[other_index(protocol)] = class,
                What::Port(protocol, port) => {
                    compiled.ports.insert((protocol, port), class);
                }
                What::Range(prefix) => {
                    compiled.ranges.insert(prefix, class);
                }
            }
        }
        compiled
    }
}

/// Where the class of a protocol's other ports stands.
const fn other_index(protocol: u8) -> usize {
    match protocol {
        proto::TCP => PolicyRecord::OTHER_TCP,
        proto::UDP => PolicyRecord::OTHER_UDP,
        proto::SCTP => PolicyRecord::OTHER_SCTP,
        proto::ICMP => PolicyRecord::OTHER_ICMP,
        proto::ICMPV6 => PolicyRecord::OTHER_ICMPV6,
        _ => PolicyRecord::OTHER_PROTO,
    }
}
