//! Which rules hold for a subject, and what they say of one packet.

use std::collections::BTreeSet;
use std::sync::Arc;

use abi::{CellAction, Direction};
use serde::Serialize;

use crate::facts::Part;
use crate::l7::Proxy;
use crate::label::LabelSet;
use crate::peer_selector::{PeerSelector, Peers};
use crate::pod::named_ports;
use crate::policy_key::RuleRef;
use crate::port::{PortMatch, PortSelector, Ports};
use crate::rule::{Action, Authentication, Rule, Tier};
use crate::verdict::{Opinion, Opinions, Verdict};

/// A rule that holds for a subject, with what its spec says of it.
#[derive(Clone, Copy, Debug)]
pub struct Holding<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// When it is asked.
    pub tier: Tier,
}

/// The rules that hold for a subject in one direction.
#[derive(Clone, Debug, Default)]
pub struct Resolved<'a> {
    /// The rules: tier by tier, in the order in which they are asked.
    pub rules: Vec<Holding<'a>>,
    /// The specs that close the direction to what no rule allows.
    pub closed_by: Vec<&'a RuleRef>,
    /// Whether the direction is closed, by a spec or by the settings.
    pub closed: bool,
    /// What each rule says.
    pub(crate) opinions: Vec<Opinion>,
    /// What rules want reported: each text once, sorted. Opinions number them from 1.
    pub(crate) logs: Vec<Arc<str>>,
    /// What the selectors of each rule's peers come down to.
    pub(crate) peers: Vec<Vec<&'a [Part]>>,
}

impl<'a> Resolved<'a> {
    /// Puts together what holds.
    pub(crate) fn new(mut rules: Vec<Holding<'a>>, closed_by: Vec<&'a RuleRef>, closed: bool) -> Self {
        // Stable: specs of one tier and priority stay in the order of their policies.
        rules.sort_by_key(|held| held.tier);
        let logs: BTreeSet<&Arc<str>> = rules.iter().filter_map(|held| held.rule.log.as_ref()).collect();
        let logs: Vec<Arc<str>> = logs.into_iter().cloned().collect();
        let opinion = |(rank, Holding { rule, tier }): (u32, &Holding<'_>)| Opinion {
            tier: *tier,
            rank,
            action: rule.action,
            proxy: rule.l7.as_ref().and_then(|l7| l7.proxy()),
            auth: rule.authentication,
            log: rule.log.as_ref().and_then(|log| logs.binary_search(log).ok()).map(|at| at as u32 + 1),
        };
        let opinions = (0u32..).zip(&rules).map(opinion).collect();
        let closed = closed || !closed_by.is_empty();
        Self { rules, closed, closed_by, opinions, logs, peers: Vec::new() }
    }

    /// With what selectors of peers come down to, for [`explain`].
    pub(crate) fn with_parts(mut self, parts: impl Fn(&'a PeerSelector) -> &'a [Part]) -> Self {
        let of_rule = |held: &Holding<'a>| match &held.rule.peers {
            Peers::Any => Vec::new(),
            Peers::OneOf(selectors) => selectors.iter().map(&parts).collect(),
        };
        self.peers = self.rules.iter().map(of_rule).collect();
        self
    }

    /// Whether everything is allowed: nothing closes the direction, no rule denies or wants a proxy or a proof.
    #[must_use]
    pub fn allows_all(&self) -> bool {
        !self.closed
            && self.rules.iter().all(|Holding { rule, .. }| {
                rule.action != Action::Deny
                    && rule.l7.is_none()
                    && rule.log.is_none()
                    && rule.authentication.is_none_or(|auth| auth == Authentication::Disabled)
            })
    }
}

/// Why a packet is let through, dropped or sent to a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What becomes of it.
    pub verdict: Verdict,
    /// The proxy that decides, for [`Verdict::Redirect`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// How the two ends must prove who they are; none where they need not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// The rules that decide, in the order in which they are asked. Empty where none names it.
    pub rules: Vec<RuleRef>,
    /// Where no rule names it, the specs that close the direction; empty where nothing does.
    pub closed_by: Vec<RuleRef>,
    /// The verdict as compiled tables have it, save for the numbers of logs and proxies.
    #[serde(skip)]
    pub action: CellAction,
}

impl Explanation {
    /// Whether it is let through, if perhaps by a proxy.
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.verdict != Verdict::Deny
    }
}

/// Asks the rules about one packet, without tables: slow and exact. `selects` tells whether the packet's peer is
/// among those of a part of a selector.
pub(crate) fn explain(
    resolved: &Resolved<'_>,
    subject: &LabelSet,
    peer: &LabelSet,
    selects: impl Fn(&Part) -> bool,
    (proto, port): (u8, u16),
) -> Explanation {
    let all = &resolved.opinions;
    let names = |number: usize| {
        let rule = resolved.rules[number].rule;
        let parts = || resolved.peers.get(number).into_iter().flatten().copied().flatten();
        let named_peer = rule.peers == Peers::Any || parts().any(&selects);
        let owner = if rule.direction == Direction::Ingress { subject } else { peer };
        named_peer
            && match &rule.ports {
                Ports::Any => true,
                Ports::OneOf(selectors) => {
                    selectors.iter().any(|selector| selects_port(selector, owner, proto, port))
                }
            }
    };
    let naming: Vec<usize> = (0..all.len()).filter(|number| names(*number)).collect();
    let mut opinions = Opinions::default();
    for number in &naming {
        opinions.merge(&all[*number].into());
    }
    let mut proxy = None;
    let closed = resolved.closed;
    let cell = opinions.cell(closed, |chosen| {
        proxy = Some(chosen);
        1
    });
    let mut rules: Vec<RuleRef> = Vec::new();
    for number in naming.into_iter().filter(|number| opinions.is_decisive(closed, &all[*number])) {
        let origin = &resolved.rules[number].rule.origin;
        if rules.last() != Some(origin) {
            rules.push(origin.clone());
        }
    }
    let action = match cell.action {
        action if action == CellAction::Allow as u8 => CellAction::Allow,
        action if action == CellAction::Deny as u8 => CellAction::Deny,
        action if action == CellAction::Redirect as u8 => CellAction::Redirect,
        _ => CellAction::NoRule,
    };
    let closes = action == CellAction::NoRule;
    Explanation {
        verdict: Verdict::of_cell(cell),
        proxy,
        authentication: [Authentication::Required, Authentication::TestAlwaysFail]
            .into_iter()
            .find(|auth| *auth as u8 == cell.auth),
        rules,
        closed_by: if closes { resolved.closed_by.iter().copied().cloned().collect() } else { Vec::new() },
        action,
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
