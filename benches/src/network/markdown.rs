//! The report for a person, as Markdown: a table for each facet, setups side by side; and in short.

use std::fmt::{self, Write};

use super::facets::{Facet, facets, peers};
use super::pods::Position;
use super::report::{Conditions, Measurement, Metric, Report};
use super::setup::SetupName;
use super::standing::Standing;
use super::targets::targets;
use crate::report::plot::thousands;

/// What the short table has, with the words for it.
const IN_SHORT: [(Metric, &str); 4] = [
    (Metric::ConnectRate, "connections a second"),
    (Metric::ExchangeP50, "request and answer, median, µs"),
    (Metric::StreamGbit, "TCP throughput, Gbit/s"),
    (Metric::PeerAdded, "a peer is added, ms"),
];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", about(self))?;
        targets_table(f, self)?;
        let facets = facets(self);
        for (heading, lines) in standings(self, &facets) {
            writeln!(f, "\n### {heading}\n")?;
            lines.iter().try_for_each(|line| writeln!(f, "- {line}"))?;
        }
        facets.iter().try_for_each(|facet| table(f, self, facet))?;
        generators(f, self)?;
        if !self.notes.is_empty() {
            writeln!(f, "\n### To know\n")?;
            self.notes.iter().try_for_each(|note| writeln!(f, "- {note}"))?;
        }
        Ok(())
    }
}

/// Where and when it was measured, in a sentence.
pub(crate) fn about(report: &Report) -> String {
    let machine = &report.machine;
    let release = machine.settings.get("kernel/osrelease").map_or("", String::as_str);
    let rounds = report.results.iter().map(|one| one.rounds).max().unwrap_or_default();
    let date = i64::try_from(machine.began).ok().and_then(|began| jiff::Timestamp::from_second(began).ok());
    format!(
        "Medians of {rounds} rounds, on {} processors ({}{}), {} GiB of memory, Linux {}, {}.",
        machine.processors,
        machine.processor,
        if machine.virtualised { ", virtualised" } else { "" },
        (machine.memory_kib + (1 << 19)) >> 20,
        // What follows the numbers is whoever built it.
        release.split('-').next().unwrap_or_default(),
        date.map_or_else(String::new, |date| date.strftime("%Y-%m-%d").to_string()),
    )
}

/// Who was measured, in the order of columns.
pub(crate) fn setups(report: &Report) -> Vec<SetupName> {
    let mut setups: Vec<_> = report.results.iter().map(|one| one.setup).collect();
    setups.sort_unstable();
    setups.dedup();
    setups
}

