//! `netloom bench …`.

use std::fmt;
use std::io::{self, Write};

use clap::{Args, Subcommand, ValueEnum};

use serde::Serialize;

use crate::{Error, datapath, policy};

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
}

/// Runs the command, and prints its result on standard output.
///
/// # Errors
/// What the benchmark met, or [`Error::Print`] where nobody reads the result.
pub fn run(args: &BenchArgs) -> Result<(), Error> {
    match args.command {
        Command::Datapath { quick, output } => {
            let options = if quick { datapath::Options::quick() } else { datapath::Options::full() };
            print(&datapath::run(&options)?, output)
        }
        Command::Policy { quick, output } => {
            let options = if quick { policy::Options::quick() } else { policy::Options::full() };
            print(&policy::run(&options), output)
        }
    }
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
