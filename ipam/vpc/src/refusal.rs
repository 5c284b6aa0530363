//! Errors that EC2 answers with, as it spells them.

use ipam::ec2::{Action, Error};

/// An error that EC2 answers with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// The code.
    pub code: &'static str,
    /// The message.
    pub message: String,
    /// The status of the HTTP answer.
    pub status: u16,
}

impl Refusal {
    /// A client's error: status 400.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), status: 400 }
    }

    pub(crate) fn server(code: &'static str, status: u16, message: &str) -> Self {
        Self { code, message: message.to_owned(), status }
    }

    pub(crate) fn throttled() -> Self {
        Self::server("RequestLimitExceeded", 503, "Request limit exceeded.")
    }

    pub(crate) fn dry_run() -> Self {
        Self::server("DryRunOperation", 412, "Request would have succeeded, but DryRun flag is set.")
    }

    pub(crate) fn missing(parameter: &str) -> Self {
        Self::new("MissingParameter", format!("The request must contain the parameter {parameter}"))
    }

    pub(crate) fn value(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterValue", message)
    }

    pub(crate) fn combination(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterCombination", message)
    }

    pub(crate) fn not_found(kind: Resource, id: &str) -> Self {
        let (code, name) = kind.not_found();
        Self::new(code, format!("The {name} '{id}' does not exist"))
    }
}

/// Kinds of resources, told by the beginning of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Vpc,
    Subnet,
    SecurityGroup,
    Interface,
    Attachment,
    Instance,
    Reservation,
}

impl Resource {
    pub(crate) fn of(id: &str) -> Option<Self> {
        let (prefix, rest) = id.rsplit_once('-')?;
        let kind = match prefix {
            "vpc" => Self::Vpc,
            "subnet" => Self::Subnet,
            "sg" => Self::SecurityGroup,
            "eni" => Self::Interface,
            "eni-attach" => Self::Attachment,
            "i" => Self::Instance,
            "scr" => Self::Reservation,
            _ => return None,
        };
        (!rest.is_empty()).then_some(kind)
    }

    fn not_found(self) -> (&'static str, &'static str) {
        match self {
            Self::Vpc => ("InvalidVpcID.NotFound", "vpc ID"),
            Self::Subnet => ("InvalidSubnetID.NotFound", "subnet ID"),
            Self::SecurityGroup => ("InvalidSecurityGroupID.NotFound", "security group"),
            Self::Interface => ("InvalidNetworkInterfaceID.NotFound", "networkInterface ID"),
            Self::Attachment => ("InvalidAttachmentID.NotFound", "attachment ID"),
            Self::Instance => ("InvalidInstanceID.NotFound", "instance ID"),
            Self::Reservation => ("InvalidSubnetCidrReservationID.NotFound", "subnet CIDR reservation ID"),
        }
    }
}

/// Why a caller does not have what it asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// EC2 said so.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No answer came, whether or not the request was carried out, or will be.
    #[error("no answer came")]
    Unanswered,
}

impl Failure {
    /// As who plans requests knows it.
    #[must_use]
    pub fn of(self, action: Action) -> Error {
        match self {
            Self::Refused(refusal) => Error::answered(action, refusal.code, refusal.message),
            Self::Unanswered => Error::unanswered(action, "no answer came"),
        }
    }
}
