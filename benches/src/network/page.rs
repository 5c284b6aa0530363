//! The report as a page with plots.

use super::facets::{Facet, facets, peers};
use super::markdown::{about, beside, figure, ratio_of, setups, standings};
use super::report::{Conditions, Report};
use super::setup::SetupName;
use super::standing::Standing;
use super::targets::targets;
use crate::Error;
use crate::report::{Axis, Bars, Page, Section, Series, Table};

/// Makes the page.
///
/// # Errors
/// [`Error::Plot`].
pub(crate) fn page(report: &Report) -> Result<Page, Error> {
    let about = format!(
        "Two nodes of network namespaces on one machine, under each setup in turn, round by round, all enforcing the same \
         policies but veth, which enforces none and is the limit. {} The lines over bars, and \
         what stands below a figure, are intervals (95 % with six rounds or more, the extremes with fewer): below a figure that \
         of its ratio to veth in the same rounds, such as 0.95x, or its own where veth has none.",
        about(report)
    );
    let facets = facets(report);
    let mut page = Page::new("Pod networks side by side", about).section(targets_section(report));
    for (heading, lines) in standings(report, &facets) {
        page = page.section(Section::new(heading, "").points(lines));
    }
    page = page.section(Section::new("To know", "Doubts about these figures.").points(report.notes.clone()));
    for facet in &facets {
        page = page.section(section(report, facet)?);
    }
    if !report.probes.is_empty() {
        page = page.section(proof(report));
    }
    Ok(page
        .section(generators(report))
        .section(limits(report))
        .section(rules(report))
        .section(machine(report)))
}

/// A setup has the same colour in all plots of all reports; for people who see few colours, too (Okabe and Ito), and in the
/// legend's order in each group.
const fn colour(setup: SetupName) -> (u8, u8, u8) {
    match setup {
        SetupName::Veth => (150, 150, 150),
        SetupName::IptablesLegacy => (230, 159, 0),
        SetupName::IptablesNft => (213, 94, 0),
        SetupName::Ipset => (204, 121, 167),
        SetupName::Nftables => (0, 158, 115),
        SetupName::Netloom => (0, 114, 178),
    }
}

fn targets_section(report: &Report) -> Section {
    let targets = targets(report);
    let missed = targets.iter().filter(|target| !target.is_met()).count();
    let said = format!("netloom misses {missed} of {} targets.", targets.len());
    let mut table = Table::new(["netloom", "the worst case", "when", ""]).of_words();
    for target in &targets {
        table = table.row([target.what, &figure(target.worst), &target.when, &target.verdict()]);
    }
    Section::new("Targets", said).table(table)
}

fn section(report: &Report, facet: &Facet) -> Result<Section, Error> {
    let setups: Vec<SetupName> = setups(report)
        .into_iter()
        .filter(|setup| facet.rows.iter().any(|row| report.find(*setup, facet.metric, *row).is_some()))
        .collect();
    let head = std::iter::once(String::new()).chain(setups.iter().map(ToString::to_string));
    let mut table = Table::new(head);
    for &row in &facet.rows {
        let cell = |setup: &SetupName| match report.find(*setup, facet.metric, row) {
            Some(one) => {
                [Some(figure(one.median)), beside(one)].into_iter().flatten().collect::<Vec<_>>().join("\n")
            }
            None => String::new(),
        };
        table = table.row(std::iter::once(facet.row(row)).chain(setups.iter().map(cell)));
    }
    let said = Standing::of(report, facet)
        .map_or_else(|| "netloom was not measured.".to_owned(), |standing| standing.to_string());
    if !facet.plotted {
        return Ok(Section::new(facet.heading(), format!("{} {said}", facet.about)).table(table));
    }
    let plot = bars(report, facet, &setups).draw()?;
    Ok(Section::new(facet.heading(), facet.about).plot_showing(plot, said).table(table))
}

fn bars(report: &Report, facet: &Facet, setups: &[SetupName]) -> Bars {
    // A plot of all places and sizes would have too many bars: where the place matters it does most in the largest.
    let largest = facet.rows.iter().map(|row| row.peers).max();
    let rows: Vec<Conditions> =
        facet.rows.iter().filter(|row| !facet.by_position || Some(row.peers) == largest).copied().collect();
    let series = |setup: &SetupName| {
        let found = || rows.iter().map(|row| report.find(*setup, facet.metric, *row));
        Series::new(setup.to_string(), found().map(|one| Some(one?.median)).collect())
            .between(found().map(|one| Some(one?.interval)).collect())
            .coloured(colour(*setup))
    };
    Bars {
        title: facet.heading(),
        groups: rows.iter().map(|row| facet.row(*row)).collect(),
        y: Axis::new(facet.unit),
        series: setups.iter().map(series).collect(),
    }
}

