//! Where the agent learns what the cluster looks like.
//!
//! A source sends [`Change`]s over a channel; the rest of the agent cannot tell one source from another. It
//! sends every object that there is, then [`Change::Observed`], then what changes. What the node has to tell the
//! cluster goes the other way, as [`Report`]s.

mod kubernetes;
mod last_valid;
mod manifests;
mod report;

use std::net::IpAddr;

use abi::Identity;
use api::PodRef;
use crds::types::node::EniStatus;
use policy::LabelSet;
use policy::manifest::{Object, ObjectKey, Rejected};

pub use kubernetes::{IdentityManagement, Ipam, Kubernetes, Options as KubernetesOptions};
pub use manifests::Manifests;
pub use report::{Answer, Published, Report};

/// What a source has to tell.
#[derive(Clone, Debug)]
pub enum Change {
    /// An object is there, or is another now.
    Set(Box<Object>),
    /// An object is there that is not valid. What it was before stays in force.
    Rejected(Rejected),
    /// An object is gone.
    Removed(ObjectKey),
    /// This is the version of an object that was just set or rejected.
    Version(ObjectKey, String),
    /// A pod of any node, as its node published it, is there, or is another now.
    Endpoint(RemoteEndpoint),
    /// What a node published of a pod is gone.
    EndpointGone(PodRef),
    /// All that nodes published of pods is said anew from here on.
    EndpointsBegin,
    /// All of it was said: what was said before [`Change::EndpointsBegin`] and not since is gone.
    EndpointsEnd,
    /// A number stands for these labels in the whole cluster. Of several numbers for the same labels, the one that was
    /// said last is the one that pods of this node get.
    Identity(Identity, LabelSet),
    /// A number stands for nothing any more.
    IdentityGone(Identity),
    /// What this node's object says of its network interfaces is another now.
    Interfaces(Box<OwnInterfaces>),
    /// All of the source's objects as of this revision have been sent.
    Observed(u64),
}

/// What this node's own object says of its network interfaces on AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnInterfaces {
    /// Which object it is, of those that the name had.
    pub uid: String,
    /// The interfaces.
    pub status: EniStatus,
    /// What hinders the operator.
    pub problem: Option<String>,
    /// The annotation by which the operator asks prefixes back.
    pub drain: Option<String>,
    /// The annotation by which the agent answers.
    pub drained: Option<String>,
}

/// A pod as its own node published it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteEndpoint {
    /// The pod.
    pub pod: PodRef,
    /// The address of its node; none where it was not published.
    pub node: Option<IpAddr>,
    /// Its identity.
    pub identity: Identity,
    /// Its addresses, one a family at most.
    pub addresses: Vec<IpAddr>,
}
