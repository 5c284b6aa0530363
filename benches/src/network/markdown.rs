//! The report for a person, as Markdown: a table for each metric, setups side by side.

use std::fmt::{self, Write};

use super::findings::{said, sentence, targets};
use super::report::{Conditions, Measurement, Metric, Report};
use super::setup::SetupName;

/// The tables, in their order, each with what it is about.
pub(crate) const TABLES: [(Metric, &str); 13] = [
    (Metric::StreamGbit, "TCP throughput, Gbit/s (more is better)"),
    (Metric::ExchangeP50, "Request and answer over one connection, µs, median (less is better)"),
    (Metric::ExchangeP99, "The same, one in a hundred takes longer"),
    (Metric::ExchangeP999, "The same, one in a thousand takes longer"),
    (Metric::ConnectRate, "Connect, request, answer, close: a second (more is better)"),
    (Metric::DatagramRate, "UDP datagrams a second that arrive (more is better)"),
    (Metric::CpuPerPacket, "Processor time for a UDP datagram, all processors, µs (less is better)"),
    (Metric::PeerAdded, "A peer is added: ms until a packet is judged by it (less is better)"),
    (Metric::PeerAddedCpu, "Processor time of that, ms"),
    (Metric::PolicyAdded, "A policy is added: ms until a packet is judged by it (less is better)"),
    (Metric::PolicyAddedCpu, "Processor time of that, ms"),
    (Metric::Load, "All rules from nothing, ms (once)"),
    (Metric::Memory, "Kernel memory of the rules, KiB (once)"),
];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(f, "{} processors ({}), {}", machine.processors, machine.processor, machine.kernel)?;
        for (metric, title) in TABLES {
            table(f, self, metric, title)?;
        }
        if !self.cross_checks.is_empty() {
            writeln!(
                f,
                "\n### Beside other generators\n\n| program | over | what | its | ours | ratio | |\n|---|---|---|---:|---:|---:|---|"
            )?;
            for check in &self.cross_checks {
                let agree = if check.agree { "agree" } else { "**differ by more than 10 %**" };
                let (tool, setup, metric) = (&check.tool, check.setup, check.metric);
                writeln!(
                    f,
                    "| {tool} | {setup} | {metric} | {:.2} | {:.2} | {:.2} | {agree} |",
                    check.theirs, check.ours, check.ratio
                )?;
            }
        }
        writeln!(f, "\n### Targets\n\n| netloom | found | |\n|---|---:|---|")?;
        for target in targets(self) {
            let verdict = if target.met { "met" } else { "**missed**" };
            writeln!(f, "| {} | {:.2} | {verdict} |", target.what, target.found)?;
        }
        if !self.notes.is_empty() {
            writeln!(f, "\n### To know\n")?;
            for note in &self.notes {
                writeln!(f, "- {note}")?;
            }
        }
        Ok(())
    }
}

/// Who was measured, in the order of columns.
pub(crate) fn setups(report: &Report) -> Vec<SetupName> {
    let mut setups: Vec<_> = report.results.iter().map(|one| one.setup).collect();
    setups.sort_unstable();
    setups.dedup();
    setups
}

/// The conditions under which a metric was measured.
pub(crate) fn conditions(report: &Report, metric: Metric) -> Vec<Conditions> {
    let mut conditions: Vec<_> =
        report.results.iter().filter(|one| one.metric == metric).map(|one| one.conditions).collect();
    conditions.sort_unstable();
    conditions.dedup();
    conditions
}

fn table(f: &mut fmt::Formatter<'_>, report: &Report, metric: Metric, title: &str) -> fmt::Result {
    let conditions = conditions(report, metric);
    if conditions.is_empty() {
        return Ok(());
    }
    let setups = setups(report);
    let mut head = String::from("| |");
    let mut rule = String::from("|---|");
    for setup in &setups {
        write!(head, " {setup} |")?;
        rule.push_str("---:|");
    }
    writeln!(f, "\n### {title}\n\n{}\n\n{head}\n{rule}", sentence(report, metric))?;
    for conditions in conditions {
        let mut row = format!("| {} |", said(conditions));
        for setup in &setups {
            match report.find(*setup, metric, conditions) {
                Some(one) => write!(row, " {} |", cell(one))?,
                None => row.push_str(" |"),
            }
        }
        writeln!(f, "{row}")?;
    }
    Ok(())
}

/// The median, and in brackets what it is to veth, with the interval of that.
pub(crate) fn cell(one: &Measurement) -> String {
    let median = figure(one.median);
    match (one.vs_veth_median, one.vs_veth_interval) {
        (Some(ratio), Some((low, high))) if one.setup != SetupName::Veth => {
            format!("{median} ({ratio:.2}x, {low:.2} to {high:.2})")
        }
        _ => median,
    }
}

/// Three digits or more.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        magnitude if magnitude >= 100.0 => format!("{value:.0}"),
        magnitude if magnitude >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
