//! Waiting until the lab is as its API says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use api::{Client, Known, Reply, Request};
use k8s_openapi::api::core::v1 as core;
use policy::PodLabelling;
use policy::manifest::{Object, ObjectKey, parse};

use crate::cluster::{Cluster, Target, WATCHED};
use crate::ended::Ended;
use crate::paths::Paths;
use crate::pod::{self, Pod};
use crate::process::PidFile;
use crate::state::State;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// How long an agent may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// How many of the things that are waited for an error lists.
const SHOWN: usize = 12;

/// What is to be so beside what always is: that every pod runs, and all agents know who has its addresses.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// These objects are known everywhere, in this version or a later one.
    pub applied: Vec<(ObjectKey, String)>,
    /// These are gone.
    pub gone: Vec<Target>,
    /// Of these addresses those that no pod has any more are nobody's.
    pub left: BTreeSet<IpAddr>,
}

/// The taints of a node that is not open to pods yet.
const NOT_READY: [&str; 2] = ["node.cilium.io/agent-not-ready", "node.kubernetes.io/not-ready"];

/// Waits until the API answers.
///
/// # Errors
/// After the deadline, or when the lab's daemon has ended, or a program ends as soon as it is started.
pub fn until_reachable(state: &State, deadline: Instant) -> Result<()> {
    let paths = Paths::new(&state.name);
    loop {
        if paths.kubeconfig().exists() && Cluster::of(&state.name)?.is_ready() {
            return Ok(());
        }
        go_on(&paths)?;
        ensure!(Instant::now() <= deadline, "the API server does not answer in time");
        sleep(PAUSE);
    }
}

/// Waits until every node has an agent that connects pods, and is open to them.
///
/// # Errors
/// After the deadline, with what is missing; at once when the lab's daemon has ended, or a program ends as soon as it
/// is started.
pub fn until_nodes_ready(state: &State, cluster: &Cluster, deadline: Instant) -> Result<()> {
    let paths = Paths::new(&state.name);
    loop {
        let missing = match missing(state, cluster) {
            Ok(missing) if missing.is_empty() => return Ok(()),
            Ok(missing) => missing.join("\n"),
            Err(error) => format!("{error:#}"),
        };
        go_on(&paths)?;
        ensure!(Instant::now() <= deadline, "the nodes are not ready in time:\n{missing}");
        sleep(PAUSE);
    }
}

/// Whether there is something to wait for.
fn go_on(paths: &Paths) -> Result<()> {
    ensure!(PidFile::holder(&paths.daemon_pid())?.is_some(), "the lab's daemon has ended");
    Ended::any(paths).map_or(Ok(()), |ended| bail!("{ended}"))
}

/// What the nodes lack before they can run pods.
fn missing(state: &State, cluster: &Cluster) -> Result<Vec<String>> {
    let nodes = cluster.nodes()?;
    let paths = Paths::new(&state.name);
    let mut missing = Vec::new();
    for planned in &state.nodes {
        let name = &planned.name;
        let Some(node) = nodes.iter().find(|node| node.metadata.name.as_ref() == Some(name)) else {
            missing.push(format!("{name} is not registered"));
            continue;
        };
        let status = node.status.clone().unwrap_or_default();
        let ready =
            |condition: &core::NodeCondition| condition.type_ == "Ready" && condition.status == "True";
        if !status.conditions.iter().flatten().any(ready) {
            missing.push(format!("{name} is not ready"));
        }
        let taints = node.spec.clone().unwrap_or_default().taints.unwrap_or_default();
        for taint in taints.iter().filter(|taint| NOT_READY.contains(&taint.key.as_str())) {
            missing.push(format!("{name} still has the taint {}", taint.key));
        }
        if let Err(why) = is_ready(&paths.node(name).socket()) {
            missing.push(format!("{name}: {why}"));
        }
    }
    Ok(missing)
}

fn is_ready(socket: &std::path::Path) -> Result<(), String> {
    let asked = Client::connect(socket, ANSWER).and_then(|mut client| client.call(&Request::Ready, None));
    asked.map(drop).map_err(|error| format!("the agent is not ready: {error}"))
}

