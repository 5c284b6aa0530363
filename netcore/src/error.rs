//! What can go wrong, with the operation and the object it was about.

use std::{io, path::PathBuf};

use nix::errno::Errno;

/// Result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on the node's plumbing.
///
/// `operation` is a short verb phrase ("add route"), `subject` the object as the user would write it
/// ("10.0.1.0/24 via 192.0.2.7 dev #3").
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The object exists already (the kernel said EEXIST).
    #[error("cannot {operation} {subject}: it exists already")]
    Exists {
        /// What was tried.
        operation: &'static str,
        /// The object.
        subject: String,
    },
    /// The object, or one that it refers to (its device, say), does not exist.
    #[error("cannot {operation} {subject}: not found ({errno})")]
    NotFound {
        /// What was tried.
        operation: &'static str,
        /// The object.
        subject: String,
        /// The kernel's answer: ENODEV, ENOENT, ESRCH or EADDRNOTAVAIL.
        errno: Errno,
    },
    /// The kernel refused a request.
    #[error("cannot {operation} {subject}: {errno}{}", .reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default())]
    Refused {
        /// What was tried.
        operation: &'static str,
        /// The object.
        subject: String,
        /// The kernel's answer.
        errno: Errno,
        /// The kernel's words about it (extended acknowledgement), if it had any.
        reason: Option<String>,
    },
    /// An answer from the kernel lacks what it must hold.
    #[error("cannot {operation} {subject}: the kernel's answer has no {missing}")]
    Incomplete {
        /// What was tried.
        operation: &'static str,
        /// The object.
        subject: String,
        /// The missing part.
        missing: &'static str,
    },
    /// An interface that is set up has no carrier: its other end is down.
    #[error("interface {interface} is up but packets do not get through")]
    NotReady {
        /// Its name.
        interface: String,
    },
    /// An address does not become one of the namespace's own: its interface lacks it, or another host has it.
    #[error("packets to {address} are not taken")]
    NotLocal {
        /// The address.
        address: std::net::IpAddr,
    },
    /// A list changed under the reader's hands each time that it was read.
    #[error("cannot {operation}: the list changed during each of {attempts} attempts to read it")]
    Unstable {
        /// What was tried.
        operation: &'static str,
        /// How often.
        attempts: u32,
    },
    /// The netlink socket ended before the answer came, because its runtime is shutting down or because
    /// messages were lost. Whether the operation took place is unknown.
    #[error("cannot {operation} {subject}: the netlink socket is closed")]
    Closed {
        /// What was tried.
        operation: &'static str,
        /// The object.
        subject: String,
    },
    /// A netlink socket could not be opened.
    #[error("cannot open a netlink socket in network namespace {netns}: {source}")]
    Socket {
        /// The namespace.
        netns: String,
        /// The reason.
        source: io::Error,
    },
    /// A [`Net`](crate::Net) was asked for outside of a Tokio runtime.
    #[error("cannot open a netlink socket outside of a Tokio runtime")]
    NoRuntime,
    /// A network namespace could not be made, opened, entered or removed.
    #[error("cannot {operation} network namespace {netns}: {source}")]
    Netns {
        /// What was tried.
        operation: &'static str,
        /// The namespace's name or path.
        netns: String,
        /// The reason.
        source: io::Error,
    },
    /// The name cannot be one of a namespace or an interface.
    #[error("{name:?} cannot be the name of {what}")]
    InvalidName {
        /// What was to be named.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A kernel parameter could not be read or written.
    #[error("cannot {operation} sysctl {key}: {source}")]
    Sysctl {
        /// "read" or "write".
        operation: &'static str,
        /// The parameter, `/` between its parts: `net/ipv4/ip_forward`.
        key: String,
        /// The reason.
        source: io::Error,
    },
    /// The `nft` program is not installed.
    #[error("cannot set up masquerading: there is no `nft` program; install the package nftables")]
    NftMissing,
    /// The `nft` program could not be run.
    #[error("cannot run nft: {source}")]
    NftRun {
        /// The reason.
        source: io::Error,
    },
    /// The `nft` program refused a ruleset.
    #[error("nft refused to {operation} table inet netloom: {stderr}")]
    NftRefused {
        /// What was tried.
        operation: &'static str,
        /// What nft said.
        stderr: String,
    },
    /// A wiring that contradicts itself.
    #[error("cannot wire pod interface {interface}: {reason}")]
    InvalidWiring {
        /// The host's interface name.
        interface: String,
        /// The contradiction.
        reason: InvalidWiring,
    },
}

/// Why a [`Wiring`](crate::pod::Wiring) cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidWiring {
    /// The pod is given no address.
    #[error("the pod has no address")]
    NoAddress,
}

impl Error {
    /// Whether the object existed already.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        matches!(self, Self::Exists { .. })
    }

    /// Whether the object was not there, be it a kernel object, a namespace or a kernel parameter.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::Netns { source, .. } | Self::Sysctl { source, .. } => {
                source.kind() == io::ErrorKind::NotFound
            }
            _ => false,
        }
    }

    /// The kernel's refusal of a request about `subject`.
    pub(crate) fn from_errno(
        operation: &'static str,
        subject: String,
        errno: Errno,
        reason: Option<String>,
    ) -> Self {
        match errno {
            Errno::EEXIST => Self::Exists { operation, subject },
            Errno::ENODEV | Errno::ENOENT | Errno::ESRCH | Errno::EADDRNOTAVAIL => {
                Self::NotFound { operation, subject, errno }
            }
            errno => Self::Refused { operation, subject, errno, reason },
        }
    }

    pub(crate) fn netns(
        operation: &'static str,
        netns: impl Into<String>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Netns { operation, netns: netns.into(), source: source.into() }
    }
}

/// The path as a subject of an error.
pub(crate) fn display(path: &std::path::Path) -> String {
    PathBuf::from(path).display().to_string()
}
