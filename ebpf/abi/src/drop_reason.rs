//! Why packets are dropped: one list for counters, events, flows and the command line.

/// Why a packet was dropped. Numbers are those of Hubble's `flow.DropReason` where the meaning is the
/// same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DropReason {
    /// The packet's source address is not the endpoint's.
    InvalidSource = 132,
    /// No policy rule allows it.
    PolicyDenied = 133,
    /// The packet cannot be parsed.
    Malformed = 134,
    /// The transport header is cut off.
    TruncatedTransport = 135,
    /// Neither IPv4 nor IPv6.
    UnsupportedNetwork = 139,
    /// A part of the datapath is not loaded.
    MissedTailCall = 140,
    /// The packet could not be rewritten.
    WriteFailed = 141,
    /// The destination address is not reachable from a pod.
    UnroutableAddress = 151,
    /// The connection could not be remembered.
    ConntrackFull = 155,
    /// An IPv6 extension header is invalid or not accepted.
    InvalidExtension = 156,
    /// The endpoint's policy is not known yet.
    NoPolicy = 165,
    /// Pods may not send overlay packets.
    OverlayProhibited = 170,
    /// The peer's identity is invalid.
    InvalidIdentity = 171,
    /// The first fragment of the datagram was not seen.
    FragmentUnknown = 175,
    /// Pods may not send this ICMPv6 message.
    ForbiddenNdp = 176,
    /// Proxy redirection not supported.
    RedirectUnsupported = 180,
    /// A policy rule denies it.
    PolicyDeny = 181,
    /// The two ends must prove who they are, which is not supported yet.
    AuthRequired = 189,
    /// The endpoint is not ready.
    EndpointUnknown = 203,
}

impl DropReason {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::InvalidSource,
        Self::PolicyDenied,
        Self::Malformed,
        Self::TruncatedTransport,
        Self::UnsupportedNetwork,
        Self::MissedTailCall,
        Self::WriteFailed,
        Self::UnroutableAddress,
        Self::ConntrackFull,
        Self::InvalidExtension,
        Self::NoPolicy,
        Self::OverlayProhibited,
        Self::InvalidIdentity,
        Self::FragmentUnknown,
        Self::ForbiddenNdp,
        Self::RedirectUnsupported,
        Self::PolicyDeny,
        Self::AuthRequired,
        Self::EndpointUnknown,
    ];

    /// The reason with this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| *reason as u8 == code)
    }

    /// The reason as a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::InvalidSource => "the packet's source address is not the endpoint's",
            Self::PolicyDenied => "no policy rule allows it",
            Self::Malformed => "the packet cannot be parsed",
            Self::TruncatedTransport => "the transport header is cut off",
            Self::UnsupportedNetwork => "neither IPv4 nor IPv6",
            Self::MissedTailCall => "a part of the datapath is not loaded",
            Self::WriteFailed => "the packet could not be rewritten",
            Self::UnroutableAddress => "the destination address is not reachable from a pod",
            Self::ConntrackFull => "the connection could not be remembered",
            Self::InvalidExtension => "an IPv6 extension header is invalid or not accepted",
            Self::NoPolicy => "the endpoint's policy is not known yet",
            Self::OverlayProhibited => "pods may not send overlay packets",
            Self::InvalidIdentity => "the peer's identity is invalid",
            Self::FragmentUnknown => "the first fragment of the datagram was not seen",
            Self::ForbiddenNdp => "pods may not send this ICMPv6 message",
            Self::RedirectUnsupported => "proxy redirection not supported",
            Self::PolicyDeny => "a policy rule denies it",
            Self::AuthRequired => "authentication required, which is not supported yet",
            Self::EndpointUnknown => "the endpoint is not ready",
        }
    }
}
