//! The report for a person.

use std::fmt;

use super::report::{Planner, Report};
use super::{ATTACHING, LATENCY};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "virtual time; EC2's token buckets; {} ms a request, {} s from attaching an interface until it is there",
            LATENCY.as_millis(),
            ATTACHING.as_secs()
        )?;
        writeln!(
            f,
            "models are of other programs' published loops and constants, and claim no more than that\n"
        )?;
        writeln!(
            f,
            "{:<22} {:>5} {:<14} {:>6} {:>8} {:>9} {:>8} {:>6} {:>9} {:>9}",
            "scenario",
            "first",
            "planner",
            "ENIs",
            "changes",
            "minimum",
            "ratio",
            "reads",
            "throttled",
            "seconds"
        )?;
        for one in &self.scenarios {
            writeln!(
                f,
                "{:<22} {:>5} {:<14} {:>6} {:>8} {:>9} {:>8.2} {:>6} {:>9} {:>9.1}",
                one.name,
                one.first_interface_index,
                one.planner.name(),
                one.new_enis,
                one.mutating_calls,
                one.minimum_calls,
                one.mutating_calls as f64 / one.minimum_calls as f64,
                one.describe_calls,
                one.throttled_calls,
                one.virtual_seconds
            )?;
        }
        writeln!(
            f,
            "\n{:<14} {:>7} {:>9} {:>6} {:>7} {:>7} {:>9} {:>7}",
            "fragmentation", "subnets", "occupied", "pods", "placed", "share", "prefixes", "share"
        )?;
        for one in &self.fragmentation {
            writeln!(
                f,
                "{:<14} {:>2} of 2 {:>7} % {:>6} {:>7} {:>5.0} % {:>9} {:>5.0} %",
                one.planner.name(),
                one.occupied_subnets,
                one.occupied_percent,
                one.pods,
                one.pods_placed,
                one.placed_share * 100.0,
                one.prefixes_obtained,
                one.prefixes_share * 100.0
            )?;
        }
        writeln!(
            f,
            "\n{:<14} {:>6} {:>6} {:>8} {:>10}",
            "idle, an hour", "nodes", "ENIs", "reads", "changes"
        )?;
        for one in &self.idle {
            writeln!(
                f,
                "{:<14} {:>6} {:>6} {:>8} {:>10}",
                one.planner.name(),
                one.nodes,
                one.interfaces,
                one.reads_per_hour,
                one.mutations_per_hour
            )?;
        }
        let worst = self
            .scenarios
            .iter()
            .filter(|one| one.planner == Planner::Netloom)
            .map(|one| one.mutating_calls as f64 / one.minimum_calls as f64)
            .fold(0.0, f64::max);
        writeln!(f, "\nnetloom: at most {worst:.2} times the minimum; the target is 1.20")
    }
}
