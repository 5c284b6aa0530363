//! What a change of a cluster opens and closes.
//!
//! Every connection is asked about before and after, so far as rules can tell connections apart: between pods and nodes
//! that are there both times, and outsiders that stand for all whom some CIDR or DNS name tells apart; on the ports that
//! pods declare and rules name, and on one that stands for all others.

mod outside;
mod services;

use std::collections::{BTreeMap, BTreeSet};

use abi::Identity;
use serde::Serialize;
use serde_json::Value;

pub use services::{Service, Services};

use crate::cluster::{Cluster, End, Party};
use crate::judge::{Answer, Deciding, Judge, Place, Probe, Trouble};
use crate::verdict::Verdict;

/// A connection whose verdict changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Who opens it.
    pub from: String,
    /// Where to.
    pub to: String,
    /// The port or ports, with the protocol: `80/TCP`, `8000-8999/TCP`, `other/TCP`.
    pub ports: String,
    /// What the change does to it.
    pub change: Effect,
    /// What becomes of it before the change.
    pub before: Judged,
    /// What becomes of it after the change.
    pub after: Judged,
}

/// What a change does to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It was denied.
    Opened,
    /// It is denied now.
    Closed,
    /// It goes through a proxy now, or no longer.
    Proxied,
}

/// A verdict, with the rules that decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// The deciding rules, or the specs that close the direction.
    pub rules: Vec<Deciding>,
}

/// What changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// The connections, in the order of their ends.
    pub changes: Vec<Change>,
    /// Pods that are there only before the change: nothing is said about them.
    pub gone: Vec<String>,
    /// Pods that are there only after the change: nothing is said about them.
    pub new: Vec<String>,
    /// What could not be judged, and why.
    pub errors: Vec<String>,
}

/// Somebody, before and after.
struct Pair {
    before: Place,
    after: Place,
    declared: BTreeSet<Service>,
}

impl Changes {
    /// Compares two clusters.
    #[must_use]
    pub fn between(before: &mut Judge<'_>, after: &mut Judge<'_>) -> Self {
        let mut changes = Self::default();
        let (old, new) = (before.cluster(), after.cluster());
        let pairs = changes.pairs(old, new);
        let services = Services::new(&[old, new]);
        let mut known: BTreeMap<&BTreeSet<Service>, Vec<Service>> = BTreeMap::new();
        for pair in &pairs {
            known.entry(&pair.declared).or_insert_with(|| services.with(&pair.declared));
        }
        for from in &pairs {
            for to in &pairs {
                for service in known.get(&to.declared).into_iter().flatten() {
                    let wanted = service.wanted();
                    let asked = before
                        .between(&from.before, &to.before, &wanted)
                        .and_then(|old| Ok((old, after.between(&from.after, &to.after, &wanted)?)));
                    let what = || (from.before.text(), to.before.text(), service.to_string());
                    changes.note(asked, what);
                }
            }
        }
        changes
    }

    /// Compares two clusters by these probes.
    #[must_use]
    pub fn of_probes(before: &mut Judge<'_>, after: &mut Judge<'_>, probes: &[Value]) -> Self {
        let mut changes = Self::default();
        for probe in probes {
            let read = match probe {
                Value::Object(fields) => Probe::read(fields),
                _ => Err(Trouble::Shape),
            };
            match read {
                Ok(probe) => {
                    let asked = before.ask(&probe).and_then(|old| Ok((old, after.ask(&probe)?)));
                    let what = || (probe.from.as_str(), probe.to.as_str(), probe.service.to_string());
                    changes.note(asked, what);
                }
                Err(trouble) => changes.errors.push(format!("{probe}: {trouble}")),
            }
        }
        changes
    }

    /// Takes down what becomes of a connection, if that changes.
    fn note<'a>(
        &mut self,
        asked: Result<(Answer, Answer), Trouble>,
        what: impl FnOnce() -> (&'a str, &'a str, String),
    ) {
        let judged = |answer: &Answer| Judged { verdict: answer.verdict, rules: answer.worst().rules() };
        match asked {
            Ok((before, after)) if before.verdict != after.verdict => {
                let (from, to, ports) = what();
                let change = match (before.verdict, after.verdict) {
                    (Verdict::Deny, _) => Effect::Opened,
                    (_, Verdict::Deny) => Effect::Closed,
                    _ => Effect::Proxied,
                };
                self.changes.push(Change {
                    from: from.to_owned(),
                    to: to.to_owned(),
                    ports,
                    change,
                    before: judged(&before),
                    after: judged(&after),
                });
            }
            Ok(_) => {}
            Err(trouble) => {
                let (from, to, ports) = what();
                self.errors.push(format!("{from} -> {to} {ports}: {trouble}"));
            }
        }
    }

    /// Everybody who is there both times.
    fn pairs(&mut self, old: &Cluster, new: &Cluster) -> Vec<Pair> {
        let (mut pairs, no_port) = (Vec::new(), BTreeSet::new());
        let (before, after) = (pods(old), pods(new));
        for (name, index) in &before {
            let Some(other) = after.get(name) else {
                self.gone.push(name.clone());
                continue;
            };
            let mut declared = services::declared(old, *index);
            declared.extend(services::declared(new, *other));
            pairs.push(Pair {
                before: Place::of(name.clone(), old.party_of_pod(*index)),
                after: Place::of(name.clone(), new.party_of_pod(*other)),
                declared,
            });
        }
        self.new = after.into_keys().filter(|name| !before.contains_key(name)).collect();
        let both = |text: &str, before: Party, after: Party| Pair {
            before: Place::of(text.to_owned(), before),
            after: Place::of(text.to_owned(), after),
            declared: no_port.clone(),
        };
        let (before, after) = (nodes(old), nodes(new));
        for (name, index) in &before {
            if let Some(other) = after.get(name) {
                pairs.push(both(name, old.party_of_node(*index), new.party_of_node(*other)));
            }
        }
        if before.is_empty() || after.is_empty() {
            for (name, identity) in [("host", Identity::HOST), ("remote-node", Identity::REMOTE_NODE)] {
                let party = Party { end: End::Fixed(identity), addresses: Vec::new() };
                pairs.push(both(name, party.clone(), party));
            }
        }
        for (name, addr) in outside::outsiders(old, new) {
            pairs.push(both(&name, old.party_at(addr), new.party_at(addr)));
        }
        pairs
    }
}

/// The pods that have not finished, by name.
fn pods(cluster: &Cluster) -> BTreeMap<String, usize> {
    let pod = |index: usize| {
        let pod = cluster.pod_object(index).filter(|pod| !pod.is_finished() && !pod.host_network)?;
        Some((format!("{}/{}", pod.meta.namespace(), pod.meta.name), index))
    };
    (0..cluster.pods().len()).filter_map(pod).collect()
}

/// The nodes, by what they are called.
fn nodes(cluster: &Cluster) -> BTreeMap<String, usize> {
    (0..cluster.nodes().len()).map(|index| (cluster.describe(End::Node(index)), index)).collect()
}
