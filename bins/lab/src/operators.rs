//! How a lab's operators are.

use std::path::{Path, PathBuf};

use anyhow::Result;
use k8s_openapi::jiff::Timestamp;
use kubernetes::lease;
use serde::Serialize;

use crate::cluster::Cluster;
use crate::ended::Ended;
use crate::paths::Paths;
use crate::process;
use crate::state::State;

/// The namespace in which operators look for their Lease where they are told no other.
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
    /// Whether it holds the Lease: the others wait. Unknown where the API does not answer.
    pub leads: Option<bool>,
    /// Since when, as the Lease has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What it says.
    pub log: PathBuf,
    /// Why it does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Who holds the Lease, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    identity: String,
    since: Option<Timestamp>,
}

/// Asks the API for the holder of the operators' Lease; nobody holds one that is not there.
///
/// # Errors
/// When the API does not answer.
pub(crate) fn holder(state: &State, cluster: &Cluster) -> Result<Option<Holder>> {
    let namespace = state.config.get("k8s-namespace").unwrap_or(NAMESPACE);
    let spec = cluster.lease(namespace, lease::OPERATORS)?.and_then(|found| found.spec);
    Ok(spec.and_then(|spec| {
        let identity = spec.holder_identity.filter(|identity| !identity.is_empty())?;
        Some(Holder { identity, since: spec.acquire_time.map(|time| time.0) })
    }))
}

impl Holder {
    /// Whether it is the operator of this name that began then: an identity is a name, and what tells a process from
    /// earlier ones, which may hold the Lease until it runs out.
    fn is(&self, name: &str, began: Option<Timestamp>) -> bool {
        let is_named = self.identity.split_once('_').is_some_and(|(of, _)| of == name);
        is_named && began.is_none_or(|began| self.since.is_none_or(|since| since >= began))
    }
}

/// When a program began: its process id was written then.
fn began(file: &Path) -> Option<Timestamp> {
    let written = std::fs::metadata(file).ok()?.modified().ok()?;
    Timestamp::try_from(written).ok()
}

/// The operators of a lab, in their order; without a holder where the API was not asked.
pub(crate) fn operators(
    state: &State,
    paths: &Paths,
    holder: Option<&Option<Holder>>,
) -> Vec<OperatorStatus> {
    let program = state.programs.join("netloom-operator");
    let of = |(number, node): (usize, &crate::plan::Node)| {
        let name = name(number);
        let file = paths.pid(&name);
        let pid = process::running(&file, &program);
        let problem = Ended::of(&file).map(|ended| ended.to_string());
        let held =
            holder.and_then(Option::as_ref).filter(|holder| pid.is_some() && holder.is(&name, began(&file)));
        OperatorStatus {
            node: node.name.clone(),
            leads: holder.map(|_| held.is_some()),
            // Nobody cares for microseconds.
            since: held
                .and_then(|holder| holder.since)
                .map(|since| since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_a_process_and_not_its_name() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let holder = Holder { identity: "operator1_0b2c".into(), since: Some(at(100)) };
        assert!(holder.is(&name(0), Some(at(90))) && holder.is("operator1", None));
        assert!(!holder.is("operator1", Some(at(101))), "the one before it has left the Lease behind");
        assert!(!holder.is("operator11", Some(at(90))));
        assert!(!Holder { identity: "operator1".into(), since: None }.is("operator1", None));
    }
}
