//! The pods that all setups have alike: their names, where they are, and who of them is a peer.

use std::net::Ipv4Addr;

use netcore::Netns;

/// As many pods of `server`'s node are there beside it, so that a packet is told from those of other pods as on a node
/// in use: policies select them, and nothing runs in them.
pub const BYSTANDERS: usize = 28;

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its network namespace.
    pub netns: Netns,
    /// Its address.
    pub address: Ipv4Addr,
}

/// The pods of a setup.
///
/// | pod | node | who |
/// |---|---|---|
/// | `first`, `middle`, `last` | node1 | peers of the policy, at these places of its list |
/// | `stranger` | node1 | never a peer |
/// | `newcomer` | node1 | a peer once [`Setup::add_peer`](super::setup::Setup::add_peer) was called |
/// | `server` | node2 | whom the policy is about |
/// | `other` | node2 | selected by no policy until [`Setup::add_policy`](super::setup::Setup::add_policy) |
/// | `bystanders` | node2 | each has a policy of its own |
#[derive(Clone, Debug)]
pub struct Pods {
    /// The policy's first peer.
    pub first: Pod,
    /// The one in the middle of its peers.
    pub middle: Pod,
    /// Its last peer.
    pub last: Pod,
    /// No peer.
    pub stranger: Pod,
    /// The peer that is added.
    pub newcomer: Pod,
    /// Whom the policy is about.
    pub server: Pod,
    /// Whom the policy is about that is added.
    pub other: Pod,
    /// What else policies select on `server`'s node.
    pub bystanders: Vec<Pod>,
}

impl Pods {
    /// The client at this place of the policy's list.
    #[must_use]
    pub fn client(&self, position: Position) -> &Pod {
        match position {
            Position::First => &self.first,
            Position::Middle => &self.middle,
            Position::Last => &self.last,
        }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Pod> {
        let named = [
            &self.first,
            &self.middle,
            &self.last,
            &self.stranger,
            &self.newcomer,
            &self.server,
            &self.other,
        ];
        named.into_iter().chain(&self.bystanders)
    }
}

/// Where the peer that matches stands among the policy's peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Position {
    /// Before all others.
    First,
    /// In the middle.
    Middle,
    /// After all others.
    Last,
}

impl Position {
    /// All of them, in the list's order.
    pub const ALL: [Self; 3] = [Self::First, Self::Middle, Self::Last];

    /// As reports name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Middle => "middle",
            Self::Last => "last",
        }
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
