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
        let worst = self
            .scenarios
            .iter()
            .filter(|one| one.planner == Planner::Netloom)
            .map(|one| one.mutating_calls as f64 / one.minimum_calls as f64)
            .fold(0.0, f64::max);
        writeln!(f, "\nnetloom: at most {worst:.2} times the minimum; the target is 1.20")
    }
}
