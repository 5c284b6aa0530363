//! The third level: packets on links, in a lab that all cases share.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use abi::DropReason;
use api::PodRef;
use lab::attempt::{Outcome, Protocol};
use lab::batch::Batch;
use lab::cluster::{self, Cluster, KINDS, WATCHED};
use lab::console::Progress;
use lab::name::LabName;
use lab::paths::Paths;
use lab::place::Place;
use lab::probe::{self, Judgement as Said, Probe, Report, Target};
use lab::state::{Ipam, Sandbox, State};
use lab::up::{Up, programs};
use lab::{change, down, plan};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use policy::Settings;
use policy::manifest::{Object, ObjectKey};
use serde_json::Value;

use super::{Answer, Circumstances, Halt, Judgement, Level};
use crate::error::Error;
use crate::expect::{Got, Packet};
use crate::objects::Objects;
use crate::place::{End, Kind};
use crate::suite::{LevelName, Transport};

/// How long agents and pods may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long an answer is waited for at first: what is dropped is reported, so that silence need not be long.
const SOON: Duration = Duration::from_millis(300);
/// How long those are tried again of which nothing was heard, neither an answer nor a drop.
const LATE: Duration = Duration::from_secs(4);
/// How many attempts are made at once.
const AT_ONCE: usize = 96;

/// The annotation that keeps a pod's spec as its case has it.
const SPEC: &str = "netloom.io/conformance-spec";

/// A lab, which is removed in the end.
#[derive(Debug)]
pub struct Lab {
    name: LabName,
    state: State,
    sctp: bool,
    /// The addresses that the lab gave to pods.
    given: BTreeMap<ObjectKey, Vec<IpAddr>>,
}

impl Lab {
    /// Why there can be no lab on this machine, if so.
    #[must_use]
    pub fn unavailable() -> Option<String> {
        if !nix::unistd::geteuid().is_root() {
            return Some("a lab needs root".into());
        }
        programs().err().map(|error| format!("{error:#}"))
    }

    /// Makes a lab of this many nodes, for all cases.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn up(name: LabName, nodes: u8) -> Result<Self, Error> {
        if let Some(why) = Self::unavailable() {
            return Err(Error::Unavailable { level: LevelName::Lab, why });
        }
        // Cases may name the ranges that nodes are planned with.
        let up = Up { patience: PATIENCE, ipam: Ipam::Kubernetes, ..Up::new(name.clone(), nodes) };
        let made = up.run(&Progress::new());
        let state =
            made.map_err(|source| Error::Lab { lab: name.to_string(), doing: "making it", source })?;
        Ok(Self { name, state, sctp: has_sctp(), given: BTreeMap::new() })
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(anyhow::Error) -> Error {
        let lab = self.name.to_string();
        move |source| Error::Lab { lab, doing, source }
    }

    /// What the lab can never be like, if these objects want it.
    fn objection(&self, objects: &Objects) -> Option<String> {
        for (key, thing) in objects.iter() {
            match &thing.object {
                Object::Node(node) => {
                    let number = self.state.nodes.iter().position(|known| known.name == node.meta.name);
                    let Some(number) = number else {
                        return Some(format!("the lab has no {}", node.meta.name));
                    };
                    let planned =
                        plan::Node::numbered(u8::try_from(number + 1).unwrap_or(u8::MAX), false).manifest();
                    let own_label =
                        |(label, value): (&String, &String)| planned["metadata"]["labels"][label] == *value;
                    if !node.meta.labels.iter().all(own_label) {
                        return Some(format!("{} would have other labels than the lab's", node.meta.name));
                    }
                    if planned["status"]["addresses"] != thing.value["status"]["addresses"] {
                        return Some(format!("{} would have other addresses than the lab's", node.meta.name));
                    }
                }
                Object::Pod(pod)
                    if !pod.host_network && !pod.ips.is_empty() && self.given.get(key) != Some(&pod.ips) =>
                {
                    return Some(format!("{key} would have another address than the lab gives"));
                }
                _ => {}
            }
        }
        None
    }

