//! The verdict of a compiled policy: three lookups.

use abi::{
    CellAction, DropReason, Generation, Peer, PeerClass, PeerKey, PolicyFlags, PolicyRecord, PortClass,
    PortKey, PortRangeKey, SparseKey,
};

use crate::tables::Tables;

/// What a policy says, and where in its tables it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The policy's number.
    pub generation: Generation,
    /// The peer's class.
    pub peer_class: PeerClass,
    /// The port's class.
    pub port_class: PortClass,
    /// The cell.
    pub cell: abi::Cell,
}

impl Judgement {
    /// The reason to drop the packet, or nothing where the policy lets it in.
    #[inline(always)]
    #[must_use]
    pub const fn denied(&self) -> Option<DropReason> {
        const ALLOW: u8 = CellAction::Allow as u8;
        const DENY: u8 = CellAction::Deny as u8;
        const REDIRECT: u8 = CellAction::Redirect as u8;
        match self.cell.action {
            // Whether it would pass or be redirected: first the ends have to prove who they are.
            ALLOW | REDIRECT if self.cell.auth != 0 => Some(DropReason::AuthRequired),
            ALLOW => None,
            DENY => Some(DropReason::PolicyDeny),
            REDIRECT => Some(DropReason::RedirectUnsupported),
            _ => Some(DropReason::PolicyDenied),
        }
    }
}

/// Asks a policy about a peer and a port (or ICMP type).
#[inline(always)]
pub fn judge<T: Tables>(tables: &T, policy: &PolicyRecord, peer: Peer, proto: u8, port: u16) -> Judgement {
    if policy.flags.has(PolicyFlags::ALLOW_ALL) {
        return Judgement {
            generation: policy.generation,
            peer_class: PeerClass(0),
            port_class: PortClass(0),
            cell: abi::Cell { action: CellAction::Allow as u8, ..abi::Cell::default() },
        };
    }
    tables.judgement(policy, peer, proto, port)
}

/// The three lookups: peer to class, port to class, the cell of the two.
#[inline(always)]
pub fn lookup<T: Tables>(tables: &T, policy: &PolicyRecord, peer: Peer, proto: u8, port: u16) -> Judgement {
    let generation = policy.generation;
    let mut peer_class = PeerClass(0);
    if policy.flags.has(PolicyFlags::PEERS) {
        let key = PeerKey { generation, identity: peer.identity, cidrs: peer.cidrs };
        if let Some(class) = tables.peer_class(&key) {
            peer_class = class;
        }
    }
    let port_class = port_class(tables, policy, proto, port);
    let cell = if policy.flags.has(PolicyFlags::SPARSE) {
        tables.sparse_cell(&SparseKey { generation, peer: peer_class, port: port_class })
    } else {
        let index =
            policy.cells.wrapping_add(peer_class.0.wrapping_mul(policy.stride)).wrapping_add(port_class.0);
        tables.cell(index)
    };
    Judgement { generation, peer_class, port_class, cell: cell.unwrap_or_default() }
}

#[inline(always)]
fn port_class<T: Tables>(tables: &T, policy: &PolicyRecord, proto: u8, port: u16) -> PortClass {
    let generation = policy.generation;
    if policy.flags.has(PolicyFlags::PORTS)
        && let Some(class) = tables.port_class(&PortKey { generation, port, proto, pad: 0 })
    {
        return class;
    }
    if policy.flags.has(PolicyFlags::RANGES)
        && let Some(class) = tables.range_class(&PortRangeKey::new(generation, proto, port, 16))
    {
        return class;
    }
    policy.other_class(proto)
}
