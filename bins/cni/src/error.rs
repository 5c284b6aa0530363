//! Errors as CNI has them.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::version::CniVersion;

const SAME_RELEASE: &str = "install the plugin and the agent of the same release";

/// The codes of CNI errors that the plugin uses: below 100 as the specification has them, from 100 the
/// plugin's own (those of `cilium-cni`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ErrorCode {
    /// The configuration's CNI version is not supported.
    IncompatibleVersion = 1,
    /// A key of the network configuration has a value that is not supported.
    UnsupportedField = 2,
    /// The container is not known or does not exist.
    UnknownContainer = 3,
    /// An environment variable is missing or wrong.
    InvalidEnvironment = 4,
    /// Reading or writing failed.
    Io = 5,
    /// The network configuration is no JSON or a key has the wrong type.
    Decode = 6,
    /// The network configuration contradicts itself or the specification.
    InvalidConfig = 7,
    /// The network namespace is not one.
    InvalidNamespace = 8,
    /// The same call may succeed later.
    TryAgainLater = 11,
    /// STATUS: the plugin cannot serve ADD.
    NotAvailable = 50,
    /// The agent refused for a reason of its own.
    Agent = 100,
    /// CHECK: the container is not connected as ADD left it.
    Unhealthy = 101,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CniError {
    /// An environment variable is missing or wrong.
    #[error("environment variable {variable}: {problem}")]
    Environment {
        /// Its name.
        variable: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Standard input cannot be read.
    #[error("the network configuration cannot be read from standard input: {0}")]
    Input(#[source] std::io::Error),
    /// The network configuration is no JSON or a key has the wrong type.
    #[error("the network configuration cannot be decoded: {0}")]
    Decode(#[source] serde_json::Error),
    /// The version is not supported.
    #[error("cniVersion {version:?} is not supported{}", command.map(|c| format!(" for {c}")).unwrap_or_default())]
    Version {
        /// The configuration's version.
        version: String,
        /// The command that needs a newer one.
        command: Option<&'static str>,
    },
    /// A key is missing or its value makes no sense.
    #[error("the network configuration's {key}: {problem}")]
    Config {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A key has a value that is not supported.
    #[error("the network configuration's {key}: {value:?} is not supported: {hint}")]
    Unsupported {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is.
        hint: &'static str,
    },
    /// The namespace is not one.
    #[error("the network namespace {}: {problem}", path.display())]
    Namespace {
        /// `CNI_NETNS`.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The agent does not answer, refused or said something else than it should.
    #[error(transparent)]
    Agent(#[from] api::ClientError),
    /// The agent answered with a reply to something else.
    #[error("the agent's answer to {command} is of another kind: {answer}")]
    Unexpected {
        /// The command.
        command: &'static str,
        /// The answer.
        answer: String,
    },
    /// The agent is away and its queue cannot take the disconnection.
    #[error("the agent is away ({agent}), and {queue}")]
    Queue {
        /// Why the agent is away.
        agent: String,
        /// Why the queue refused.
        #[source]
        queue: api::QueueError,
    },
    /// STATUS: the agent cannot connect pods now.
    #[error("the agent cannot connect pods now: {0}")]
    NotAvailable(#[source] api::ClientError),
}

impl CniError {
    /// Its code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Environment { .. } => ErrorCode::InvalidEnvironment,
            Self::Input(_) | Self::Queue { .. } => ErrorCode::Io,
            Self::Decode(_) => ErrorCode::Decode,
            Self::Version { .. } => ErrorCode::IncompatibleVersion,
            Self::Config { .. } => ErrorCode::InvalidConfig,
            Self::Unsupported { .. } => ErrorCode::UnsupportedField,
            Self::Namespace { .. } => ErrorCode::InvalidNamespace,
            Self::NotAvailable(_) => ErrorCode::NotAvailable,
            Self::Unexpected { .. } => ErrorCode::Agent,
            Self::Agent(error) => match error {
                api::ClientError::Connect { .. } | api::ClientError::Io(_) | api::ClientError::Late => {
                    ErrorCode::TryAgainLater
                }
                api::ClientError::Refused(refusal) => match refusal.code {
                    api::ErrorCode::NotReady | api::ErrorCode::Timeout => ErrorCode::TryAgainLater,
                    api::ErrorCode::Unknown => ErrorCode::UnknownContainer,
                    api::ErrorCode::Unhealthy => ErrorCode::Unhealthy,
                    _ => ErrorCode::Agent,
                },
                _ => ErrorCode::Agent,
            },
        }
    }

    /// What a person may do about it, where that is known.
    fn details(&self) -> Option<String> {
        match self {
            Self::Version { .. } => {
                Some(format!("supported: {}", CniVersion::ALL.map(CniVersion::as_str).join(", ")))
            }
            Self::Agent(api::ClientError::Version { .. }) => Some(SAME_RELEASE.into()),
            Self::Agent(api::ClientError::Refused(refusal)) if refusal.code == api::ErrorCode::Version => {
                Some(SAME_RELEASE.into())
            }
            Self::Agent(api::ClientError::Connect { .. }) => {
                Some("is netloom-agent running on this node?".into())
            }
            _ => None,
        }
    }

    /// The error as it goes to standard output.
    #[must_use]
    pub fn to_json(&self, version: CniVersion) -> Value {
        let mut error = json!({
            "cniVersion": version.as_str(),
            "code": self.code() as u32,
            "msg": self.to_string(),
        });
        if let Some(details) = self.details() {
            error["details"] = details.into();
        }
        error
    }
}