    /// Brings the lab's objects in line with these, and waits until it is enforced.
    fn reconcile(&self, objects: &Objects) -> anyhow::Result<()> {
        let cluster = Cluster::of(&self.name)?;
        let mut going = Vec::new();
        for kind in KINDS.iter().filter(|kind| is_of_cases(kind)) {
            for stored in cluster.all(kind)? {
                let key = ObjectKey {
                    kind: kind.kind.into(),
                    namespace: stored.metadata.namespace.clone(),
                    name: stored.metadata.name.clone().unwrap_or_default(),
                };
                // What the lab itself made.
                let own = match key.kind.as_str() {
                    "Namespace" => key.name == "default" || key.name.starts_with("kube-"),
                    _ => key.name.starts_with("kubernetes") && key.namespace.as_deref() == Some("default"),
                } || stored.metadata.owner_references.is_some();
                let stays = match objects.get(&key) {
                    // A pod's spec cannot be changed.
                    Some(wanted) if key.kind == "Pod" => {
                        spec_of(&wanted.value)
                            == stored.metadata.annotations.as_ref().and_then(|all| all.get(SPEC)).cloned()
                    }
                    wanted => own || wanted.is_some(),
                };
                if !stays {
                    going.push(cluster::Target::of(key)?);
                }
            }
        }
        if !going.is_empty() {
            let waits = going.iter().any(|target| matches!(target.key.kind.as_str(), "Pod" | "Namespace"));
            change::delete(&self.name, &going, waits.then_some(PATIENCE))?;
        }
        let texts: Vec<(String, String)> = objects
            .iter()
            .filter(|(key, _)| key.kind != "Node")
            .map(|(key, thing)| {
                let mut value = thing.value.clone();
                if key.kind == "Pod" {
                    // The API completes what it is given: the case's own words tell whether it is another pod.
                    value["metadata"]["annotations"][SPEC] = spec_of(&value).into();
                }
                (key.to_string(), format!("{value:#}\n"))
            })
            .collect();
        change::apply(&self.name, &Batch::parse(&texts)?, Some(PATIENCE))?;
        Ok(())
    }

    /// The attempt that a packet stands for, or why there is none.
    fn probe(&self, packet: &Packet) -> Result<Probe, String> {
        let protocol = match packet.transport {
            Transport::Tcp => Protocol::Tcp,
            Transport::Udp => Protocol::Udp,
            Transport::Sctp if self.sctp => Protocol::Sctp,
            Transport::Sctp => return Err("this kernel has no SCTP".into()),
            Transport::Icmp => return Err("the lab sends no ICMP".into()),
        };
        Ok(Probe {
            from: place(&packet.from)?,
            // By address, so that it is one of the case's family.
            to: place(&packet.to).map(|_| Place::Address(packet.to.address))?,
            target: Target { port: packet.port, protocol },
            family: None,
            timeout: SOON,
        })
    }

    fn try_all(&self, probes: &[Probe]) -> Result<Vec<Report>, Error> {
        let mut reports = Vec::with_capacity(probes.len());
        for batch in probes.chunks(AT_ONCE) {
            reports.extend(probe::run_all(&self.state, batch).map_err(self.failed("probing"))?);
        }
        Ok(reports)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = down::down(&self.name) {
            eprintln!("lab {} could not be removed: {error:#}", self.name);
        }
    }
}

impl Level for Lab {
    fn name(&self) -> LevelName {
        LevelName::Lab
    }

    /// What an earlier case left is removed with the next objects.
    fn begin(&mut self, circumstances: &Circumstances) -> Result<(), Halt> {
        self.given.clear();
        if circumstances.settings != Settings::default() {
            return Err(Halt::Unsupported("the lab's agents have the usual settings".into()));
        }
        if !circumstances.names.is_empty() {
            return Err(Halt::Unsupported("the lab's agents learn no DNS names".into()));
        }
        Ok(())
    }

