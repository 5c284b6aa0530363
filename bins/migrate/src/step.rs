//! The steps of a migration.

use std::fmt;

use serde::Serialize;

use crate::names::LABEL;

/// A step. Doing one twice does no harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// Says that a node is `aws-node`'s.
    Label {
        /// The node.
        node: String,
    },
    /// Confines `aws-node` to the nodes with the label.
    Confine,
    /// Waits until Netloom's agents are installed.
    Install,
    /// Lets a node take no new pods.
    Cordon {
        /// The node.
        node: String,
    },
    /// Evicts a node's pods, and waits until they are gone.
    Drain {
        /// The node.
        node: String,
    },
    /// Takes the label from a node: `aws-node` leaves it and Netloom's agent comes.
    HandOver {
        /// The node.
        node: String,
    },
    /// Waits until a node's new network is up.
    Await {
        /// The node.
        node: String,
    },
    /// Ends what is left of a node's pods with the old network, so that they come again with the new one.
    Renew {
        /// The node.
        node: String,
    },
    /// Lets a node take pods again.
    Uncordon {
        /// The node.
        node: String,
    },
    /// Removes the DaemonSet `aws-node`.
    Remove,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label { node } => write!(f, "label node {node}: {LABEL}=true"),
            Self::Confine => write!(f, "confine DaemonSet kube-system/aws-node to nodes with {LABEL}=true"),
            Self::Install => write!(f, "wait for you to install Netloom"),
            Self::Cordon { node } => write!(f, "cordon node {node}"),
            Self::Drain { node } => write!(f, "drain node {node}"),
            Self::HandOver { node } => write!(f, "hand over node {node}: remove its label {LABEL}"),
            Self::Renew { node } => write!(f, "end the pods on node {node} that still have the old network"),
            Self::Await { node } => write!(f, "wait until Netloom can connect pods on node {node}"),
            Self::Uncordon { node } => write!(f, "uncordon node {node}"),
            Self::Remove => write!(f, "delete DaemonSet kube-system/aws-node"),
        }
    }
}
