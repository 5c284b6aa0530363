//! The report as a page.

use super::report::{Fragmentation, Outcome, Planner, Report};
use super::{ATTACHING, LATENCY};
use crate::Error;
use crate::report::{Axis, Bars, Line, Lines, Page, Section, Series, Table};

impl Report {
    /// The report as a page with tables and plots.
    ///
    /// # Errors
    /// [`Error::Plot`].
    pub fn page(&self) -> Result<Page, Error> {
        let about = format!(
            "Virtual time against an emulator with EC2's token buckets; {} ms a request, {} s from attaching an \
             interface until it is there. Netloom's figures are those of the code that runs in clusters; models are \
             of other programs' published loops and constants, and claim no more than that.",
            LATENCY.as_millis(),
            ATTACHING.as_secs()
        );
        Ok(Page::new("Addresses on EC2: calls, time, fragmentation", about)
            .section(self.calls()?)
            .section(self.survival()?)
            .section(self.rest()?))
    }

    fn calls(&self) -> Result<Section, Error> {
        let mut table = Table::new([
            "scenario",
            "first interface",
            "planner",
            "new ENIs",
            "changes",
            "minimum",
            "ratio",
            "reads",
            "throttled",
            "seconds",
        ]);
        for one in &self.scenarios {
            table = table.row([
                one.name.to_owned(),
                one.first_interface_index.to_string(),
                one.planner.name().to_owned(),
                one.new_enis.to_string(),
                one.mutating_calls.to_string(),
                one.minimum_calls.to_string(),
                format!("{:.2}", one.mutating_calls as f64 / one.minimum_calls as f64),
                one.describe_calls.to_string(),
                one.throttled_calls.to_string(),
                format!("{:.1}", one.virtual_seconds),
            ]);
        }
        let ratio = |one: &Outcome| one.mutating_calls as f64 / one.minimum_calls as f64;
        let sentence = "What it takes until pods that were scheduled to new nodes all have addresses. The minimum is three \
                        calls for each new interface, and one for all prefixes of an interface that is there.";
        let bars = |title: &str, label: &str, value: &dyn Fn(&Outcome) -> f64| {
            Bars {
                title: title.to_owned(),
                groups: self.groups(),
                y: Axis::new(label),
                series: self.series(value),
            }
            .draw()
        };
        Ok(Section::new("Calls and time", sentence)
            .table(table)
            .plot(bars("Changing calls, as a multiple of the minimum", "times the minimum", &ratio)?)
            .plot(bars("Until all pods have an address", "virtual seconds", &|one| one.virtual_seconds)?))
    }

    /// The scenarios, each once.
    fn groups(&self) -> Vec<String> {
        let of = self.scenarios.iter().filter(|one| one.planner == Planner::Netloom);
        of.map(|one| format!("{}, from {}", one.name, one.first_interface_index)).collect()
    }

    fn series(&self, value: &dyn Fn(&Outcome) -> f64) -> Vec<Series> {
        let of = |planner: Planner| {
            let own = self.scenarios.iter().filter(|one| one.planner == planner);
            Series::new(planner.name(), own.map(|one| Some(value(one))).collect())
        };
        Planner::ALL.map(of).into()
    }

    fn survival(&self) -> Result<Section, Error> {
        let mut table = Table::new([
            "planner",
            "subnets",
            "occupied",
            "pods",
            "placed",
            "share",
            "prefixes wanted",
            "obtained",
            "share",
        ]);
        for one in &self.fragmentation {
            table = table.row([
                one.planner.name().to_owned(),
                format!("{} of 2", one.occupied_subnets),
                format!("{} %", one.occupied_percent),
                one.pods.to_string(),
                one.pods_placed.to_string(),
                format!("{:.0} %", one.placed_share * 100.0),
                one.prefixes_wanted.to_string(),
                one.prefixes_obtained.to_string(),
                format!("{:.0} %", one.prefixes_share * 100.0),
            ]);
        }
        let lines = |title: &str, subnets: u32, share: &dyn Fn(&Fragmentation) -> f64| {
            let of = |planner: Planner| {
                let points = self.fragmentation.iter();
                let points = points.filter(|one| one.planner == planner && one.occupied_subnets == subnets);
                let points = points.map(|one| (f64::from(one.occupied_percent), share(one) * 100.0));
                Line { name: planner.name().to_owned(), points: points.collect() }
            };
            let (x, y) = (Axis::new("addresses that others have, %").to(100.0), Axis::new("%").to(105.0));
            Lines { title: title.to_owned(), x, y, lines: Planner::ALL.map(of).into() }.draw()
        };
        let (placed, prefixes) =
            (|one: &Fragmentation| one.placed_share, |one: &Fragmentation| one.prefixes_share);
        let sentence = "How many pods have an address after a quarter of an hour where others have addresses of one of \
                        two subnets, or of both, chosen by lot: one in a block of sixteen is enough to spoil it as a \
                        prefix.";
        Ok(Section::new("Fragmentation", sentence)
            .table(table)
            .plot(lines("One subnet of two: pods that have an address", 1, &placed)?)
            .plot(lines("One subnet of two: prefixes, of those that nodes need", 1, &prefixes)?)
            .plot(lines("Both subnets: pods that have an address", 2, &placed)?))
    }

    fn rest(&self) -> Result<Section, Error> {
        let mut table = Table::new(["planner", "nodes", "ENIs", "reads an hour", "changes an hour"]);
        for one in &self.idle {
            table = table.row([
                one.planner.name().to_owned(),
                one.nodes.to_string(),
                one.interfaces.to_string(),
                one.reads_per_hour.to_string(),
                one.mutations_per_hour.to_string(),
            ]);
        }
        let sizes = self.idle.iter().filter(|one| one.planner == Planner::Netloom);
        let series = |planner: Planner| {
            let own = self.idle.iter().filter(|one| one.planner == planner);
            let calls = own.map(|one| Some((one.reads_per_hour + one.mutations_per_hour) as f64));
            Series::new(planner.name(), calls.collect())
        };
        let bars = Bars {
            title: "Calls in an hour in which nothing happens".to_owned(),
            groups: sizes.map(|one| format!("{} nodes", one.nodes)).collect(),
            y: Axis::new("calls"),
            series: Planner::ALL.map(series).into(),
        };
        let sentence = "What is asked of EC2 while no pod comes or goes.";
        Ok(Section::new("At rest", sentence).table(table).plot(bars.draw()?))
    }
}
