//! What was measured, as data: the JSON document, from which text, Markdown and page are made.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::pods::Position;
use super::setup::SetupName;
use super::stats::Summary;

/// What is measured. The name is the one in the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Metric {
    /// TCP payload that arrives, in gigabit a second.
    #[serde(rename = "tcp_stream_gbit_s")]
    StreamGbit,
    /// Processor time for a gigabyte of TCP payload, in seconds.
    #[serde(rename = "cpu_s_per_gigabyte")]
    CpuPerGigabyte,
    /// Request and answer over one TCP connection, in microseconds: half take less.
    #[serde(rename = "tcp_rr_us_p50")]
    ExchangeP50,
    /// One in a hundred takes longer.
    #[serde(rename = "tcp_rr_us_p99")]
    ExchangeP99,
    /// One in a thousand takes longer.
    #[serde(rename = "tcp_rr_us_p999")]
    ExchangeP999,
    /// Requests a second over one connection.
    #[serde(rename = "tcp_rr_per_s")]
    ExchangeRate,
    /// Processor time for a request and its answer, in microseconds.
    #[serde(rename = "cpu_us_per_rr")]
    CpuPerExchange,
    /// Connections a second, each with one request and its answer.
    #[serde(rename = "tcp_crr_per_s")]
    ConnectRate,
    /// Processor time for such a connection, in microseconds.
    #[serde(rename = "cpu_us_per_crr")]
    CpuPerConnection,
    /// UDP datagrams a second that arrive.
    #[serde(rename = "udp_pps")]
    DatagramRate,
    /// UDP datagrams a second that were sent.
    #[serde(rename = "udp_offered_pps")]
    DatagramOffered,
    /// Processor time for a datagram that arrives, in microseconds.
    #[serde(rename = "cpu_us_per_packet")]
    CpuPerPacket,
    /// From the beginning of a change until the first packet is judged by it, in milliseconds: a peer is added.
    #[serde(rename = "update_ms")]
    PeerAdded,
    /// Processor time of that change, in milliseconds.
    #[serde(rename = "update_cpu_ms")]
    PeerAddedCpu,
    /// The same for a policy of this many peers that is added.
    #[serde(rename = "policy_ms")]
    PolicyAdded,
    /// Processor time of that change, in milliseconds.
    #[serde(rename = "policy_cpu_ms")]
    PolicyAddedCpu,
    /// Until rules for so many peers are in force, from none, in milliseconds.
    #[serde(rename = "load_ms")]
    Load,
    /// The kernel's memory for them, in KiB.
    #[serde(rename = "rules_kib")]
    Memory,
}

impl Metric {
    /// Whether more is better.
    #[must_use]
    pub fn more_is_better(self) -> bool {
        matches!(
            self,
            Self::StreamGbit
                | Self::ExchangeRate
                | Self::ConnectRate
                | Self::DatagramRate
                | Self::DatagramOffered
        )
    }

    /// Its name in the document.
    #[must_use]
    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            _ => format!("{self:?}"),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

/// Under which conditions something is measured: what tells two results apart beside setup and metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Conditions {
    /// Peers of the policy; without any there is no policy.
    pub peers: usize,
    /// Where among them the client is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub position: Option<Position>,
    /// Connections at a time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub streams: Option<u32>,
    /// The links' MTU, in bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mtu: Option<u32>,
    /// A message's payload, in bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bytes: Option<u32>,
}

/// All samples of one metric of one setup under the same conditions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Measurement {
    /// Of what.
    pub setup: SetupName,
    /// What.
    pub metric: Metric,
    /// When.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// The median of the samples.
    pub median: f64,
    /// Between these the true median lies (95 %; with fewer than six rounds they are the extremes).
    pub interval: (f64, f64),
    /// The median of what the samples are to those of `veth` in the same round; null where veth has none.
    pub vs_veth_median: Option<f64>,
    /// Between these the true median of the ratio lies.
    pub vs_veth_interval: Option<(f64, f64)>,
    /// The smallest sample.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// How many samples there are.
    pub rounds: usize,
    /// Each, in the order in which they were taken.
    pub samples: Vec<f64>,
}

impl Measurement {
    /// What the samples are to another's of the same rounds. None where they are not of the same rounds.
    pub(crate) fn beside(&self, other: &Self) -> Option<Summary> {
        let pairs = || self.samples.iter().zip(&other.samples);
        let ratios: Vec<f64> = pairs().map(|(own, other)| own / other).collect();
        if self.samples.len() == other.samples.len() { Summary::of(&ratios) } else { None }
    }
}

/// The rules of a setup for so many peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleSet {
    /// Whose.
    pub setup: SetupName,
    /// For how many peers.
    pub peers: usize,
    /// Rules, and elements of sets and maps, counted in what the tool prints once they are loaded; of netloom, entries of
    /// the maps by which peers are judged.
    pub entries: usize,
    /// How the kernel's memory for them was told.
    pub memory_told_by: Option<String>,
    /// The rules of ten peers as their tool prints them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
}

