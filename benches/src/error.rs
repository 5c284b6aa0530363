//! What can go wrong with a benchmark.

use std::io;
use std::path::PathBuf;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

use crate::datapath::Layout;

/// A step of the benchmark that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The region of EC2 could not be built.
    #[error("building {what}: {source}")]
    Building {
        /// What of it.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No instance type has this name.
    #[error("there is no instance type {name}")]
    UnknownType {
        /// The name.
        name: &'static str,
    },
    /// Pods were left without an address.
    #[error("{scenario}, {planner}: {left} pods were never placed")]
    NeverPlaced {
        /// The scenario.
        scenario: &'static str,
        /// The planner.
        planner: &'static str,
        /// Pods.
        left: u32,
    },
    /// Something was done to the region that must never be.
    #[error("the region is not as it must be: {what}")]
    Violated {
        /// What was found.
        what: String,
    },
    /// Only root may load programs.
    #[error("the benchmark of the datapath loads BPF programs and must run as root")]
    NotRoot,
    /// The tables have no room for so many peers, or there are too few to talk to each other.
    #[error("{peers} peers: the benchmark takes 2 to {most}")]
    Peers {
        /// How many were asked for.
        peers: u32,
        /// How many fit.
        most: u32,
    },
    /// The datapath under test failed.
    #[error(transparent)]
    Datapath(#[from] datapath::Error),
    /// A step of making or leaving the place where maps are shared failed.
    #[error("{operation} for the benchmark's maps: {source}")]
    Room {
        /// What was tried.
        operation: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The benchmark's own object was not accepted.
    #[error("loading the benchmark's object: {source}")]
    Object {
        /// Why.
        #[source]
        source: Box<EbpfError>,
    },
    /// The object lacks something that this version expects.
    #[error("the benchmark's object has no {kind} {name}")]
    Missing {
        /// `map` or `program`.
        kind: &'static str,
        /// Its name.
        name: &'static str,
    },
    /// A program of the benchmark was refused, or could not run.
    #[error("{operation} {program}: {source}")]
    Program {
        /// `loading`, `running`…
        operation: &'static str,
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: Box<ProgramError>,
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
    /// A packet could not be put together.
    #[error("building a packet: {source}")]
    Frame {
        /// Why.
        #[source]
        source: Box<etherparse::err::packet::BuildWriteError>,
    },
    /// A case does not do what it is to measure, so that its time would mean nothing.
    #[error("{case} with layout {layout} is not what it says: {what} is {found}, expected {expected}")]
    Untrue {
        /// The case.
        case: String,
        /// The layout.
        layout: Layout,
        /// What was looked at.
        what: &'static str,
        /// What it is.
        found: i64,
        /// What it should be.
        expected: i64,
    },
    /// The thread that runs the benchmark could not be started or did not finish.
    #[error("running the benchmark's thread: {source}")]
    Thread {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A step of the control plane's benchmark failed.
    #[error("{operation}: {source}")]
    ControlPlane {
        /// What was tried.
        operation: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The control plane's benchmark cannot go on.
    #[error("{message}")]
    Stopped {
        /// Why.
        message: String,
    },
    /// A plot could not be drawn.
    #[error("drawing the plot {plot:?}: {source}")]
    Plot {
        /// Its title.
        plot: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The report could not be written.
    #[error("writing the report {}: {source}", file.display())]
    Report {
        /// Its file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The result could not be written.
    #[error("printing the result: {source}")]
    Print {
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// A part of a region that could not be built.
    pub(crate) fn building(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Building { what: what.into(), source: source.into() }
    }

    pub(crate) fn doing(
        operation: &'static str,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::ControlPlane { operation, source: Box::new(source) }
    }

    pub(crate) const fn control_plane(message: String) -> Self {
        Self::Stopped { message }
    }

    pub(crate) fn map(operation: &'static str, map: &'static str) -> impl FnOnce(MapError) -> Self {
        move |source| Self::Map { operation, map, source: Box::new(source) }
    }

    pub(crate) fn program(operation: &'static str, program: &str) -> impl FnOnce(ProgramError) -> Self {
        move |source| Self::Program { operation, program: program.to_owned(), source: Box::new(source) }
    }

    pub(crate) fn room<E: Into<io::Error>>(operation: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Room { operation, source: source.into() }
    }
}
