//! Other people's generators, beside our own: where both do the same over the same path, their figures have to agree.

mod child;
mod iperf3;
mod sockperf;
mod wrk;

use std::path::PathBuf;

use super::Error;
use super::report::Metric;
use super::traffic::{Path, Window, Work};

/// A program that measures what we measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    /// Throughput of TCP.
    Iperf3,
    /// Request and answer.
    Sockperf,
    /// A connection for each request.
    Wrk,
}

impl Tool {
    pub(crate) const ALL: [Self; 3] = [Self::Iperf3, Self::Sockperf, Self::Wrk];

    /// The program, and the package of Debian that has it.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::Iperf3 => "iperf3",
            Self::Sockperf => "sockperf",
            Self::Wrk => "wrk",
        }
    }

    /// Whether it is on this machine.
    pub(crate) fn is_here(self) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .map(|directory: PathBuf| directory.join(self.program()))
            .any(|file| file.is_file())
    }

    /// What of ours it is compared with.
    pub(crate) const fn like(self) -> (Work, Metric) {
        match self {
            Self::Iperf3 => (Work::Stream { streams: 1 }, Metric::StreamGbit),
            Self::Sockperf => (Work::Exchange, Metric::ExchangeP50),
            Self::Wrk => (Work::Connect, Metric::ConnectRate),
        }
    }

    /// Measures once.
    ///
    /// # Errors
    /// [`Error::Tool`] when the program fails, or says what cannot be read.
    pub(crate) fn measure(self, path: Path<'_>, window: Window) -> Result<f64, Error> {
        let measured = match self {
            Self::Iperf3 => iperf3::measure(path, window),
            Self::Sockperf => sockperf::measure(path, window),
            Self::Wrk => wrk::measure(path, window),
        };
        measured.map_err(|source| Error::Tool { program: self.program(), source })
    }
}
