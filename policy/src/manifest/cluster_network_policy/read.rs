//! Reads ClusterNetworkPolicy, by the limits of its CRD (`apis/v1alpha2/clusternetworkpolicy_types.go`).

use std::collections::BTreeSet;

use abi::Direction;

use super::{ClusterNetworkPolicy, ClusterPeer, ClusterProtocol, ClusterRule, NamespacedPods, key};
use crate::cidr::canonical;
use crate::manifest::cidr_group::cidr;
use crate::manifest::label_selector::{self, Keys, LabelSelector};
use crate::manifest::meta::Meta;
use crate::manifest::reader::{Field, Fields};
use crate::name_pattern::NamePattern;
use crate::peer_selector::Peers;
use crate::port::{PortMatch, Ports, Protocol};
use crate::rule::{Action, Policy, Rule, Tier};

/// The CRD's limit for rules, peers, protocols, CIDRs and names.
const MAX_ITEMS: usize = 25;
const MAX_NAME: usize = 100;
const MAX_PRIORITY: i64 = 1000;

const ACTIONS: [(&str, Action); 3] =
    [("Accept", Action::Allow), ("Deny", Action::Deny), ("Pass", Action::Pass)];
/// A tier that still wants its priority.
type MakeTier = fn(u16) -> Tier;

const TIERS: [(&str, MakeTier); 2] = [("Admin", Tier::Admin), ("Baseline", Tier::Baseline)];
const PROTOCOLS: [(&str, Protocol); 3] =
    [("tcp", Protocol::Tcp), ("udp", Protocol::Udp), ("sctp", Protocol::Sctp)];

/// Reads a policy. The second value is set where the policy is wrong but its subjects are known: it denies
/// everything in the directions that have rules, in the policy's own tier and priority (the first of the Admin tier
/// where these are wrong).
///
/// A default deny would not do: the tiers of administrators overrule what NetworkPolicies allow, so that without its
/// rules more could pass than with them. Which of its rules were meant to deny cannot be told from a policy that is
/// wrong.
pub(in crate::manifest) fn read(
    meta: Meta,
    mut object: Fields<'_>,
) -> (Option<ClusterNetworkPolicy>, Option<Policy>) {
    let report = object.field.report;
    let spec_field = object.require("spec", "spec: {tier: Admin, priority: 10, subject: {namespaces: {}}}");
    object.ignore(&["status"]);
    object.finish();
    let Some((field, mut spec)) = spec_field.and_then(|field| Some((field, field.object()?))) else {
        return (None, None);
    };
    let tier = spec.require("tier", "Admin or Baseline").and_then(|field| field.word("a tier", &TIERS));
    let priority = spec.require("priority", "0 (first) to 1000").and_then(|field| {
        let priority = field.integer()?;
        let fits = (0..=MAX_PRIORITY).contains(&priority);
        if !fits {
            field.error(format!("{priority} is not a priority"), "0 (first) to 1000");
        }
        u16::try_from(priority).ok().filter(|_| fits)
    });
    let subject = spec.require("subject", "subject: {namespaces: {}} is about every pod");
    let subject = subject.and_then(|field| who(&mut field.object()?, &["namespaces", "pods"]));
    let (mut ingress, mut egress) = (Vec::new(), Vec::new());
    let mut named = Vec::new();
    for (name, direction, rules) in
        [("ingress", Direction::Ingress, &mut ingress), ("egress", Direction::Egress, &mut egress)]
    {
        let Some(list) = spec.get(name) else { continue };
        let items = list.list();
        if items.as_ref().is_none_or(|items| !items.is_empty()) {
            named.push((direction, list));
        }
        let items = items.unwrap_or_default();
        list.at_most(items.len(), MAX_ITEMS);
        rules.extend(items.iter().filter_map(|item| rule(item, direction, &meta)));
    }
    spec.finish();
    let Some(Some(subject)) = subject.map(ClusterPeer::into_pods) else { return (None, None) };
    let tier = tier.zip(priority).map_or(Tier::Admin(0), |(tier, priority)| tier(priority));
    let policy =
        ClusterNetworkPolicy { tier, subject, ingress, egress, origin: field.origin(key(&meta)), meta };
    if report.count() == 0 {
        return (Some(policy), None);
    }
    let mut closed = policy.normalise();
    let denied = |(direction, list): &(Direction, Field<'_>)| Rule {
        direction: *direction,
        peers: Peers::Any,
        ports: Ports::Any,
        action: Action::Deny,
        l7: None,
        authentication: None,
        log: None,
        origin: list.origin(policy.key()),
    };
    for spec in &mut closed.specs {
        spec.rules = named.iter().map(denied).collect();
    }
    (None, Some(closed))
}

