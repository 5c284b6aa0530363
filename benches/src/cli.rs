//! `netloom bench …`.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use serde::Serialize;

use crate::network::cli::{CompareArgs, NetworkArgs};
use crate::report::Page;
use crate::{Error, control_plane, datapath, ipam, network, policy};

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For a person.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// `netloom bench …`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure what a packet costs in the programs of a node (needs root)
    Datapath {
        /// Only 10 and 16,000 peers, and shorter rounds: under a minute
        #[arg(long)]
        quick: bool,
        /// How to print the result
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// Measure what policies cost to resolve, compile and keep up to date
    Policy {
        /// Each thing once, and few identities added: some seconds
        #[arg(long)]
        quick: bool,
        /// How to print the result
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// Count calls and time to give pods addresses on EC2, beside models of other programs' loops
    Ipam {
        /// Ten nodes only
        #[arg(long)]
        quick: bool,
        /// Write a page with tables and plots, too
        #[arg(long, value_name = "FILE.html")]
        report: Option<PathBuf>,
        /// How to print the result
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// Measure an agent in a large cluster: memory, processor time, requests, and how fast policies are (needs root)
    ControlPlane(ControlPlaneArgs),
    /// Measure traffic between pods under iptables, ipset, nftables and netloom, beside bare links (needs root)
    Network {
        #[command(flatten)]
        args: NetworkArgs,
        /// How to print the result
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// Say what got slower between two reports of `bench network`, beyond the noise
    Compare {
        #[command(flatten)]
        args: CompareArgs,
        /// How to print the result
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
}

/// `netloom bench control-plane`.
#[derive(Debug, Args)]
struct ControlPlaneArgs {
    /// Nodes, the agent's own included
    #[arg(long, value_name = "N")]
    nodes: Option<u32>,
    /// Pods of other nodes
    #[arg(long, value_name = "N")]
    pods: Option<u32>,
    /// Label sets with a number
    #[arg(long, value_name = "N")]
    identities: Option<u32>,
    /// Policies
    #[arg(long, value_name = "N")]
    policies: Option<u32>,
    /// Pods of the agent's node
    #[arg(long, value_name = "N")]
    local_pods: Option<u32>,
    /// Pods that come, and as many that go, in a second
    #[arg(long, value_name = "N")]
    churn: Option<u32>,
    /// How long they come and go
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// A cluster of 50 nodes and 1,000 pods, for some seconds
    #[arg(long)]
    quick: bool,
    /// Kubeconfig of a running API server, in place of one of our own; what is written is removed again
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// How to print the result
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

impl ControlPlaneArgs {
    fn options(&self) -> Result<control_plane::Options, Error> {
        let size = |chosen: Option<u32>, full, quick| chosen.unwrap_or(if self.quick { quick } else { full });
        let seconds = self.seconds.unwrap_or(if self.quick { 5 } else { 60 });
        let own = std::env::current_exe().map_err(|source| Error::doing("finding the programs", source))?;
        let beside = own.parent().map(PathBuf::from).unwrap_or_default();
        Ok(control_plane::Options {
            nodes: size(self.nodes, 5_000, 50),
            pods: size(self.pods, 100_000, 1_000),
            identities: size(self.identities, 20_000, 200),
            policies: size(self.policies, 1_000, 70),
            local_pods: size(self.local_pods, 110, 10),
            churn: size(self.churn, 100, 50),
            churning: Duration::from_secs(seconds),
            kubeconfig: self.kubeconfig.clone(),
            programs: std::env::var_os("NETLOOM_BIN_DIR").map_or(beside, PathBuf::from),
        })
    }
}

/// Runs the command, and prints its result on standard output.
///
/// # Errors
/// What the benchmark met, or [`Error::Print`] where nobody reads the result.
pub fn run(args: &BenchArgs) -> Result<(), Error> {
    match args.command {
        Command::ControlPlane(ref args) => print(&control_plane::run(&args.options()?)?, args.output),
        Command::Network { ref args, output } => {
            hold_writable(args.report.as_deref())?;
            let report = args.run()?;
            let printed = print_and_write(&report, output, args.report.as_deref(), network::page);
            args.write(&report)?;
            printed
        }
        Command::Compare { ref args, output } => print(&args.run()?, output),
        Command::Datapath { quick, output } => {
            let options = if quick { datapath::Options::quick() } else { datapath::Options::full() };
            print(&datapath::run(&options)?, output)
        }
        Command::Ipam { quick, ref report, output } => {
            hold_writable(report.as_deref())?;
            let found = ipam::run(&ipam::Options { quick })?;
            print_and_write(&found, output, report.as_deref(), ipam::Report::page)
        }
        Command::Policy { quick, output } => {
            let options = if quick { policy::Options::quick() } else { policy::Options::full() };
            print(&policy::run(&options), output)
        }
    }
}

/// That a page can be written is known before anything is measured.
fn hold_writable(page: Option<&Path>) -> Result<(), Error> {
    page.map_or(Ok(()), Page::hold_writable)
}

/// Prints the result, and then makes the page of it: what was measured is not lost where one of them fails.
fn print_and_write<T: Serialize + fmt::Display>(
    report: &T,
    output: Output,
    file: Option<&Path>,
    page: impl FnOnce(&T) -> Result<Page, Error>,
) -> Result<(), Error> {
    let printed = print(report, output);
    if let Some(file) = file {
        page(report)?.write(file)?;
    }
    printed
}

fn print<T: Serialize + fmt::Display>(report: &T, output: Output) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let printed = match output {
        Output::Text => writeln!(out, "{report}"),
        Output::Json => serde_json::to_writer_pretty(&mut out, report)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out)),
    };
    printed.map_err(|source| Error::Print { source })
}