/// Waits until what is wanted is enforced on every node.
///
/// # Errors
/// After the deadline, with who lacks what; at once when a node refuses a pod that is wanted.
pub fn until(state: &State, cluster: &Cluster, wanted: &Wanted, deadline: Instant) -> Result<()> {
    let labelling = state.config.labelling()?;
    loop {
        let pods = cluster.pods();
        let refused = pods.as_ref().map(|pods| refused(wanted, pods)).unwrap_or_default();
        ensure!(refused.is_empty(), "{}", listed(&refused));
        let lacking = match pods.and_then(|pods| lacking(state, cluster, wanted, &labelling, pods)) {
            Ok(lacking) if lacking.is_empty() => return Ok(()),
            Ok(lacking) => lacking,
            // It may be on its way back.
            Err(error) => vec![format!("{error:#}")],
        };
        if Instant::now() > deadline {
            let ended =
                Ended::any(&Paths::new(&state.name)).map(|ended| format!("{ended}\n")).unwrap_or_default();
            bail!("not everything is enforced in time:\n{ended}{}", listed(&lacking));
        }
        sleep(PAUSE);
    }
}

/// As many lines as a person reads.
fn listed(lines: &[String]) -> String {
    let more = lines.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
    lines.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("\n") + &more
}

/// Wanted pods that will never run: a node has refused them.
fn refused(wanted: &Wanted, pods: &[core::Pod]) -> Vec<String> {
    let is_wanted = |pod: &Pod| {
        let key = pod::key(&pod.name);
        pod.phase == "Failed" && !pod.terminating && wanted.applied.iter().any(|(applied, _)| *applied == key)
    };
    let of = |pod: Pod| {
        let (node, why) =
            (pod.node.unwrap_or_default(), pod.message.unwrap_or_else(|| "it has failed".into()));
        format!("Pod {} does not run on {node}, and will not: {why}", pod.name)
    };
    pods.iter().map(Pod::of).filter(is_wanted).map(of).collect()
}

/// The addresses of all pods.
///
/// # Errors
/// When the API does not answer.
pub fn addresses(cluster: &Cluster) -> Result<BTreeSet<IpAddr>> {
    let pods = cluster.pods()?;
    let pods = pods.iter().map(Pod::of).filter(|pod| !pod.host_network);
    Ok(pods.flat_map(|pod| pod.addresses).collect())
}

/// Who has an address, as the API says.
struct Owner {
    pod: String,
    labels: BTreeSet<String>,
}

fn lacking(
    state: &State,
    cluster: &Cluster,
    wanted: &Wanted,
    labelling: &PodLabelling,
    mut pods: Vec<core::Pod>,
) -> Result<Vec<String>> {
    let paths = Paths::new(&state.name);
    let mut lacking = still_there(cluster, wanted, &pods)?;
    let taken: BTreeSet<IpAddr> = pods.iter().flat_map(|pod| Pod::of(pod).addresses).collect();
    // Whoever plays a node's kubelet knows best how its pods are.
    pods.retain(|pod| Pod::of(pod).node.is_none_or(|node| !paths.node(&node).unattended().exists()));
    for pod in pods.iter().map(Pod::of) {
        if !pod.terminating && !pod.is_finished() && !pod.is_running() {
            let why = pod.message.as_deref().unwrap_or("not started yet");
            lacking.push(format!("Pod {} does not run: {why}", pod.name));
        }
    }
    let owners = owners(&pods, &cluster.namespaces()?, labelling);
    let free: Vec<IpAddr> = wanted.left.difference(&taken).copied().collect();
    for node in &state.nodes {
        let before = lacking.len();
        match known(&paths.node(&node.name).socket()) {
            Ok(known) => lacks(&known, wanted, &owners, &free, &mut lacking),
            Err(why) => lacking.push(why),
        }
        for line in &mut lacking[before..] {
            *line = format!("{}: {line}", node.name);
        }
    }
    Ok(lacking)
}

/// What was deleted and the API still has.
fn still_there(cluster: &Cluster, wanted: &Wanted, pods: &[core::Pod]) -> Result<Vec<String>> {
    let mut there = Vec::new();
    for target in &wanted.gone {
        let is_there = match target.key.kind.as_str() {
            "Pod" => pods.iter().any(|pod| pod::key(&pod::name(pod)) == target.key),
            _ => cluster.get(target)?.is_some(),
        };
        if is_there {
            there.push(format!("{} is still there", target.key));
        }
    }
    Ok(there)
}

fn known(socket: &std::path::Path) -> Result<Known, String> {
    let asked = Client::connect(socket, ANSWER).and_then(|mut client| client.call(&Request::Known, None));
    match asked {
        Ok(Reply::Known(known)) => Ok(*known),
        Ok(other) => Err(format!("the agent answers something else: {other:?}")),
        Err(error) => Err(format!("the agent does not answer: {error}")),
    }
}

