//! What is left to be done, or why it must not be.

use std::fmt;

use ipam::ec2::iam::CLUSTER_TAG;
use serde::Serialize;

use crate::drain::{Eviction, Kept};
use crate::names::LABEL;
use crate::step::Step;
use crate::survey::{NodeFacts, Survey};

/// What its user answers for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Pods without a controller are evicted.
    pub force: bool,
    /// Pods with files in an emptyDir are evicted.
    pub delete_emptydir_data: bool,
    /// EKS does not keep `aws-node` any more, whatever its DaemonSet still says.
    pub addon_removed: bool,
    /// Pods may be without a place for a while.
    pub allow_downtime: bool,
    /// Nothing is emptied: nodes are labelled and `aws-node` is confined, no more.
    pub prepare: bool,
    /// The DaemonSet stays, confined to a label that no node has.
    pub park: bool,
}

impl Options {
    /// Whether its user answers for a pod that must not be evicted otherwise.
    pub(crate) fn allow(self, why: Kept) -> bool {
        match why {
            Kept::Alone => self.force,
            Kept::Files => self.delete_emptydir_data,
        }
    }
}

/// What is left to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Why it must not be done; nothing is, then.
    pub refusals: Vec<Refusal>,
    /// The steps, in their order. None if all is done.
    pub steps: Vec<Step>,
    /// What its user should look after.
    pub notes: Vec<Note>,
}

/// What a migration leaves to its user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "note", rename_all = "kebab-case")]
pub enum Note {
    /// A node's interfaces that the operator may not change.
    Untagged {
        /// The node.
        node: String,
        /// Ids of the interfaces.
        interfaces: Vec<String>,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untagged { node, interfaces } => write!(
                f,
                "node {node}: {} lack the tag {CLUSTER_TAG}, without which the policy of `netloom iam-policy` lets no \
                 operator change them: tag them with the cluster's name (aws ec2 create-tags), or replace the node",
                interfaces.join(", ")
            ),
        }
    }
}

/// Why a migration must not begin, or go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "refusal", rename_all = "kebab-case")]
pub enum Refusal {
    /// EKS would bring `aws-node` back.
    Addon,
    /// The cluster's pods have IPv6 addresses, which ENI mode does not give.
    Ipv6,
    /// Netloom's agents would run beside `aws-node`.
    AgentEverywhere,
    /// A pod has an interface of its own, with security groups of its own.
    OwnInterface {
        /// The pod.
        pod: String,
    },
    /// A pod must not be evicted.
    Kept {
        /// The pod.
        pod: String,
        /// Why, and what allows it.
        why: String,
    },
    /// The pods of the only node would have no place.
    OnlyNode {
        /// The node.
        node: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addon => f.write_str(
                "aws-node is an add-on of EKS, which would bring it back: remove the add-on first, preserving its \
                 resources (--addon-removed if that was done)",
            ),
            Self::Ipv6 => f.write_str("aws-node gives pods IPv6 addresses: ENI mode gives IPv4 addresses only"),
            Self::AgentEverywhere => write!(
                f,
                "Netloom's DaemonSet does not keep away from nodes with {LABEL}=true: both networks would manage the \
                 same interfaces. Give it a required node affinity with that label NotIn [\"true\"]"
            ),
            Self::OwnInterface { pod } => write!(
                f,
                "pod {pod} has a network interface of its own, for security groups of pods: it would lose them"
            ),
            Self::Kept { pod, why } => write!(f, "pod {pod} must not be evicted: {why}"),
            Self::OnlyNode { node } => write!(
                f,
                "node {node} is the only one that takes pods: its pods would have no place for a while \
                 (--allow-downtime goes on all the same)"
            ),
        }
    }
}

/// Says what is left to be done.
///
/// ```
/// use migrate::{AwsNode, NodeFacts, Options, Step, Survey, plan};
///
/// // A new cluster without pods: nobody has an address that could be lost.
/// let survey = Survey {
///     aws_node: Some(AwsNode::default()),
///     nodes: [("a".to_owned(), NodeFacts { aws_node: true, ..NodeFacts::default() })].into(),
///     ..Survey::default()
/// };
/// assert_eq!(plan(&survey, Options::default()).steps, [Step::Remove]);
/// ```
#[must_use]
pub fn plan(survey: &Survey, options: Options) -> Plan {
    Plan { refusals: refusals(survey, options), steps: steps(survey, options), notes: notes(survey) }
}

