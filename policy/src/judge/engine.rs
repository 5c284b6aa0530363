//! What answers for one end of a connection.

use std::net::IpAddr;
use std::sync::Arc;

use abi::{Direction, Identity};

use super::trouble::Trouble;
use crate::resolve::Explanation;

/// One end of a connection, and what its policies are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// Whose policies.
    pub subject: Endpoint,
    /// Which way the connection goes, as the subject sees it.
    pub direction: Direction,
    /// Who the other end is to the subject.
    pub peer: Other,
    /// The other end's address, if it is known.
    pub addr: Option<IpAddr>,
    /// The protocol's number (IANA).
    pub proto: u8,
    /// The destination port; the type of ICMP messages.
    pub port: u16,
}

/// Somebody with policies, by index in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// A pod.
    Pod(usize),
    /// A node.
    Node(usize),
}

/// The other end of a connection, as an endpoint sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Other {
    /// A pod, by its index.
    Pod(usize),
    /// The node that the endpoint is on, by its index.
    OwnNode(usize),
    /// Another node, by its index.
    OtherNode(usize),
    /// Whoever lies outside the cluster.
    Outside,
    /// Whoever has this fixed identity.
    Fixed(Identity),
}

/// Answers questions.
pub trait Engine {
    /// What the subject's policies say.
    ///
    /// # Errors
    /// When it finds that it contradicts itself.
    fn ask(&mut self, question: &Question) -> Result<Arc<Explanation>, Trouble>;
}
