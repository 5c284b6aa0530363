//! What can go wrong with the datapath.

use std::io;
use std::path::PathBuf;

use aya::maps::MapError;
use aya::programs::ProgramError;
use aya::{EbpfError, pin::PinError};

/// An operation on the datapath that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object was not accepted.
    #[error("loading the datapath's object: {source}")]
    Object {
        /// Why.
        #[source]
        source: Box<EbpfError>,
    },
    /// There is no BPF file system, and one that is mounted here would be gone with this process's container, and with it
    /// all that is pinned.
    #[error(
        "there is no BPF file system at {}, and one that this container mounts would end with it, and so would what is \
         enforced: mount one on the host, with `mount -t bpf bpf /sys/fs/bpf`, and give it to the container",
        path.display()
    )]
    NoBpffs {
        /// Where it should be.
        path: PathBuf,
    },
    /// A program was not accepted. The verifier's last lines come with it; the same kernel will refuse the
    /// same program again, so there is no point in trying again.
    #[error("the verifier of kernel {kernel} refused the program {program}: {source}{log}")]
    Program {
        /// The program.
        program: &'static str,
        /// The kernel's release.
        kernel: String,
        /// The last lines of the verifier's log.
        log: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The object lacks something that this version expects.
    #[error("the datapath's object has no {kind} {name}")]
    Missing {
        /// `map` or `program`.
        kind: &'static str,
        /// Its name.
        name: &'static str,
    },
    /// A pinned map has another shape than this version's.
    #[error("the pinned map {} is {found}, expected {expected}: it belongs to another version", path.display())]
    PinnedShape {
        /// The pin.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A map operation failed.
    #[error("{operation} map {map}: {source}")]
    Map {
        /// `reading`, `writing`, `opening`…
        operation: &'static str,
        /// The map.
        map: &'static str,
        /// Why.
        #[source]
        source: Box<MapError>,
    },
    /// A program could not be attached.
    #[error("attaching {program} to {link}: {source}")]
    Attach {
        /// The program.
        program: &'static str,
        /// The link.
        link: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A pin could not be made or read.
    #[error("pinning at {}: {source}", path.display())]
    Pin {
        /// The pin.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<PinError>,
    },
    /// A file operation failed.
    #[error("{operation} {}: {source}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel says nothing of a loaded program.
    #[error("examining the program {program}: {source}")]
    Examine {
        /// The program.
        program: &'static str,
        /// Why.
        #[source]
        source: Box<ProgramError>,
    },
    /// The verifier's log does not tell what is looked for in it.
    #[error("reading the verifier's log: {what}")]
    Log {
        /// What is wrong with it.
        what: String,
    },
    /// A test run failed.
    #[error("running {program}: {source}")]
    TestRun {
        /// The program.
        program: &'static str,
        /// Why.
        #[source]
        source: Box<ProgramError>,
    },
    /// The policy tables have no room.
    #[error("no room for a policy of {needed} {what}: {free} are free")]
    PolicyRoom {
        /// What there is too little of: `cells` or `slots`.
        what: &'static str,
        /// How many are needed.
        needed: u64,
        /// How many there are.
        free: u64,
    },
}

impl Error {
    pub(crate) fn map(operation: &'static str, map: &'static str) -> impl FnOnce(MapError) -> Self {
        move |source| Self::Map { operation, map, source: Box::new(source) }
    }

    pub(crate) fn attach<E>(program: &'static str, link: &str) -> impl FnOnce(E) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        move |source| Self::Attach { program, link: link.to_owned(), source: Box::new(source) }
    }

    pub(crate) fn file(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { operation, path: path.into(), source }
    }
}

/// A program that was refused: the kernel's answer, and the last lines of the verifier's log.
pub(crate) fn refused(program: &'static str, kernel: String, error: ProgramError) -> Error {
    const LINES: usize = 20;
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            let lines: Vec<&str> = log.lines().collect();
            let log =
                lines[lines.len().saturating_sub(LINES)..].iter().map(|line| format!("\n  {line}")).collect();
            Error::Program { program, kernel, log, source: io_error }
        }
        other => Error::Program { program, kernel, log: String::new(), source: io::Error::other(other) },
    }
}
