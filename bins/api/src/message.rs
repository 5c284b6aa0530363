//! Requests and replies.

use std::fmt;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

use crate::known::Known;

/// A message and the version of the protocol that it is written in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// The sender's [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION).
    pub version: u32,
    /// The message.
    pub body: T,
}

/// A pod's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for PodRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What CNI calls an attachment: a container's interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attachment {
    /// `CNI_CONTAINERID`.
    pub container_id: String,
    /// `CNI_IFNAME`.
    pub ifname: String,
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.container_id, self.ifname)
    }
}

/// What a caller asks of the agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Request {
    /// Connects a pod. The descriptor of its network namespace comes beside the message. Asked again for
    /// the same attachment it gives the same answer.
    Add {
        /// The interface to make.
        attachment: Attachment,
        /// The pod (`K8S_POD_NAMESPACE`, `K8S_POD_NAME`), where the runtime names one.
        pod: Option<PodRef>,
        /// The path of the namespace, to show it; not opened.
        netns: String,
        /// The interface's MTU where the network configuration sets one, in bytes.
        mtu: Option<u32>,
    },
    /// Disconnects a pod. An unknown attachment is no error.
    Del {
        /// The interface.
        attachment: Attachment,
    },
    /// Asks whether a pod is connected as [`Request::Add`] answered. The namespace comes beside the message.
    Check {
        /// The interface.
        attachment: Attachment,
    },
    /// Disconnects all but these attachments.
    Gc {
        /// The attachments that the runtime still knows.
        valid: Vec<Attachment>,
    },
    /// Asks whether the agent can connect pods now.
    Ready,
    /// Asks how the agent is.
    Status,
    /// Waits until the agent enforces the source's objects as of `revision`.
    Wait {
        /// The revision of the source.
        revision: u64,
        /// How long to wait at most, in milliseconds.
        timeout_ms: u64,
    },
    /// Waits until all pods of the node have realised this revision of the policies or a later one.
    WaitPolicy {
        /// The revision: [`Status::policy_revision`].
        revision: u64,
        /// How long to wait at most, in milliseconds.
        timeout_ms: u64,
    },
    /// Asks what the node knows of the cluster, and enforces.
    Known,
    /// Asks for flows: the newest `last` that are still kept, oldest first, then new ones if `follow`.
    Flows {
        /// How many kept flows to send first.
        last: usize,
        /// Whether to go on with new ones.
        follow: bool,
    },
}