/// How far two generators may be apart, as a share of the other's figure.
const AGREEMENT: f64 = 0.1;

/// What another program measured, beside what our own did: in pairs, one right after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrossCheck {
    /// The other program.
    pub tool: String,
    /// Over what.
    pub setup: SetupName,
    /// What.
    pub metric: Metric,
    /// Our median.
    pub ours: f64,
    /// Its median.
    pub theirs: f64,
    /// Ours to theirs: the median of the pairs'.
    pub ratio: f64,
    /// The ratio of each pair, in the order in which they were taken.
    #[serde(default)]
    pub ratios: Vec<f64>,
    /// Whether they are within 10 % of each other.
    pub agree: bool,
}

impl CrossCheck {
    /// Of pairs of ours and theirs; none of none.
    pub(crate) fn of(tool: &str, setup: SetupName, metric: Metric, pairs: &[(f64, f64)]) -> Option<Self> {
        let (ours, theirs): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        let ratios: Vec<f64> = pairs.iter().map(|(own, other)| own / other).collect();
        let ratio = Summary::of(&ratios)?.median;
        Some(Self {
            tool: tool.to_owned(),
            setup,
            metric,
            ours: Summary::of(&ours)?.median,
            theirs: Summary::of(&theirs)?.median,
            ratio,
            ratios,
            agree: (ratio - 1.0).abs() <= AGREEMENT,
        })
    }

    /// The smallest and the greatest ratio of a pair, where there was more than one.
    pub(crate) fn spread(&self) -> Option<(f64, f64)> {
        let summary = Summary::of(&self.ratios).filter(|_| self.ratios.len() > 1)?;
        Some((summary.min, summary.max))
    }
}

/// A probe, and what became of it with policies of each size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// From whom, to whom, which port.
    pub probe: String,
    /// The sizes with which it was let through; 0 is no policy.
    pub let_through: Vec<usize>,
    /// The sizes with which it was dropped by all that enforce, and let through by veth.
    pub dropped: Vec<usize>,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Where it was measured.
    pub machine: Machine,
    /// Each setup's rules.
    pub rules: Vec<RuleSet>,
    /// What our generator can do over loopback, where there is no network.
    pub limits: BTreeMap<String, f64>,
    /// Our generator beside others.
    pub cross_checks: Vec<CrossCheck>,
    /// What was proved before and after measuring, in all setups alike.
    #[serde(default)]
    pub probes: Vec<Probed>,
    /// What should be known when reading the figures.
    pub notes: Vec<String>,
    /// The measurements.
    pub results: Vec<Measurement>,
}

impl Report {
    /// One measurement.
    #[must_use]
    pub fn find(&self, setup: SetupName, metric: Metric, conditions: Conditions) -> Option<&Measurement> {
        let wanted =
            |one: &&Measurement| one.setup == setup && one.metric == metric && one.conditions == conditions;
        self.results.iter().find(wanted)
    }
}

/// Samples as they are taken.
#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<(Metric, Conditions, SetupName), Vec<f64>>);

impl Samples {
    pub(crate) fn add(&mut self, setup: SetupName, metric: Metric, conditions: Conditions, sample: f64) {
        self.0.entry((metric, conditions, setup)).or_default().push(sample);
    }

