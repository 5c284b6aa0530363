//! Policies as resolution sees them: subjects, peers, ports, actions, whatever kind of object they came from.

use std::sync::Arc;

use abi::Direction;
use serde::{Deserialize, Serialize};

use crate::l7::L7;
use crate::peer_selector::{PeerSelector, Peers};
use crate::policy_key::{PolicyKey, RuleRef};
use crate::port::Ports;
use crate::selector::Selector;

/// A policy object, normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub key: PolicyKey,
    /// Its specs: one, save for Cilium's `specs`.
    pub specs: Vec<Spec>,
}

/// One spec of a policy: whom it is about, and what it says of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Whom it is about.
    pub subject: Subject,
    /// When its rules are asked.
    pub tier: Tier,
    /// Whether it closes ingress to what no rule of [`Tier::Normal`] allows.
    pub deny_ingress: bool,
    /// Whether it closes egress to what no rule of [`Tier::Normal`] allows.
    pub deny_egress: bool,
    /// Its rules. In the tiers of administrators, the first of a direction that matches decides.
    pub rules: Vec<Rule>,
    /// Where it stands.
    pub origin: RuleRef,
}

/// Whom a spec is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Endpoints: all that have policies of their own, save nodes.
    Endpoints(Selector),
    /// Nodes, by their labels, which have the source `k8s`.
    Nodes(Selector),
}

/// When rules are asked. Each tier decides for good, or leaves it to the next; what none decides is allowed.
///
/// A smaller priority comes first. Specs of the same tier and priority come in the order of their policies' names,
/// where the API leaves the order open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// First: `tier: Admin` of a ClusterNetworkPolicy, with its priority.
    Admin(u16),
    /// NetworkPolicy and Cilium's policies. All rules are asked at once: deny wins over allow.
    Normal,
    /// Last: `tier: Baseline` of a ClusterNetworkPolicy, with its priority.
    Baseline(u16),
}

impl Spec {
    /// Whether it closes the direction to what no rule allows.
    #[must_use]
    pub const fn default_deny(&self, direction: Direction) -> bool {
        match direction {
            Direction::Ingress => self.deny_ingress,
            Direction::Egress => self.deny_egress,
        }
    }
}

/// One rule: these peers, on these ports, may or may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The direction, as the subject sees it.
    pub direction: Direction,
    /// With whom.
    pub peers: Peers,
    /// On which ports: the subject's for ingress, the peer's for egress.
    pub ports: Ports,
    /// What becomes of it.
    pub action: Action,
    /// What a proxy has to check of what is allowed; [`L7::proxy`] is never none.
    pub l7: Option<Arc<L7>>,
    /// How the two ends must prove who they are, where the rule says so.
    pub authentication: Option<Authentication>,
    /// What to report with the verdict (Cilium's `log.value`).
    pub log: Option<Arc<str>>,
    /// Where it stands. Rules that came from one item have the same.
    pub origin: RuleRef,
}

impl Rule {
    /// Whether it names ports of peers, and any peer will do.
    pub(crate) fn names_ports_of_everyone(&self) -> bool {
        self.peers == Peers::Any && self.ports.have_names()
    }
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Let it pass.
    Allow,
    /// Drop it.
    Deny,
    /// Leave it to the next tier.
    Pass,
}

/// How the two ends of a connection must prove who they are. Where several rules that allow a packet say so, the
/// greatest holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Authentication {
    /// Not at all.
    Disabled = 0,
    /// By mutual authentication.
    Required = 1,
    /// They cannot: for tests.
    TestAlwaysFail = 2,
}

impl Policy {
    /// Every selector of peers in its rules, once for each time.
    pub fn peer_selectors(&self) -> impl Iterator<Item = &PeerSelector> {
        let rules = self.specs.iter().flat_map(|spec| &spec.rules);
        rules
            .filter_map(|rule| match &rule.peers {
                Peers::Any => None,
                Peers::OneOf(peers) => Some(peers),
            })
            .flatten()
    }
}