fn proof(report: &Report) -> Section {
    let sizes = |sizes: &[usize]| sizes.iter().map(|size| peers(*size)).collect::<Vec<_>>().join("; ");
    let mut table = Table::new(["probe", "let through with", "dropped with"]).of_words();
    for row in &report.probes {
        table = table.row([row.probe.clone(), sizes(&row.let_through), sizes(&row.dropped)]);
    }
    let sentence = "The same probes came out alike in all setups, before and after each size was measured; veth, which enforces \
                    nothing, let all of them through each time. What is dropped with a policy was let through by the same setup \
                    without one: somebody answers there. A difference would have ended the run without a report.";
    Section::new("What was proved", sentence).table(table)
}

fn generators(report: &Report) -> Section {
    let sentence = match report.cross_checks.iter().filter(|check| !check.agree).count() {
        _ if report.cross_checks.is_empty() => "Our generator was not compared with another.".to_owned(),
        0 => "Ours and theirs agree within 10 %, by the median of pairs that were taken in turn.".to_owned(),
        differ => format!(
            "In {differ} of {} cases ours and theirs differ by more than 10 %, by the median of pairs that were taken in turn.",
            report.cross_checks.len()
        ),
    };
    let head = ["program", "over", "what", "its median", "ours", "ours to its, pair by pair", "pairs"];
    let mut table = Table::new(head);
    for check in &report.cross_checks {
        table = table.row([
            check.tool.clone(),
            check.setup.to_string(),
            check.metric.name(),
            figure(check.theirs),
            figure(check.ours),
            ratio_of(check),
            check.ratios.len().to_string(),
        ]);
    }
    Section::new("The generator beside others", sentence).table(table)
}

fn limits(report: &Report) -> Section {
    let limits = report.limits.iter().map(|(what, limit)| [what.clone(), figure(*limit)]);
    let table = limits.fold(Table::new(["what", "over loopback"]), Table::row);
    let sentence = "What our generator does over loopback, without any network: no setup can do better.";
    Section::new("The generator's own limit", sentence).table(table)
}

fn rules(report: &Report) -> Section {
    let mut table = Table::new(["setup", "peers", "entries", "memory told by"]).of_words();
    for rules in &report.rules {
        table = table.row([
            rules.setup.to_string(),
            rules.peers.to_string(),
            rules.entries.to_string(),
            rules.memory_told_by.clone().unwrap_or_default(),
        ]);
    }
    let sentence = "What is in force, on the node of the pod that the policy is about: rules and elements of sets as the tools list \
                    them; of netloom the entries of the maps by which peers are judged.";
    let texts = report.rules.iter().filter_map(|rules| Some((rules, rules.text.as_ref()?)));
    texts.fold(Section::new("Rules", sentence).table(table), |section, (rules, text)| {
        let line = match rules.setup {
            SetupName::Netloom => format!("netloom, {} peers: the policies", rules.peers),
            setup => format!("{setup}, {} peers: all rules, as its tool prints them", rules.peers),
        };
        section.text(line, text)
    })
}

fn machine(report: &Report) -> Section {
    let machine = &report.machine;
    let mut table = Table::new(["", "value"]).of_words().row(["kernel", &machine.kernel]);
    for (name, value) in machine.programs.iter().chain(&machine.settings).chain(&machine.mitigations) {
        table = table.row([name, value]);
    }
    if let Some(governor) = &machine.governor {
        table = table.row(["governor of the frequency", governor]);
    }
    let load = format!("{:.2}", machine.load_hundredths as f64 / 100.0);
    table =
        table.row(["load average when it began", &load]).row(["offloads of a pod's link", &machine.offloads]);
    Section::new(
        "The machine",
        "Programs, settings of the kernel, what it does against faults of the processor.",
    )
    .table(table)
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::full;
    use super::*;

    #[test]
    fn a_full_report_has_a_sentence_below_each_plot() {
        let html = page(&full()).unwrap().to_string();
        let plots = html.matches("<svg").count();
        assert_eq!(
            html.matches("<figcaption>netloom has ").count()
                + html.matches("<figcaption>netloom is ").count(),
            plots
        );
        // Streams in four ways, two latencies, connections and places, datagrams and their time in two sizes, two changes.
        assert_eq!(plots, 4 + 2 + 2 + 4 + 2);
        for unexplained in ["NaN", "inf", "tcp_rr_us_p50</text>"] {
            assert!(!html.contains(unexplained), "{unexplained}");
        }
    }

    #[test]
    fn no_two_setups_look_alike() {
        let mut colours: Vec<_> = SetupName::ALL.map(colour).into();
        colours.sort_unstable();
        colours.dedup();
        assert_eq!(colours.len(), SetupName::ALL.len());
    }
}
