//! `netloom bench …`.

use std::io::{self, Write};

use clap::{Args, Subcommand, ValueEnum};

use crate::datapath::{self, Error, Options};

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
}

/// Runs the command, and prints its result on standard output.
///
/// # Errors
/// What the benchmark met, or [`Error::Print`] where nobody reads the result.
pub fn run(args: &BenchArgs) -> Result<(), Error> {
    let Command::Datapath { quick, output } = args.command;
    let report = datapath::run(&if quick { Options::quick() } else { Options::full() })?;
    let mut out = io::stdout().lock();
    let printed = match output {
        Output::Text => writeln!(out, "{report}"),
        Output::Json => serde_json::to_writer_pretty(&mut out, &report)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out)),
    };
    printed.map_err(|source| Error::Print { source })
}
