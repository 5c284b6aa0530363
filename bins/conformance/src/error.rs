//! What can go wrong: with case files, and with levels. A wrong answer is not an error but a result.

use std::io;
use std::path::PathBuf;

use policy::manifest::ObjectKey;

use crate::suite::{Family, LevelName};

/// Why cases could not be read or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is not of the format.
    #[error("{}: {field}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The field, such as `cases[2].steps[0].probes`.
        field: String,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// Two cases that cannot be told apart.
    #[error("{}: two cases are called {name:?}", path.display())]
    SameName {
        /// The file.
        path: PathBuf,
        /// Their name.
        name: String,
    },
    /// A directory without case files.
    #[error("there are no .json files in {}", path.display())]
    NoCases {
        /// The directory.
        path: PathBuf,
    },
    /// A name that no case has.
    #[error("no case is called {name:?}")]
    NoSuchCase {
        /// The name.
        name: String,
    },
    /// A case that says what makes no sense.
    #[error("{}: {case}: {place}", path.display())]
    Case {
        /// The file.
        path: PathBuf,
        /// The case.
        case: String,
        /// `cluster`, or the step, from 1.
        place: String,
        /// What is wrong.
        #[source]
        mistake: Box<Mistake>,
    },
    /// The datapath's code on the host.
    #[error("{node}: {doing}")]
    Core {
        /// The node.
        node: String,
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: scenarios::EngineError,
    },
    /// The lab.
    #[error("lab {lab}: {doing}")]
    Lab {
        /// Its name.
        lab: String,
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: anyhow::Error,
    },
    /// A level that this machine does not have.
    #[error("the {level} level cannot be run here: {why}")]
    Unavailable {
        /// Which.
        level: LevelName,
        /// Why.
        why: String,
    },
}

/// What makes no sense in a case.
#[derive(Debug, thiserror::Error)]
pub enum Mistake {
    /// A place of a kind that there is not.
    #[error("{0:?} is no place: NAMESPACE/POD, an IP address, node/NAME, host, remote-node or world")]
    NoPlace(String),
    /// A place that names somebody who is not there.
    #[error("there is no {0}")]
    Nobody(String),
    /// A pattern of a matrix that fits nobody.
    #[error("{0:?} fits nobody of the matrix")]
    FitsNobody(String),
    /// `host` and `remote-node` without a pod at the other end.
    #[error("{0:?} says nothing without a pod at the other end")]
    NoPodAtTheOtherEnd(String),
    /// `remote-node` in a cluster of one node.
    #[error("there is no node but {0}")]
    NoOtherNode(String),
    /// Somebody without an address of the family.
    #[error("{who} has no {family:?} address")]
    NoAddress {
        /// Who.
        who: String,
        /// The family.
        family: Family,
    },
    /// Neither end is a pod, so no policy of pods is asked.
    #[error("neither {from} nor {to} is a pod")]
    NoPod {
        /// Who opens the connection.
        from: String,
        /// Whom with.
        to: String,
    },
    /// A port that cannot be told.
    #[error("{to} has no port {port:?} of {protocol}")]
    NoSuchPort {
        /// Whose.
        to: String,
        /// Its name.
        port: String,
        /// The protocol.
        protocol: String,
    },
    /// A probe that wants a port and has none, or the other way round.
    #[error("{protocol} {wants}")]
    Port {
        /// The protocol.
        protocol: String,
        /// What it wants.
        wants: &'static str,
    },
    /// A matrix with one port and a list of ports.
    #[error("port and type say what ports says already")]
    TwoPorts,
    /// A `${…}` that means nothing.
    #[error(
        "{0:?} is no placeholder: ${{ip PLACE}}, ${{ip6 PLACE}}, ${{cidr PLACE BITS}} or ${{cidr6 PLACE BITS}}"
    )]
    Placeholder(String),
    /// A placeholder for an address that is not known.
    #[error("{0:?}: nobody of this name has an address yet")]
    PlaceholderNotYet(String),
    /// An object's name in a form that there is not.
    #[error("{0:?} names no object: KIND NAME or KIND NAMESPACE/NAME")]
    Key(String),
    /// A name of a pod in a form that there is not.
    #[error("{0:?} names no pod: NAMESPACE/NAME")]
    PodName(String),
    /// An object that is to be deleted or labelled and is not there.
    #[error("{0} is not there")]
    NotThere(ObjectKey),
    /// A manifest that policy does not understand.
    #[error("{}", .0.trim_end())]
    Rejected(String),
    /// A manifest that is no YAML.
    #[error("{}", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<serde_saphyr::Error>,
    },
    /// A manifest's file.
    #[error("cannot read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A pod's node that is not there.
    #[error("pod {pod} is on {node}, and there is no such node")]
    NoNode {
        /// The pod.
        pod: String,
        /// The node.
        node: String,
    },
    /// A step that expects nothing.
    #[error("nothing is expected")]
    NoExpectation,
    /// A case without steps.
    #[error("there are no steps")]
    NoSteps,
}