    /// What they say.
    pub(crate) fn summaries(&self) -> Vec<Measurement> {
        let of = |(&(metric, conditions, setup), samples): (&(Metric, Conditions, SetupName), &Vec<f64>)| {
            let summary = Summary::of(samples)?;
            let veth = self.0.get(&(metric, conditions, SetupName::Veth));
            // Ratios are of the same round: what disturbs a round disturbs both of its sides.
            let ratios: Option<Vec<f64>> = veth
                .filter(|veth| veth.len() == samples.len())
                .map(|veth| samples.iter().zip(veth).map(|(own, veth)| own / veth).collect());
            let ratio = ratios.as_deref().and_then(Summary::of).filter(|ratio| ratio.median.is_finite());
            Some(Measurement {
                setup,
                metric,
                conditions,
                median: summary.median,
                interval: summary.interval,
                vs_veth_median: ratio.map(|ratio| ratio.median),
                vs_veth_interval: ratio.map(|ratio| ratio.interval),
                min: summary.min,
                max: summary.max,
                rounds: samples.len(),
                samples: samples.clone(),
            })
        };
        self.0.iter().filter_map(of).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::plan::Options;
    use super::super::traffic::Work;
    use super::*;

    /// A report of these samples alone.
    pub(crate) fn report_of(all: &[(SetupName, Metric, Conditions, &[f64])]) -> Report {
        let mut samples = Samples::default();
        for (setup, metric, conditions, values) in all {
            values.iter().for_each(|value| samples.add(*setup, *metric, *conditions, *value));
        }
        Report {
            machine: Machine::default(),
            rules: Vec::new(),
            limits: BTreeMap::new(),
            cross_checks: Vec::new(),
            probes: Vec::new(),
            notes: Vec::new(),
            results: samples.summaries(),
        }
    }

    /// Everything that a full run measures. Figures fall from setup to setup, from 110 to 85, without overlap.
    pub(crate) fn full() -> Report {
        let options = Options::full();
        let mut all = Vec::new();
        for &peers in &options.sizes {
            for case in options.cases(peers).into_iter().flat_map(|(_, cases)| cases) {
                let metrics: &[Metric] = match case.work {
                    Work::Stream { .. } => &[Metric::StreamGbit, Metric::CpuPerGigabyte],
                    Work::Exchange => &[Metric::ExchangeP50, Metric::ExchangeP99, Metric::ExchangeP999],
                    Work::Connect => &[Metric::ConnectRate, Metric::CpuPerConnection],
                    Work::Datagrams { .. } => &[Metric::DatagramRate, Metric::CpuPerPacket],
                };
                all.extend(metrics.iter().map(|metric| (*metric, case.conditions, true)));
            }
            let changes =
                [Metric::PeerAdded, Metric::PeerAddedCpu, Metric::PolicyAdded, Metric::Load, Metric::Memory];
            let when = Conditions { peers, ..Conditions::default() };
            all.extend(changes.iter().filter(|_| peers > 0).map(|metric| (*metric, when, false)));
        }
        let values: Vec<Vec<f64>> = (0..SetupName::ALL.len())
            .map(|setup| {
                (0..options.rounds).map(|round| 110.0 - 5.0 * setup as f64 + 0.1 * round as f64).collect()
            })
            .collect();
        let mut samples = Vec::new();
        for (metric, when, with_veth) in all {
            let setups = SetupName::ALL.into_iter().zip(&values).skip(usize::from(!with_veth));
            samples.extend(setups.map(|(setup, values)| (setup, metric, when, &values[..])));
        }
        report_of(&samples)
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let mut samples = Samples::default();
        let conditions = Conditions { peers: 10, ..Conditions::default() };
        for (veth, own) in [(10.0, 5.0), (20.0, 10.0), (40.0, 10.0)] {
            samples.add(SetupName::Veth, Metric::ConnectRate, conditions, veth);
            samples.add(SetupName::Netloom, Metric::ConnectRate, conditions, own);
        }
        samples.add(SetupName::Netloom, Metric::PeerAdded, conditions, 3.0);
        let all = samples.summaries();
        let find = |metric| all.iter().find(|one| one.setup == SetupName::Netloom && one.metric == metric);
        let rate = find(Metric::ConnectRate).unwrap();
        // The ratio of the medians would be 0.5 as well; the interval tells that rounds were compared.
        assert_eq!(
            (rate.median, rate.vs_veth_median, rate.vs_veth_interval),
            (10.0, Some(0.5), Some((0.25, 0.5)))
        );
        assert_eq!(find(Metric::PeerAdded).unwrap().vs_veth_median, None);
    }

    #[test]
    fn generators_are_compared_pair_by_pair() {
        let of = |pairs: &[(f64, f64)]| CrossCheck::of("wrk", SetupName::Veth, Metric::ConnectRate, pairs);
        // The machine got slower from pair to pair, for both: the ratio of the medians would be 0.8.
        let check = of(&[(100.0, 100.0), (80.0, 80.0), (40.0, 100.0)]).unwrap();
        assert_eq!((check.ratio, check.spread(), check.agree), (1.0, Some((0.4, 1.0)), true));
        let check = of(&[(100.0, 80.0)]).unwrap();
        assert_eq!((check.ratio, check.spread(), check.agree), (1.25, None, false));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_measurement_has_the_documents_keys() {
        let mut samples = Samples::default();
        let conditions = Conditions {
            peers: 10_000,
            position: Some(Position::Last),
            mtu: Some(1500),
            ..Conditions::default()
        };
        samples.add(SetupName::IptablesNft, Metric::ExchangeP50, conditions, 1.5);
        let one = &samples.summaries()[0];
        let value = serde_json::to_value(one).unwrap();
        for (key, expected) in [
            ("setup", serde_json::json!("iptables-nft")),
            ("metric", serde_json::json!("tcp_rr_us_p50")),
            ("peers", serde_json::json!(10_000)),
            ("position", serde_json::json!("last")),
            ("mtu", serde_json::json!(1500)),
            ("median", serde_json::json!(1.5)),
            ("vs_veth_median", serde_json::Value::Null),
            ("rounds", serde_json::json!(1)),
            ("samples", serde_json::json!([1.5])),
        ] {
            assert_eq!(value[key], expected, "{key}");
        }
        assert_eq!(&serde_json::from_value::<Measurement>(value).unwrap(), one);
    }
}
