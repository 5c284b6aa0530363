//! How a lab is.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use api::{Client, PolicyStatus, Reply, Request};
use ipnetwork::IpNetwork;
use k8s_openapi::api::core::v1 as core;
use serde::Serialize;

use crate::cloud::{self, control::CloudStatus};
use crate::cluster::Cluster;
use crate::console::Colours;
use crate::ended::Ended;
use crate::name::LabName;
use crate::operators::{Holder, OperatorStatus, holder, operators};
use crate::paths::Paths;
use crate::pod::{Pod, Port};
use crate::process::PidFile;
use crate::state::{Sandbox, State};

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a lab is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LabStatus {
    /// Its name.
    pub name: LabName,
    /// Its daemon's process; none if that is dead.
    pub daemon: Option<i32>,
    /// How its user reaches its API.
    pub kubeconfig: PathBuf,
    /// Where its files are.
    pub directory: PathBuf,
    /// The fabric's network namespace.
    pub fabric: String,
    /// How its EC2 is, where nodes are instances; none if that does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud: Option<CloudStatus>,
    /// Why it does not.
    #[serde(rename = "cloudProblem", skip_serializing_if = "Option::is_none")]
    pub cloud_problem: Option<String>,
    /// What keeps it from going on, and what to do then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Its operators.
    pub operators: Vec<OperatorStatus>,
    /// Its nodes.
    pub nodes: Vec<NodeStatus>,
    /// Its pods; none if the API does not answer.
    pub pods: Vec<PodStatus>,
    /// Why the API does not answer. What agents say does not depend on it.
    #[serde(rename = "apiProblem", skip_serializing_if = "Option::is_none")]
    pub api_problem: Option<String>,
    /// The policies that agents know; one is valid if it is so for all of them.
    pub policies: Vec<PolicyStatus>,
}

/// How a node is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Its network namespace.
    pub netns: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// How many pods it takes.
    #[serde(rename = "maxPods")]
    pub max_pods: u32,
    /// Its ranges of pod addresses.
    #[serde(rename = "podCIDRs")]
    pub pod_cidrs: Vec<IpNetwork>,
    /// Its agent's socket.
    pub socket: PathBuf,
    /// Its agent's log.
    pub log: PathBuf,
    /// What its agent says, in the agent's own form; none if that does not answer.
    pub agent: Option<Box<api::Status>>,
    /// Why it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How a pod is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its node.
    pub node: Option<String>,
    /// How far it has come.
    pub phase: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The ports that it answers on.
    pub ports: Vec<Port>,
    /// Its network namespace.
    pub netns: Option<String>,
    /// The id that the CNI plugin was told.
    #[serde(rename = "containerID")]
    pub container_id: Option<String>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Asks the lab's files, its agents and its API. An API or an agent that does not answer is a part of the
/// answer: it is then that somebody asks.
///
/// # Errors
/// When there is no such lab or its files cannot be read.
pub fn status(name: &LabName) -> Result<LabStatus> {
    let state = State::load(name)?;
    let paths = Paths::new(name);
    let nodes: Vec<_> = state.nodes.iter().map(|node| node_status(&state, &paths, node)).collect();
    let problem = state.problem()?;
    let (listed, holder, api_problem) = match asked(&state) {
        Ok((pods, Ok(holder))) => (pods, Some(holder), None),
        Ok((pods, Err(error))) => (pods, None, Some(format!("{error:#}"))),
        Err(error) => (Vec::new(), None, Some(format!("{error:#}"))),
    };
    let mut pods = Vec::new();
    for pod in listed {
        let pod = Pod::of(&pod);
        let sandbox = Sandbox::load(&paths, &pod.name)?.filter(|sandbox| sandbox.uid == pod.uid);
        pods.push(pod_status(pod, sandbox));
    }
    let (cloud, cloud_problem) = cloud::view::ask(&state, &paths);
    pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(LabStatus {
        name: name.clone(),
        daemon: PidFile::holder(&paths.daemon_pid())?.map(nix::unistd::Pid::as_raw),
        kubeconfig: paths.kubeconfig(),
        directory: paths.root().to_owned(),
        operators: operators(&state, &paths, holder.as_ref()),
        fabric: state.fabric,
        cloud,
        cloud_problem,
        problem,
        policies: policies(&nodes),
        nodes,
        pods,
        api_problem,
    })
}

/// The pods, and who leads. Without the daemon there is no way to the API.
fn asked(state: &State) -> Result<(Vec<core::Pod>, Result<Option<Holder>>)> {
    let daemon = PidFile::holder(&Paths::new(&state.name).daemon_pid())?;
    ensure!(daemon.is_some(), "nothing is known of pods: the API is reached through the daemon");
    let cluster = Cluster::of(&state.name)?;
    Ok((cluster.pods()?, holder(state, &cluster)))
}

/// What agents say that they do not do yet of these policies, by their names.
///
/// # Errors
/// As [`status`].
pub fn warnings(name: &LabName, policies: &[String]) -> Result<Vec<String>> {
    let state = State::load(name)?;
    let paths = Paths::new(name);
    let nodes: Vec<_> = state.nodes.iter().map(|node| node_status(&state, &paths, node)).collect();
    Ok(self::policies(&nodes)
        .into_iter()
        .filter(|known| policies.contains(&known.policy))
        .flat_map(|known| known.warnings)
        .collect())
}

