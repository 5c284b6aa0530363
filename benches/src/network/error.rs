//! What can go wrong with the benchmark of networks.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use super::proof::Probe;
use super::setup::{Missing, SetupName};
use super::traffic::Work;

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only root may make namespaces and rules.
    #[error("the benchmark makes network namespaces and rules in them: run it as root")]
    NotRoot,
    /// Links, addresses and routes.
    #[error("{setup}: {operation}: {source}")]
    Wiring {
        /// Which setup.
        setup: SetupName,
        /// What was tried.
        operation: String,
        /// Why not.
        #[source]
        source: netcore::Error,
    },
    /// The lab: the fabric and nodes of all setups, and the whole of netloom's.
    #[error("{setup}: {operation}: {message}")]
    Lab {
        /// Which setup.
        setup: SetupName,
        /// What was tried.
        operation: &'static str,
        /// Why not, with what led to it.
        message: String,
    },
    /// A program that could not be started or talked to.
    #[error("{setup}: running {program}: {source}")]
    Running {
        /// Which setup.
        setup: SetupName,
        /// Its name.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A program that did not do it.
    #[error("{setup}: {program} ended with {status}: {said}")]
    Refused {
        /// Which setup.
        setup: SetupName,
        /// Its name and arguments.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        said: String,
    },
    /// The API of netloom's setup.
    #[error("netloom: {operation}: {source}")]
    Api {
        /// What was tried.
        operation: &'static str,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something did not come to pass in time.
    #[error("{setup}: {what}: not within {seconds} s")]
    Late {
        /// Which setup.
        setup: SetupName,
        /// What was waited for.
        what: String,
        /// For how long.
        seconds: u64,
    },
    /// A figure of the kernel or of a process could not be read.
    #[error("reading {what}: {source}")]
    Reading {
        /// Whose.
        what: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A socket of the proof or of a change's prober.
    #[error("{setup}: {operation}: {source}")]
    Socket {
        /// Which setup.
        setup: SetupName,
        /// What was tried.
        operation: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// No policy takes so many peers here.
    #[error("{peers} peers: a policy of the benchmark has none, or {least} to {most}")]
    Peers {
        /// How many were asked for.
        peers: usize,
        /// The fewest.
        least: usize,
        /// The most.
        most: usize,
    },
    /// A change was asked of what enforces nothing, or before there was a policy to change.
    #[error("{setup}: {change}: there is no policy that this could change")]
    NothingToChange {
        /// Which setup.
        setup: SetupName,
        /// What was asked.
        change: &'static str,
    },
    /// A probe that did not come out as the policies say: measurements would compare different things.
    #[error("{setup} with {peers} peers: {probe}: {found}, and it has to be {expected}: the run is void")]
    Untrue {
        /// Which setup.
        setup: SetupName,
        /// How many peers.
        peers: usize,
        /// What was tried.
        probe: Probe,
        /// What came of it.
        found: &'static str,
        /// What had to.
        expected: &'static str,
    },
    /// Somebody wanted the run to end.
    #[error("stopped; what was built is removed")]
    Stopped,
    /// Signals could not be waited for.
    #[error("waiting for signals: {source}")]
    Signals {
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Programs that setups need and that are not here.
    #[error("not on this machine: {}", listed(missing))]
    Missing {
        /// All of them.
        missing: Vec<Missing>,
    },
    /// The machine's own network namespace could not be entered.
    #[error("measuring over loopback: {source}")]
    Loopback {
        /// Why not.
        #[source]
        source: netcore::Error,
    },
    /// Traffic failed.
    #[error("{work:?}: {source}")]
    Traffic {
        /// What was sent.
        work: Work,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Traffic failed in a setup.
    #[error("{setup} with {peers} peers: {work:?}: {source}")]
    Measuring {
        /// Which setup.
        setup: SetupName,
        /// How many peers.
        peers: usize,
        /// What was sent.
        work: Work,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A report that cannot be read or written.
    #[error("{}: {source}", path.display())]
    Report {
        /// Its file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another generator failed.
    #[error("{program}: {source}")]
    Tool {
        /// Its name.
        program: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The kernel does something in a setup that is not what the setup is about.
    #[error("{setup}: {netns}: {what}")]
    Impure {
        /// Which setup.
        setup: SetupName,
        /// Where.
        netns: String,
        /// What was found.
        what: String,
    },
}

/// Those that are told apart in one line each.
fn listed(missing: &[Missing]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Error {
    /// Where traffic failed.
    pub(crate) fn within(self, setup: SetupName, peers: usize) -> Self {
        match self {
            Self::Traffic { work, source } => Self::Measuring { setup, peers, work, source },
            other => other,
        }
    }

    /// Something of the lab's, with what led to it.
    pub(crate) fn lab(setup: SetupName, operation: &'static str, error: &anyhow::Error) -> Self {
        Self::Lab { setup, operation, message: format!("{error:#}") }
    }

    /// Links, addresses and routes.
    pub(crate) fn wiring(
        setup: SetupName,
        operation: impl Into<String>,
    ) -> impl FnOnce(netcore::Error) -> Self {
        move |source| Self::Wiring { setup, operation: operation.into(), source }
    }
}