/// Where netloom is behind, where ahead, and where nothing can be told, each with a heading.
pub(crate) fn standings(report: &Report, facets: &[Facet]) -> Vec<(&'static str, Vec<String>)> {
    let all: Vec<(&Facet, Standing<'_>)> =
        facets.iter().filter_map(|facet| Some((facet, Standing::of(report, facet)?))).collect();
    let told = |of: &dyn Fn(&Standing<'_>) -> Option<String>| -> Vec<String> {
        all.iter()
            .filter_map(|(facet, standing)| Some(format!("{}: {}", facet.title, of(standing)?)))
            .collect()
    };
    let level = |(facet, standing): &(&Facet, Standing<'_>)| {
        (standing.behind().is_none() && standing.ahead().is_none()).then(|| facet.title.clone())
    };
    [
        ("Where netloom is behind", told(&|standing| standing.behind())),
        ("Where netloom is ahead", told(&|standing| standing.ahead())),
        ("Where no difference is beyond the noise", all.iter().filter_map(level).collect()),
    ]
    .into_iter()
    .filter(|(_, lines)| !lines.is_empty())
    .collect()
}

/// A table of the figures that matter most, and where netloom is behind.
pub(crate) fn in_short(report: &Report) -> Result<String, fmt::Error> {
    let setups = setups(report);
    let mut text = head(&setups, |setup| format!("`{setup}`"));
    for (metric, words) in IN_SHORT {
        for size in ends(report) {
            write!(text, "| {words}, {} |", peers(size))?;
            for setup in &setups {
                let found = report.results.iter().find(|one| {
                    (one.setup, one.metric) == (*setup, metric) && is_plain(one.conditions, size)
                });
                write!(text, " {} |", found.map_or_else(String::new, |one| figure(one.median)))?;
            }
            text.push('\n');
        }
    }
    writeln!(
        text,
        "\n{} Both nodes are one machine: shares of a real network's time are smaller. \
         In the time of a change netloom's way through the API is counted; the others have no control plane in theirs.",
        about(report)
    )?;
    let facets = facets(report);
    let behind: Vec<String> = facets
        .iter()
        .filter(|facet| !facet.by_position)
        .filter_map(|facet| {
            Some(format!("{}: {}", facet.title, Standing::of(report, facet)?.behind_in_short()?))
        })
        .collect();
    let targets = targets(report);
    let missed = targets.iter().filter(|target| !target.is_met()).count();
    if behind.is_empty() {
        writeln!(text, "Netloom is not shown to be behind any other that enforces.")?;
    } else {
        writeln!(
            text,
            "**Where Netloom is behind another that enforces** (beyond the noise, where there is more than one sample; its figure as a multiple of the other's): {}.",
            behind.join("; ")
        )?;
    }
    writeln!(text, "It misses {missed} of its {} targets.", targets.len())?;
    Ok(text)
}

/// The smallest size with a policy and the largest, of those that are worth a look.
fn ends(report: &Report) -> Vec<usize> {
    let sizes = || report.results.iter().map(|one| one.conditions.peers).filter(|peers| *peers > 0);
    let mut ends: Vec<usize> = sizes().min().into_iter().chain(sizes().max()).collect();
    ends.dedup();
    ends
}

/// One connection of the last peer, at the common MTU.
fn is_plain(when: Conditions, peers: usize) -> bool {
    when.peers == peers
        && when.position.is_none_or(|at| at == Position::Last)
        && when.streams.is_none_or(|streams| streams == 1)
        && when.mtu.is_none_or(|mtu| mtu == 1500)
}

/// The first two lines of a table with a column for each setup.
fn head(setups: &[SetupName], name: impl Fn(&SetupName) -> String) -> String {
    let names: String = setups.iter().map(|setup| format!(" {} |", name(setup))).collect();
    format!("| |{names}\n|---|{}\n", "---:|".repeat(setups.len()))
}

fn targets_table(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let targets = targets(report);
    if targets.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n### Targets\n\n| netloom | worst | when | |\n|---|---:|---|---|")?;
    for target in targets {
        let verdict = if target.is_met() { "met".to_owned() } else { format!("**{}**", target.verdict()) };
        writeln!(f, "| {} | {} | {} | {verdict} |", target.what, figure(target.worst), target.when)?;
    }
    Ok(())
}

fn table(f: &mut fmt::Formatter<'_>, report: &Report, facet: &Facet) -> fmt::Result {
    let setups = setups(report);
    writeln!(f, "\n### {}\n\n{}", facet.heading(), facet.about)?;
    if let Some(standing) = Standing::of(report, facet) {
        writeln!(f, "{standing}")?;
    }
    write!(f, "\n{}", head(&setups, ToString::to_string))?;
    for row in &facet.rows {
        let cells = setups.iter().map(|setup| match report.find(*setup, facet.metric, *row) {
            Some(one) => match beside(one) {
                Some(beside) => format!(" {} ({beside}) |", figure(one.median)),
                None => format!(" {} |", figure(one.median)),
            },
            None => " |".to_owned(),
        });
        writeln!(f, "| {} |{}", facet.row(*row), cells.collect::<String>())?;
    }
    Ok(())
}

fn generators(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    if report.cross_checks.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "\n### Beside other generators\n\n| program | over | what | its | ours | ratio | pairs | |\n|---|---|---|---:|---:|---:|---:|---|"
    )?;
    for check in &report.cross_checks {
        let agree = if check.agree { "agree" } else { "**differ by more than 10 %**" };
        writeln!(
            f,
            "| {} | {} | {} | {} | {} | {} | {} | {agree} |",
            check.tool,
            check.setup,
            check.metric,
            figure(check.theirs),
            figure(check.ours),
            ratio_of(check),
            check.ratios.len()
        )?;
    }
    Ok(())
}

/// The ratio of two generators, with its spread.
pub(crate) fn ratio_of(check: &super::report::CrossCheck) -> String {
    match check.spread() {
        Some((least, most)) => format!("{:.2} ({least:.2} to {most:.2})", check.ratio),
        None => format!("{:.2}", check.ratio),
    }
}

/// What stands beside a median: what it is to veth and the interval of that; where there is no veth, its own interval; nothing
/// where it was measured once.
pub(crate) fn beside(one: &Measurement) -> Option<String> {
    match (one.vs_veth_median, one.vs_veth_interval) {
        (Some(ratio), Some((low, high))) if one.setup != SetupName::Veth => {
            Some(format!("{ratio:.2}x, {low:.2} to {high:.2}"))
        }
        _ if one.rounds > 1 => Some(format!("{} to {}", figure(one.interval.0), figure(one.interval.1))),
        _ => None,
    }
}

/// Three digits or more.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        magnitude if magnitude >= 1_000.0 => thousands(&format!("{value:.0}")),
        magnitude if magnitude >= 100.0 => format!("{value:.0}"),
        magnitude if magnitude >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::full;
    use super::*;

    #[test]
    fn the_short_table_has_two_sizes_and_says_who_is_ahead() {
        let text = in_short(&full()).unwrap();
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
        assert_eq!(rows.len(), 9, "{text}");
        for row in &rows {
            assert_eq!(row.matches('|').count(), 8, "{row}");
        }
        assert!(rows[1].starts_with("| connections a second, 10 peers | 1"), "{}", rows[1]);
        assert!(rows[2].starts_with("| connections a second, 10,000 peers | 1"), "{}", rows[2]);
        // Figures of the full report fall from setup to setup: ours are the lowest.
        assert!(text.contains("Connections: all others (down to "), "{text}");
    }

    #[test]
    fn every_row_of_a_table_has_its_columns() {
        let text = full().to_string();
        for row in text.lines().filter(|line| line.starts_with("| no policy") || line.contains(" peers |")) {
            assert!([5, 8].contains(&row.matches('|').count()), "{row}");
        }
        assert!(text.lines().all(|line| line.len() < 900), "{text}");
    }

    #[test]
    fn figures_have_three_digits() {
        let told = [0.9876, 12.345, 123.4, 11_206.4].map(figure);
        assert_eq!(told, ["0.99", "12.3", "123", "11,206"]);
    }
}
