//! NetworkPolicy written as CiliumNetworkPolicy, with the same meaning or not at all.
//!
//! Nearly all of it has an exact counterpart. What has not is `ipBlock`: it matches whoever has the address, and CIDRs of
//! Cilium's policies match only what lies outside the cluster. It can be written exactly where it is known which
//! addresses pods and nodes have ([`Ranges`]), and each of these ranges lies in a block as a whole or not at all.

use std::fmt;

use abi::Direction;
use ipnetwork::IpNetwork;
use serde_json::{Map, Value, json};

use crate::cidr::contains;
use crate::manifest::{
    self, Expression, LabelSelector, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicyRule,
    Operator,
};
use crate::pod::{NAMESPACE, NAMESPACE_LABELS};
use crate::policy_key::RuleRef;
use crate::port::PortMatch;

/// Cilium's limit for the ports of one item of `toPorts`.
const MAX_PORTS: usize = 40;

/// What is known of a cluster's addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// Where pods have theirs: all of them, and nobody else. Empty where that is not known.
    pub pods: Vec<IpNetwork>,
    /// Where nodes have theirs: all of them, and nobody else. Empty where that is not known.
    pub nodes: Vec<IpNetwork>,
    /// Whether CIDRs of Cilium's policies match nodes (`policy-cidr-match-mode=nodes`), so that nodes are no concern.
    pub cidrs_match_nodes: bool,
    /// Whether blocks are meant for the outside of the cluster only, whatever they say of pods and nodes.
    pub outside_only: bool,
}

/// A policy in its new form.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// The CiliumNetworkPolicy.
    pub object: Value,
    /// What was left out because it had no effect, or was said not to matter.
    pub notes: Vec<Remark>,
}

/// Something to say of a place in a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The place.
    pub place: RuleRef,
    /// What there is to say.
    pub kind: RemarkKind,
}

/// What there is to say of a place in a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemarkKind {
    /// It is not known which addresses pods or nodes have.
    #[error(
        "ipBlock {block} matches {whom} that have these addresses too, and CIDRs of a CiliumNetworkPolicy never do: say which addresses {whom} have"
    )]
    Unknown {
        /// The block.
        block: String,
        /// Pods or nodes.
        whom: Whom,
    },
    /// Some pods or nodes are matched, and others are not.
    #[error(
        "ipBlock {block} matches some of the {whom} of {range} and not others: a CiliumNetworkPolicy cannot tell {whom} by address"
    )]
    Partial {
        /// The block that tells them apart.
        block: String,
        /// Pods or nodes.
        whom: Whom,
        /// Their range.
        range: IpNetwork,
    },
    /// The pods or nodes of one range are matched, and those of another are not.
    #[error(
        "the ipBlocks match the {whom} of {inside} and not those of {outside}: a CiliumNetworkPolicy cannot tell {whom} by address"
    )]
    Mixed {
        /// Pods or nodes.
        whom: Whom,
        /// A range that is matched.
        inside: IpNetwork,
        /// A range that is not.
        outside: IpNetwork,
    },
    /// A label whose key means something else to Cilium.
    #[error("label {key:?} has a meaning of its own in a CiliumNetworkPolicy")]
    Key {
        /// The key.
        key: String,
    },
    /// The result would not be valid.
    #[error("the CiliumNetworkPolicy would not be valid: {message}")]
    Invalid {
        /// What is wrong.
        message: String,
    },
    /// Note: blocks were taken to be about the outside only.
    #[error("ipBlock {block} no longer matches pods and nodes, as was asked for")]
    OutsideOnly {
        /// The block.
        block: String,
    },
    /// Note: rules without effect were left out.
    #[error("rules of this direction have no effect, because policyTypes leaves it out: they are left out")]
    NoEffect,
}

/// Who has addresses in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Pods.
    Pods,
    /// Nodes.
    Nodes,
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pods => "pods",
            Self::Nodes => "nodes",
        })
    }
}

impl fmt::Display for Remark {
    /// As `file:line: object path: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RuleRef { policy, path, file, line } = &self.place;
        write!(f, "{file}:{line}: {policy} {path}: {}", self.kind)
    }
}

