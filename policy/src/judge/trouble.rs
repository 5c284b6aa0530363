//! Why a probe cannot be judged.

use crate::port::Protocol;
use crate::verdict::Verdict;

/// Why a probe cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It is no JSON object.
    #[error("not a JSON object with \"from\", \"to\" and \"port\"")]
    Shape,
    /// A field is missing.
    #[error("{field:?} is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field is no text.
    #[error("{field:?} is {text}, not a text")]
    Field {
        /// The field.
        field: &'static str,
        /// What it is.
        text: String,
    },
    /// There is no such protocol.
    #[error("{text:?} is not a protocol")]
    Protocol {
        /// What stands there.
        text: String,
    },
    /// A port or a type of messages is out of range.
    #[error("{field:?} is {text}: not {}", if *field == "type" { "0 to 255" } else { "0 to 65535, nor a name" })]
    Port {
        /// The field.
        field: &'static str,
        /// What stands there.
        text: String,
    },
    /// A protocol with ports, and none is given.
    #[error("\"port\" is missing: {protocol} has ports")]
    NoPort {
        /// The protocol.
        protocol: Protocol,
    },
    /// There is no such pod.
    #[error("there is no pod {namespace}/{name}")]
    NoPod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// It is neither a pod nor an address nor a name that is known.
    #[error("{text:?} is neither NAMESPACE/POD nor an address nor a known DNS name")]
    Unknown {
        /// What stands there.
        text: String,
    },
    /// The name of a port, where the target has no port of that name.
    #[error("{target} has no {protocol} port named {name:?}")]
    NoSuchPort {
        /// The target.
        target: String,
        /// The protocol.
        protocol: Protocol,
        /// The name.
        name: String,
    },
    /// A service has no such port.
    #[error("Service {service} has no port {port}")]
    NoServicePort {
        /// The service.
        service: String,
        /// The port and protocol.
        port: String,
    },
    /// A service has a port, but nothing is behind it.
    #[error("Service {service} has no backend for port {port}")]
    NoBackend {
        /// The service.
        service: String,
        /// The port and protocol.
        port: String,
    },
    /// Nobody's policies have a say: neither end is known well enough.
    #[error("{text:?} stands for many: name one of them")]
    Many {
        /// The entity.
        text: String,
    },
    /// A pod or node that is asked about is not in the cluster: a mistake in this program.
    #[error("it is not in the cluster")]
    Gone,
    /// All numbers of identities are taken.
    #[error("the cluster has more kinds of pods than there are identities")]
    Identities {
        /// Which were asked for.
        #[from]
        source: crate::identity::IdentitiesExhausted,
    },
    /// Tables and rules do not agree: a mistake in this program.
    #[error("the tables say {tables}, the rules {rules}: please report this")]
    Disagreement {
        /// What the tables say.
        tables: Verdict,
        /// What the rules say.
        rules: Verdict,
    },
}
