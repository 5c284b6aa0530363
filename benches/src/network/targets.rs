//! What is aimed at for netloom, and what came of it.

use super::facets::peers;
use super::report::{Measurement, Metric, Report};
use super::setup::SetupName;

/// A target, and the cases that it is about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    /// What has to be.
    pub(crate) what: &'static str,
    /// The worst case's figure.
    pub(crate) worst: f64,
    /// When that was.
    pub(crate) when: String,
    /// How many cases there are.
    pub(crate) cases: usize,
    /// How many of them are met.
    pub(crate) met: usize,
    /// Whether all cases would come out the other way within their intervals, of those that are missed, or where none is,
    /// any.
    pub(crate) by_noise: bool,
}

impl Target {
    pub(crate) fn is_met(&self) -> bool {
        self.met == self.cases
    }

    /// In words.
    pub(crate) fn verdict(&self) -> String {
        let missed = self.cases - self.met;
        match (missed, self.by_noise) {
            (0, false) => "met".to_owned(),
            (0, true) => "met, within the noise".to_owned(),
            (_, false) => format!("missed in {missed} of {}", self.cases),
            (_, true) => format!("missed in {missed} of {}, within the noise", self.cases),
        }
    }
}

/// One case: the figure, whether it is met, and whether it would be at either end of its interval.
struct Case {
    figure: f64,
    met: bool,
    at_worst: bool,
    at_best: bool,
    when: String,
}

fn target(what: &'static str, more_is_better: bool, cases: impl Iterator<Item = Case>) -> Option<Target> {
    let cases: Vec<Case> = cases.collect();
    let badness = |case: &&Case| if more_is_better { -case.figure } else { case.figure };
    let worst = cases.iter().max_by(|one, other| badness(one).total_cmp(&badness(other)))?;
    let met = cases.iter().filter(|case| case.met).count();
    Some(Target {
        what,
        worst: worst.figure,
        when: worst.when.clone(),
        cases: cases.len(),
        met,
        by_noise: if met == cases.len() {
            cases.iter().any(|case| !case.at_worst)
        } else {
            cases.iter().all(|case| case.met || case.at_best)
        },
    })
}

/// netloom's targets, as far as they were measured.
pub(crate) fn targets(report: &Report) -> Vec<Target> {
    let ours = |metric| {
        let own = move |one: &&Measurement| one.setup == SetupName::Netloom && one.metric == metric;
        report.results.iter().filter(own).filter(|one| one.conditions.peers > 0)
    };
    let exchange = ours(Metric::ExchangeP50).filter_map(|one| {
        let (found, interval) = one.vs_veth_median.zip(one.vs_veth_interval)?;
        Some(case(one, found, interval, |ratio| ratio <= 1.05))
    });
    let stream = ours(Metric::StreamGbit).filter_map(|one| {
        let (found, interval) = one.vs_veth_median.zip(one.vs_veth_interval)?;
        Some(case(one, found, interval, |ratio| ratio >= 0.95))
    });
    let connect = ours(Metric::ConnectRate).filter(|one| one.conditions.peers >= 10).filter_map(|one| {
        let rival = rivals(report, one).max_by(|one, other| one.median.total_cmp(&other.median))?;
        let found = one.beside(rival)?;
        Some(case(one, found.median, found.interval, |ratio| ratio > 1.0))
    });
    let added = ours(Metric::PeerAdded)
        .filter(|one| one.conditions.peers == 10_000)
        .map(|one| case(one, one.median, one.interval, |time| time < 5.0));
    [
        target("request and answer: p50 at most 1.05 times veth", false, exchange),
        target("throughput: at least 0.95 times veth", true, stream),
        target("connections: ahead of the best other that enforces (figure to its)", true, connect),
        target(
            "connections: with the most peers at least 0.95 times those with the fewest",
            true,
            flatness(report).into_iter(),
        ),
        target("an added peer is enforced within 5 ms at 10,000 peers", false, added),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn case(one: &Measurement, figure: f64, interval: (f64, f64), is_met: impl Fn(f64) -> bool) -> Case {
    let conditions = one.conditions;
    let mut when = vec![peers(conditions.peers)];
    when.extend(conditions.position.filter(|at| *at != super::pods::Position::Last).map(|at| at.to_string()));
    when.extend(conditions.streams.filter(|count| *count > 1).map(|count| format!("{count} connections")));
    when.extend(conditions.mtu.filter(|mtu| *mtu != 1500).map(|mtu| format!("MTU {mtu}")));
    let ends = [is_met(interval.0), is_met(interval.1)];
    Case {
        figure,
        met: is_met(figure),
        at_worst: ends.iter().all(|met| *met),
        at_best: ends.contains(&true),
        when: when.join(", "),
    }
}

/// The connect rate at the most peers to that at the fewest, both as ratios to veth.
fn flatness(report: &Report) -> Option<Case> {
    let own = |one: &&Measurement| one.setup == SetupName::Netloom && one.metric == Metric::ConnectRate;
    let last = |one: &&Measurement| one.conditions.position == Some(super::pods::Position::Last);
    let rates = || report.results.iter().filter(own).filter(last);
    let few = rates().min_by_key(|one| one.conditions.peers)?;
    let many = rates().max_by_key(|one| one.conditions.peers)?;
    let found = many.vs_veth_median? / few.vs_veth_median?;
    let (of_many, of_few) = many.vs_veth_interval.zip(few.vs_veth_interval)?;
    let interval = (of_many.0 / of_few.1, of_many.1 / of_few.0);
    let differ = few.conditions.peers != many.conditions.peers;
    differ.then(|| case(many, found, interval, |ratio| ratio >= 0.95))
}

/// The others that enforce, under the same conditions.
fn rivals<'a>(report: &'a Report, one: &'a Measurement) -> impl Iterator<Item = &'a Measurement> {
    report.results.iter().filter(move |other| {
        other.metric == one.metric
            && other.conditions == one.conditions
            && !matches!(other.setup, SetupName::Veth | SetupName::Netloom)
    })
}

#[cfg(test)]
mod tests {
    use super::super::report::Conditions;
    use super::super::report::tests::{full, report_of};
    use super::*;

    #[test]
    fn each_target_is_one_line_whatever_is_measured() {
        let targets = targets(&full());
        assert_eq!(targets.len(), 5);
        let cases: Vec<usize> = targets.iter().map(|target| target.cases).collect();
        assert_eq!(cases, [4, 10, 12, 1, 1]);
    }

    #[test]
    fn what_is_missed_is_told_with_its_noise() {
        let when = Conditions { peers: 10_000, ..Conditions::default() };
        let verdict = |samples: &[f64]| {
            let report = report_of(&[(SetupName::Netloom, Metric::PeerAdded, when, samples)]);
            targets(&report)[0].verdict()
        };
        assert_eq!(verdict(&[4.0, 4.5, 4.9]), "met");
        assert_eq!(verdict(&[4.0, 4.5, 6.0]), "met, within the noise");
        assert_eq!(verdict(&[4.0, 5.5, 6.0]), "missed in 1 of 1, within the noise");
        assert_eq!(verdict(&[5.1, 5.5, 6.0]), "missed in 1 of 1");
    }
}
