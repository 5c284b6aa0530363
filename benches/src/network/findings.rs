//! What the figures say: what to know when reading them, which targets are met, and where we lose.

use super::markdown::figure;
use super::report::{Conditions, Measurement, Metric, Report};
use super::setup::SetupName;

/// The load average above which a machine was busy with something else, in hundredths for each processor.
const BUSY: u64 = 25;
/// The metrics by which setups are told apart; the others explain them.
const HEADLINES: [Metric; 8] = [
    Metric::StreamGbit,
    Metric::ExchangeP50,
    Metric::ExchangeP99,
    Metric::ConnectRate,
    Metric::DatagramRate,
    Metric::CpuPerPacket,
    Metric::PeerAdded,
    Metric::PolicyAdded,
];

/// Doubts about the figures themselves.
pub(crate) fn notes(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    let machine = &report.machine;
    if machine.load_hundredths > BUSY * machine.processors as u64 {
        notes.push(format!(
            "The machine was busy when this began: load {:.2} on {} processors.",
            machine.load_hundredths as f64 / 100.0,
            machine.processors
        ));
    }
    if machine.processors == 1 {
        notes.push("Both ends share the only processor.".to_owned());
    }
    for check in &report.cross_checks {
        if !check.agree {
            notes.push(format!(
                "{} and our generator differ over {}: {} {:.2} and {:.2}, {:.2} times.",
                check.tool, check.setup, check.metric, check.theirs, check.ours, check.ratio
            ));
        }
    }
    if report.cross_checks.is_empty() {
        notes.push("Our generator was not compared with another.".to_owned());
    }
    let wide = report.results.iter().filter(|one| spread(one) > 0.2 && HEADLINES.contains(&one.metric));
    let wide: Vec<String> =
        wide.map(|one| format!("{} of {} {}", one.metric, one.setup, said(one.conditions))).collect();
    if !wide.is_empty() {
        notes.push(format!("The interval is wider than a fifth of the median for: {}.", wide.join("; ")));
    }
    notes
}

fn spread(one: &Measurement) -> f64 {
    (one.interval.1 - one.interval.0) / one.median
}

/// Conditions in words.
pub(crate) fn said(conditions: Conditions) -> String {
    let mut words = vec![format!("{} peers", conditions.peers)];
    words.extend(conditions.position.map(|position| format!("{position}")));
    words.extend(
        conditions.streams.filter(|streams| *streams > 1).map(|streams| format!("{streams} streams")),
    );
    words.extend(conditions.mtu.filter(|mtu| *mtu != 1500).map(|mtu| format!("MTU {mtu}")));
    words.extend(conditions.bytes.map(|bytes| format!("{bytes} bytes")));
    words.join(", ")
}

/// What is aimed at, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) found: f64,
    pub(crate) met: bool,
}

/// netloom's targets, as far as they were measured.
pub(crate) fn targets(report: &Report) -> Vec<Target> {
    let ours = |metric: Metric| {
        report.results.iter().filter(move |one| one.setup == SetupName::Netloom && one.metric == metric)
    };
    let mut targets = Vec::new();
    for one in ours(Metric::ExchangeP50).filter(|one| one.conditions.peers > 0) {
        let found = one.vs_veth_median.unwrap_or(f64::NAN);
        targets.push(Target {
            what: format!("request and answer, {}: p50 at most 1.05 times veth", said(one.conditions)),
            found,
            met: found <= 1.05,
        });
    }
    for one in ours(Metric::StreamGbit).filter(|one| one.conditions.peers > 0) {
        let found = one.vs_veth_median.unwrap_or(f64::NAN);
        targets.push(Target {
            what: format!("throughput, {}: at least 0.95 times veth", said(one.conditions)),
            found,
            met: found >= 0.95,
        });
    }
    for one in ours(Metric::ConnectRate).filter(|one| one.conditions.peers >= 10) {
        let rival = rivals(report, one).map(|rival| rival.median).fold(f64::NAN, f64::max);
        if rival.is_nan() {
            continue;
        }
        targets.push(Target {
            what: format!(
                "connections a second, {}: ahead of the best other that enforces",
                said(one.conditions)
            ),
            found: one.median / rival,
            met: one.median > rival,
        });
    }
    targets.extend(flatness(report));
    for one in ours(Metric::PeerAdded).filter(|one| one.conditions.peers == 10_000) {
        targets.push(Target {
            what: format!("an added peer is enforced, {}: within 5 ms", said(one.conditions)),
            found: one.median,
            met: one.median < 5.0,
        });
    }
    targets
}

/// The connect rate at the most peers to that at the fewest, both as ratios to veth.
fn flatness(report: &Report) -> Option<Target> {
    let mut rates: Vec<&Measurement> = report
        .results
        .iter()
        .filter(|one| one.setup == SetupName::Netloom && one.metric == Metric::ConnectRate)
        .filter(|one| one.conditions.position == Some(super::pods::Position::Last))
        .collect();
    rates.sort_by_key(|one| one.conditions.peers);
    let (fewest, most) = (rates.first()?, rates.last()?);
    let found = most.vs_veth_median? / fewest.vs_veth_median?;
    let (few, many) = (fewest.conditions.peers, most.conditions.peers);
    (few != many).then(|| Target {
        what: format!("connections a second with {many} peers to those with {few}: at least 0.95"),
        found,
        met: found >= 0.95,
    })
}

/// The others that enforce, under the same conditions.
fn rivals<'a>(report: &'a Report, one: &'a Measurement) -> impl Iterator<Item = &'a Measurement> {
    report.results.iter().filter(move |other| {
        other.metric == one.metric
            && other.conditions == one.conditions
            && !matches!(other.setup, SetupName::Veth | SetupName::Netloom)
    })
}

/// Where another setup that enforces is ahead of ours, and the intervals are apart.
pub(crate) fn losses(report: &Report, metric: Metric) -> Vec<String> {
    let ours = report.results.iter().filter(|one| one.setup == SetupName::Netloom && one.metric == metric);
    ours.flat_map(|one| {
        rivals(report, one).filter(|rival| is_ahead(rival, one)).map(move |rival| {
            let (theirs, own) = (figure(rival.median), figure(one.median));
            format!("{} with {} has {theirs}, netloom {own}", rival.setup, said(one.conditions))
        })
    })
    .collect()
}

/// In one sentence, whether netloom is behind by this metric.
pub(crate) fn sentence(report: &Report, metric: Metric) -> String {
    let losses = losses(report, metric);
    let measured = report.results.iter().any(|one| one.setup == SetupName::Netloom && one.metric == metric);
    if !measured {
        return "netloom was not measured.".to_owned();
    }
    if losses.is_empty() {
        return "No other setup that enforces is ahead of netloom here by more than both intervals."
            .to_owned();
    }
    format!("netloom is behind: {}.", losses.join("; "))
}

fn is_ahead(rival: &Measurement, one: &Measurement) -> bool {
    if one.metric.more_is_better() {
        rival.interval.0 > one.interval.1
    } else {
        rival.interval.1 < one.interval.0
    }
}
