//! `netloom policy diff`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::policy::diff::{Change, Changes, Effect, Judged};
use ::policy::judge::Deciding;
use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use super::files::{self, Beside};
use super::matrix::Prepared;
use super::{Mode, Output, TROUBLE, grid, say, say_json};

/// `netloom policy diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// Manifests before the change, then those after it: -f OLD -f NEW.
    #[arg(long = "filename", short = 'f', value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Manifests that are there before and after, such as those of pods and nodes.
    #[arg(long, short, value_name = "PATH")]
    cluster: Vec<PathBuf>,
    #[command(flatten)]
    beside: Beside,
    /// Compare these connections only: a JSON array of probes, as for matrix.
    #[arg(long, value_name = "FILE")]
    probes: Option<PathBuf>,
    #[command(flatten)]
    mode: Mode,
    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(args: &DiffArgs) -> Result<ExitCode> {
    let [old, new] = args.paths.as_slice() else { bail!("name two sets of manifests: -f OLD -f NEW") };
    let others: Vec<&Path> = args.probes.as_deref().into_iter().collect();
    let load = |path: &PathBuf| {
        let paths: Vec<PathBuf> = args.cluster.iter().chain([path]).cloned().collect();
        args.beside.load(&paths, &others).with_context(|| path.display().to_string())
    };
    let (old, new) = (load(old)?, load(new)?);
    let before = Prepared::new(&old, &args.mode)?;
    let after = Prepared::new(&new, &args.mode)?;
    let (mut before, mut after) = (before.judge(&old), after.judge(&new));
    let changes = match &args.probes {
        None => Changes::between(&mut before, &mut after),
        Some(path) => {
            let probes: Vec<Value> = serde_json::from_str(&files::read_text(path)?)
                .with_context(|| format!("{}: not a JSON array of probes", path.display()))?;
            Changes::of_probes(&mut before, &mut after, &probes)
        }
    };
    for error in &changes.errors {
        eprintln!("netloom: {error}");
    }
    match args.output {
        Output::Json => say_json(&changes)?,
        Output::Text => say(&text(&changes))?,
    }
    Ok(match (changes.errors.is_empty(), changes.changes.is_empty()) {
        (false, _) => ExitCode::from(TROUBLE),
        (true, false) => ExitCode::FAILURE,
        (true, true) => ExitCode::SUCCESS,
    })
}

fn text(changes: &Changes) -> String {
    let mut lines = Vec::new();
    // Ports that share their fate share a row.
    let mut rows: BTreeMap<(Effect, &str, &str, Vec<String>), Vec<&str>> = BTreeMap::new();
    for change in &changes.changes {
        let row = (change.change, change.from.as_str(), change.to.as_str(), because(change));
        rows.entry(row).or_default().push(&change.ports);
    }
    if rows.is_empty() {
        lines.push("no connection changes".to_owned());
    } else {
        let mut table = grid::empty();
        table.set_header(["", "from", "to", "ports", "because of"]);
        for ((effect, from, to, because), ports) in rows {
            let effect = match effect {
                Effect::Opened => "opened",
                Effect::Closed => "closed",
                Effect::Proxied => "proxied",
            };
            table.add_row([effect, from, to, &wrapped(&ports), &because.join("\n")]);
        }
        lines.push(table.to_string());
        let count = |effect| changes.changes.iter().filter(|change| change.change == effect).count();
        let [opened, closed, proxied] = [Effect::Opened, Effect::Closed, Effect::Proxied].map(count);
        lines.push(format!("{opened} opened, {closed} closed, {proxied} with another proxy"));
    }
    for (names, when) in [(&changes.gone, "before"), (&changes.new, "after")] {
        if !names.is_empty() {
            lines.push(format!("only {when} the change, and not compared: {}", names.join(", ")));
        }
    }
    lines.join("\n")
}

/// A few to a line.
fn wrapped(ports: &[&str]) -> String {
    ports.chunks(3).map(|ports| ports.join(", ")).collect::<Vec<_>>().join("\n")
}

/// The rules that say so now; those that said otherwise before, where none does.
fn because(change: &Change) -> Vec<String> {
    let names = |judged: &Judged, sign: char| -> Vec<String> {
        let name =
            |rule: &Deciding| format!("{sign} {} {} ({}:{})", rule.object, rule.path, rule.file, rule.line);
        judged.rules.iter().map(name).collect()
    };
    // What was there before and stays has not changed anything.
    let stays = |rule: &Deciding, other: &Judged| {
        other.rules.iter().any(|known| known.object == rule.object && known.path == rule.path)
    };
    let only = |judged: &Judged, other: &Judged| {
        let rules = judged.rules.iter().filter(|rule| !stays(rule, other)).cloned().collect();
        Judged { verdict: judged.verdict, rules }
    };
    let mut found = names(&only(&change.before, &change.after), '-');
    found.extend(names(&only(&change.after, &change.before), '+'));
    found
}
