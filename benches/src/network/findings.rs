//! What to know when reading the figures: doubts about themselves.

use std::collections::BTreeMap;

use super::markdown::figure;
use super::pods::Position;
use super::report::{Metric, Report};
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
/// An interval that is wider than this share of its median says little.
const WIDE: f64 = 0.2;
/// What the generator does without a network, to what it does over `veth`: beyond this little is left for setups to differ in.
const NEAR: f64 = 0.8;

/// Doubts about the figures.
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
    for check in report.cross_checks.iter().filter(|check| !check.agree) {
        let spread = check.spread().map_or_else(String::new, |(least, most)| {
            format!(" ({least:.2} to {most:.2} in {} pairs)", check.ratios.len())
        });
        notes.push(format!(
            "{} and our generator differ over {}: {} {} and {}, {:.2} times{spread}.",
            check.tool,
            check.setup,
            check.metric,
            figure(check.theirs),
            figure(check.ours),
            check.ratio
        ));
    }
    if report.cross_checks.is_empty() {
        notes.push("Our generator was not compared with another.".to_owned());
    }
    notes.extend(near_the_limit(report));
    notes.extend(wide(report));
    notes
}

/// Where the generator itself is most of what is measured.
fn near_the_limit(report: &Report) -> Vec<String> {
    let metrics = [Metric::StreamGbit, Metric::ExchangeP50, Metric::ConnectRate, Metric::DatagramRate];
    let near = |metric: Metric| {
        let limit = *report.limits.get(&metric.name())?;
        let plain = |one: &&super::report::Measurement| {
            let when = one.conditions;
            let alone =
                when.streams.is_none_or(|streams| streams == 1) && when.mtu.is_none_or(|mtu| mtu == 1500);
            let last = when.position.is_none_or(|at| at == Position::Last);
            let bytes = metric != Metric::DatagramRate || when.bytes == Some(64);
            one.setup == SetupName::Veth && one.metric == metric && alone && last && bytes
        };
        let veth = report.results.iter().find(plain)?.median;
        let share = if metric.more_is_better() { veth / limit } else { limit / veth };
        (share > NEAR).then(|| {
            format!(
                "{metric} is {} over veth and {} over loopback, where there is no network: the generator, and processors that \
                 wake each other, are most of it, and setups can differ in little else.",
                figure(veth),
                figure(limit)
            )
        })
    };
    metrics.into_iter().filter_map(near).collect()
}

/// How many figures of each kind have wide intervals.
fn wide(report: &Report) -> Option<String> {
    let mut counts: BTreeMap<Metric, (usize, usize)> = BTreeMap::new();
    for one in report.results.iter().filter(|one| HEADLINES.contains(&one.metric)) {
        let (wide, all) = counts.entry(one.metric).or_default();
        *wide += usize::from((one.interval.1 - one.interval.0) / one.median > WIDE);
        *all += 1;
    }
    let told: Vec<String> = counts
        .iter()
        .filter(|(_, (wide, _))| *wide > 0)
        .map(|(metric, (wide, all))| format!("{wide} of {all} of {metric}"))
        .collect();
    (!told.is_empty()).then(|| {
        format!(
            "Intervals are wider than a fifth of the median for {}: these figures say little one by one.",
            told.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::full;
    use super::*;

    #[test]
    fn a_generator_that_is_most_of_a_figure_is_named() {
        let mut report = full();
        let said = |report: &Report| near_the_limit(report).join(" ");
        assert_eq!(said(&report), "", "nothing is known of the limits");
        // The report's figures are all near 100.
        report.limits.insert(Metric::ExchangeP50.name(), 90.0);
        report.limits.insert(Metric::ConnectRate.name(), 1_000.0);
        assert!(said(&report).starts_with("tcp_rr_us_p50 is "), "{}", said(&report));
        assert!(!said(&report).contains("tcp_crr_per_s"));
    }

    #[test]
    fn notes_of_a_full_report_are_short() {
        for note in notes(&full()) {
            assert!(note.len() < 500, "{note}");
        }
    }
}
