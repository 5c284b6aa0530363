//! What is worth saying of valid policies: parts that do nothing, or that are not enforced yet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::cluster::Cluster;
use crate::l7::Proxy;
use crate::label::LabelSet;
use crate::manifest::Object;
use crate::node::host_labels;
use crate::peer_selector::{Named, PeerSelector, Peers};
use crate::policy_key::RuleRef;
use crate::port::Ports;
use crate::rule::{Authentication, Policy, Rule, Spec, Subject};

/// What was found in a set of objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Review {
    /// How many objects there are of each kind.
    pub objects: BTreeMap<String, usize>,
    /// What is worth saying, in the order of the policies.
    pub warnings: Vec<Warning>,
}

/// Something worth saying of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What kind of thing.
    pub warning: WarningKind,
    /// In words.
    pub message: String,
}

/// Where a [`Warning`] is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The policy, such as `NetworkPolicy shop/db`.
    pub object: String,
    /// The field.
    pub path: String,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

/// The kinds of warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WarningKind {
    /// A spec selects no pod, or no node, of those given.
    SelectsNobody,
    /// A rule needs a proxy.
    NeedsProxy,
    /// A rule selects peers by DNS names, which only a proxy learns.
    NeedsNames,
    /// A rule wants both ends to prove who they are.
    NeedsAuthentication,
    /// A spec is about nodes.
    HostPolicy,
    /// A rule names a CiliumCIDRGroup or a Service that is not among the objects.
    Unknown,
}

impl fmt::Display for Warning {
    /// As `file:line: object path: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { object, path, file, line } = &self.place;
        write!(f, "{file}:{line}: {object} {path}: {}", self.message)
    }
}

/// Counts objects, and finds what is worth saying of the policies among them.
#[must_use]
pub fn review(cluster: &Cluster, given: &[Object]) -> Review {
    let mut review = Review::default();
    for object in given {
        *review.objects.entry(object.kind().to_owned()).or_default() += 1;
    }
    let known = Known::new(cluster, given);
    let mut seen = BTreeSet::new();
    for policy in given.iter().filter_map(Object::policy) {
        for warning in of_policy(&policy, &known) {
            // One item of a policy may have become several rules.
            if seen.insert((warning.place.file.clone(), warning.place.line, warning.to_string())) {
                review.warnings.push(warning);
            }
        }
    }
    review
}

/// What policies may refer to.
struct Known {
    pods: BTreeSet<LabelSet>,
    nodes: BTreeSet<LabelSet>,
    groups: BTreeSet<String>,
    services: BTreeSet<(String, String)>,
}

impl Known {
    fn new(cluster: &Cluster, given: &[Object]) -> Self {
        let mut known = Self {
            pods: cluster
                .pods()
                .iter()
                .filter(|pod| !pod.host_network)
                .map(|pod| pod.labels.clone())
                .collect(),
            nodes: BTreeSet::new(),
            groups: BTreeSet::new(),
            services: BTreeSet::new(),
        };
        for object in given {
            match object {
                Object::Node(node) => {
                    known.nodes.insert(host_labels(node));
                }
                Object::CidrGroup(group) => {
                    known.groups.insert(group.meta.name.clone());
                }
                Object::Service(service) => {
                    known.services.insert((service.meta.namespace().to_owned(), service.meta.name.clone()));
                }
                _ => {}
            }
        }
        known
    }

    /// Why a spec is about nobody, where there is somebody that it could be about.
    fn nobody(&self, subject: &Subject) -> Option<&'static str> {
        let (selector, candidates, message) = match subject {
            Subject::Endpoints(selector) => (selector, &self.pods, "selects none of the pods"),
            Subject::Nodes(selector) => (selector, &self.nodes, "selects none of the nodes"),
        };
        let selected = candidates.iter().any(|labels| selector.matches(labels));
        (!selected && !candidates.is_empty()).then_some(message)
    }

    /// What a selector names and is not there, where objects of its kind are.
    fn missing(&self, selector: &PeerSelector) -> Option<String> {
        match selector {
            PeerSelector::CidrGroup(selector) => match &selector.groups {
                Named::Name(name) if !self.groups.contains(name) && !self.groups.is_empty() => {
                    Some(format!("CiliumCIDRGroup {name} is not there: it has no addresses"))
                }
                _ => None,
            },
            PeerSelector::Service(selector) => match (&selector.services, &selector.namespace) {
                (Named::Name(name), Some(namespace))
                    if !self.services.is_empty()
                        && !self.services.contains(&(namespace.clone(), name.clone())) =>
                {
                    Some(format!("Service {namespace}/{name} is not there: it has no backends"))
                }
                _ => None,
            },
            _ => None,
        }
    }
}

fn of_policy(policy: &Policy, known: &Known) -> Vec<Warning> {
    let mut found = Vec::new();
    for spec in &policy.specs {
        of_spec(spec, known, &mut found);
        for rule in &spec.rules {
            of_rule(rule, known, &mut found);
        }
    }
    found
}

fn warn(place: &RuleRef, kind: WarningKind, message: impl Into<String>) -> Warning {
    Warning {
        place: Place {
            object: place.policy.to_string(),
            path: place.path.clone(),
            file: place.file.to_string(),
            line: place.line,
        },
        warning: kind,
        message: message.into(),
    }
}

fn of_spec(spec: &Spec, known: &Known, found: &mut Vec<Warning>) {
    if let Some(message) = known.nobody(&spec.subject) {
        found.push(warn(&spec.origin, WarningKind::SelectsNobody, message));
    }
    if matches!(spec.subject, Subject::Nodes(_)) {
        let message = "is about nodes: judged, but not enforced by the datapath yet";
        found.push(warn(&spec.origin, WarningKind::HostPolicy, message));
    }
}

fn of_rule(rule: &Rule, known: &Known, found: &mut Vec<Warning>) {
    let mut add = |kind, message: String| found.push(warn(&rule.origin, kind, message));
    if let Some(proxy) = rule.l7.as_ref().and_then(|l7| l7.proxy()) {
        let needs = match proxy {
            Proxy::Dns => "DNS rules need the DNS proxy",
            _ => "what it asks of the connection needs a proxy",
        };
        add(
            WarningKind::NeedsProxy,
            format!("{needs}: compiled as REDIRECT, dropped until the datapath has it"),
        );
    }
    match rule.authentication {
        Some(Authentication::Required) => add(
            WarningKind::NeedsAuthentication,
            "authentication is not enforced by the datapath yet: what it asks for is dropped".to_owned(),
        ),
        Some(Authentication::TestAlwaysFail) => add(
            WarningKind::NeedsAuthentication,
            "authentication that always fails: nothing gets through".to_owned(),
        ),
        Some(Authentication::Disabled) | None => {}
    }
    let Peers::OneOf(selectors) = &rule.peers else { return };
    // Without ports either, it is how a direction is closed on purpose.
    if selectors.is_empty() && rule.ports != Ports::Any {
        add(WarningKind::SelectsNobody, "selects no peer at all".to_owned());
    }
    if selectors.iter().any(|selector| matches!(selector, PeerSelector::Name(_))) {
        let message = "selects peers by DNS names: nobody is selected until the datapath has a DNS proxy that learns their addresses";
        add(WarningKind::NeedsNames, message.to_owned());
    }
    for message in selectors.iter().filter_map(|selector| known.missing(selector)) {
        add(WarningKind::Unknown, message);
    }
}