/// Writes a NetworkPolicy as a CiliumNetworkPolicy.
///
/// # Errors
/// All that has no counterpart: then there is no result.
pub fn convert(policy: &NetworkPolicy, ranges: &Ranges) -> Result<Converted, Vec<Remark>> {
    let mut writer = Writer { ranges, notes: Vec::new(), errors: Vec::new() };
    let mut spec = Map::new();
    let subject = writer.selector(&policy.pod_selector, &policy.origin, own_key);
    spec.insert("endpointSelector".into(), subject);
    for (direction, affected, rules) in [
        (Direction::Ingress, policy.affects_ingress, &policy.ingress),
        (Direction::Egress, policy.affects_egress, &policy.egress),
    ] {
        if !affected {
            let ignored = rules.first().map(|rule| rule.origin.clone());
            writer.notes.extend(ignored.map(|place| Remark { place, kind: RemarkKind::NoEffect }));
            continue;
        }
        let mut items: Vec<Value> = rules.iter().flat_map(|rule| writer.rule(rule, direction)).collect();
        // An empty rule names nobody, and closes the direction all the same.
        if items.is_empty() {
            items.push(json!({}));
        }
        spec.insert(super::judge::direction_name(direction).into(), items.into());
    }
    let mut metadata = Map::new();
    metadata.insert("name".into(), policy.meta.name.as_str().into());
    metadata.insert("namespace".into(), policy.meta.namespace().into());
    if !policy.meta.labels.is_empty() {
        metadata.insert("labels".into(), json!(policy.meta.labels));
    }
    let object = json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": metadata,
        "spec": spec,
    });
    let Writer { notes, mut errors, .. } = writer;
    if errors.is_empty() {
        let invalid =
            manifest::parse(&object.to_string(), "converted", 1).into_iter().filter_map(Result::err);
        errors.extend(invalid.flat_map(|rejected| rejected.diagnostics).map(|diagnostic| Remark {
            place: policy.origin.clone(),
            kind: RemarkKind::Invalid { message: format!("{}: {}", diagnostic.path, diagnostic.message) },
        }));
    }
    if errors.is_empty() { Ok(Converted { object, notes }) } else { Err(errors) }
}

struct Writer<'a> {
    ranges: &'a Ranges,
    notes: Vec<Remark>,
    errors: Vec<Remark>,
}

/// A block of addresses with its exceptions.
type Block<'a> = (IpNetwork, &'a [IpNetwork]);

impl Writer<'_> {
    /// The rules that one rule becomes: one for each kind of peers.
    fn rule(&mut self, rule: &NetworkPolicyRule, direction: Direction) -> Vec<Value> {
        let prefix = if direction == Direction::Ingress { "from" } else { "to" };
        let mut endpoints = Vec::new();
        let mut entities: Vec<&str> = Vec::new();
        let mut blocks: Vec<Block<'_>> = Vec::new();
        for peer in &rule.peers {
            match peer {
                NetworkPolicyPeer::Pods { pods, namespaces } => {
                    endpoints.push(self.endpoint(pods.as_ref(), namespaces.as_ref(), &rule.origin));
                }
                NetworkPolicyPeer::IpBlock { cidr, except } => blocks.push((*cidr, except)),
            }
        }
        let everyone = rule.peers.is_empty() || is_everything(&blocks);
        if everyone {
            // Whoever else is named is among them.
            (endpoints, entities, blocks) = (Vec::new(), vec!["all"], Vec::new());
        } else if !blocks.is_empty() {
            if self.covers(Whom::Pods, &blocks, &rule.origin) {
                endpoints.push(every_pod());
                // They have addresses of pods, and are none.
                entities.extend(["health", "ingress", "init", "unmanaged"]);
            }
            if self.covers(Whom::Nodes, &blocks, &rule.origin) {
                entities.extend(["host", "remote-node"]);
            }
        }
        let cidr_sets: Vec<Value> = blocks.iter().map(block).collect();
        let ports = ports(&rule.ports);
        let kinds = [
            ("Endpoints", endpoints),
            ("Entities", entities.into_iter().map(Value::from).collect()),
            ("CIDRSet", cidr_sets),
        ];
        let kinds = kinds.into_iter().filter(|(_, peers)| !peers.is_empty());
        let item = |(field, peers): (&str, Vec<Value>)| {
            let mut item = Map::new();
            item.insert(format!("{prefix}{field}"), peers.into());
            if !ports.is_empty() {
                item.insert("toPorts".into(), ports.clone().into());
            }
            Value::Object(item)
        };
        kinds.map(item).collect()
    }

    /// Whether blocks match all pods, or all nodes; not, where they match none. Anything else is an error.
    fn covers(&mut self, whom: Whom, blocks: &[Block<'_>], place: &RuleRef) -> bool {
        let ranges = match whom {
            Whom::Pods => &self.ranges.pods,
            Whom::Nodes => &self.ranges.nodes,
        };
        let first = blocks.first().map(text).unwrap_or_default();
        let remark = |kind| Remark { place: place.clone(), kind };
        if self.ranges.outside_only {
            let note = remark(RemarkKind::OutsideOnly { block: first });
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
            return false;
        }
        if whom == Whom::Nodes && self.ranges.cidrs_match_nodes {
            return false;
        }
        if ranges.is_empty() {
            self.errors.push(remark(RemarkKind::Unknown { block: first, whom }));
            return false;
        }
        let (mut inside, mut outside) = (None, None);
        for range in ranges {
            if blocks.iter().any(|block| holds(block, *range)) {
                inside = inside.or(Some(*range));
            } else if let Some(partial) = blocks.iter().find(|block| !misses(block, *range)) {
                let kind = RemarkKind::Partial { block: text(partial), whom, range: *range };
                self.errors.push(remark(kind));
                return false;
            } else {
                outside = outside.or(Some(*range));
            }
        }
        if let (Some(inside), Some(outside)) = (inside, outside) {
            self.errors.push(remark(RemarkKind::Mixed { whom, inside, outside }));
        }
        inside.is_some()
    }

    /// Pods of namespaces.
    fn endpoint(
        &mut self,
        pods: Option<&LabelSelector>,
        namespaces: Option<&LabelSelector>,
        place: &RuleRef,
    ) -> Value {
        let nothing = LabelSelector::default();
        let mut selector = self.parts(pods.unwrap_or(&nothing), place, own_key);
        if let Some(namespaces) = namespaces {
            let of_namespaces = self.parts(namespaces, place, |key| format!("k8s:{NAMESPACE_LABELS}{key}"));
            selector.0.extend(of_namespaces.0);
            selector.1.extend(of_namespaces.1);
            // Any namespace, not the policy's own; and pods only, whatever the rest does not ask for.
            selector.1.push(has_namespace());
        }
        written(selector)
    }

    fn selector(&mut self, selector: &LabelSelector, place: &RuleRef, key: impl Fn(&str) -> String) -> Value {
        let parts = self.parts(selector, place, key);
        written(parts)
    }

    fn parts(
        &mut self,
        selector: &LabelSelector,
        place: &RuleRef,
        key: impl Fn(&str) -> String,
    ) -> (Map<String, Value>, Vec<Value>) {
        for known in selector.keys() {
            if known.starts_with("io.kubernetes.pod.") || known.starts_with("io.cilium.k8s.") {
                let kind = RemarkKind::Key { key: known.to_owned() };
                self.errors.push(Remark { place: place.clone(), kind });
            }
        }
        let labels = selector.match_labels.iter().map(|(k, value)| (key(k), Value::from(value.as_str())));
        let expression = |Expression { key: k, operator, values }: &Expression| {
            let mut fields = Map::new();
            fields.insert("key".into(), key(k).into());
            fields.insert("operator".into(), operator_name(*operator).into());
            if matches!(operator, Operator::In | Operator::NotIn) {
                fields.insert("values".into(), json!(values));
            }
            Value::Object(fields)
        };
        (labels.collect(), selector.match_expressions.iter().map(expression).collect())
    }
}

