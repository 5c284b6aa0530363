//! `netloom policy …`: files in, answers out. What they mean is the policy crate's affair.

mod convert;
mod diff;
mod files;
mod grid;
mod matrix;
mod validate;
mod verdict;

use std::io::{self, Write};
use std::process::ExitCode;

use ::policy::{Enforcement, Settings};
use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

/// The exit code where a command could not do what it was asked to do.
const TROUBLE: u8 = 2;

/// Check, ask, compare and convert policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Say what is wrong with manifests, where, and what would be right.
    ///
    /// Exit code: 0 where all objects are valid, 1 where one is not, 2 where a file cannot be read.
    Validate(validate::ValidateArgs),
    /// Say what becomes of one connection, and which rules decide.
    ///
    /// Exit code: 0 whatever the verdict, 2 where there is none.
    Verdict(verdict::VerdictArgs),
    /// Say what becomes of many connections: every pod to every declared port, or the probes of a file.
    ///
    /// Exit code: 0 where the probes were gone through, even if some cannot be judged; else 2.
    Matrix(matrix::MatrixArgs),
    /// Turn NetworkPolicies into CiliumNetworkPolicies with the same meaning.
    ///
    /// Exit code: 0 where all were converted, 1 where one cannot be, 2 where a file cannot be read.
    Convert(convert::ConvertArgs),
    /// Say which connections a change opens and closes.
    ///
    /// Exit code: 0 where nothing changes, 1 where something does, 2 where that cannot be told.
    Diff(diff::DiffArgs),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For a person.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// Who answers, and what the cluster is set to.
#[derive(Debug, Args)]
struct Mode {
    /// Who answers.
    #[arg(long, value_enum, default_value_t)]
    engine: matrix::EngineName,
    /// When policies are enforced.
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    enforcement: EnforcementMode,
    /// What CIDRs of Cilium's policies match beside the outside of the cluster.
    #[arg(long, value_enum, value_name = "MODE")]
    cidr_match_mode: Vec<CidrMatchMode>,
}

/// Cilium's `enable-policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum EnforcementMode {
    /// For pods that a policy selects, in its directions.
    #[default]
    Default,
    /// For all pods, both ways.
    Always,
    /// For nobody.
    Never,
}

/// Cilium's `policy-cidr-match-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CidrMatchMode {
    /// Nodes.
    Nodes,
}

impl Mode {
    fn settings(&self) -> Settings {
        Settings {
            enforcement: match self.enforcement {
                EnforcementMode::Default => Enforcement::Default,
                EnforcementMode::Always => Enforcement::Always,
                EnforcementMode::Never => Enforcement::Never,
            },
            cidrs_match_nodes: self.cidr_match_mode.contains(&CidrMatchMode::Nodes),
            ..Settings::default()
        }
    }
}

/// Runs a command, and says on standard error what it met.
pub(crate) fn run(command: &PolicyCommand) -> ExitCode {
    let outcome = match command {
        PolicyCommand::Validate(args) => validate::run(args),
        PolicyCommand::Verdict(args) => verdict::run(args),
        PolicyCommand::Matrix(args) => matrix::run(args),
        PolicyCommand::Convert(args) => convert::run(args),
        PolicyCommand::Diff(args) => diff::run(args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("netloom: {error:#}");
        ExitCode::from(TROUBLE)
    })
}

/// Prints to standard output; a reader that has gone away is an error and no panic.
fn say(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", text.trim_end_matches('\n'))
        .and_then(|()| stdout.flush())
        .context("cannot write to standard output")
}

/// Prints one JSON document.
fn say_json(value: &impl Serialize) -> Result<()> {
    say(&serde_json::to_string_pretty(value)?)
}
