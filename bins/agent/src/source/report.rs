//! What the node has to tell the cluster.

use std::net::IpAddr;

use abi::Identity;
use api::{Attachment, PodRef};
use policy::LabelSet;

use crate::eni::{Publish, Wishes};

/// Something that the cluster should know. Told again, it means the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A pod of this node has labels that no number stands for yet.
    IdentityWanted(LabelSet),
    /// A pod of this node is connected, or something about it is another now.
    Endpoint(Box<Published>),
    /// A pod is not connected on this node any more.
    EndpointGone(PodRef, Attachment),
    /// Whether the node can connect pods.
    Ready(bool),
    /// What the node wants of network interfaces on AWS.
    Wishes(Box<Wishes>),
    /// How many addresses it needs, and which prefixes it uses.
    Addresses(Publish),
    /// The annotation by which an object of this node says from its first moment that nothing is promised back; none
    /// while something is.
    Introduction(Option<String>),
    /// Its answer to the operator who asks prefixes back.
    Drained(Answer),
}

/// What the node answers to an operator who asks prefixes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The object that is answered. It goes into no other: what that asks may be something else.
    pub uid: String,
    /// The annotation's value.
    pub value: String,
}

/// A pod of this node, as the cluster should know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The pod.
    pub pod: PodRef,
    /// The container's interface.
    pub attachment: Attachment,
    /// Its number on this node.
    pub id: u16,
    /// Its identity; [`Identity::INIT`] while its labels have no number.
    pub identity: Identity,
    /// The labels that make its identity.
    pub labels: LabelSet,
    /// Its addresses, one a family at most.
    pub addresses: Vec<IpAddr>,
    /// Whether policies decide what may reach it.
    pub ingress_enforced: bool,
    /// Whether policies decide what it may reach.
    pub egress_enforced: bool,
}
