//! The format of case files: what `docs/conformance.md` describes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use policy::{Settings, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::port::Port;

/// Labels as manifests have them.
pub type Labels = BTreeMap<String, String>;

/// DNS names, each with its addresses.
pub type Names = BTreeMap<String, Vec<IpAddr>>;

/// A file of cases. What a case does not say for itself, it takes from here.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// What the cases are about.
    #[serde(default)]
    pub about: Option<String>,
    /// Whose facts they are.
    #[serde(default)]
    pub source: Option<String>,
    /// The cluster of cases without one.
    #[serde(default)]
    pub cluster: Option<Cluster>,
    /// The families of cases without any.
    #[serde(default)]
    pub families: Option<Vec<Family>>,
    /// The levels of cases without any.
    #[serde(default)]
    pub levels: Option<Vec<LevelName>>,
    /// The settings of cases without any.
    #[serde(default)]
    pub settings: Option<Settings>,
    /// The DNS names of cases without any.
    #[serde(default)]
    pub names: Option<Names>,
    /// The cases, in the order in which they run.
    pub cases: Vec<Case>,
}

/// A cluster, changes of it, and who reaches whom after each.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name, unique in its file.
    pub name: String,
    /// What it shows.
    #[serde(default)]
    pub about: Option<String>,
    /// The cluster before the first step.
    #[serde(default)]
    pub cluster: Option<Cluster>,
    /// The families that each expectation holds for; IPv4 where nobody says anything.
    #[serde(default)]
    pub families: Option<Vec<Family>>,
    /// The levels that it is meant for; all where nobody says anything.
    #[serde(default)]
    pub levels: Option<Vec<LevelName>>,
    /// What an installation chose for all policies; the usual where nobody says anything.
    #[serde(default)]
    pub settings: Option<Settings>,
    /// What DNS says of the world outside.
    #[serde(default)]
    pub names: Option<Names>,
    /// What happens.
    pub steps: Vec<Step>,
}

/// The objects of a cluster: in short, as manifests, or both.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Nodes and their labels; `node1` and `node2` where neither this nor `objects` has any.
    #[serde(default)]
    pub nodes: BTreeMap<String, Labels>,
    /// Namespaces and their labels. Those of pods need not be listed.
    #[serde(default)]
    pub namespaces: BTreeMap<String, Labels>,
    /// The ports of pods without any.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// Pods by `namespace/name`.
    #[serde(default)]
    pub pods: BTreeMap<String, Pod>,
    /// Any Kubernetes objects: inline, or as the path of a manifest beside the case file.
    #[serde(default)]
    pub objects: Vec<Value>,
}

/// A pod in short.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pod {
    /// Its labels.
    #[serde(default)]
    pub labels: Labels,
    /// Its node. Pods without one are dealt out to the nodes in turn.
    #[serde(default)]
    pub node: Option<String>,
    /// What it listens on; the cluster's ports where missing.
    #[serde(default)]
    pub ports: Option<Vec<Port>>,
}

/// Changes, in the order of these fields, and what must hold then.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Objects that appear, or take the place of those of their names; as in [`Cluster::objects`].
    #[serde(default)]
    pub apply: Vec<Value>,
    /// Objects that go: `KIND NAME`, `KIND NAMESPACE/NAME`, or `policies` for all policies.
    #[serde(default)]
    pub delete: Vec<String>,
    /// Labels that objects get, by `KIND NAME` or `KIND NAMESPACE/NAME`; null takes one away.
    #[serde(default)]
    pub label: BTreeMap<String, BTreeMap<String, Option<String>>>,
    /// Who reaches whom, one by one.
    #[serde(default)]
    pub probes: Vec<Probe>,
    /// Who reaches whom, all pairs at once.
    #[serde(default)]
    pub matrix: Vec<Matrix>,
}

/// One expectation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Who opens the connection.
    pub from: String,
    /// Whom with.
    pub to: String,
    /// The destination port: a number, or the name of one of the destination's container ports.
    #[serde(default)]
    pub port: Option<PortName>,
    /// `TCP` (where nothing is said), `UDP`, `SCTP`, or `ICMP` of either family.
    #[serde(default)]
    pub protocol: Transport,
    /// The type of an ICMP message; an echo request where nothing is said.
    #[serde(default, rename = "type")]
    pub icmp_type: Option<u8>,
    /// What becomes of it.
    pub expect: Verdict,
}

/// Expectations for all pairs of two lists. A pod to itself is left out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// Who opens connections: all pods where nothing is said.
    #[serde(default)]
    pub from: Places,
    /// Whom with: all pods where nothing is said.
    #[serde(default)]
    pub to: Places,
    /// As in [`Probe::port`].
    #[serde(default)]
    pub port: Option<PortName>,
    /// As in [`Probe::protocol`].
    #[serde(default)]
    pub protocol: Transport,
    /// As in [`Probe::icmp_type`].
    #[serde(default, rename = "type")]
    pub icmp_type: Option<u8>,
    /// In the place of all that, several ports: `PORT[/PROTOCOL]` or `ICMP`.
    #[serde(default)]
    pub ports: Vec<Target>,
    /// What becomes of those that no exception is about.
    pub default: Verdict,
    /// Exceptions; a later one goes over an earlier one.
    #[serde(default)]
    pub except: Vec<Exception>,
}

/// Pairs for which something else is expected.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Who opens connections: everyone of the matrix where nothing is said.
    #[serde(default)]
    pub from: Places,
    /// Whom with: everyone of the matrix where nothing is said.
    #[serde(default)]
    pub to: Places,
    /// What becomes of them.
    pub expect: Verdict,
}

/// One or several places. `*` is all pods, `ns/*` those of a namespace, `*/name` those of a name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(untagged, expecting = "a place such as \"x/a\", or a list of places")]
pub enum Places {
    /// Nothing is said.
    #[default]
    All,
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Places {
    /// What is written there.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        match self {
            Self::All => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        }
    }
}

/// A port's number or name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a port's number (1 to 65535) or name")]
pub enum PortName {
    /// The number.
    Number(u16),
    /// The name.
    Name(String),
}

/// A port with its protocol, in short.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Target {
    /// The port; none for ICMP.
    pub port: Option<PortName>,
    /// By what.
    pub protocol: Transport,
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "ICMP" {
            return Ok(Self { port: None, protocol: Transport::Icmp });
        }
        let (port, protocol) = text.split_once('/').unwrap_or((&text, "TCP"));
        let protocol = match protocol {
            "TCP" => Transport::Tcp,
            "UDP" => Transport::Udp,
            "SCTP" => Transport::Sctp,
            _ => return Err(format!("{text:?} is no port: PORT[/PROTOCOL] or ICMP, such as \"53/UDP\"")),
        };
        let number = port.parse().map(PortName::Number);
        Ok(Self { port: Some(number.unwrap_or_else(|_| PortName::Name(port.to_owned()))), protocol })
    }
}

/// What a probe is sent by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Transport {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP, or ICMPv6 over IPv6.
    Icmp,
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
            Self::Icmp => "ICMP",
        })
    }
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    #[serde(rename = "IPv4")]
    V4,
    /// IPv6.
    #[serde(rename = "IPv6")]
    V6,
}

/// Where cases are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LevelName {
    /// The reference evaluator, over the objects.
    Oracle,
    /// The datapath's code on the host, over compiled tables, with packets as bytes.
    Core,
    /// The lab, with packets on links.
    Lab,
}

impl std::fmt::Display for LevelName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Oracle => "oracle",
            Self::Core => "core",
            Self::Lab => "lab",
        })
    }
}