fn rule(field: &Field<'_>, direction: Direction, meta: &Meta) -> Option<ClusterRule> {
    let mut fields = field.object()?;
    let name = fields.get("name").and_then(|field| {
        let name = field.string()?;
        let length = name.chars().count();
        if length > MAX_NAME {
            field.error(format!("has {length} characters"), format!("at most {MAX_NAME}"));
        }
        Some(name)
    });
    let action = fields.require("action", "Accept, Deny or Pass");
    let action = action.and_then(|field| field.word("an action", &ACTIONS));
    let key_of_peers = if direction == Direction::Ingress { "from" } else { "to" };
    let peer_fields = some_items(fields.require(key_of_peers, "at least one peer"));
    let protocol_fields = some_items(fields.get("protocols"));
    fields.finish();
    let peers: Vec<_> = peer_fields.iter().filter_map(|item| peer(item, direction, action)).collect();
    let protocols: Vec<_> = protocol_fields.iter().filter_map(protocol).collect();
    // Only pods have ports with names.
    if !peers.iter().all(|peer| matches!(peer, ClusterPeer::Pods(_))) {
        for item in &protocol_fields {
            if let Some(name) = item.object().and_then(|mut fields| fields.get("destinationNamedPort")) {
                name.error(
                    "a named port stands beside peers that are no pods",
                    "nodes, networks and domainNames have no named ports",
                );
            }
        }
    }
    Some(ClusterRule {
        name: name.unwrap_or_default(),
        action: action?,
        peers,
        protocols,
        origin: field.origin(key(meta)),
    })
}

/// The items of a list that has to have 1 to 25 of them.
fn some_items<'a>(list: Option<Field<'a>>) -> Vec<Field<'a>> {
    let Some(list) = list else { return Vec::new() };
    let items = list.list().unwrap_or_default();
    if list.is_empty_list() {
        list.error("is empty", "at least one item");
    }
    list.at_most(items.len(), MAX_ITEMS);
    items
}

fn peer(field: &Field<'_>, direction: Direction, action: Option<Action>) -> Option<ClusterPeer> {
    let mut fields = field.object()?;
    let kinds: &[&'static str] = match direction {
        Direction::Ingress => &["namespaces", "pods"],
        Direction::Egress => &["namespaces", "pods", "nodes", "networks", "domainNames"],
    };
    let peer = who(&mut fields, kinds)?;
    if matches!(peer, ClusterPeer::Names(_)) && action.is_some_and(|action| action != Action::Allow) {
        let names = fields.get("domainNames")?;
        names.error("domainNames can only be accepted", "action: Accept, before a rule that denies the rest");
    }
    Some(peer)
}

