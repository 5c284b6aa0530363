//! `netloom policy matrix`.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::policy::cluster::Cluster;
use ::policy::judge::{Explaining, Judge, Matrix, OracleEngine, Peers, Place, Probe, TablesEngine, Trouble};
use ::policy::oracle::Oracle;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::files::{self, Given};
use super::grid;
use super::{Mode, Output};

/// `netloom policy matrix`.
#[derive(Debug, Args)]
pub(crate) struct MatrixArgs {
    #[command(flatten)]
    given: Given,
    /// Questions: a JSON array of {"from", "to", "port", "protocol"}, or of {"from", "to", "protocol": "ICMP", "type"}.
    #[arg(long, value_name = "FILE")]
    probes: Option<PathBuf>,
    /// Only connections that this pod opens.
    #[arg(long, value_name = "NAMESPACE/POD")]
    from: Option<String>,
    #[command(flatten)]
    mode: Mode,
    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// Who answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum EngineName {
    /// Compiled tables where a pod is asked about much, the rules themselves where it is not.
    #[default]
    Auto,
    /// Compiled tables, as the datapath reads them. The rules are asked too, and must agree.
    Tables,
    /// The reference evaluator: slow, and independent of rules and tables.
    Oracle,
}

/// What an engine reads.
pub(super) enum Prepared {
    Oracle(Box<Oracle>),
    Tables(Box<Peers>, Explaining),
}

impl Prepared {
    /// Prepares an engine for a cluster.
    pub(super) fn new(cluster: &Cluster, mode: &Mode) -> Result<Self> {
        let tables = |explaining| {
            Ok::<_, Trouble>(Self::Tables(Box::new(Peers::new(cluster, mode.settings())?), explaining))
        };
        Ok(match mode.engine {
            EngineName::Oracle if !cluster.closed().is_empty() => {
                bail!("the oracle reads valid policies only: --allow-invalid needs another engine")
            }
            EngineName::Oracle => Self::Oracle(Box::new(cluster.oracle(mode.settings()))),
            EngineName::Tables => tables(Explaining::ByTables)?,
            EngineName::Auto => tables(Explaining::Cheapest)?,
        })
    }

    /// Who judges.
    pub(super) fn judge<'a>(&'a self, cluster: &'a Cluster) -> Judge<'a> {
        match self {
            Self::Oracle(oracle) => Judge::new(cluster, OracleEngine::new(cluster, oracle)),
            Self::Tables(peers, explaining) => {
                Judge::new(cluster, TablesEngine::new(cluster, peers, *explaining))
            }
        }
    }
}

pub(super) fn run(args: &MatrixArgs) -> Result<ExitCode> {
    let others: Vec<&Path> = args.probes.as_deref().into_iter().collect();
    let cluster = args.given.load(&others)?;
    let prepared = Prepared::new(&cluster, &args.mode)?;
    let mut judge = prepared.judge(&cluster);
    let from = args.from.as_deref().map(|text| Place::parse(text, &cluster)).transpose()?;
    match &args.probes {
        Some(path) => probes(args, path, from.as_ref(), &mut judge)?,
        None => everything(args, from.as_ref(), &mut judge)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Answers the probes of a file.
fn probes(args: &MatrixArgs, path: &Path, from: Option<&Place>, judge: &mut Judge<'_>) -> Result<()> {
    let text = files::read_text(path)?;
    let mut probes: Vec<Value> = serde_json::from_str(&text)
        .with_context(|| format!("{}: not a JSON array of probes", path.display()))?;
    if let Some(from) = from {
        probes.retain(|probe| probe.get("from").and_then(Value::as_str) == Some(from.text()));
    }
    let answers = probes.iter().map(|probe| judge.answer(probe));
    match args.output {
        Output::Json => array(answers),
        Output::Text => super::say(&grid::list(&answers.collect::<Vec<_>>())),
    }
}

/// Answers for every pod, or for the one that is asked for.
fn everything(args: &MatrixArgs, from: Option<&Place>, judge: &mut Judge<'_>) -> Result<()> {
    let pod = match from {
        None => None,
        Some(from) => {
            let named = from.text().split_once('/');
            let pod = named.and_then(|(namespace, name)| judge.cluster().pod(namespace, name));
            Some(pod.with_context(|| format!("--from {}: name a pod, or give probes", from.text()))?)
        }
    };
    let matrix = Matrix::new(judge.cluster(), pod);
    if !matrix.without_ports.is_empty() {
        let count = matrix.without_ports.len();
        let first: Vec<&str> = matrix.without_ports.iter().take(3).map(String::as_str).collect();
        let more = if count > first.len() { ", …" } else { "" };
        eprintln!(
            "netloom: note: nothing is asked about connections to pods that declare no port: {}{more} ({count})",
            first.join(", ")
        );
    }
    match args.output {
        Output::Json => {
            let answers = matrix.questions().map(|(from, to, wanted)| {
                let (from_text, to_text) = (from.text().to_owned(), to.text().to_owned());
                let probe = Probe { from: from_text, to: to_text, service: wanted.clone() };
                let mut fields = probe.to_json();
                match judge.between(from, to, wanted) {
                    Ok(answer) => judge.write(&answer, &mut fields),
                    Err(trouble) => {
                        fields.insert("error".into(), trouble.to_string().into());
                    }
                }
                Value::Object(fields)
            });
            array(answers)
        }
        Output::Text => super::say(&grid::grid(&matrix, judge)),
    }
}

/// Prints a JSON array, one item a line.
fn array(items: impl Iterator<Item = Value>) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let write = || -> io::Result<()> {
        out.write_all(b"[")?;
        for (number, item) in items.enumerate() {
            out.write_all(if number == 0 { b"\n" } else { b",\n" })?;
            serde_json::to_writer(&mut out, &item)?;
        }
        out.write_all(b"\n]\n")?;
        out.flush()
    };
    write().context("cannot write to standard output")
}
