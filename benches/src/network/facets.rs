//! What of a report stands together in a table and a plot: a metric under conditions that differ in one thing only.

use super::pods::Position;
use super::report::{Conditions, Metric, Report};
use crate::report::plot::thousands;

/// A metric as people read of it.
struct Kind {
    metric: Metric,
    name: &'static str,
    unit: &'static str,
    about: &'static str,
    /// The others explain these, or are measured once.
    plotted: bool,
}

/// All that is told, in its order. What is not here is in the JSON document only.
const KINDS: [Kind; 15] = [
    kind(
        Metric::StreamGbit,
        "TCP throughput",
        "Gbit/s",
        "Payload that arrives, written in blocks of 128 KiB.",
        true,
    ),
    kind(Metric::ExchangeP50, "Request and answer, median", "µs", EXCHANGE, true),
    kind(Metric::ExchangeP99, "Request and answer, one in a hundred takes longer", "µs", EXCHANGE, true),
    kind(Metric::ExchangeP999, "Request and answer, one in a thousand takes longer", "µs", EXCHANGE, false),
    kind(Metric::CpuPerExchange, "Processor time for a request and its answer", "µs", PROCESSORS, false),
    kind(
        Metric::ConnectRate,
        "Connections",
        "a second",
        "Connect, an HTTP request, its answer, close; one at a time. The client is the last of the peers.",
        true,
    ),
    kind(Metric::CpuPerConnection, "Processor time for a connection", "µs", PROCESSORS, false),
    kind(
        Metric::DatagramRate,
        "UDP datagrams",
        "a second",
        "What arrives of as many as one thread sends, of a flow that was answered.",
        true,
    ),
    kind(Metric::CpuPerPacket, "Processor time for a UDP datagram that arrives", "µs", PROCESSORS, true),
    kind(Metric::PeerAdded, "A peer is added", "ms", CHANGE, true),
    kind(Metric::PeerAddedCpu, "Processor time of adding a peer", "ms", CHANGE_CPU, false),
    kind(Metric::PolicyAdded, "A policy with as many peers is added", "ms", CHANGE, true),
    kind(Metric::PolicyAddedCpu, "Processor time of adding a policy", "ms", CHANGE_CPU, false),
    kind(Metric::Load, "All rules from nothing", "ms", LOAD, false),
    kind(Metric::Memory, "Kernel memory of rules and maps", "KiB", MEMORY, false),
];
const EXCHANGE: &str = "64 bytes each way over one TCP connection, one after the other.";
const PROCESSORS: &str = "Of all processors, the generator's own included.";
const CHANGE: &str = "From the start of the command or of the request until the first packet is judged by it. netloom's way through \
                      the API is in its figure; the others have no control plane in theirs.";
const CHANGE_CPU: &str =
    "Of the commands, and of netloom's agents, operator and API server until 300 ms later.";
const LOAD: &str = "Measured once. netloom's figure is the time in which every peer and policy is written to the API, and reaches its maps.";
const MEMORY: &str = "Measured once. Most of netloom's maps have their full size from the beginning.";

const fn kind(
    metric: Metric,
    name: &'static str,
    unit: &'static str,
    about: &'static str,
    plotted: bool,
) -> Kind {
    Kind { metric, name, unit, about, plotted }
}

/// What is told of a metric in one table and one plot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facet {
    pub(crate) metric: Metric,
    /// The metric's name, and what tells this facet from its others.
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) about: &'static str,
    pub(crate) plotted: bool,
    /// Whether its rows are the client's places in the list as well as the list's sizes.
    pub(crate) by_position: bool,
    pub(crate) rows: Vec<Conditions>,
}

impl Facet {
    /// With the unit, and which way is good.
    pub(crate) fn heading(&self) -> String {
        let better = if self.metric.more_is_better() { "more" } else { "less" };
        format!("{}, {} ({better} is better)", self.title, self.unit)
    }

    /// What a row is called.
    pub(crate) fn row(&self, row: Conditions) -> String {
        let peers = peers(row.peers);
        match row.position.filter(|_| self.by_position) {
            Some(position) => format!("{peers}, {position}"),
            None => peers,
        }
    }

    /// Several rows in words.
    pub(crate) fn rows_in_words(&self, rows: &[Conditions]) -> String {
        if self.by_position {
            return format!("in {} of {} cases", rows.len(), self.rows.len());
        }
        let (none, some): (Vec<_>, Vec<_>) = rows.iter().map(|row| row.peers).partition(|peers| *peers == 0);
        let mut words = Vec::new();
        if !none.is_empty() {
            words.push("without a policy".to_owned());
        }
        if !some.is_empty() {
            let numbers: Vec<String> = some.iter().map(|peers| thousands(&peers.to_string())).collect();
            words.push(format!("with {} peers", listed(&numbers)));
        }
        words.join(" and ")
    }
}