/// Reads the one field of an object that says who is meant.
fn who(fields: &mut Fields<'_>, kinds: &[&'static str]) -> Option<ClusterPeer> {
    let chosen = fields.exactly_one(kinds);
    fields.refuse_others();
    let (kind, chosen) = chosen?;
    Some(match kind {
        "namespaces" => ClusterPeer::Pods(NamespacedPods {
            namespaces: label_selector::read(&chosen, Keys::Any)?,
            pods: None,
        }),
        "pods" => {
            let mut fields = chosen.object()?;
            let pods = fields.require("podSelector", "podSelector: {} selects every pod");
            let namespaces = fields.get("namespaceSelector");
            fields.finish();
            let namespaces = match namespaces {
                Some(field) => label_selector::read(&field, Keys::Any),
                None => Some(LabelSelector::default()),
            };
            let pods = label_selector::read(&pods?, Keys::Any)?;
            ClusterPeer::Pods(NamespacedPods { namespaces: namespaces?, pods: Some(pods) })
        }
        "nodes" => ClusterPeer::Nodes(label_selector::read(&chosen, Keys::Any)?),
        "networks" => ClusterPeer::Networks(
            distinct(&some_items(Some(chosen))).iter().filter_map(cidr).map(canonical).collect(),
        ),
        _ => ClusterPeer::Names(distinct(&some_items(Some(chosen))).iter().filter_map(domain_name).collect()),
    })
}

/// The items, each text once; the CRD has these lists as sets.
fn distinct<'a>(items: &[Field<'a>]) -> Vec<Field<'a>> {
    let mut seen = BTreeSet::new();
    for item in items {
        if let Some(text) = item.value().as_str()
            && !seen.insert(text.to_owned())
        {
            item.error(format!("{text:?} is there twice"), "");
        }
    }
    items.to_vec()
}

/// A name, or `*.` and a name of which it stands for one or more labels in front.
fn domain_name(field: &Field<'_>) -> Option<NamePattern> {
    let text = field.string()?;
    let (wild, name) = text.strip_prefix("*.").map_or((false, text.as_str()), |name| (true, name));
    let name = name.strip_suffix('.').unwrap_or(name);
    let labels: Vec<_> = name.split('.').collect();
    if labels.len() < 2 || !labels.iter().all(|label| is_label(label)) {
        field.error(
            format!("{text:?} is not a domain name"),
            "such as kubernetes.io, or *.kubernetes.io for all names below it",
        );
        return None;
    }
    let pattern = if wild { format!("**.{name}") } else { name.to_owned() };
    pattern.parse().map_err(|error| field.error(format!("{error}"), "")).ok()
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    // The CRD lets a label begin with an underscore too.
    (ends(bytes.first()) || bytes.first() == Some(&b'_'))
        && (bytes.len() == 1 || ends(bytes.last()))
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
}

fn protocol(field: &Field<'_>) -> Option<ClusterProtocol> {
    let mut fields = field.object()?;
    let chosen = fields.exactly_one(&["tcp", "udp", "sctp", "destinationNamedPort"]);
    fields.finish();
    let (kind, chosen) = chosen?;
    if kind == "destinationNamedPort" {
        return chosen.text().map(ClusterProtocol::Named);
    }
    let protocol = PROTOCOLS.into_iter().find(|(name, _)| *name == kind)?.1;
    let mut fields = chosen.object()?;
    let port = fields.require("destinationPort", "destinationPort: {number: 80}");
    fields.finish();
    let mut fields = port?.object()?;
    let chosen = fields.exactly_one(&["number", "range"]);
    fields.finish();
    let (kind, chosen) = chosen?;
    let (first, last) = match kind {
        "number" => chosen.port().map(|port| (port, port))?,
        _ => range(&chosen)?,
    };
    Some(ClusterProtocol::Ports(protocol, PortMatch::Range(first, last)))
}

fn range(field: &Field<'_>) -> Option<(u16, u16)> {
    let mut fields = field.object()?;
    let start = fields.require("start", "the first port").and_then(|field| field.port());
    let end = fields.require("end", "the last port");
    fields.finish();
    let (start, end_field) = (start?, end?);
    let last = end_field.port()?;
    if start >= last {
        end_field.error(format!("end {last} is not above start {start}"), "number stands for a single port");
        return None;
    }
    Some((start, last))
}
