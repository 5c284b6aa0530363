//! What a proxy has to check once layers 3 and 4 let a connection through.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name_pattern::NamePattern;

/// What an item of `toPorts` asks of a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct L7 {
    /// Requests of which one must match; no HTTP rules where empty.
    pub http: Vec<HttpRule>,
    /// Queries of which one must match; no DNS rules where empty.
    pub dns: Vec<NamePattern>,
    /// Server names (TLS SNI) of which one must match: `*` stands for one label, a leading `**.` for several.
    pub server_names: Vec<String>,
    /// A listener that takes the connection.
    pub listener: Option<Listener>,
    /// The TLS that the proxy ends towards the client.
    pub terminating_tls: Option<TlsContext>,
    /// The TLS that the proxy begins towards the server.
    pub originating_tls: Option<TlsContext>,
}

/// Which proxy takes a connection. Where several could, the greatest does (the order of Cilium's
/// listener priorities, `pkg/policy/types`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proxy {
    /// A listener of a CiliumEnvoyConfig without a priority of its own.
    Listener,
    /// The DNS proxy.
    Dns,
    /// The TLS inspector.
    Tls,
    /// The HTTP proxy.
    Http,
    /// A listener with a priority.
    PriorityListener(std::cmp::Reverse<u8>),
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listener => f.write_str("a listener"),
            Self::Dns => f.write_str("DNS"),
            Self::Tls => f.write_str("TLS"),
            Self::Http => f.write_str("HTTP"),
            Self::PriorityListener(priority) => write!(f, "a listener of priority {}", priority.0),
        }
    }
}

impl L7 {
    /// The proxy that it needs; none where it asks for nothing.
    #[must_use]
    pub fn proxy(&self) -> Option<Proxy> {
        match &self.listener {
            Some(Listener { priority: Some(priority), .. }) => {
                Some(Proxy::PriorityListener(std::cmp::Reverse(*priority)))
            }
            Some(_) => Some(Proxy::Listener),
            None if !self.http.is_empty() => Some(Proxy::Http),
            None if !self.dns.is_empty() => Some(Proxy::Dns),
            None => (!self.server_names.is_empty()
                || self.terminating_tls.is_some()
                || self.originating_tls.is_some())
            .then_some(Proxy::Tls),
        }
    }
}

/// An HTTP request that is let through. What is absent matches every request.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpRule {
    /// Regular expression (extended POSIX) that the whole path matches.
    pub path: Option<String>,
    /// Regular expression that the whole method matches.
    pub method: Option<String>,
    /// Regular expression that the whole `Host` header matches.
    pub host: Option<String>,
    /// `Name: value`, or a name that only has to be there.
    pub headers: Vec<String>,
    /// Headers, and what becomes of a request whose header is another.
    pub header_matches: Vec<HeaderMatch>,
}

/// A header of an [`HttpRule`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderMatch {
    /// What becomes of a request that does not match; it is denied where absent.
    pub mismatch: Option<Mismatch>,
    /// The header.
    pub name: String,
    /// The value.
    pub value: Option<String>,
    /// A secret that holds the value.
    pub secret: Option<SecretRef>,
}

/// What becomes of a request whose header does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mismatch {
    /// It is logged.
    Log,
    /// The header is added.
    Add,
    /// The header is taken out.
    Delete,
    /// The header's value is replaced.
    Replace,
}

/// A listener of a CiliumEnvoyConfig.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listener {
    /// `CiliumEnvoyConfig` or `CiliumClusterwideEnvoyConfig`.
    pub kind: String,
    /// The object's name.
    pub config: String,
    /// The listener's name.
    pub name: String,
    /// 1 (first) to 100.
    pub priority: Option<u8>,
}

/// Keys and certificates for one side of a proxy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TlsContext {
    /// Where they are.
    pub secret: SecretRef,
    /// The item with the certificate authorities.
    pub trusted_ca: Option<String>,
    /// The item with the certificate.
    pub certificate: Option<String>,
    /// The item with the private key.
    pub private_key: Option<String>,
}

/// Names a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretRef {
    /// Its namespace; the policy's where absent.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}