fn notes(survey: &Survey) -> Vec<Note> {
    let untagged = survey.nodes.iter().filter(|(_, node)| !node.untagged.is_empty());
    untagged
        .map(|(name, node)| Note::Untagged { node: name.clone(), interfaces: node.untagged.clone() })
        .collect()
}

fn steps(survey: &Survey, options: Options) -> Vec<Step> {
    let Some(aws_node) = &survey.aws_node else {
        return nodes(survey).flat_map(|(name, node)| finish(name, node)).collect();
    };
    let mut steps = Vec::new();
    let last = if options.park { Step::Confine } else { Step::Remove };
    if !aws_node.confined && survey.nodes.values().all(|node| node.pods.is_empty()) {
        // Nobody has an address of it.
        return vec![last];
    }
    if !aws_node.confined {
        let unlabelled = survey.nodes.iter().filter(|(_, node)| !node.labelled && !node.ready);
        steps.extend(unlabelled.map(|(name, _)| Step::Label { node: name.clone() }));
        steps.push(Step::Confine);
    }
    if options.prepare {
        return steps;
    }
    if survey.agent.is_none() {
        steps.push(Step::Install);
    }
    for (name, node) in nodes(survey) {
        // Unlabelled nodes are about to be labelled if nothing was confined yet.
        if node.labelled || (!aws_node.confined && !node.ready) {
            steps.extend(hand_over(name, node));
        } else {
            steps.extend(finish(name, node));
        }
    }
    if !options.park {
        steps.push(Step::Remove);
    }
    steps
}

/// The nodes: first those that something was begun on.
fn nodes(survey: &Survey) -> impl Iterator<Item = (&String, &NodeFacts)> {
    let mut nodes: Vec<_> = survey.nodes.iter().collect();
    nodes.sort_by_key(|(_, node)| (!node.cordoned_here, node.labelled, node.pods.len()));
    nodes.into_iter()
}

/// All that is to be done with a node that is `aws-node`'s.
fn hand_over(name: &str, node: &NodeFacts) -> Vec<Step> {
    let name = || name.to_owned();
    let mut steps = Vec::new();
    if !node.cordoned {
        steps.push(Step::Cordon { node: name() });
    }
    if node.pods.iter().any(|pod| !matches!(pod.eviction, Eviction::Stays)) {
        steps.push(Step::Drain { node: name() });
    }
    steps.push(Step::HandOver { node: name() });
    steps.push(Step::Await { node: name() });
    if node.pods.iter().any(|pod| pod.eviction == Eviction::Stays) {
        steps.push(Step::Renew { node: name() });
    }
    // Whoever cordoned it before had a reason.
    if !node.cordoned || node.cordoned_here {
        steps.push(Step::Uncordon { node: name() });
    }
    steps
}

/// What is left to be done with a node that was handed over.
fn finish(name: &str, node: &NodeFacts) -> Vec<Step> {
    let mut steps = Vec::new();
    // Of a node that takes no pods nobody waits for the network but us.
    if node.cordoned && !node.ready {
        steps.push(Step::Await { node: name.to_owned() });
    }
    if node.pods.iter().any(|pod| pod.foreign) {
        steps.push(Step::Renew { node: name.to_owned() });
    }
    if node.cordoned_here {
        steps.push(Step::Uncordon { node: name.to_owned() });
    }
    steps
}

fn refusals(survey: &Survey, options: Options) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let Some(aws_node) = &survey.aws_node else { return refusals };
    if aws_node.addon && !options.addon_removed {
        refusals.push(Refusal::Addon);
    }
    if aws_node.ipv6 {
        refusals.push(Refusal::Ipv6);
    }
    if survey.agent.as_ref().is_some_and(|agent| !agent.keeps_away) {
        refusals.push(Refusal::AgentEverywhere);
    }
    let old = survey.nodes.values().filter(|node| node.is_old()).flat_map(|node| &node.pods);
    refusals.extend(
        old.filter(|pod| pod.own_interface).map(|pod| Refusal::OwnInterface { pod: pod.name.clone() }),
    );
    if options.prepare {
        return refusals;
    }
    refusals.extend(
        survey
            .kept()
            .filter(|(_, why)| !options.allow(*why))
            .map(|(pod, why)| Refusal::Kept { pod: pod.name.clone(), why: why.to_string() }),
    );
    let mut takers = survey.nodes.iter().filter(|(_, node)| !node.cordoned || node.cordoned_here);
    if let (Some((name, node)), None) = (takers.next(), takers.next())
        && node.is_old()
        && !node.pods.is_empty()
        && !options.allow_downtime
    {
        refusals.push(Refusal::OnlyNode { node: name.clone() });
    }
    refusals
}
