//! Who reaches whom, and why not.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::attempt::Protocol;
use crate::cluster::Cluster;
use crate::console::Colours;
use crate::flows::rules;
use crate::place::{Family, Place};
use crate::pod::Pod;
use crate::probe::{Judgement, Probe, Report, Target, run_all};
use crate::state::State;

/// How long a probe may take: what is denied takes all of it.
const TIMEOUT: Duration = Duration::from_millis(1000);

/// The reports of every pod's probes of every other pod's first port, and of the world's.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Matrix {
    reports: Vec<Report>,
}

/// A cell that is not what it was.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Changed {
    from: String,
    to: String,
    port: u16,
    protocol: Protocol,
    family: u8,
    before: Judgement,
    after: Judgement,
}

/// What a cell is about, apart from the family.
type Cell = (String, String, u16, Protocol);

impl Matrix {
    /// Probes everything at once, over both families.
    pub(super) fn probe(state: &State) -> Result<Self> {
        let pods: Vec<Pod> = Cluster::of(&state.name)?.pods()?.iter().map(Pod::of).collect();
        let mut targets: Vec<_> = pods
            .iter()
            .filter_map(|pod| {
                let port = pod.ports.first()?;
                let target = Target { port: port.number, protocol: port.protocol.parse().ok()? };
                Some((Place::Pod(pod.name.clone()), target))
            })
            .collect();
        targets.push((Place::World, Target { port: 80, protocol: Protocol::Tcp }));
        let mut probes = Vec::new();
        for pod in &pods {
            let from = Place::Pod(pod.name.clone());
            for (to, target) in targets.iter().filter(|(to, _)| *to != from) {
                for family in [Family::V4, Family::V6] {
                    let (from, to, target) = (from.clone(), to.clone(), *target);
                    probes.push(Probe { from, to, target, family: Some(family), timeout: TIMEOUT });
                }
            }
        }
        Ok(Self { reports: run_all(state, &probes)? })
    }

    /// How many probes there were, and how many of them got through.
    pub(super) fn count(&self) -> (usize, usize) {
        let allowed = self.reports.iter().filter(|report| report.verdict == Judgement::Allow);
        (self.reports.len(), allowed.count())
    }

    /// Whether every probe either got through or was dropped for a reason that is known.
    pub(super) fn is_explained(&self) -> bool {
        self.reports.iter().all(|report| report.verdict != Judgement::Unknown)
    }

    /// What is not as it was before.
    pub(super) fn changes_since(&self, before: &Self) -> Vec<Changed> {
        let changed = |(after, before): (&Report, &Report)| {
            (after.verdict != before.verdict).then(|| Changed {
                from: after.from.clone(),
                to: after.to.clone(),
                port: after.port,
                protocol: after.protocol,
                family: if after.address.is_ipv4() { 4 } else { 6 },
                before: before.verdict,
                after: after.verdict,
            })
        };
        self.reports.iter().zip(&before.reports).filter_map(changed).collect()
    }

    /// The matrix as a person reads it: rows call columns.
    pub(super) fn text(&self, colours: Colours) -> String {
        let mut columns: Vec<(&str, u16, Protocol)> = Vec::new();
        let mut rows: Vec<&str> = Vec::new();
        let mut cells: BTreeMap<Cell, Vec<&Report>> = BTreeMap::new();
        for report in &self.reports {
            let column = (report.to.as_str(), report.port, report.protocol);
            if !columns.contains(&column) {
                columns.push(column);
            }
            if !rows.contains(&report.from.as_str()) {
                rows.push(&report.from);
            }
            let cell = (report.from.clone(), report.to.clone(), report.port, report.protocol);
            cells.entry(cell).or_default().push(report);
        }
        columns.sort_unstable();
        let mut text = format!("{:<12}", "");
        // Writing to a String cannot fail, here and below.
        for (to, ..) in &columns {
            let _ = write!(text, " {to:>11}");
        }
        let _ = write!(text, "\n{:<12}", "from \\ to");
        for (_, port, protocol) in &columns {
            let _ = write!(text, " {:>11}", format!("{port}/{protocol}"));
        }
        for from in rows {
            let _ = write!(text, "\n{from:<12}");
            for (to, port, protocol) in &columns {
                let cell = cells.get(&(from.to_owned(), (*to).to_owned(), *port, *protocol));
                let mark = cell.map_or("·".to_owned(), |reports| mark(reports, colours));
                // Padded by hand: colours have a width for `format!`.
                let _ = write!(text, "{}{mark}", " ".repeat(11));
            }
        }
        text.push_str("\n\n✓ reached over IPv4 and IPv6   ✗ dropped by the datapath   ? neither is known\n");
        text
    }

    /// Why what does not get through does not: each reason once.
    pub(super) fn reasons(&self, colours: Colours) -> String {
        let mut reasons: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for report in &self.reports {
            let Some(drop) = &report.drop else { continue };
            let reason = format!(
                "to {}:{}/{} ({}, {}): {}\n      {}",
                report.to,
                report.port,
                report.protocol,
                drop.direction,
                drop.node,
                colours.bad(&drop.reason),
                if drop.rules.is_empty() { "no rule".into() } else { rules(&drop.rules) },
            );
            let from = reasons.entry(reason).or_default();
            if !from.contains(&report.from.as_str()) {
                from.push(&report.from);
            }
        }
        let mut text = String::new();
        for (reason, from) in reasons {
            let _ = writeln!(text, "  {reason}\n      from {}", from.join(", "));
        }
        text
    }
}

fn mark(reports: &[&Report], colours: Colours) -> String {
    let all = |judgement| reports.iter().all(|report| report.verdict == judgement);
    if all(Judgement::Allow) {
        colours.good("✓")
    } else if all(Judgement::Deny) {
        colours.bad("✗")
    } else {
        colours.notable("?")
    }
}

impl Changed {
    /// Whether the cell is the one that the demo's change is about.
    pub(super) fn is_monitor_to_database(&self) -> bool {
        self.from == "ops/monitor" && self.to == "back/db" && self.after == Judgement::Allow
    }
}

impl std::fmt::Display for Changed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = |judgement| match judgement {
            Judgement::Allow => "reached",
            Judgement::Deny => "dropped",
            Judgement::Unknown => "unknown",
        };
        let Self { from, to, port, protocol, family, before, after } = self;
        write!(
            f,
            "{from} -> {to}:{port}/{protocol} over IPv{family}: was {}, is {}",
            word(*before),
            word(*after)
        )
    }
}
