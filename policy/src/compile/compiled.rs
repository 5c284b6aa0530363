//! A policy's tables, and what is needed to explain them.

use std::collections::BTreeSet;
use std::sync::Arc;

use abi::{CellAction, PeerClass, PortClass};

use crate::policy_key::RuleRef;
use crate::resolve::Resolved;
use crate::rule::Action;
use crate::tables::Tables;
use crate::verdict::Opinion;

/// A policy's tables, and what is needed to explain them. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    /// The tables.
    pub tables: Tables,
    /// The specs that close the direction to what no rule allows.
    pub closed_by: Arc<[RuleRef]>,
    pub(super) closed: bool,
    rules: Arc<[(Opinion, RuleRef)]>,
    /// The rules that name some peer of a class, and some port of a class.
    pub(super) by_peer: Arc<Vec<BTreeSet<u32>>>,
    pub(super) by_port: Arc<Vec<BTreeSet<u32>>>,
}

impl Compiled {
    /// Without tables and classes yet.
    pub(super) fn new(resolved: &Resolved<'_>) -> Self {
        let origins = resolved.rules.iter().map(|held| held.rule.origin.clone());
        Self {
            closed_by: resolved.closed_by.iter().copied().cloned().collect(),
            closed: resolved.closed,
            rules: resolved.opinions.iter().copied().zip(origins).collect(),
            ..Self::default()
        }
    }

    /// What lets everything pass, for whatever reasons.
    pub(super) fn allow_all(resolved: &Resolved<'_>) -> Self {
        let all: BTreeSet<u32> = (0..resolved.rules.len() as u32).collect();
        let reasons = Arc::new(vec![all]);
        Self {
            tables: Tables::allow_all(),
            by_peer: Arc::clone(&reasons),
            by_port: reasons,
            ..Self::new(resolved)
        }
    }

    /// The rules behind a cell: those that give some peer of the one class, on some port of the other, the
    /// cell's verdict. Where no rule does, the specs that close the direction.
    ///
    /// Peers and ports that are treated alike may be so by different rules, of different tiers even: all of them are
    /// told. Only [`Repository::explain`](crate::Repository::explain) knows which of them it is for one packet.
    #[must_use]
    pub fn reasons(&self, peer: PeerClass, port: PortClass) -> Vec<&RuleRef> {
        let (Some(by_peer), Some(by_port)) =
            (self.by_peer.get(peer.0 as usize), self.by_port.get(port.0 as usize))
        else {
            return Vec::new();
        };
        let wanted = match self.tables.cell(peer, port).action {
            action if action == CellAction::Deny as u8 => Action::Deny,
            action if action == CellAction::NoRule as u8 => return self.closed_by.iter().collect(),
            _ => Action::Allow,
        };
        let both = by_peer.intersection(by_port).filter_map(|rule| self.rules.get(*rule as usize));
        both.filter(|(opinion, _)| opinion.action == wanted).map(|(_, origin)| origin).collect()
    }
}