    fn enforce(&mut self, objects: &mut Objects) -> Result<(), Halt> {
        if let Some(why) = self.objection(objects) {
            return Err(Halt::Unsupported(why));
        }
        self.reconcile(objects).map_err(self.failed("applying objects"))?;
        let paths = Paths::new(&self.name);
        self.given.clear();
        let pods: Vec<(ObjectKey, PodRef)> = objects
            .pods()
            .filter(|pod| !pod.host_network)
            .map(|pod| {
                let namespace = pod.meta.namespace().to_owned();
                let name = PodRef { namespace, name: pod.meta.name.clone() };
                (lab::pod::key(&name), name)
            })
            .collect();
        for (key, name) in pods {
            let sandbox = Sandbox::load(&paths, &name).map_err(self.failed("reading a pod's addresses"))?;
            let addresses = sandbox.map(|sandbox| sandbox.addresses).unwrap_or_default();
            objects.set_addresses(&key, &addresses)?;
            self.given.insert(key, addresses);
        }
        Ok(())
    }

    fn judge(&mut self, _: &Objects, packets: &[&Packet]) -> Result<Vec<Answer>, Error> {
        let wanted: Vec<Result<Probe, String>> = packets.iter().map(|packet| self.probe(packet)).collect();
        let mut probes: Vec<Probe> = wanted.iter().filter_map(|probe| probe.as_ref().ok()).cloned().collect();
        let mut reports = self.try_all(&probes)?;
        let silent: Vec<usize> = (0..reports.len())
            .filter(|index| reports[*index].outcome == Outcome::Timeout && reports[*index].drop.is_none())
            .collect();
        if !silent.is_empty() {
            let again: Vec<Probe> = silent
                .iter()
                .map(|index| {
                    probes[*index].timeout = LATE;
                    probes[*index].clone()
                })
                .collect();
            for (index, report) in silent.into_iter().zip(self.try_all(&again)?) {
                reports[index] = report;
            }
        }
        let mut reports = reports.iter();
        // Only what was attempted has a report.
        let answer = |probe| match probe {
            Err(why) => Answer::Skipped(why),
            Ok(_) => {
                reports.next().map_or_else(|| Answer::Skipped("the attempt was not made".into()), judged)
            }
        };
        Ok(wanted.into_iter().map(answer).collect())
    }
}

/// Whether cases make objects of this kind.
fn is_of_cases(kind: &cluster::Kind) -> bool {
    kind.kind == "Pod" || WATCHED.contains(&kind.kind)
}

/// A pod's spec as its case has it.
fn spec_of(pod: &Value) -> Option<String> {
    pod.get("spec").map(Value::to_string)
}

/// Where the lab knows an end.
fn place(end: &End) -> Result<Place, String> {
    match &end.kind {
        Kind::Pod(name) => {
            let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
            Ok(Place::Pod(PodRef { namespace: namespace.into(), name: name.into() }))
        }
        Kind::Node(name) => Ok(Place::Node(name.clone())),
        Kind::Outside if plan::world().contains(&end.address) => Ok(Place::World),
        Kind::Outside => Err(format!("nobody has {} in a lab", end.address)),
    }
}

/// Whether an SCTP socket can be made.
fn has_sctp() -> bool {
    socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, SockProtocol::Sctp).is_ok()
}

/// What came of an attempt.
fn judged(report: &Report) -> Answer {
    if let Some(drop) = &report.drop {
        let is = |reason: DropReason| drop.reason == reason.sentence();
        if is(DropReason::AuthRequired) {
            return Answer::Skipped(drop.reason.clone());
        }
        let got = if is(DropReason::RedirectUnsupported) {
            Got::Redirect
        } else if is(DropReason::PolicyDenied) || is(DropReason::PolicyDeny) {
            Got::Deny
        } else {
            Got::Other
        };
        return Answer::Judged(Judgement {
            got,
            rules: drop.rules.iter().map(|rule| format!("{} {}", rule.policy, rule.path)).collect(),
            detail: Some(format!("{} on {}: {}", drop.direction, drop.node, drop.reason)),
        });
    }
    let detail = match (report.outcome, report.verdict) {
        (Outcome::Connected | Outcome::Refused, _) => None,
        (Outcome::Timeout, Said::Allow) => Some("it was let in, and nothing came back".to_owned()),
        (outcome, _) => {
            let message = report.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
            Some(format!("{outcome:?}{message}").to_lowercase())
        }
    };
    let got = if detail.is_none() { Got::Allow } else { Got::Other };
    Answer::Judged(Judgement { got, rules: Vec::new(), detail })
}
