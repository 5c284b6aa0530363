//! Policies as resolution sees them: subjects, peers, ports, actions, whatever kind of object they came from.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use abi::{Direction, proto};
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

use crate::selector::Selector;

/// A kind of policy object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PolicyKind {
    /// `networking.k8s.io/v1` NetworkPolicy.
    NetworkPolicy,
    /// `cilium.io/v2` CiliumNetworkPolicy.
    CiliumNetworkPolicy,
    /// `cilium.io/v2` CiliumClusterwideNetworkPolicy.
    CiliumClusterwideNetworkPolicy,
}

impl PolicyKind {
    /// The kind as manifests write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NetworkPolicy => "NetworkPolicy",
            Self::CiliumNetworkPolicy => "CiliumNetworkPolicy",
            Self::CiliumClusterwideNetworkPolicy => "CiliumClusterwideNetworkPolicy",
        }
    }
}

/// Names a policy. Displayed as `NetworkPolicy default/web`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PolicyKey {
    /// The kind of object.
    pub kind: PolicyKind,
    /// Its namespace; none for cluster-wide policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl fmt::Display for PolicyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.as_str())?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// A place in a policy. Displayed as `NetworkPolicy default/web spec.ingress[0] (web.yaml:12)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleRef {
    /// The policy.
    pub policy: PolicyKey,
    /// The field, such as `spec.ingress[0]`.
    pub path: String,
    /// The user's file.
    pub file: Arc<str>,
    /// Line in the file, from 1.
    pub line: u32,
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({}:{})", self.policy, self.path, self.file, self.line)
    }
}

/// A policy object, normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub key: PolicyKey,
    /// Its specs: one, save for Cilium's `specs`.
    pub specs: Vec<Spec>,
}

/// One spec of a policy: whom it is about, and what it says of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The endpoints that it is about.
    pub subject: Selector,
    /// Whether it closes ingress to what no rule allows.
    pub deny_ingress: bool,
    /// Whether it closes egress to what no rule allows.
    pub deny_egress: bool,
    /// Its rules.
    pub rules: Vec<Rule>,
    /// Where it stands.
    pub origin: RuleRef,
}

impl Spec {
    /// Whether it closes the direction to what no rule allows.
    #[must_use]
    pub const fn default_deny(&self, direction: Direction) -> bool {
        match direction {
            Direction::Ingress => self.deny_ingress,
            Direction::Egress => self.deny_egress,
        }
    }
}

/// One rule: these peers, on these ports, may or may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The direction, as the subject sees it.
    pub direction: Direction,
    /// With whom.
    pub peers: Peers,
    /// On which ports: the subject's for ingress, the peer's for egress.
    pub ports: Ports,
    /// What becomes of it.
    pub action: Action,
    /// Where it stands.
    pub origin: RuleRef,
}

/// What a rule does. Deny wins over allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Let it pass.
    Allow,
    /// Drop it.
    Deny,
}

/// The peers of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peers {
    /// Everyone, known or not.
    Any,
    /// Those whom one of these selects; nobody where there is none.
    OneOf(Vec<PeerSelector>),
}

/// Selects peers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerSelector {
    /// By their identity's labels.
    Labels(Selector),
    /// By their address.
    Cidr(CidrSelector),
}

/// Selects peers by their address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CidrSelector {
    /// The addresses.
    pub cidr: IpNetwork,
    /// Those among them that are left out.
    pub except: Vec<IpNetwork>,
    /// Whether only peers outside the cluster are meant (Cilium), or pods and nodes too (Kubernetes).
    pub outside_only: bool,
}

impl CidrSelector {
    /// All its CIDRs.
    pub fn cidrs(&self) -> impl Iterator<Item = IpNetwork> + '_ {
        std::iter::once(self.cidr).chain(self.except.iter().copied())
    }
}

/// The ports of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ports {
    /// Every port of every protocol, and protocols without ports such as ICMP.
    Any,
    /// Those that one of these selects; none where there is none.
    OneOf(Vec<PortSelector>),
}

/// Selects ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortSelector {
    /// The protocols.
    pub protocols: BTreeSet<Protocol>,
    /// The ports of these protocols.
    pub port: PortMatch,
}

/// The ports of a [`PortSelector`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortMatch {
    /// All of them.
    All,
    /// From the first to the last, both included.
    Range(u16, u16),
    /// The container port of this name, which may differ from pod to pod.
    Named(String),
}

/// A protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The protocol's number (IANA).
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => proto::TCP,
            Self::Udp => proto::UDP,
            Self::Sctp => proto::SCTP,
        }
    }

    /// The protocol of this name, in upper case as in Kubernetes.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.as_str() == name)
    }

    /// The name, in upper case as in Kubernetes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Policy {
    /// Every CIDR that its rules name, once for each time.
    pub fn cidrs(&self) -> impl Iterator<Item = IpNetwork> + '_ {
        self.specs
            .iter()
            .flat_map(|spec| &spec.rules)
            .filter_map(|rule| match &rule.peers {
                Peers::Any => None,
                Peers::OneOf(peers) => Some(peers),
            })
            .flatten()
            .filter_map(|peer| match peer {
                PeerSelector::Labels(_) => None,
                PeerSelector::Cidr(cidr) => Some(cidr),
            })
            .flat_map(CidrSelector::cidrs)
    }
}
