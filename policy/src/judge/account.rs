//! The whole account of one connection: what each end says, why, and what would have to be said.

use std::net::IpAddr;

use abi::Direction;
use ipnetwork::IpNetwork;
use serde::Serialize;
use serde_json::Value;

use super::Judge;
use super::answer::{Answer, Deciding, Open, Path, Side, direction_name};
use super::place::Place;
use super::probe::Wanted;
use super::suggestion::suggestion;
use super::trouble::Trouble;
use crate::cluster::{Cluster, End, Party};
use crate::l7::Proxy;
use crate::manifest::{Entity, Object};
use crate::peer_selector::PeerSelector;
use crate::resolve::Explanation;
use crate::rule::Authentication;
use crate::verdict::Verdict;

/// The account of a connection.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// Who opens it, as was asked.
    pub from: String,
    /// Where to, as was asked.
    pub to: String,
    /// The port and protocol, as was asked: `80/TCP`.
    pub port: String,
    /// The worst of what its ways become.
    pub verdict: Verdict,
    /// The ways that it may take: one, save for services and DNS names with several addresses.
    pub paths: Vec<PathAccount>,
}

/// One way that a connection may take.
#[derive(Clone, Debug, Serialize)]
pub struct PathAccount {
    /// Who opens it.
    pub from: EndAccount,
    /// Where it ends up.
    pub to: EndAccount,
    /// The port there, with the protocol.
    pub port: String,
    /// What becomes of it.
    pub verdict: Verdict,
    /// What the sender's policies say.
    pub egress: SideAccount,
    /// What the receiver's policies say.
    pub ingress: SideAccount,
}

/// Who an end is.
#[derive(Clone, Debug, Serialize)]
pub struct EndAccount {
    /// `shop/web`, `node n1`, `world`.
    pub name: String,
    /// Its address, if one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// What one end says, and why.
#[derive(Clone, Debug, Serialize)]
pub struct SideAccount {
    /// `egress` or `ingress`.
    #[serde(skip)]
    pub direction: &'static str,
    /// What becomes of the connection as far as this end goes.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The rules that decide; the specs that close the direction where no rule does.
    pub rules: Vec<Deciding>,
    /// The proxy that decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// How both ends must prove who they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// Where an allow is missing: what one of the `rules` would have to have in this direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Value>,
}

/// Why an end says what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Rules name the connection.
    Rules,
    /// Specs close the direction, and no rule names the connection.
    NoRule,
    /// Nothing closes the direction.
    Unrestricted,
    /// It is enforced everywhere, and no rule names the connection.
    Enforcement,
    /// The end has no policies: it lies outside, or is a node where no policy is about nodes.
    NoEndpoint,
    /// It talks to itself.
    Itself,
    /// A pod's own node always reaches it.
    OwnNode,
}

impl Judge<'_> {
    /// The account of a connection. The ends may be what [`Place::parse_with_entities`] reads.
    ///
    /// # Errors
    /// When it cannot be judged.
    pub fn account(&mut self, from: &str, to: &str, wanted: &Wanted) -> Result<Account, Trouble> {
        let (from, to) = ends(self.cluster, from, to)?;
        let answer = self.between(&from, &to, wanted)?;
        Ok(self.describe(&from, &to, wanted, &answer))
    }

    fn describe(&self, from: &Place, to: &Place, wanted: &Wanted, answer: &Answer) -> Account {
        let is_entity = [from, to].iter().any(|place| Entity::from_name(place.text()).is_some());
        Account {
            from: from.text().to_owned(),
            to: to.text().to_owned(),
            port: wanted.to_string(),
            verdict: answer.verdict,
            paths: answer.paths.iter().map(|path| self.path(path, wanted, is_entity)).collect(),
        }
    }

    fn path(&self, path: &Path, wanted: &Wanted, is_entity: bool) -> PathAccount {
        let end = |party: &Party| EndAccount {
            name: self.cluster.describe(party.end),
            address: party.addresses.first().copied(),
        };
        let there = Wanted::number(wanted.proto, path.port);
        PathAccount {
            from: end(&path.from),
            to: end(&path.to),
            port: there.to_string(),
            verdict: path.verdict(),
            egress: self.side_account(&path.egress, Direction::Egress, path, &there, is_entity),
            ingress: self.side_account(&path.ingress, Direction::Ingress, path, &there, is_entity),
        }
    }

    fn side_account(
        &self,
        side: &Side,
        direction: Direction,
        path: &Path,
        there: &Wanted,
        is_entity: bool,
    ) -> SideAccount {
        let reason = match side {
            Side::Open(Open::NoEndpoint) => Reason::NoEndpoint,
            Side::Open(Open::Itself) => Reason::Itself,
            Side::Open(Open::OwnNode) => Reason::OwnNode,
            Side::Judged(explanation) => reason(explanation),
        };
        let (own, other) = match direction {
            Direction::Egress => (&path.from, &path.to),
            Direction::Ingress => (&path.to, &path.from),
        };
        // An address that stands for all of the world is none that a rule should name.
        let stands_for_many = matches!(other.end, End::Outside) && is_entity;
        let missing = match (reason, side.rules().first()) {
            (Reason::NoRule, Some(closing)) if !stands_for_many => {
                suggestion(self.cluster, closing.policy.kind, direction, own, other, there)
            }
            _ => None,
        };
        let explanation = side.explanation();
        SideAccount {
            direction: direction_name(direction),
            verdict: side.verdict(),
            reason,
            rules: side.rules().iter().map(|rule| Deciding::new(rule, direction)).collect(),
            proxy: explanation.and_then(|explanation| explanation.proxy),
            authentication: explanation.and_then(|explanation| explanation.authentication),
            missing,
        }
    }
}

fn reason(explanation: &Explanation) -> Reason {
    match explanation.verdict {
        _ if !explanation.rules.is_empty() => Reason::Rules,
        Verdict::Deny if explanation.closed_by.is_empty() => Reason::Enforcement,
        Verdict::Deny => Reason::NoRule,
        _ => Reason::Unrestricted,
    }
}

/// Reads both ends, either of which may be an entity: what that is depends on the other.
fn ends(cluster: &Cluster, from: &str, to: &str) -> Result<(Place, Place), Trouble> {
    let cidrs = cidrs(cluster);
    let read = |text: &str, other: Option<&Place>| Place::parse_with_entities(text, cluster, other, &cidrs);
    if Entity::from_name(from).is_some() {
        let to = read(to, None)?;
        return Ok((read(from, Some(&to))?, to));
    }
    let from = read(from, None)?;
    let to = read(to, Some(&from))?;
    Ok((from, to))
}

/// Every CIDR that a policy or a group names.
#[must_use]
pub(crate) fn cidrs(cluster: &Cluster) -> Vec<IpNetwork> {
    let mut found: Vec<IpNetwork> = Vec::new();
    for policy in cluster.policies() {
        for selector in policy.peer_selectors() {
            match selector {
                PeerSelector::Cidr(selector) => found.extend(selector.cidrs()),
                PeerSelector::CidrGroup(selector) => found.extend(&selector.except),
                _ => {}
            }
        }
    }
    for object in cluster.objects() {
        if let Object::CidrGroup(group) = object {
            found.extend(&group.cidrs);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}