/// A size in words.
pub(crate) fn peers(peers: usize) -> String {
    if peers == 0 { "no policy".to_owned() } else { format!("{} peers", thousands(&peers.to_string())) }
}

/// Words with commas, and an "and" before the last.
pub(crate) fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// All facets of a report, in their order.
pub(crate) fn facets(report: &Report) -> Vec<Facet> {
    KINDS.iter().flat_map(|kind| of_kind(report, kind)).collect()
}

/// What tells facets of a metric apart.
type Key = (Option<u32>, Option<u32>, Option<u32>);

fn of_kind(report: &Report, kind: &Kind) -> Vec<Facet> {
    let mut all: Vec<Conditions> =
        report.results.iter().filter(|one| one.metric == kind.metric).map(|one| one.conditions).collect();
    all.sort_unstable();
    all.dedup();
    let key = |one: &Conditions| -> Key { (one.mtu, one.streams, one.bytes) };
    let mut keys: Vec<Key> = all.iter().map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut facets = Vec::new();
    for own in &keys {
        let rows: Vec<Conditions> = all.iter().filter(|one| key(one) == *own).copied().collect();
        let title =
            [kind.name.to_owned()].into_iter().chain(told_apart(own, &keys)).collect::<Vec<_>>().join(", ");
        let facet = |title: String, about, plotted, by_position, rows| Facet {
            metric: kind.metric,
            title,
            unit: kind.unit,
            about,
            plotted,
            by_position,
            rows,
        };
        let at_last = |row: &&Conditions| !matches!(row.position, Some(Position::First | Position::Middle));
        let by_size: Vec<Conditions> = rows.iter().filter(at_last).copied().collect();
        let by_position: Vec<Conditions> =
            rows.iter().filter(|row| row.position.is_some()).copied().collect();
        let has_positions = by_size.len() < rows.len();
        facets.push(facet(title.clone(), kind.about, kind.plotted, false, by_size));
        if has_positions {
            let title = format!("{title}, by the client's place among the peers");
            let about = "The client is the first of the peers, in the middle, or the last. The plot has the largest size.";
            facets.push(facet(title, about, kind.plotted, true, by_position));
        }
    }
    facets
}

/// What a key has otherwise than another.
fn told_apart(own: &Key, keys: &[Key]) -> Vec<String> {
    let differ = |of: fn(&Key) -> Option<u32>| keys.iter().any(|key| of(key) != of(own));
    let mut words = Vec::new();
    if differ(|key| key.1) {
        words.extend(own.1.map(|streams| match streams {
            1 => "one connection".to_owned(),
            _ => format!("{streams} connections"),
        }));
    }
    if differ(|key| key.0) {
        words.extend(own.0.map(|mtu| format!("MTU {mtu}")));
    }
    if differ(|key| key.2) {
        words.extend(own.2.map(|bytes| format!("{} bytes", thousands(&bytes.to_string()))));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::full;
    use super::*;

    #[test]
    fn a_full_report_is_cut_into_tables_that_can_be_read() {
        let facets = facets(&full());
        let titles: Vec<&str> = facets.iter().map(|facet| facet.title.as_str()).collect();
        for title in [
            "TCP throughput, one connection, MTU 1500",
            "TCP throughput, 8 connections, MTU 9001",
            "Request and answer, median",
            "Connections",
            "Connections, by the client's place among the peers",
            "UDP datagrams, 1,400 bytes",
            "A peer is added",
        ] {
            assert!(titles.contains(&title), "{title} is not in {titles:?}");
        }
        for facet in &facets {
            assert!(facet.rows.len() <= if facet.by_position { 12 } else { 5 }, "{facet:?}");
            let mut names: Vec<String> = facet.rows.iter().map(|row| facet.row(*row)).collect();
            names.dedup();
            assert_eq!(names.len(), facet.rows.len(), "{names:?}");
        }
        // Everything that was measured of a metric that is told is in one of its tables.
        let report = full();
        for one in &report.results {
            let of_metric: Vec<&Facet> = facets.iter().filter(|facet| facet.metric == one.metric).collect();
            let told = of_metric.iter().any(|facet| facet.rows.contains(&one.conditions));
            assert!(told || of_metric.is_empty(), "{} {:?}", one.metric, one.conditions);
        }
    }

    #[test]
    fn rows_are_told_in_words() {
        let facet = facets(&full()).into_iter().find(|facet| facet.title == "Connections").unwrap();
        assert_eq!(
            facet.rows_in_words(&facet.rows),
            "without a policy and with 10, 100, 1,000 and 10,000 peers"
        );
        assert_eq!(facet.rows_in_words(&facet.rows[1..2]), "with 10 peers");
    }
}
