//! The report as a page with plots.

use super::findings::{said, sentence, targets};
use super::markdown::{TABLES, cell, conditions, figure, setups};
use super::report::{Metric, Report};
use crate::Error;
use crate::report::{Axis, Bars, Page, Section, Series, Table};

/// What is only in tables: figures that explain others, and those that are taken once.
const WITHOUT_PLOT: [Metric; 5] =
    [Metric::ExchangeP999, Metric::PeerAddedCpu, Metric::PolicyAddedCpu, Metric::Load, Metric::Memory];

/// Makes the page.
///
/// # Errors
/// [`Error::Plot`].
pub(crate) fn page(report: &Report) -> Result<Page, Error> {
    let machine = &report.machine;
    let about = format!(
        "Two nodes of network namespaces on one machine, under each setup in turn, round by round. {} processors ({}){}, \
         {} MiB of memory, {}. Bars and figures are medians; in brackets what they are to veth in the same rounds, and \
         between which that lies (95 % with six rounds or more, the extremes with fewer).",
        machine.processors,
        machine.processor,
        if machine.virtualised { ", virtualised" } else { "" },
        machine.memory_kib / 1024,
        machine.kernel
    );
    let mut page = Page::new("Pod networks side by side", about);
    page = page.section(targets_section(report));
    for (metric, title) in TABLES {
        if let Some(section) = section(report, metric, title)? {
            page = page.section(section);
        }
    }
    Ok(page.section(generators(report)).section(rules(report)).section(machine_section(report)))
}

fn targets_section(report: &Report) -> Section {
    let targets = targets(report);
    let missed = targets.iter().filter(|target| !target.met).count();
    let said = format!("netloom misses {missed} of {} targets.", targets.len());
    let row = |table: Table, target: &super::findings::Target| {
        let verdict = if target.met { "met" } else { "missed" };
        table.row([target.what.clone(), figure(target.found), verdict.to_owned()])
    };
    Section::new("Targets", said).table(targets.iter().fold(Table::new(["netloom", "found", ""]), row))
}

fn section(report: &Report, metric: Metric, title: &str) -> Result<Option<Section>, Error> {
    let (conditions, setups) = (conditions(report, metric), setups(report));
    if conditions.is_empty() {
        return Ok(None);
    }
    let head = std::iter::once(String::new()).chain(setups.iter().map(ToString::to_string));
    let mut table = Table::new(head);
    for &when in &conditions {
        let found = |setup| report.find(setup, metric, when).map_or_else(String::new, cell);
        table = table.row(std::iter::once(said(when)).chain(setups.iter().map(|setup| found(*setup))));
    }
    let section = Section::new(title, sentence(report, metric)).table(table);
    if WITHOUT_PLOT.contains(&metric) {
        return Ok(Some(section));
    }
    let measured = |setup| conditions.iter().any(|&when| report.find(setup, metric, when).is_some());
    let bars = Bars {
        title: title.to_owned(),
        groups: conditions.iter().map(|&when| said(when)).collect(),
        y: Axis::new(metric.name()),
        series: setups
            .iter()
            .filter(|setup| measured(**setup))
            .map(|setup| Series {
                name: setup.to_string(),
                values: conditions
                    .iter()
                    .map(|&when| report.find(*setup, metric, when).map(|one| one.median))
                    .collect(),
            })
            .collect(),
    };
    Ok(Some(section.plot(bars.draw()?)))
}

fn generators(report: &Report) -> Section {
    let sentence = match report.cross_checks.iter().filter(|check| !check.agree).count() {
        _ if report.cross_checks.is_empty() => "Our generator was not compared with another.".to_owned(),
        0 => "Ours and theirs agree within 10 %.".to_owned(),
        differ => format!(
            "In {differ} of {} cases ours and theirs differ by more than 10 %.",
            report.cross_checks.len()
        ),
    };
    let mut table = Table::new(["program", "over", "what", "its median", "ours", "ratio"]);
    for check in &report.cross_checks {
        table = table.row([
            check.tool.clone(),
            check.setup.to_string(),
            check.metric.name(),
            figure(check.theirs),
            figure(check.ours),
            figure(check.ratio),
        ]);
    }
    for (what, limit) in &report.limits {
        table = table.row(["(none)", "loopback", what, "", &figure(*limit), ""]);
    }
    Section::new("The generator beside others, and without a network", sentence).table(table)
}

fn rules(report: &Report) -> Section {
    let mut table = Table::new(["setup", "peers", "entries", "memory told by"]);
    for rules in &report.rules {
        table = table.row([
            rules.setup.to_string(),
            rules.peers.to_string(),
            rules.entries.to_string(),
            rules.memory_told_by.clone().unwrap_or_default(),
        ]);
    }
    let sentence = "What is in force, on the node of the pod that the policy is about: rules and elements of sets as the tools list \
                    them; of netloom the entries of the maps by which peers are judged. The rules themselves, as the tools \
                    print them, are in the JSON document.";
    Section::new("Rules", sentence).table(table)
}

fn machine_section(report: &Report) -> Section {
    let machine = &report.machine;
    let mut table = Table::new(["", "value"]);
    let all = machine.programs.iter().chain(&machine.settings).chain(&machine.mitigations);
    for (name, value) in all {
        table = table.row([name, value]);
    }
    table = table.row(["offloads of a pod's link", &machine.offloads]);
    for note in &report.notes {
        table = table.row(["to know", note]);
    }
    Section::new("The machine", "Programs, settings of the kernel, and what to know of this run.")
        .table(table)
}
