//! Which rules hold for a subject, and what they say of one packet.

use abi::{CellAction, Direction, Peer};
use serde::Serialize;

use crate::cidr::CidrRegistry;
use crate::label::LabelSet;
use crate::peers::{PeerIndex, selects_set};
use crate::pod::named_ports;
use crate::rule::{Action, PeerSelector, Peers, PortMatch, PortSelector, Ports, Rule, RuleRef};

/// The rules that hold for a subject in one direction.
#[derive(Clone, Debug, Default)]
pub struct Resolved<'a> {
    /// The rules, in the order of their policies.
    pub rules: Vec<&'a Rule>,
    /// The specs that close the direction to what no rule allows.
    pub closed_by: Vec<&'a RuleRef>,
}

impl Resolved<'_> {
    /// Whether everything is allowed: nothing closes the direction, no rule denies.
    #[must_use]
    pub fn allows_all(&self) -> bool {
        self.closed_by.is_empty() && self.rules.iter().all(|rule| rule.action == Action::Allow)
    }

    /// What becomes of a packet that no rule names.
    pub(crate) const fn base(&self) -> CellAction {
        if self.closed_by.is_empty() { CellAction::Allow } else { CellAction::NoRule }
    }
}

/// Why a packet is let through or dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Whether it is let through.
    pub allowed: bool,
    /// The rules that decide: those that deny it, else those that allow it. Empty where none names it.
    pub rules: Vec<RuleRef>,
    /// Where no rule names it, the specs that close the direction; empty where nothing does.
    pub closed_by: Vec<RuleRef>,
}

impl Explanation {
    /// The verdict as tables have it.
    #[must_use]
    pub const fn action(&self) -> CellAction {
        match (self.allowed, self.rules.is_empty()) {
            (true, _) => CellAction::Allow,
            (false, true) => CellAction::NoRule,
            (false, false) => CellAction::Deny,
        }
    }
}

/// Asks the rules about one packet, without tables: slow and exact.
pub(crate) fn explain(
    resolved: &Resolved<'_>,
    subject: &LabelSet,
    peers: &PeerIndex,
    cidrs: &CidrRegistry,
    peer: Peer,
    (proto, port): (u8, u16),
) -> Explanation {
    let labels = peers.labels(peer.identity).cloned().unwrap_or_default();
    let selects = |selector: &PeerSelector| match selector {
        PeerSelector::Labels(selector) => peers.labels(peer.identity).is_some() && selector.matches(&labels),
        PeerSelector::Cidr(selector) => {
            selects_set(selector, cidrs, peer.cidrs) && (!selector.outside_only || peer.identity.is_world())
        }
    };
    let matching = |action: Action| {
        let rules = resolved.rules.iter().filter(|rule| {
            rule.action == action
                && match &rule.peers {
                    Peers::Any => true,
                    Peers::OneOf(selectors) => selectors.iter().any(selects),
                }
                && match &rule.ports {
                    Ports::Any => true,
                    Ports::OneOf(selectors) => {
                        let owner = if rule.direction == Direction::Ingress { subject } else { &labels };
                        selectors.iter().any(|selector| selects_port(selector, owner, proto, port))
                    }
                }
        });
        rules.map(|rule| rule.origin.clone()).collect::<Vec<_>>()
    };
    let denied = matching(Action::Deny);
    if !denied.is_empty() {
        return Explanation { allowed: false, rules: denied, closed_by: Vec::new() };
    }
    let allowed = matching(Action::Allow);
    let named = !allowed.is_empty();
    Explanation {
        allowed: named || resolved.closed_by.is_empty(),
        rules: allowed,
        closed_by: if named { Vec::new() } else { resolved.closed_by.iter().copied().cloned().collect() },
    }
}

/// Whether a selector selects a port of `owner`, whose named ports count.
fn selects_port(selector: &PortSelector, owner: &LabelSet, proto: u8, port: u16) -> bool {
    selector.protocols.iter().any(|protocol| {
        protocol.number() == proto
            && match &selector.port {
                PortMatch::All => true,
                PortMatch::Range(first, last) => (*first..=*last).contains(&port),
                PortMatch::Named(name) => named_ports(owner)
                    .iter()
                    .any(|named| named.name == *name && named.protocol == *protocol && named.port == port),
            }
    })
}
