//! How netloom stands in a table beside each of the others, in words: what is bad at the same length as what is good.

use std::fmt;

use super::facets::{Facet, listed};
use super::report::{Conditions, Measurement, Metric, Report};
use super::setup::SetupName;

/// How netloom stands by one metric.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Standing<'a> {
    facet: &'a Facet,
    /// The least and the greatest of its ratios to veth, where veth was measured.
    of_veth: Option<(f64, f64)>,
    against: Vec<Against>,
}

/// How it stands beside another that enforces.
#[derive(Clone, Debug, PartialEq)]
struct Against {
    rival: SetupName,
    behind: Rows,
    ahead: Rows,
    /// Where neither is shown to be better.
    level: Rows,
}

/// Rows of one kind, and netloom's figure to the other's in each.
#[derive(Clone, Debug, Default, PartialEq)]
struct Rows {
    rows: Vec<Conditions>,
    ratios: Vec<f64>,
}

/// Netloom's figure to another's in the same rounds, and whether it is better or worse wherever in its interval that ratio
/// is; nothing where that cannot be told. A single sample has no interval; a size is the same each time.
fn compared(own: &Measurement, other: &Measurement) -> (f64, Option<bool>) {
    let Some(ratio) = own.beside(other) else { return (own.median / other.median, None) };
    let once = matches!(own.metric, Metric::Load | Metric::Memory);
    let more = own.metric.more_is_better();
    let better = match ratio.interval {
        _ if own.rounds < 2 && !once => None,
        (low, _) if low > 1.0 => Some(more),
        (_, high) if high < 1.0 => Some(!more),
        _ => None,
    };
    (ratio.median, better)
}

impl<'a> Standing<'a> {
    /// None where netloom was not measured.
    pub(crate) fn of(report: &Report, facet: &'a Facet) -> Option<Self> {
        let find = |setup, row| report.find(setup, facet.metric, row);
        let ours: Vec<&Measurement> =
            facet.rows.iter().filter_map(|row| find(SetupName::Netloom, *row)).collect();
        let first = ours.first()?;
        let of_veth = first.vs_veth_median.map(|_| {
            let ratios = || ours.iter().filter_map(|one| one.vs_veth_median);
            (ratios().fold(f64::INFINITY, f64::min), ratios().fold(0.0, f64::max))
        });
        let rivals =
            SetupName::ALL.into_iter().filter(|name| !matches!(name, SetupName::Veth | SetupName::Netloom));
        let against = rivals.filter_map(|rival| {
            let mut against =
                Against { rival, behind: Rows::default(), ahead: Rows::default(), level: Rows::default() };
            for own in &ours {
                let Some(other) = find(rival, own.conditions) else { continue };
                let (ratio, better) = compared(own, other);
                let rows = match better {
                    Some(false) => &mut against.behind,
                    Some(true) => &mut against.ahead,
                    None => &mut against.level,
                };
                rows.rows.push(own.conditions);
                rows.ratios.push(ratio);
            }
            let measured = [&against.behind, &against.ahead, &against.level];
            measured.iter().any(|rows| !rows.rows.is_empty()).then_some(against)
        });
        Some(Self { facet, of_veth, against: against.collect() })
    }

    /// Whom netloom is behind, and where; none where nobody.
    pub(crate) fn behind(&self) -> Option<String> {
        self.told(|against| &against.behind)
    }

    /// Whom it is ahead of.
    pub(crate) fn ahead(&self) -> Option<String> {
        self.told(|against| &against.ahead)
    }

