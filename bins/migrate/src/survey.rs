//! What the API says about a cluster that is to change its pod network.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use crds::types::node::{CNI_READY_ANNOTATION, Eni};
use crds::{CiliumEndpoint, CiliumNode};
use ipam::ec2::iam::CLUSTER_TAG;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use kubernetes::refusal::is_missing;

use crate::drain::{Eviction, Kept};
use crate::names::{AGENT, AWS_NODE, CORDONED, EKS_MANAGER, LABEL, NAMESPACE, POD_ENI};

/// What the API says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The VPC CNI, if it is there.
    pub aws_node: Option<AwsNode>,
    /// Netloom's agents, if they are there.
    pub agent: Option<Agent>,
    /// The nodes, by name.
    pub nodes: BTreeMap<String, NodeFacts>,
}

/// The VPC CNI's DaemonSet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsNode {
    /// Whether EKS keeps it as an add-on, and would bring it back.
    pub addon: bool,
    /// Whether it is confined to the nodes with the label.
    pub confined: bool,
    /// Whether it serves IPv6.
    pub ipv6: bool,
}

/// The DaemonSet of Netloom's agents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// Whether it keeps away from nodes that are still `aws-node`'s.
    pub keeps_away: bool,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// Whether it has the label, and so is `aws-node`'s.
    pub labelled: bool,
    /// Whether it takes no new pods.
    pub cordoned: bool,
    /// Whether that is this migration's doing.
    pub cordoned_here: bool,
    /// Whether Netloom can connect pods on it.
    pub ready: bool,
    /// The pods on it that have a network of their own.
    pub pods: Vec<PodFacts>,
    /// Whether a pod of `aws-node` is on it.
    pub aws_node: bool,
    /// Network interfaces for pods that lack the tag by which operators know theirs.
    pub untagged: Vec<String>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFacts {
    /// `namespace/name`.
    pub name: String,
    /// What becomes of it when its node is emptied.
    pub eviction: Eviction,
    /// Whether it has an interface of its own, for security groups.
    pub own_interface: bool,
    /// Whether it is connected, and not by Netloom.
    pub foreign: bool,
}

impl Survey {
    /// Asks the API.
    ///
    /// # Errors
    /// What the API answered, with what was asked for.
    pub async fn read(client: &Client) -> Result<Self> {
        let sets: Api<DaemonSet> = Api::namespaced(client.clone(), NAMESPACE);
        let aws_node = sets.get_opt(AWS_NODE).await.context("reading the DaemonSet kube-system/aws-node")?;
        let listed = sets.list(&ListParams::default()).await.context("listing kube-system's DaemonSets")?;
        let agent = listed.items.iter().find(|set| is_agent(set));
        let all = ListParams::default();
        let nodes = Api::<Node>::all(client.clone()).list(&all).await.context("listing nodes")?;
        let pods = Api::<Pod>::all(client.clone()).list(&all).await.context("listing pods")?;
        let agents = installed::<CiliumNode>(client, "CiliumNodes").await?;
        let agents = agents.iter().map(|said| (said.name_any(), said)).collect();
        let connected = connected_pods(client).await?;
        let mut survey = Self {
            aws_node: aws_node.as_ref().map(AwsNode::of),
            agent: agent.map(Agent::of),
            nodes: nodes
                .items
                .iter()
                .filter(|node| !is_elsewhere(node))
                .map(|node| (node.name_any(), node_facts(node, &agents)))
                .collect(),
        };
        for pod in &pods.items {
            survey.count(pod, &connected);
        }
        Ok(survey)
    }

    fn count(&mut self, pod: &Pod, connected: &BTreeSet<String>) {
        let Some(spec) = &pod.spec else { return };
        let Some(node) = spec.node_name.as_ref().and_then(|name| self.nodes.get_mut(name)) else { return };
        let status = pod.status.as_ref();
        if has_ended(pod) {
            return;
        }
        let addressed = status.is_some_and(|status| status.pod_ip.is_some());
        node.aws_node |= is_aws_node(pod);
        if !spec.host_network.unwrap_or_default() {
            let name = full_name(pod);
            node.pods.push(PodFacts {
                eviction: Eviction::of(pod),
                own_interface: pod.annotations().contains_key(POD_ENI),
                foreign: addressed && !connected.contains(&name),
                name,
            });
        }
    }

    /// The pods that keep nodes from being emptied, and why.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (&PodFacts, Kept)> {
        self.nodes.values().filter(|node| node.is_old()).flat_map(|node| &node.pods).filter_map(|pod| {
            match pod.eviction {
                Eviction::Kept(why) => Some((pod, why)),
                Eviction::Evicted | Eviction::Stays => None,
            }
        })
    }
}

impl NodeFacts {
    /// Whether it is still `aws-node`'s.
    #[must_use]
    pub fn is_old(&self) -> bool {
        self.labelled || self.aws_node
    }
}

