//! `netloom bench network` and `netloom bench compare`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::compare::Comparison;
use super::report::Report;
use super::setup::SetupName;
use super::{Error, Options, Stop, blocks};

/// `netloom bench network`.
#[derive(Clone, Debug, Args)]
pub(crate) struct NetworkArgs {
    /// veth, iptables-nft, nftables and netloom, 10 and 10,000 peers, five rounds: at most five minutes
    #[arg(long)]
    quick: bool,
    /// Which setups, beside veth
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SETUP,…")]
    setups: Vec<SetupName>,
    /// Peers of the policy; 0 is no policy at all
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    peers: Vec<usize>,
    /// How many rounds
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Do not compare our generator with iperf3, sockperf and wrk
    #[arg(long)]
    alone: bool,
    /// Write a page with plots too
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    /// Write the tables into a Markdown file too, between its marks `bench network`; may be repeated
    #[arg(long, value_name = "FILE.md")]
    into: Vec<PathBuf>,
    /// Measure nothing: tell what an earlier run printed with `--output json`
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["quick", "setups", "peers", "rounds", "alone"])]
    from: Option<PathBuf>,
}

impl NetworkArgs {
    /// Measures, or reads what was measured.
    pub(crate) fn run(&self) -> Result<Report, Error> {
        self.into.iter().try_for_each(|file| blocks::hold(file))?;
        if let Some(from) = &self.from {
            return read(from);
        }
        let stop = Stop::on_signals().map_err(|source| Error::Signals { source })?;
        super::run(&self.options(), &stop)
    }

    /// Writes the tables where they were wanted.
    pub(crate) fn write(&self, report: &Report) -> Result<(), Error> {
        self.into.iter().try_for_each(|file| blocks::write(report, file))
    }

    fn options(&self) -> Options {
        let mut options = if self.quick { Options::quick() } else { Options::full() };
        if !self.setups.is_empty() {
            options.setups.clone_from(&self.setups);
        }
        if !self.peers.is_empty() {
            options.sizes.clone_from(&self.peers);
        }
        options.rounds = self.rounds.unwrap_or(options.rounds).max(1);
        options.cross_checks = if self.alone { 0 } else { options.cross_checks.min(options.rounds) };
        options
    }
}

/// `netloom bench compare`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CompareArgs {
    /// What `netloom bench network --output json` printed before
    old: PathBuf,
    /// What it printed after
    new: PathBuf,
}

impl CompareArgs {
    pub(crate) fn run(&self) -> Result<Comparison, Error> {
        Ok(Comparison::of(&read(&self.old)?, &read(&self.new)?))
    }
}

fn read(path: &Path) -> Result<Report, Error> {
    let failed =
        |source: Box<dyn std::error::Error + Send + Sync>| Error::Report { path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(|source| failed(source.into()))?;
    serde_json::from_str(&text).map_err(|source| failed(source.into()))
}