fn node_status(state: &State, paths: &Paths, node: &crate::plan::Node) -> NodeStatus {
    let files = paths.node(&node.name);
    let asked =
        Client::connect(&files.socket(), PATIENCE).and_then(|mut client| client.call(&Request::Status, None));
    let (agent, problem) = match asked {
        Ok(Reply::Status(status)) => (Some(status), None),
        Ok(other) => (None, Some(format!("an answer of another kind: {other:?}"))),
        Err(error) => (None, Some(error.to_string())),
    };
    let problem = match Ended::of(&files.agent_pid()) {
        Some(ended) if agent.is_none() => Some(format!("its agent does not run: {ended}")),
        _ => problem,
    };
    NodeStatus {
        max_pods: state.max_pods,
        name: node.name.clone(),
        netns: node.netns.clone(),
        addresses: node.addresses.iter().map(IpNetwork::ip).collect(),
        pod_cidrs: agent.as_ref().map(|agent| agent.pod_cidrs.clone()).unwrap_or_default(),
        socket: files.socket(),
        log: files.agent_log(),
        agent,
        problem,
    }
}

fn pod_status(pod: Pod, sandbox: Option<Sandbox>) -> PodStatus {
    let (netns, container_id) = sandbox.map(|s| (Some(s.netns), s.container_id)).unwrap_or_default();
    PodStatus {
        addresses: pod.addresses,
        namespace: pod.name.namespace,
        name: pod.name.name,
        node: pod.node,
        phase: if pod.terminating { "Terminating".into() } else { pod.phase },
        ports: pod.ports,
        netns,
        container_id,
        message: pod.message,
    }
}

fn policies(nodes: &[NodeStatus]) -> Vec<PolicyStatus> {
    let mut policies: Vec<PolicyStatus> = Vec::new();
    for policy in nodes.iter().filter_map(|node| node.agent.as_ref()).flat_map(|agent| &agent.policies) {
        match policies.iter_mut().find(|known| known.policy == policy.policy) {
            Some(known) if known.valid => *known = policy.clone(),
            Some(_) => {}
            None => policies.push(policy.clone()),
        }
    }
    policies.sort_by(|a, b| a.policy.cmp(&b.policy));
    policies
}

/// The status as a person reads it.
#[must_use]
pub fn text(status: &LabStatus, colours: Colours) -> String {
    let mut out = String::new();
    let daemon = match status.daemon {
        Some(pid) => format!("daemon {pid}"),
        None => {
            let again =
                format!("its daemon is dead (netloom lab resume --name {} starts it again)", status.name);
            colours.bad(&again)
        }
    };
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        out,
        "lab {}: {daemon}, {}",
        colours.bold(status.name.as_str()),
        status.kubeconfig.display()
    );
    cloud::view::write(&mut out, status.cloud.as_ref(), status.cloud_problem.as_deref(), colours);
    for operator in &status.operators {
        let _ = writeln!(out, "  {:<8} {:<16} {}", operator.name, operator.node, how(operator, colours));
    }
    for node in &status.nodes {
        let agent = match (&node.agent, &node.problem) {
            (Some(agent), _) => {
                let ready = if agent.ready { colours.good("ready") } else { colours.bad("not ready") };
                let pods = format!("{} of {} pods", agent.endpoints.len(), node.max_pods);
                format!("agent {} {ready}, {pods}, {}", agent.pid, agent.attach)
            }
            (None, problem) => colours.bad(problem.as_deref().unwrap_or("no answer")),
        };
        let _ = writeln!(out, "  {:<8} {:<16} {agent}", node.name, join(&node.addresses));
        if let Some(cloud) = &status.cloud {
            cloud::view::write_interfaces(&mut out, cloud, &node.name);
        }
        for warning in node.agent.iter().flat_map(|agent| &agent.warnings) {
            let _ = writeln!(out, "           {} {warning}", colours.notable("warning:"));
        }
    }
    if let Some(problem) = &status.api_problem {
        let _ = writeln!(out, "  {}", colours.bad(problem));
    }
    for pod in &status.pods {
        let phase = if pod.phase == "Running" { colours.good(&pod.phase) } else { colours.bad(&pod.phase) };
        let ports: Vec<_> =
            pod.ports.iter().map(|port| format!("{}/{}", port.number, port.protocol)).collect();
        let _ = writeln!(
            out,
            "  {:<24} {phase} {:<8} {} {} {}",
            format!("{}/{}", pod.namespace, pod.name),
            pod.node.as_deref().unwrap_or("-"),
            join(&pod.addresses),
            ports.join(","),
            pod.message.as_deref().unwrap_or_default()
        );
    }
    for policy in &status.policies {
        let valid = if policy.valid { colours.good("enforced") } else { colours.bad("invalid") };
        let _ = writeln!(
            out,
            "  {:<40} {valid} {}",
            policy.policy,
            policy.message.as_deref().unwrap_or_default()
        );
    }
    out
}

/// An operator in a few words.
fn how(operator: &OperatorStatus, colours: Colours) -> String {
    let OperatorStatus { pid, problem, since, .. } = operator;
    let process = match (pid, problem) {
        (_, Some(problem)) => return colours.bad(problem),
        (Some(pid), None) => format!("operator {pid}"),
        (None, None) => return colours.bad("it does not run"),
    };
    match (operator.leads, since) {
        (Some(true), Some(since)) => format!("{process} {} since {since}", colours.good("leads")),
        (Some(true), None) => format!("{process} {}", colours.good("leads")),
        (Some(false), _) => format!("{process} waits"),
        (None, _) => process,
    }
}

fn join(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
