//! Why EC2 did not do what it was asked for.

use super::Action;

/// What an error means to who planned the request. EC2 spells some meanings in several ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The subnet has no free /28 block, whatever its count of free addresses.
    NoFreePrefix,
    /// The subnet has no free address.
    NoFreeAddress,
    /// The interface has as many addresses and prefixes as its instance type allows: who asked knows it badly.
    InterfaceFull,
    /// The instance has as many interfaces as its type allows.
    InstanceFull,
    /// Another interface has the device index.
    DeviceIndexTaken,
    /// The instance is not there, or does not run.
    InstanceGone,
    /// The interface is not there, or not visible yet.
    InterfaceNotFound,
    /// The interface is attached.
    InterfaceInUse,
    /// The address or prefix that was asked for is somebody else's.
    AddressTaken,
    /// The region's quota of interfaces is used up.
    InterfaceQuota,
    /// This type of instance takes no prefixes.
    PrefixesUnsupported,
    /// Too many requests of the action.
    Throttled,
    /// The credentials do not allow it, or are no longer good.
    Denied,
    /// The client token was used with other parameters.
    TokenMismatch,
    /// A page's token is no longer good: the list begins anew.
    BadPageToken,
    /// Nobody may do that, ever: a network interface of somebody else, the primary one.
    NotPermitted,
    /// The settings name what is not there: a subnet, a security group.
    Misconfigured,
    /// EC2 failed (500, 503): whether the request was carried out is unknown.
    Server,
    /// No answer came, or none that can be read: whether the request was carried out is unknown.
    Unanswered,
    /// It was not sent: nothing happened.
    Unsent,
    /// Something else; repeating the request as it is will not help.
    Other,
}

impl ErrorKind {
    /// Whether the request may have been carried out all the same, so that only a look tells.
    #[must_use]
    pub fn is_ambiguous(self) -> bool {
        matches!(self, Self::Server | Self::Unanswered)
    }

    /// What an error code of EC2, and where one code has many meanings its message, means.
    ///
    /// ```
    /// use ipam::ec2::ErrorKind;
    /// assert_eq!(ErrorKind::of("InsufficientCidrBlocks", ""), ErrorKind::NoFreePrefix);
    /// ```
    #[must_use]
    pub fn of(code: &str, message: &str) -> Self {
        match code {
            "InsufficientCidrBlocks" => Self::NoFreePrefix,
            // Spelled as an invalid value, with this message, by CreateNetworkInterface.
            "InvalidParameterValue" if says(message, "sufficient free ipv4 addresses or prefixes") => {
                Self::NoFreePrefix
            }
            "InvalidParameterValue" if says(message, "attached at device") => Self::DeviceIndexTaken,
            "InvalidParameterValue" if says(message, "in use") => Self::InterfaceInUse,
            "InsufficientFreeAddressesInSubnet" => Self::NoFreeAddress,
            "PrivateIpAddressLimitExceeded" | "InvalidInterface.IpAddressLimitExceeded" => {
                Self::InterfaceFull
            }
            "AttachmentLimitExceeded" => Self::InstanceFull,
            "InvalidInstanceID.NotFound" | "InvalidInstanceID" => Self::InstanceGone,
            "IncorrectState" | "IncorrectInstanceState" if says(message, "not 'running'") => {
                Self::InstanceGone
            }
            "InvalidNetworkInterfaceID.NotFound"
            | "InvalidNetworkInterfaceId.NotFound"
            | "InvalidAttachmentID.NotFound" => Self::InterfaceNotFound,
            "InvalidNetworkInterface.InUse" => Self::InterfaceInUse,
            "Resource.AlreadyAssigned" | "InvalidIPAddress.InUse" => Self::AddressTaken,
            "NetworkInterfaceLimitExceeded" => Self::InterfaceQuota,
            "UnsupportedOperation" | "InvalidParameterCombination" if says(message, "prefix") => {
                Self::PrefixesUnsupported
            }
            "RequestLimitExceeded" | "Throttling" | "ThrottlingException" | "EC2ThrottledException" => {
                Self::Throttled
            }
            "UnauthorizedOperation"
            | "AuthFailure"
            | "AccessDenied"
            | "AccessDeniedException"
            | "Blocked"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "IncompleteSignature"
            | "InvalidClientTokenId"
            | "MissingAuthenticationToken"
            | "OptInRequired"
            | "PendingVerification"
            | "RequestExpired"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException" => Self::Denied,
            "IdempotentParameterMismatch" => Self::TokenMismatch,
            "InvalidNextToken" | "InvalidMaxResults" => Self::BadPageToken,
            "OperationNotPermitted" => Self::NotPermitted,
            "InvalidSubnetID.NotFound"
            | "InvalidSecurityGroupID.NotFound"
            | "InvalidGroup.NotFound"
            | "SecurityGroupsPerInterfaceLimitExceeded"
            | "InvalidVpcID.NotFound"
            | "InvalidInstanceType" => Self::Misconfigured,
            "InternalError" | "InternalFailure" | "Unavailable" | "ServiceUnavailable" => Self::Server,
            _ => Self::Other,
        }
    }
}