impl AwsNode {
    fn of(set: &DaemonSet) -> Self {
        let template = set.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
        let selector = template.and_then(|spec| spec.node_selector.as_ref());
        let environment = template
            .into_iter()
            .flat_map(|spec| &spec.containers)
            .flat_map(|container| container.env.iter().flatten());
        Self {
            addon: set.managed_fields().iter().any(|fields| fields.manager.as_deref() == Some(EKS_MANAGER)),
            confined: selector.is_some_and(|labels| labels.get(LABEL).is_some_and(|value| value == "true")),
            ipv6: environment
                .into_iter()
                .any(|variable| variable.name == "ENABLE_IPv6" && variable.value.as_deref() == Some("true")),
        }
    }
}

impl Agent {
    fn of(set: &DaemonSet) -> Self {
        let required = set
            .spec
            .as_ref()
            .and_then(|spec| spec.template.spec.as_ref())
            .and_then(|spec| spec.affinity.as_ref())
            .and_then(|affinity| affinity.node_affinity.as_ref())
            .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
        // Terms are alternatives: each has to keep away.
        let keeps_away = required.is_some_and(|required| {
            !required.node_selector_terms.is_empty()
                && required.node_selector_terms.iter().all(|term| {
                    term.match_expressions.iter().flatten().any(|expression| {
                        expression.key == LABEL
                            && match expression.operator.as_str() {
                                "DoesNotExist" => true,
                                "NotIn" => expression.values.iter().flatten().any(|value| value == "true"),
                                _ => false,
                            }
                    })
                })
        });
        Self { keeps_away }
    }
}

fn is_agent(set: &DaemonSet) -> bool {
    let labels = set.spec.as_ref().and_then(|spec| spec.selector.match_labels.as_ref());
    labels.is_some_and(|labels| labels.get(AGENT.0).is_some_and(|value| value == AGENT.1))
}

/// Whether neither network is a node's: Fargate's have their own, and so has Windows.
fn is_elsewhere(node: &Node) -> bool {
    let is = |label: &str, value: &str| node.labels().get(label).is_some_and(|has| has == value);
    is("eks.amazonaws.com/compute-type", "fargate") || is("kubernetes.io/os", "windows")
}

fn node_facts(node: &Node, agents: &BTreeMap<String, &CiliumNode>) -> NodeFacts {
    let agent = agents.get(&node.name_any());
    NodeFacts {
        labelled: node.labels().get(LABEL).is_some_and(|value| value == "true"),
        cordoned: node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default(),
        cordoned_here: node.annotations().contains_key(CORDONED),
        ready: agent.is_some_and(|said| is_ready(said)),
        pods: Vec::new(),
        aws_node: false,
        untagged: agent.map(|said| untagged(said)).unwrap_or_default(),
    }
}

/// `namespace/name`.
pub(crate) fn full_name(object: &impl kube::ResourceExt) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether it is a pod of `aws-node` that has not ended.
pub(crate) fn is_aws_node(pod: &Pod) -> bool {
    let app = pod.labels().get("k8s-app").is_some_and(|app| app == AWS_NODE);
    app && pod.namespace().as_deref() == Some(NAMESPACE) && !has_ended(pod)
}

/// Whether the node's agent can connect pods.
pub(crate) fn is_ready(node: &CiliumNode) -> bool {
    node.annotations().get(CNI_READY_ANNOTATION).is_some_and(|value| value == "true")
}

/// The interfaces for pods of a node, as far as its operator knows them, that were made without the cluster's tag. EC2
/// makes the first one without it, and no policy asks it of that.
fn untagged(said: &CiliumNode) -> Vec<String> {
    let Some(status) = &said.status else { return Vec::new() };
    let (first, excluded) = (said.spec.eni.first_interface_index, &said.spec.eni.exclude_interface_tags);
    let is_excluded = |tags: &BTreeMap<String, String>| {
        !excluded.is_empty() && excluded.iter().all(|(key, value)| tags.get(key) == Some(value))
    };
    let lacks = |eni: &Eni| {
        let number = u64::try_from(eni.number).unwrap_or_default();
        number >= first.unwrap_or_default().max(1)
            && !is_excluded(&eni.tags)
            && !eni.tags.contains_key(CLUSTER_TAG)
    };
    status.eni.enis.iter().filter(|(_, eni)| lacks(eni)).map(|(id, _)| id.clone()).collect()
}

/// The pods that Netloom has connected, each of which has an endpoint of its name.
async fn connected_pods(client: &Client) -> Result<BTreeSet<String>> {
    let endpoints = installed::<CiliumEndpoint>(client, "CiliumEndpoints").await?;
    Ok(endpoints.iter().map(full_name).collect())
}

/// All objects of a kind that is there only once Netloom was installed.
async fn installed<K>(client: &Client, what: &str) -> Result<Vec<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    match Api::<K>::all(client.clone()).list(&ListParams::default()).await {
        Ok(listed) => Ok(listed.items),
        Err(error) if is_missing(&error) => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("listing {what}")),
    }
}
