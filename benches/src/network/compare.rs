//! Two reports: what got slower beyond the noise.

use std::fmt;

use serde::Serialize;

use super::facets::peers;
use super::report::{Conditions, Measurement, Metric, Report};
use super::setup::SetupName;

/// What is less than this share apart is no difference, whatever the intervals say: another day, another layout of memory.
const LEAST: f64 = 0.03;

/// How one result changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Worse beyond the noise.
    Slower,
    /// Better beyond the noise.
    Faster,
    /// Neither.
    Same,
}

/// One result in both reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Of what.
    pub setup: SetupName,
    /// What.
    pub metric: Metric,
    /// When.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// Whether ratios to `veth` are compared: they are, where both reports have them, since a machine's own pace is in
    /// both of their sides.
    pub by_ratio: bool,
    /// Before.
    pub old: f64,
    /// After.
    pub new: f64,
    /// After to before.
    pub ratio: f64,
    /// What that means.
    pub verdict: Verdict,
}

/// What changed between two reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// All results that both have.
    pub changes: Vec<Change>,
    /// How many results only the old one has.
    pub gone: usize,
    /// How many only the new one has.
    pub added: usize,
    /// How the machines differ.
    pub machine: Vec<String>,
}

impl Comparison {
    /// Compares.
    #[must_use]
    pub fn of(old: &Report, new: &Report) -> Self {
        let found =
            |one: &Measurement, report: &Report| report.find(one.setup, one.metric, one.conditions).is_some();
        let changes: Vec<Change> = old
            .results
            .iter()
            .filter_map(|before| {
                Some(change(before, new.find(before.setup, before.metric, before.conditions)?))
            })
            .collect();
        Self {
            changes,
            gone: old.results.iter().filter(|one| !found(one, new)).count(),
            added: new.results.iter().filter(|one| !found(one, old)).count(),
            machine: machine(old, new),
        }
    }

    /// What got slower.
    pub fn slower(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.verdict == Verdict::Slower)
    }
}

fn change(old: &Measurement, new: &Measurement) -> Change {
    let ratios =
        old.vs_veth_median.zip(old.vs_veth_interval).zip(new.vs_veth_median.zip(new.vs_veth_interval));
    let by_ratio = ratios.is_some() && old.setup != SetupName::Veth;
    let ((before, was), (after, is)) = match ratios {
        Some(both) if by_ratio => both,
        _ => ((old.median, old.interval), (new.median, new.interval)),
    };
    let ratio = after / before;
    // One sample has no spread, and its interval is itself: nothing can be said of it.
    let told_apart = old.rounds > 1 && new.rounds > 1 && (ratio - 1.0).abs() >= LEAST;
    let (above, below) = (is.0 > was.1, is.1 < was.0);
    let verdict = match (told_apart && above, told_apart && below) {
        (true, _) => {
            if new.metric.more_is_better() {
                Verdict::Faster
            } else {
                Verdict::Slower
            }
        }
        (_, true) => {
            if new.metric.more_is_better() {
                Verdict::Slower
            } else {
                Verdict::Faster
            }
        }
        _ => Verdict::Same,
    };
    Change {
        setup: new.setup,
        metric: new.metric,
        conditions: new.conditions,
        by_ratio,
        old: before,
        new: after,
        ratio,
        verdict,
    }
}

fn machine(old: &Report, new: &Report) -> Vec<String> {
    let (old, new) = (&old.machine, &new.machine);
    let differs =
        |what: &str, old: &str, new: &str| (old != new).then(|| format!("{what}: {old}, then {new}"));
    let mut lines: Vec<String> = [
        differs("kernel", &old.kernel, &new.kernel),
        differs("processor", &old.processor, &new.processor),
        differs("processors", &old.processors.to_string(), &new.processors.to_string()),
    ]
    .into_iter()
    .flatten()
    .collect();
    for (name, value) in &new.settings {
        let before = old.settings.get(name).map_or("nothing", String::as_str);
        lines.extend(differs(name, before, value));
    }
    lines
}