/// What the agent answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Reply {
    /// Done.
    Done,
    /// To [`Request::Add`].
    Added(InterfaceReply),
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Known`].
    Known(Box<Known>),
    /// To [`Request::Flows`], once a flow.
    Flow(Box<FlowRecord>),
    /// The end of the kept flows, where the request did not ask to follow.
    EndOfFlows,
    /// The request was refused.
    Error(ErrorReply),
}

/// How a pod was connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceReply {
    /// The pod's end: its MAC address as `aa:bb:cc:dd:ee:ff`.
    pub mac: String,
    /// The host's end: its name.
    pub host_ifname: String,
    /// The host's end: its MAC address.
    pub host_mac: String,
    /// The pod's addresses, one a family, each a /32 or /128.
    pub addresses: Vec<IpNetwork>,
    /// The gateways, one a family, in the order of `addresses`.
    pub gateways: Vec<IpAddr>,
    /// The interface's MTU in bytes.
    pub mtu: u32,
}

/// Why the agent refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// What kind of error it is.
    pub code: ErrorCode,
    /// The subject and what is wrong with it.
    pub message: String,
}

impl fmt::Display for ErrorReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The request is of another protocol version.
    Version,
    /// The request cannot be read or contradicts itself.
    Invalid,
    /// The agent is not ready yet: the same request may succeed later.
    NotReady,
    /// No free address is left.
    Exhausted,
    /// The attachment is not known.
    Unknown,
    /// The pod is not connected as recorded.
    Unhealthy,
    /// It took too long.
    Timeout,
    /// The kernel refused or something broke.
    Internal,
}

/// How an agent is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// The node's name.
    pub node: String,
    /// Whether it can connect pods.
    pub ready: bool,
    /// The revision of the source that is enforced.
    pub revision: u64,
    /// The revision of all that policy depends on, as the agent knows it: it grows with each change. Pods may have
    /// realised an earlier one.
    #[serde(default)]
    pub policy_revision: u64,
    /// What holds where policies say nothing else: `default`, `always` or `never`.
    #[serde(default)]
    pub policy_enforcement: String,
    /// Whether what policies would drop is let through and reported.
    #[serde(default)]
    pub policy_audit: bool,
    /// The node's ranges of pod addresses.
    pub pod_cidrs: Vec<IpNetwork>,
    /// Addresses in use.
    pub addresses_used: u64,
    /// Ranges of other nodes' pods that no route of this node leads to.
    #[serde(default)]
    pub unreachable_pod_cidrs: u64,
    /// How programs are attached: `tcx` or `clsact`.
    pub attach: String,
    /// The node's pods.
    pub endpoints: Vec<EndpointStatus>,
    /// The policies that the agent knows, and whether it enforces them.
    pub policies: Vec<PolicyStatus>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Packets let through since the datapath was first loaded.
    pub forwarded: u64,
    /// Packets dropped, by the sentence of the reason and the direction.
    pub dropped: Vec<(String, String, u64)>,
    /// Flow events lost because the ring buffer was full.
    pub events_lost: u64,
    /// Flow events left out by the rate limit.
    pub events_limited: u64,
    /// Connections that are remembered.
    pub conntrack: ConntrackSummary,
    /// What became of packets: those let through, and those dropped by their reason, each by direction.
    #[serde(default)]
    pub traffic: Vec<Traffic>,
    /// How full the datapath's maps are.
    #[serde(default)]
    pub maps: Vec<MapFill>,
}

/// Packets that the same became of, since the datapath was first loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// `ingress` or `egress`, as the pod sees it.
    pub direction: String,
    /// Why they were dropped, as a sentence; none where they were let through.
    pub dropped: Option<String>,
    /// How many.
    pub packets: u64,
    /// Their size.
    pub bytes: u64,
}

/// How full a map of the datapath is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapFill {
    /// Its name, as it is pinned.
    pub map: String,
    /// Entries in use.
    pub entries: u64,
    /// Entries that it has room for.
    pub capacity: u64,
}

/// How many connections are remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConntrackSummary {
    /// Connections that both ends confirmed.
    pub established: u64,
    /// All others.
    pub unconfirmed: u64,
}

/// A pod of the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointStatus {
    /// Its number.
    pub id: u16,
    /// The attachment.
    pub attachment: Attachment,
    /// The pod.
    pub pod: Option<PodRef>,
    /// Its security identity.
    pub identity: u32,
    /// The labels that make its identity, as `source:key=value`.
    pub labels: Vec<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The host's end of its link.
    pub host_ifname: String,
    /// Whether policy is enforced on packets to it.
    pub ingress_enforced: bool,
    /// Whether policy is enforced on packets from it.
    pub egress_enforced: bool,
    /// The revision of the policies that its tables have realised; zero where none is known for it yet.
    #[serde(default)]
    pub policy_revision: u64,
}

/// A policy that the agent knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyStatus {
    /// `Kind namespace/name`.
    pub policy: String,
    /// Whether this revision of it is valid and enforced.
    pub valid: bool,
    /// Why not.
    pub message: Option<String>,
    /// What of it the datapath does not do yet, as sentences with its name.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What the datapath did with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// A new connection was let in.
    Forwarded,
    /// The packet was dropped.
    Dropped,
    /// Policy would have dropped it; audit mode let it through.
    Audit,
}

/// A rule, named so that a person finds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RuleRef {
    /// `Kind namespace/name`.
    pub policy: String,
    /// The path of the rule in the object, for example `spec.ingress[0]`.
    pub path: String,
    /// `file:line`, where the object came from a file.
    pub location: Option<String>,
}

/// One end of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowSide {
    /// The address.
    pub address: IpAddr,
    /// The port; zero where the protocol has none.
    pub port: u16,
    /// The security identity.
    pub identity: u32,
    /// The pod, where it is one that the agent knows.
    pub pod: Option<PodRef>,
    /// What it is where it is no pod: `host`, `remote-node`, `world`…
    pub entity: Option<String>,
}

/// A flow as the agent saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowRecord {
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// The node.
    pub node: String,
    /// What became of it.
    pub verdict: Verdict,
    /// `ingress` or `egress`, as the endpoint sees it.
    pub direction: String,
    /// The sender.
    pub source: FlowSide,
    /// The receiver.
    pub destination: FlowSide,
    /// `TCP`, `UDP`, `ICMP`…
    pub protocol: String,
    /// Why it was dropped, as a sentence.
    pub reason: Option<String>,
    /// The number of the drop reason.
    pub reason_code: Option<u8>,
    /// The rules that decided, or for a packet that no rule allowed the policies that closed the direction.
    pub rules: Vec<RuleRef>,
    /// What the deciding rule wants reported (Cilium's `log.value`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The packet's length in bytes.
    pub length: u32,
}