/// Who has which address, and the labels that make that pod's identity.
fn owners(
    pods: &[core::Pod],
    namespaces: &[core::Namespace],
    labelling: &PodLabelling,
) -> BTreeMap<IpAddr, Owner> {
    let labels: BTreeMap<&str, BTreeMap<String, String>> = namespaces
        .iter()
        .filter_map(|namespace| {
            let labels = namespace.metadata.labels.clone().unwrap_or_default();
            Some((namespace.metadata.name.as_deref()?, labels))
        })
        .collect();
    let none = BTreeMap::new();
    let mut owners = BTreeMap::new();
    for (object, pod) in pods.iter().map(|pod| (pod, Pod::of(pod))) {
        if pod.host_network || pod.terminating || !pod.is_running() {
            continue;
        }
        let Ok(text) = serde_json::to_string(object) else { continue };
        for parsed in parse(&text, "", 1) {
            let Ok(Object::Pod(parsed)) = parsed else { continue };
            let of_namespace = labels.get(pod.name.namespace.as_str()).unwrap_or(&none);
            let labels = labelling.labels(&parsed, of_namespace);
            let labels: BTreeSet<String> = labels.iter().map(ToString::to_string).collect();
            for address in &pod.addresses {
                owners.insert(*address, Owner { pod: pod.name.to_string(), labels: labels.clone() });
            }
        }
    }
    owners
}

/// What a node that knows this lacks.
fn lacks(
    known: &Known,
    wanted: &Wanted,
    owners: &BTreeMap<IpAddr, Owner>,
    free: &[IpAddr],
    lacking: &mut Vec<String>,
) {
    let version = |key: &ObjectKey| {
        let is = |object: &&api::KnownObject| {
            (&object.kind, &object.namespace, &object.name) == (&key.kind, &key.namespace, &key.name)
        };
        known.objects.iter().find(is).map(|object| object.version.as_str())
    };
    let watched = |key: &ObjectKey| WATCHED.contains(&key.kind.as_str());
    for (key, wanted) in wanted.applied.iter().filter(|(key, _)| watched(key)) {
        match version(key) {
            Some(known) if at_least(known, wanted) => {}
            Some(known) => lacking.push(format!("{key}: version {known} is known, not {wanted}")),
            None => lacking.push(format!("{key} is not known")),
        }
    }
    for target in wanted.gone.iter().filter(|target| watched(&target.key)) {
        if version(&target.key).is_some() {
            lacking.push(format!("{} is still enforced", target.key));
        }
    }
    for (address, owner) in owners {
        let is = known.peers.get(address).map(|peer| peer.labels.iter().cloned().collect::<BTreeSet<_>>());
        match is {
            Some(labels) if labels == owner.labels => {}
            Some(_) => lacking.push(format!("Pod {} ({address}) has other labels", owner.pod)),
            None => lacking.push(format!("Pod {} ({address}) is not known", owner.pod)),
        }
    }
    for address in free.iter().filter(|address| known.peers.contains_key(*address)) {
        lacking.push(format!("{address} is still somebody's"));
    }
    if known.pending {
        lacking.push("not all that is known is enforced yet".into());
    }
}

/// Whether a version is the wanted one or came later. Versions of servers that do not count are only compared.
fn at_least(known: &str, wanted: &str) -> bool {
    match (known.parse::<u64>(), wanted.parse::<u64>()) {
        (Ok(known), Ok(wanted)) => known >= wanted,
        _ => known == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_lacks_is_named() {
        let key =
            ObjectKey { kind: "NetworkPolicy".into(), namespace: Some("shop".into()), name: "p".into() };
        let labels = BTreeSet::from(["k8s:app=web".to_owned()]);
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let owners = BTreeMap::from([(address, Owner { pod: "shop/web".into(), labels: labels.clone() })]);
        let wanted = Wanted { applied: vec![(key.clone(), "10".into())], ..Wanted::default() };
        let said = |known: &Known| {
            let mut lacking = Vec::new();
            lacks(known, &wanted, &owners, &["10.0.0.2".parse().unwrap()], &mut lacking);
            lacking
        };
        let mut known = Known { pending: true, ..Known::default() };
        assert_eq!(said(&known).len(), 3);
        let object = api::KnownObject {
            kind: key.kind.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            version: "9".into(),
        };
        known.objects.push(object);
        known.pending = false;
        let peer = |labels: &BTreeSet<String>| api::KnownPeer {
            identity: 300,
            labels: labels.iter().cloned().collect(),
        };
        known.peers.insert(address, peer(&BTreeSet::new()));
        known.peers.insert("10.0.0.2".parse().unwrap(), peer(&labels));
        let lacking = said(&known);
        assert!(lacking[0].contains("version 9") && lacking[1].contains("other labels"), "{lacking:?}");
        assert!(lacking[2].contains("10.0.0.2 is still"), "{lacking:?}");
        known.objects[0].version = "11".into();
        known.peers = BTreeMap::from([(address, peer(&labels))]);
        assert_eq!(said(&known), Vec::<String>::new());
    }
}