/// Conditions in words.
fn said(conditions: Conditions) -> String {
    let mut words = vec![peers(conditions.peers)];
    words.extend(conditions.position.map(|position| format!("{position}")));
    words.extend(
        conditions.streams.filter(|streams| *streams > 1).map(|streams| format!("{streams} streams")),
    );
    words.extend(conditions.mtu.filter(|mtu| *mtu != 1500).map(|mtu| format!("MTU {mtu}")));
    words.extend(conditions.bytes.map(|bytes| format!("{bytes} bytes")));
    words.join(", ")
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.machine {
            writeln!(f, "the machines differ: {line}")?;
        }
        for (verdict, word) in [(Verdict::Slower, "slower"), (Verdict::Faster, "faster")] {
            for change in self.changes.iter().filter(|change| change.verdict == verdict) {
                let unit = if change.by_ratio { "x veth" } else { "" };
                let (setup, metric, when) = (change.setup, change.metric, said(change.conditions));
                writeln!(
                    f,
                    "{word}: {setup} {metric}, {when}: {:.2}{unit}, then {:.2}{unit} ({:+.1} %)",
                    change.old,
                    change.new,
                    (change.ratio - 1.0) * 100.0
                )?;
            }
        }
        let same = self.changes.iter().filter(|change| change.verdict == Verdict::Same).count();
        write!(f, "{} results in both, {same} the same within their noise", self.changes.len())?;
        if self.gone + self.added > 0 {
            write!(f, "; {} only in the old one, {} only in the new one", self.gone, self.added)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Samples;
    use super::*;

    fn measured(metric: Metric, samples: &[f64]) -> Measurement {
        let mut all = Samples::default();
        for sample in samples {
            all.add(SetupName::Netloom, metric, Conditions::default(), *sample);
        }
        all.summaries().remove(0)
    }

    fn verdict(metric: Metric, old: &[f64], new: &[f64]) -> Verdict {
        change(&measured(metric, old), &measured(metric, new)).verdict
    }

    #[test]
    fn noise_is_no_difference() {
        let noisy = [10.0, 11.0, 12.0, 13.0, 14.0];
        assert_eq!(verdict(Metric::ConnectRate, &noisy, &[9.0, 10.5, 10.6, 10.7, 12.0]), Verdict::Same);
        // Apart, but by less than what a day makes.
        assert_eq!(verdict(Metric::ConnectRate, &[100.0, 100.1], &[101.0, 101.1]), Verdict::Same);
        assert_eq!(verdict(Metric::Load, &[1.0], &[5.0]), Verdict::Same);
    }

    #[test]
    fn less_is_slower_only_where_more_is_better() {
        let (low, high) = ([1.0, 1.1, 1.2], [2.0, 2.1, 2.2]);
        assert_eq!(verdict(Metric::ConnectRate, &high, &low), Verdict::Slower);
        assert_eq!(verdict(Metric::ConnectRate, &low, &high), Verdict::Faster);
        assert_eq!(verdict(Metric::ExchangeP50, &high, &low), Verdict::Faster);
        assert_eq!(verdict(Metric::ExchangeP50, &low, &high), Verdict::Slower);
    }

    #[test]
    fn a_faster_machine_is_no_faster_setup() {
        let pair = |scale: f64| {
            let mut all = Samples::default();
            for sample in [10.0, 10.1, 10.2] {
                all.add(SetupName::Veth, Metric::ConnectRate, Conditions::default(), sample * scale);
                all.add(SetupName::Netloom, Metric::ConnectRate, Conditions::default(), sample * scale * 0.9);
            }
            all.summaries().into_iter().find(|one| one.setup == SetupName::Netloom).unwrap()
        };
        let change = change(&pair(1.0), &pair(2.0));
        assert!(change.by_ratio);
        assert_eq!(change.verdict, Verdict::Same);
    }
}
