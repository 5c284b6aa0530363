//! How a lab's operators are.

use std::path::PathBuf;

use serde::Serialize;

use crate::cluster::Cluster;
use crate::ended::Ended;
use crate::paths::Paths;
use crate::process;
use crate::state::State;

/// The operators' Lease, and the namespace that they look for it in where they are told no other.
const LEASE: &str = "cilium-operator-resource-lock";
const NAMESPACE: &str = "kube-system";

/// How an operator is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorStatus {
    /// Its name.
    pub name: String,
    /// The node that it runs on.
    pub node: String,
    /// Its process; none if it does not run.
    pub pid: Option<i32>,
    /// Whether it holds the Lease: the others wait.
    pub leads: bool,
    /// Since when, as the Lease has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What it says.
    pub log: PathBuf,
    /// Why it does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Whose the Lease is, and since when; nobody's where it is not there.
pub(crate) type Holder = Option<(String, Option<String>)>;

/// Asks the API for the holder of the operators' Lease.
///
/// # Errors
/// When the API does not answer.
pub(crate) fn holder(state: &State, cluster: &Cluster) -> anyhow::Result<Holder> {
    let namespace = state.config.get("k8s-namespace").unwrap_or(NAMESPACE);
    let spec = cluster.lease(namespace, LEASE)?.and_then(|lease| lease.spec);
    let since = |spec: &k8s_openapi::api::coordination::v1::LeaseSpec| {
        spec.acquire_time.as_ref().map(|time| time.0.to_string())
    };
    Ok(spec
        .and_then(|spec| Some((spec.holder_identity.clone().filter(|name| !name.is_empty())?, since(&spec)))))
}

/// The operators of a lab, in their order.
pub(crate) fn operators(state: &State, paths: &Paths, holder: &Holder) -> Vec<OperatorStatus> {
    let program = state.programs.join("netloom-operator");
    let of = |(number, node): (usize, &crate::plan::Node)| {
        let name = name(number);
        let file = paths.pid(&name);
        let pid = process::running(&file, &program);
        let problem = Ended::of(&file).map(|ended| ended.to_string());
        let held = holder.as_ref().filter(|(identity, _)| is_of(identity, &name) && pid.is_some());
        OperatorStatus {
            node: node.name.clone(),
            leads: held.is_some(),
            since: held.and_then(|(_, since)| since.clone()),
            log: paths.log(&name),
            problem: problem.or_else(|| pid.is_none().then(|| "it does not run".to_owned())),
            pid,
            name,
        }
    };
    state.nodes.iter().take(usize::from(state.operators)).enumerate().map(of).collect()
}

/// What an operator is called, the first one's number being 0.
pub(crate) fn name(number: usize) -> String {
    format!("operator{}", number + 1)
}

/// Whether an identity is this operator's: its name, and what tells its process from earlier ones.
fn is_of(identity: &str, name: &str) -> bool {
    identity.split_once('_').is_some_and(|(of, _)| of == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_begin_with_names() {
        assert_eq!(name(0), "operator1");
        assert!(is_of("operator1_0b2c", "operator1"));
        assert!(!is_of("operator11_0b2c", "operator1") && !is_of("operator1", "operator1"));
    }
}
