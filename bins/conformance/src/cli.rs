//! `netloom conformance`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use lab::name::LabName;

use crate::file::SuiteFile;
use crate::level::{Core, Lab, Level, Oracle};
use crate::report::Report;
use crate::run::{Chosen, check, choose, run, skip};
use crate::suite::LevelName;

/// Which levels to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Wanted {
    /// The reference evaluator.
    Oracle,
    /// The datapath's code on the host.
    Core,
    /// Packets in a lab.
    Lab,
    /// All of them.
    #[default]
    All,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For a person.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// Run other people's policy cases, and compare who reaches whom.
#[derive(Debug, Args)]
pub struct ConformanceArgs {
    /// Case files, and directories of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Where to run them. With `all`, the lab is left out where this machine cannot have one.
    #[arg(long, value_enum, default_value_t)]
    level: Wanted,
    /// Run only the cases of this name.
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// The name of the lab that is made.
    #[arg(long, value_name = "NAME")]
    lab: Option<LabName>,
    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// Runs the cases, and prints what came of them. The code says whether all came out as expected.
///
/// # Errors
/// When cases cannot be read, make no sense, or a level breaks down.
pub fn run_cli(args: &ConformanceArgs) -> Result<ExitCode> {
    let files = SuiteFile::read_all(&args.paths)?;
    let cases = choose(&files, &args.cases)?;
    check(&cases)?;
    let mut reports = Vec::new();
    let wants = |level| args.level == Wanted::All || args.level == level;
    if wants(Wanted::Oracle) {
        reports.extend(run(&cases, &mut Oracle::default(), |_| ())?);
    }
    if wants(Wanted::Core) {
        reports.extend(run(&cases, &mut Core::default(), |_| ())?);
    }
    if wants(Wanted::Lab) {
        match Lab::unavailable().filter(|_| args.level == Wanted::All) {
            Some(why) => reports.extend(skip(&cases, LevelName::Lab, &why)),
            None => {
                let name = match &args.lab {
                    Some(name) => name.clone(),
                    None => lab_name()?,
                };
                reports.extend(run(&cases, &mut *lab(name, &cases)?, |_| ())?);
            }
        }
    }
    let report = Report::new(reports);
    match args.output {
        Output::Text => print!("{report}"),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report).context("printing JSON")?),
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A lab with as many nodes as any of the cases has, and at least two.
fn lab(name: LabName, cases: &[Chosen<'_>]) -> Result<Box<dyn Level>> {
    let nodes =
        cases.iter().map(Chosen::nodes).max().unwrap_or_default().clamp(2, usize::from(lab::plan::MAX_NODES));
    Ok(Box::new(Lab::up(name, u8::try_from(nodes)?)?))
}

/// A name that no other run has.
fn lab_name() -> Result<LabName> {
    format!("cases-{}", std::process::id()).parse().map_err(anyhow::Error::msg)
}