    fn told(&self, of: impl Fn(&Against) -> &Rows) -> Option<String> {
        let some = self.against.iter().filter(|against| !of(against).rows.is_empty());
        let words: Vec<String> = some
            .map(|against| {
                let rows = of(against);
                format!("{} {} ({})", against.rival, self.facet.rows_in_words(&rows.rows), rows.times())
            })
            .collect();
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// Whom netloom is behind by the names alone, and how far at the worst.
    pub(crate) fn behind_in_short(&self) -> Option<String> {
        let behind: Vec<&Against> =
            self.against.iter().filter(|against| !against.behind.rows.is_empty()).collect();
        let names: Vec<String> = behind.iter().map(|against| format!("`{}`", against.rival)).collect();
        let all = names.len() > 2 && names.len() == self.against.len();
        let ratios = behind.iter().flat_map(|against| &against.behind.ratios);
        let worst = ratios.copied().max_by(|one, other| one.ln().abs().total_cmp(&other.ln().abs()))?;
        let most = if worst < 1.0 { "down to" } else { "up to" };
        let names = if all { "all others".to_owned() } else { listed(&names) };
        Some(format!("{names} ({most} {} times)", times(worst)))
    }
}

impl Rows {
    /// Netloom's figure as a multiple of the other's.
    fn times(&self) -> String {
        let least = self.ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.ratios.iter().copied().fold(0.0, f64::max);
        match (times(least), times(most)) {
            (least, most) if least == most => format!("{least} times its figure"),
            (least, most) => format!("{least} to {most} times its figure"),
        }
    }
}

fn times(ratio: f64) -> String {
    if ratio >= 10.0 { format!("{ratio:.0}") } else { format!("{ratio:.2}") }
}

impl fmt::Display for Standing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sentences = Vec::new();
        if let Some((least, most)) = self.of_veth {
            sentences.push(format!("netloom has {least:.2} to {most:.2} times veth's figure."));
        }
        let who = if sentences.is_empty() { "netloom" } else { "It" };
        sentences.push(match self.behind() {
            Some(behind) => format!("{who} is behind {behind}."),
            None => format!("{who} is not shown to be behind any that enforces."),
        });
        sentences.extend(self.ahead().map(|ahead| format!("It is ahead of {ahead}.")));
        let apart = |against: &Against| against.behind.rows.len() + against.ahead.rows.len();
        let level: Vec<String> = self
            .against
            .iter()
            .filter(|against| apart(against) == 0)
            .map(|against| format!("{} ({})", against.rival, against.level.times()))
            .collect();
        if !level.is_empty() {
            sentences.push(format!("No difference beyond the noise: {}.", listed(&level)));
        } else if self.against.iter().any(|against| !against.level.rows.is_empty()) {
            sentences.push("Elsewhere the intervals have both.".to_owned());
        }
        f.write_str(&sentences.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::super::facets::facets;
    use super::super::report::tests::{full, report_of};
    use super::*;

    const HERE: Conditions = Conditions { peers: 10, position: None, streams: None, mtu: None, bytes: None };

    fn standing(metric: Metric, ours: &[f64], theirs: &[f64]) -> String {
        let report =
            report_of(&[(SetupName::Netloom, metric, HERE, ours), (SetupName::Ipset, metric, HERE, theirs)]);
        let facets = facets(&report);
        Standing::of(&report, &facets[0]).unwrap().to_string()
    }

    #[test]
    fn who_is_behind_depends_on_what_is_better() {
        let (low, high) = ([1.0, 1.1, 1.2], [2.0, 2.2, 2.4]);
        let ahead = "netloom is not shown to be behind any that enforces. It is ahead of ipset with 10 peers (2.00 times its figure).";
        assert_eq!(standing(Metric::ConnectRate, &high, &low), ahead);
        assert!(
            standing(Metric::ConnectRate, &low, &high)
                .starts_with("netloom is behind ipset with 10 peers (0.50 times")
        );
        assert!(
            standing(Metric::PeerAdded, &high, &low)
                .starts_with("netloom is behind ipset with 10 peers (2.00 times")
        );
    }

    #[test]
    fn what_overlaps_is_noise() {
        // Nothing is known of the noise of one sample.
        assert!(
            standing(Metric::ConnectRate, &[1.0], &[9.0])
                .ends_with("beyond the noise: ipset (0.11 times its figure).")
        );
        assert!(standing(Metric::Memory, &[9.0], &[1.0]).starts_with("netloom is behind ipset"));
        let said = standing(Metric::ConnectRate, &[1.0, 4.0, 3.0], &[2.0, 2.0, 4.0]);
        assert_eq!(
            said,
            "netloom is not shown to be behind any that enforces. No difference beyond the noise: ipset (0.75 times its \
             figure)."
        );
        // What disturbs all alike is not noise.
        let said = standing(Metric::ConnectRate, &[1.1, 2.2, 3.3], &[1.0, 2.0, 3.0]);
        assert!(said.contains("ahead of ipset with 10 peers (1.10 times"), "{said}");
    }

    #[test]
    fn a_full_report_is_told_in_sentences_that_can_be_read() {
        let report = full();
        for facet in facets(&report) {
            let said = Standing::of(&report, &facet).unwrap().to_string();
            assert!(said.len() < 700, "{said}");
        }
    }
}