/// A pod's own label, of Kubernetes.
fn own_key(key: &str) -> String {
    format!("k8s:{key}")
}

const fn operator_name(operator: Operator) -> &'static str {
    match operator {
        Operator::In => "In",
        Operator::NotIn => "NotIn",
        Operator::Exists => "Exists",
        Operator::DoesNotExist => "DoesNotExist",
    }
}

fn written((labels, expressions): (Map<String, Value>, Vec<Value>)) -> Value {
    let mut selector = Map::new();
    if !labels.is_empty() {
        selector.insert("matchLabels".into(), labels.into());
    }
    if !expressions.is_empty() {
        selector.insert("matchExpressions".into(), expressions.into());
    }
    selector.into()
}

fn has_namespace() -> Value {
    json!({"key": format!("k8s:{NAMESPACE}"), "operator": "Exists"})
}

fn every_pod() -> Value {
    json!({"matchExpressions": [has_namespace()]})
}

/// The items of `toPorts`; none for every port of every protocol.
fn ports(ports: &[NetworkPolicyPort]) -> Vec<Value> {
    let port = |NetworkPolicyPort { protocol, port }: &NetworkPolicyPort| {
        let mut fields = Map::new();
        fields.insert("protocol".into(), protocol.as_str().into());
        let text = match port {
            // Every port of the protocol.
            PortMatch::All => "0".to_owned(),
            PortMatch::Range(first, last) => {
                if first != last {
                    fields.insert("endPort".into(), (*last).into());
                }
                first.to_string()
            }
            PortMatch::Named(name) => name.clone(),
        };
        fields.insert("port".into(), text.into());
        Value::Object(fields)
    };
    ports
        .chunks(MAX_PORTS)
        .map(|ports| json!({"ports": ports.iter().map(port).collect::<Vec<_>>()}))
        .collect()
}

fn block((cidr, except): &Block<'_>) -> Value {
    let mut fields = Map::new();
    fields.insert("cidr".into(), cidr.to_string().into());
    if !except.is_empty() {
        fields.insert("except".into(), json!(except));
    }
    fields.into()
}

fn text((cidr, except): &Block<'_>) -> String {
    let except: Vec<String> = except.iter().map(ToString::to_string).collect();
    if except.is_empty() { cidr.to_string() } else { format!("{cidr} except {}", except.join(", ")) }
}

/// Whether blocks match every address of both families.
fn is_everything(blocks: &[Block<'_>]) -> bool {
    let all = |ipv4: bool| {
        blocks.iter().any(|(cidr, except)| cidr.prefix() == 0 && cidr.is_ipv4() == ipv4 && except.is_empty())
    };
    all(true) && all(false)
}

/// Whether a block matches every address of a range.
fn holds((cidr, except): &Block<'_>, range: IpNetwork) -> bool {
    contains(*cidr, range)
        && !except.iter().any(|except| contains(*except, range) || contains(range, *except))
}

/// Whether a block matches no address of a range.
fn misses((cidr, except): &Block<'_>, range: IpNetwork) -> bool {
    let overlaps = contains(*cidr, range) || contains(range, *cidr);
    !overlaps || except.iter().any(|except| contains(*except, range) || contains(*except, *cidr))
}