fn says(message: &str, part: &str) -> bool {
    message.to_ascii_lowercase().contains(part)
}

/// A request that EC2 did not carry out, or may not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{action}: {code}: {message}")]
pub struct Error {
    /// The request's action.
    pub action: Action,
    /// What it means.
    pub kind: ErrorKind,
    /// EC2's code, or a word of ours where no answer came.
    pub code: String,
    /// EC2's message, or the reason why none came.
    pub message: String,
}

impl Error {
    /// An error that EC2 answered with.
    #[must_use]
    pub fn answered(action: Action, code: impl Into<String>, message: impl Into<String>) -> Self {
        let (code, message) = (code.into(), message.into());
        Self { action, kind: ErrorKind::of(&code, &message), code, message }
    }

    /// No answer came.
    #[must_use]
    pub fn unanswered(action: Action, why: impl Into<String>) -> Self {
        Self { action, kind: ErrorKind::Unanswered, code: "NoAnswer".to_owned(), message: why.into() }
    }

    /// No answer came, because of an error, whose causes are told too.
    #[must_use]
    pub fn unanswered_because(action: Action, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::unanswered(action, chain(error))
    }

    /// An answer came that cannot be read; `why` names what is wrong in it.
    #[must_use]
    pub fn unreadable(action: Action, why: impl Into<String>) -> Self {
        Self { code: "Unreadable".to_owned(), ..Self::unanswered(action, why) }
    }

    /// It was not sent.
    #[must_use]
    pub fn unsent(action: Action, why: impl Into<String>) -> Self {
        Self { action, kind: ErrorKind::Unsent, code: "NotSent".to_owned(), message: why.into() }
    }

    /// There was nothing to sign the request with, so that it was not sent.
    #[must_use]
    pub fn without_credentials(action: Action, error: &(dyn std::error::Error + 'static)) -> Self {
        Self { action, kind: ErrorKind::Denied, code: "NoCredentials".to_owned(), message: chain(error) }
    }
}

/// An error with its causes, each said once: some errors say their cause's message as their own.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()) {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Told(&'static str, #[source] Option<Box<Told>>);

    #[test]
    fn causes_are_told_once() {
        let cause = |text, source| Some(Box::new(Told(text, source)));
        let error = Told("asking", cause("connecting", cause("connecting", cause("refused", None))));
        assert_eq!(
            Error::unanswered_because(Action::CreateTags, &error).message,
            "asking: connecting: refused"
        );
        let error = Error::without_credentials(Action::CreateTags, &error);
        assert!(error.kind == ErrorKind::Denied && !error.kind.is_ambiguous(), "{error}");
    }

    #[test]
    fn exhaustion_is_known_in_its_three_spellings() {
        let message = "There aren't sufficient free Ipv4 addresses or prefixes";
        assert_eq!(ErrorKind::of("InsufficientCidrBlocks", "any"), ErrorKind::NoFreePrefix);
        assert_eq!(ErrorKind::of("InvalidParameterValue", message), ErrorKind::NoFreePrefix);
        assert_eq!(ErrorKind::of("InsufficientFreeAddressesInSubnet", "any"), ErrorKind::NoFreeAddress);
        assert_eq!(ErrorKind::of("InvalidParameterValue", "Invalid value for deviceIndex"), ErrorKind::Other);
    }

    #[test]
    fn one_code_may_mean_several_things() {
        let taken = "Instance 'i-1' already has an interface attached at device index '1'.";
        assert_eq!(ErrorKind::of("InvalidParameterValue", taken), ErrorKind::DeviceIndexTaken);
        let stopped = "Instance 'i-1' is not 'running' or 'stopped'";
        assert_eq!(ErrorKind::of("IncorrectState", stopped), ErrorKind::InstanceGone);
        assert_eq!(ErrorKind::of("IncorrectState", "another"), ErrorKind::Other);
    }

    #[test]
    fn only_what_was_not_answered_is_ambiguous() {
        for code in ["InternalError", "Unavailable"] {
            assert!(ErrorKind::of(code, "").is_ambiguous(), "{code}");
        }
        assert!(!ErrorKind::of("RequestLimitExceeded", "").is_ambiguous());
        assert!(Error::unanswered(Action::CreateTags, "timed out").kind.is_ambiguous());
        let unreadable = Error::unreadable(Action::CreateTags, "<a> has no <b>");
        assert!(unreadable.kind.is_ambiguous());
        assert_eq!(unreadable.to_string(), "CreateTags: Unreadable: <a> has no <b>");
    }
}
