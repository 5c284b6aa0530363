//! The report for a person.

use std::fmt;

use super::report::{CaseTime, Layout, Report};

/// What stands above the numbers: they mean nothing without it.
const PREFACE: &str = "\
Nanoseconds for each packet by BPF_PROG_TEST_RUN, net of an empty program and of the wrapper that
changes the packet between runs. One CPU, caches as warm as the case lets them be.
Not in it: the driver, the link, the allocation of the packet, the stack, the lookup of a neighbour.
Events: a CPU reports at most 4,096 in a tick of 1.07 s, and counts the others. So nearly every
new or denied packet here is counted and not reported, as it would be in a flood.
New connections push out the oldest unconfirmed ones, whose table is full after the first rounds.";

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{PREFACE}\n")?;
        writeln!(
            f,
            "{} rounds of {} runs; an empty program takes {} ns\n",
            self.rounds, self.repeat, self.empty_ns
        )?;
        for (title, times) in [
            ("case (ingress: as the stack delivers)", &self.cases),
            ("from the uplink to a pod", &self.wire_to_pod),
            ("between two pods of the node", &self.pod_to_pod),
            ("10,000 flows in turn", &self.many_flows),
        ] {
            let rows = pairs(times, |time| (time.layout, format!("{:<12} {}", time.case, time.direction)));
            let rows: Vec<Row> = rows
                .into_iter()
                .map(|(name, one, two)| Row { name, peers: one.peers, ours: ns(one), theirs: ns(two) })
                .collect();
            table(f, title, &rows)?;
        }
        let rows: Vec<Row> = pairs(&self.verdicts, |time| (time.layout, time.order.to_string()))
            .into_iter()
            .map(|(name, one, two)| Row {
                name,
                peers: one.peers,
                ours: [one.ns_min, one.ns_median],
                theirs: [two.ns_min, two.ns_median],
            })
            .collect();
        table(f, "bare verdict of the policy", &rows)?;

        writeln!(
            f,
            "{:<30} {:>8} {:>6} {:>9} {:>6}",
            "policy in tables", "peers", "ports", "entries", "cells"
        )?;
        for size in &self.tables {
            let name = size.layout;
            writeln!(
                f,
                "{name:<30} {:>8} {:>6} {:>9} {:>6}",
                size.peers, size.ports, size.entries, size.cells
            )?;
        }
        writeln!(
            f,
            "\n{:<30} {:>14} {:>12} {:>12}",
            "program", "verified insns", "JIT bytes", "stack bytes"
        )?;
        let known = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        for size in &self.programs {
            let (verified, stack) = (known(size.verified_insns), known(size.stack_bytes));
            writeln!(f, "{:<30} {verified:>14} {:>12} {stack:>12}", size.name, size.jited_bytes)?;
        }
        Ok(())
    }
}

fn ns(time: &CaseTime) -> [u64; 2] {
    [time.ns_min, time.ns_median]
}

/// A line: minimum and median of both layouts.
struct Row {
    name: String,
    peers: u32,
    ours: [u64; 2],
    theirs: [u64; 2],
}

/// Brings the two layouts of the same thing together. They stand one behind the other.
fn pairs<T>(times: &[T], describe: impl Fn(&T) -> (Layout, String)) -> Vec<(String, &T, &T)> {
    times
        .chunks_exact(2)
        .filter_map(|pair| {
            let [one, two] = pair else { return None };
            let ((first, name), (second, same)) = (describe(one), describe(two));
            (first == Layout::Netloom && second == Layout::TwoLpm && name == same).then_some((name, one, two))
        })
        .collect()
}

fn table(f: &mut fmt::Formatter<'_>, title: &str, rows: &[Row]) -> fmt::Result {
    writeln!(f, "{title:<38} {:^17} {:^17} {:>6}", "netloom", "two-lpm", "ratio")?;
    writeln!(
        f,
        "{:<29} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6}",
        "", "peers", "min", "median", "min", "median", "of min"
    )?;
    for Row { name, peers, ours: [our_min, our_median], theirs: [their_min, their_median] } in rows {
        let ratio = if *their_min == 0 {
            "-".to_owned()
        } else {
            format!("{:.2}", *our_min as f64 / *their_min as f64)
        };
        writeln!(
            f,
            "{name:<29} {peers:>8} {our_min:>8} {our_median:>8} {their_min:>8} {their_median:>8} {ratio:>6}"
        )?;
    }
    writeln!(f)
}
